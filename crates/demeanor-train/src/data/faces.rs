//! FER-2013 and folders like it: pictures of faces, each with a label and a split.
//!
//! Two forms of FER-2013 are read, and give the same set in the same order: the official `fer2013.csv`
//! (`emotion,pixels,Usage`; `icml_face_data.csv` has its columns in another order, with leading blanks), and a folder tree
//! `SPLIT/EMOTION/*` of picture files. Other sets are trees or tables of files: see [`face_files`].

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use demeanor::{Emotion, Error, ErrorKind, Picture, PixelLayout, Result};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::face_corpora::PERSON;
use super::face_files::{self, FaceFile};
use super::pixels::{PIXELS, Pixels, SIDE, Thumbnail};
use super::twins::{self, Twin};
use super::{Split, stream, table};

/// Problems with rows of a table that are listed before reading stops.
const MOST_PROBLEMS: usize = 20;

/// The emotions that FER+ raters could vote for, in the order of its columns; two more columns are `unknown` and `NF`
/// (not a face). Barsoum et al. 2016.
pub const FER_PLUS: [Emotion; 8] = [
    Emotion::Neutral,
    Emotion::Happy,
    Emotion::Surprise,
    Emotion::Sad,
    Emotion::Angry,
    Emotion::Disgust,
    Emotion::Fear,
    Emotion::Contempt,
];

/// Votes of ten raters: those of [`FER_PLUS`], then unknown, then not a face.
pub type Votes = [u8; 10];

/// A labelled picture.
#[derive(Debug, Clone)]
pub struct FacePicture {
    /// What its file or its row holds.
    pub pixels: Pixels,
    /// What it is labelled.
    pub emotion: Emotion,
    /// FER+ votes, where a file of them was given and has this picture.
    pub votes: Option<Votes>,
    /// The part of the set that it belongs to.
    pub split: Split,
    /// File below the set's folder, or `ferNNNNNNN.png` for row N (from 0) of a table.
    pub name: String,
    /// Row (from 0) of the official table, where known.
    pub row: Option<u32>,
    /// Whether train, validation and test hold a twin of it ([`FaceSet::mark_twins`]): the same photograph, perhaps
    /// mirrored or edited.
    pub twin_in: [bool; 3],
    /// What else is known of it, by name: whose face it is ([`PERSON`]), `sex`, other columns of its table.
    pub about: BTreeMap<String, String>,
}

impl FacePicture {
    /// The first 8 bytes of the SHA-256 of the pixels, by which training and evaluation know the picture again, whichever
    /// form of the set it comes from: of 48x48 grey values for FER-2013.
    pub fn hash(&self) -> [u8; 8] {
        self.pixels.hash()
    }

    /// The FER+ label by majority (more than half of ten votes for one emotion); none without votes, without such a
    /// majority, or when most saw no face.
    pub fn voted(&self) -> Option<Emotion> {
        let votes = self.votes.as_ref()?;
        let total: u32 = votes.iter().map(|&v| u32::from(v)).sum();
        FER_PLUS.iter().zip(votes).find(|&(_, &v)| 2 * u32::from(v) > total).map(|(&e, _)| e)
    }

    /// Writes the share of the FER+ votes that each of these labels has, which sum to 1; the one label of the set where
    /// no vote is for any of them. Single votes are left out as noise where anything has two, as FER+ does.
    pub fn vote_shares(&self, labels: &[Emotion], shares: &mut [f32]) {
        shares.fill(0.0);
        if let Some(votes) = &self.votes {
            let most = votes[..FER_PLUS.len()].iter().copied().max().unwrap_or(0);
            let mut sum = 0.0;
            for (share, label) in shares.iter_mut().zip(labels) {
                let votes = FER_PLUS.iter().zip(votes).filter(|&(e, &v)| e == label && (v > 1 || most < 2));
                *share = votes.map(|(_, &v)| f32::from(v)).sum();
                sum += *share;
            }
            if sum > 0.0 {
                shares.iter_mut().for_each(|s| *s /= sum);
                return;
            }
        }
        for (share, &label) in shares.iter_mut().zip(labels) {
            *share = f32::from(u8::from(label == self.emotion));
        }
    }
}

/// How a set is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// A table of FER+ votes. When absent, `fer2013plus.csv` or `fer2013new.csv` beside the set is used if it is there.
    pub votes: Option<PathBuf>,
    /// Seed of the draw, where a validation or test part must be drawn from the training pictures.
    pub seed: u64,
    /// The part of the training pictures that is drawn for validation where the set names none, 0 to 1; equal for every
    /// emotion.
    pub validation_part: f32,
    /// The same for test.
    pub test_part: f32,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { votes: None, seed: 0, validation_part: 0.1, test_part: 0.1 }
    }
}

/// A set of labelled pictures.
#[derive(Debug, Clone, Default)]
pub struct FaceSet {
    /// The pictures: in the order of the official rows where these are known, else by split, emotion and name.
    pub pictures: Vec<FacePicture>,
    /// What the user should know of how the set was read: drawn splits, files left out.
    pub notes: Vec<String>,
}

impl FaceSet {
    /// Loads a table of pixels (a `.csv` file, or a folder that holds `fer2013.csv` or `icml_face_data.csv`), a table
    /// `path,emotion` of files, or a folder of picture files of any format ([`face_files::of_folder`]), decoding on all
    /// cores.
    ///
    /// Where the set has no validation (or no test) part, one is drawn from the training pictures by seed, by persons where
    /// all are known, and a note says so. A broken picture of a tree is left out with a note; a broken row of a table is an error.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when something cannot be opened or read, [`ErrorKind::Data`] when it is no such set, holds no
    /// picture, or rows are malformed (the message names the lines).
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self> {
        let pixels =
            ["fer2013.csv", "icml_face_data.csv"].map(|name| path.join(name)).into_iter().find(|p| p.is_file());
        let (mut set, folder) = match pixels {
            Some(table) if face_files::split_folders(path)?.is_empty() => (Self::load_table(&table)?, path),
            _ if path.is_dir() => (Self::load_files(face_files::of_folder(path)?)?, path),
            _ => {
                let folder = path.parent().unwrap_or(Path::new("."));
                match face_files::of_table(path)? {
                    Some(files) => (Self::load_files(files)?, folder),
                    None => (Self::load_table(path)?, folder),
                }
            }
        };
        if set.pictures.is_empty() {
            return Err(Error::new(ErrorKind::Data, format!("{} holds no picture", path.display())));
        }
        if set.pictures.iter().all(|p| p.row.is_some()) {
            set.pictures.sort_by_key(|p| p.row);
        }
        set.draw_missing(options);
        let votes = options.votes.clone().or_else(|| {
            ["fer2013plus.csv", "fer2013new.csv"].map(|name| folder.join(name)).into_iter().find(|p| p.is_file())
        });
        if let Some(votes) = votes {
            set.load_votes(&votes)?;
        }
        Ok(set)
    }

    fn load_table(path: &Path) -> Result<Self> {
        let (set, problems) = FaceSet::parse(open(path)?).map_err(|e| at(path, e))?;
        first_problem(path, problems)?;
        Ok(set)
    }

    /// Decodes files; a broken one is left out with a note.
    fn load_files((files, notes): (Vec<FaceFile>, Vec<String>)) -> Result<Self> {
        let decoded: Vec<Result<FacePicture>> = files
            .into_par_iter()
            .map(|FaceFile { path, name, emotion, split, about }| {
                let row = official_row(&name);
                let pixels = Pixels::open(path)?;
                Ok(FacePicture { pixels, emotion, votes: None, split, name, row, twin_in: [false; 3], about })
            })
            .collect();
        let mut set = FaceSet { notes, ..FaceSet::default() };
        let mut broken = Vec::new();
        for picture in decoded {
            match picture {
                Ok(picture) => set.pictures.push(picture),
                Err(error) => broken.push(error),
            }
        }
        if !broken.is_empty() {
            let list: Vec<String> = broken.iter().map(Error::to_string).collect();
            set.notes.push(format!("{} broken pictures were left out: {}", list.len(), face_files::listed(&list)));
        }
        match broken.into_iter().next() {
            Some(error) if set.pictures.is_empty() => Err(error),
            _ => Ok(set),
        }
    }

    /// Reads a table of FER-2013 from its text, with the problems of its rows (each naming its line, at most 20): wrong
    /// pixel counts, values that are no number from 0 to 255, labels that are no number from 0 to 6 and no emotion,
    /// unknown splits. Rows with problems are left out. Never panics, whatever the bytes.
    ///
    /// Columns are found by name: `emotion`, `pixels`, and `Usage` (all rows are training pictures without it).
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a column is missing or a line is absurdly long, [`ErrorKind::File`] when reading fails.
    pub fn parse(input: impl BufRead) -> Result<(Self, Vec<Error>)> {
        let begin = |columns: &table::Columns| {
            let find = |name: &str| {
                columns.find(&[name]).ok_or_else(|| {
                    let found = columns.names().join(", ");
                    let short: String = found.chars().take(80).collect();
                    Error::new(
                        ErrorKind::Data,
                        format!("line 1: no column \"{name}\": expected emotion, pixels and Usage, found \"{short}\""),
                    )
                })
            };
            Ok((find("emotion")?, find("pixels")?, columns.find(&["usage", "split"])))
        };
        let parse = |&(emotion, pixels, usage): &(usize, usize, Option<usize>), row: usize, line: &str| {
            let mut found = (None, None, None);
            for (column, cell) in table::cells(line).enumerate() {
                match column {
                    c if c == emotion => found.0 = Some(cell),
                    c if c == pixels => found.1 = Some(cell),
                    c if Some(c) == usage => found.2 = Some(cell),
                    _ => {}
                }
            }
            let absent = |name: &str| Error::new(ErrorKind::Data, format!("the row has no \"{name}\""));
            let split = match usage {
                Some(_) => found.2.ok_or_else(|| absent("Usage"))?.parse()?,
                None => Split::Train,
            };
            Ok(FacePicture {
                emotion: parse_label(found.0.ok_or_else(|| absent("emotion"))?)?,
                pixels: parse_pixels(found.1.ok_or_else(|| absent("pixels"))?)?,
                votes: None,
                split,
                name: format!("fer{row:07}.png"),
                row: u32::try_from(row).ok(),
                twin_in: [false; 3],
                about: BTreeMap::new(),
            })
        };
        let (pictures, problems) = table::read(input, MOST_PROBLEMS, begin, parse)?;
        Ok((FaceSet { pictures, notes: Vec::new() }, problems))
    }

    /// Adds the votes of a FER+ table (`Usage,Image name,` then ten columns of votes), by row of the official table
    /// where that is known, else by image name.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be read; [`ErrorKind::Data`] when it is malformed (the message names the line)
    /// or fits no picture of the set.
    pub fn load_votes(&mut self, path: &Path) -> Result<()> {
        let (rows, problems) = parse_votes(open(path)?).map_err(|e| at(path, e))?;
        first_problem(path, problems)?;
        let by_name: HashMap<&str, Votes> =
            rows.iter().filter(|r| !r.image.is_empty()).map(|r| (r.image.as_str(), r.votes)).collect();
        let mut fitted = 0;
        for picture in &mut self.pictures {
            let file = picture.name.rsplit('/').next().unwrap_or_default();
            // the table's own names drift away from its rows after the first pictures that are no face
            picture.votes = match picture.row {
                Some(row) => rows.get(row as usize).map(|r| r.votes),
                None => by_name.get(file).copied(),
            };
            fitted += usize::from(picture.votes.is_some());
        }
        if fitted == 0 {
            return Err(Error::new(ErrorKind::Data, format!("{}: no row fits a picture of the set", path.display())));
        }
        if fitted < self.pictures.len() {
            self.notes.push(format!("{} pictures have no FER+ votes", self.pictures.len() - fitted));
        }
        Ok(())
    }

    /// Draws the parts that the set does not have from its training pictures: whole persons where all are known, else
    /// emotion by emotion.
    fn draw_missing(&mut self, options: &LoadOptions) {
        for (split, part) in [(Split::Validation, options.validation_part), (Split::Test, options.test_part)] {
            if self.pictures.iter().any(|p| p.split == split) || part <= 0.0 {
                continue;
            }
            let part = part.min(1.0);
            let training: Vec<usize> = self.indices(Split::Train);
            let mut persons: BTreeMap<Option<&String>, Vec<usize>> = BTreeMap::new();
            for &i in &training {
                persons.entry(self.pictures[i].about.get(PERSON)).or_default().push(i);
            }
            let by_person = persons.len() > 2 && !persons.contains_key(&None);
            let drawn: Vec<usize> = if by_person {
                let mut all: Vec<Vec<usize>> = persons.into_values().collect();
                all.shuffle(&mut stream(options.seed, split.index() as u64, u64::MAX));
                let count = ((all.len() as f32 * part).round() as usize).clamp(1, all.len() - 1);
                all.into_iter().take(count).flatten().collect()
            } else {
                let of_emotion = |emotion: Emotion| {
                    let mut all: Vec<usize> =
                        training.iter().copied().filter(|&i| self.pictures[i].emotion == emotion).collect();
                    all.shuffle(&mut stream(options.seed, split.index() as u64, emotion.index() as u64));
                    let count = (all.len() as f32 * part).round() as usize;
                    all.into_iter().take(count)
                };
                Emotion::ALL.into_iter().flat_map(of_emotion).collect()
            };
            drawn.iter().for_each(|&i| self.pictures[i].split = split);
            if !drawn.is_empty() {
                let of = if by_person { "the persons" } else { "each emotion" };
                self.notes.push(format!(
                    "the set has no {split} part: {} training pictures ({:.0} % of {of}, seed {}) were drawn for it",
                    drawn.len(),
                    part * 100.0,
                    options.seed
                ));
            }
        }
    }

    /// Whether it is FER-2013 in its standard split: as many pictures, each with its row of the official table.
    pub fn is_fer2013(&self) -> bool {
        let counts = Split::ALL.map(|split| self.indices(split).len());
        counts == [28_709, 3_589, 3_589] && self.pictures.iter().all(|p| p.row.is_some())
    }

    /// Indices of the pictures of a split, in order.
    pub fn indices(&self, split: Split) -> Vec<usize> {
        (0..self.pictures.len()).filter(|&i| self.pictures[i].split == split).collect()
    }

    /// Indices of the pictures of a split that have no twin on the other side, in order: validation and test pictures
    /// without a twin in train; training pictures without a twin in validation or test. [`FaceSet::mark_twins`] first.
    pub fn clean_indices(&self, split: Split) -> Vec<usize> {
        let leaks = |p: &FacePicture| match split {
            Split::Train => p.twin_in[Split::Validation.index()] || p.twin_in[Split::Test.index()],
            Split::Validation | Split::Test => p.twin_in[Split::Train.index()],
        };
        (0..self.pictures.len()).filter(|&i| self.pictures[i].split == split && !leaks(&self.pictures[i])).collect()
    }

    /// How many pictures of a split have each emotion, in class order.
    pub fn counts(&self, split: Split) -> [usize; Emotion::COUNT] {
        let mut counts = [0; Emotion::COUNT];
        for picture in self.pictures.iter().filter(|p| p.split == split) {
            counts[picture.emotion.index()] += 1;
        }
        counts
    }

    /// The emotions that occur, in class order.
    pub fn labels(&self) -> Vec<Emotion> {
        Emotion::ALL.into_iter().filter(|&e| self.pictures.iter().any(|p| p.emotion == e)).collect()
    }

    /// Searches for twins ([`twins::search`]) and marks each picture's [`FacePicture::twin_in`]; gives the pairs. Takes
    /// some seconds for FER-2013.
    ///
    /// # Errors
    /// Those of [`Pixels::thumbnail`].
    pub fn mark_twins(&mut self) -> Result<Vec<Twin>> {
        let small: Vec<Thumbnail> = self.pictures.par_iter().map(|p| p.pixels.thumbnail()).collect::<Result<_>>()?;
        let pairs = twins::search(&small, twins::CORRELATION);
        for pair in &pairs {
            let (a, b) = (self.pictures[pair.a].split, self.pictures[pair.b].split);
            self.pictures[pair.a].twin_in[b.index()] = true;
            self.pictures[pair.b].twin_in[a.index()] = true;
        }
        Ok(pairs)
    }
}

/// `emotion` of a row: a number from 0 to 6 in the order of FER-2013, or a name.
fn parse_label(cell: &str) -> Result<Emotion> {
    match cell.parse::<i64>() {
        Ok(number) => usize::try_from(number).ok().and_then(|n| Emotion::FER.get(n)).copied().ok_or_else(|| {
            Error::new(ErrorKind::Data, format!("the label is {number}: expected 0 to {}", Emotion::FER.len() - 1))
        }),
        Err(_) => cell.parse().map_err(|_| {
            let short: String = cell.chars().take(24).collect();
            Error::new(ErrorKind::Data, format!("the label is \"{short}\": expected 0 to 6 or an emotion's name"))
        }),
    }
}

/// `pixels` of a row: 2,304 numbers from 0 to 255 with blanks between them.
fn parse_pixels(cell: &str) -> Result<Pixels> {
    let mut pixels = vec![0; PIXELS];
    let mut count = 0;
    for word in cell.split_ascii_whitespace() {
        if let Some(pixel) = pixels.get_mut(count) {
            *pixel = word.parse().map_err(|_| {
                let short: String = word.chars().take(24).collect();
                Error::new(ErrorKind::Data, format!("pixel {count} is \"{short}\": expected a number from 0 to 255"))
            })?;
        }
        count += 1;
    }
    if count != PIXELS {
        return Err(Error::new(ErrorKind::Data, format!("{count} pixels: expected {PIXELS} ({SIDE}x{SIDE})")));
    }
    Picture::new(pixels, SIDE, SIDE, PixelLayout::Grey8).map(Pixels::from)
}

/// A row of a FER+ table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteRow {
    /// The picture's file name; empty where the table has none.
    pub image: String,
    /// What the raters voted.
    pub votes: Votes,
}

/// Reads a FER+ table, with the problems of its rows (each naming its line). Never panics, whatever the bytes.
///
/// # Errors
/// [`ErrorKind::Data`] when a column is missing, [`ErrorKind::File`] when reading fails.
pub fn parse_votes(input: impl BufRead) -> Result<(Vec<VoteRow>, Vec<Error>)> {
    const COLUMNS: [&str; 10] =
        ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "nf"];
    let begin = |columns: &table::Columns| {
        let mut places = [0; 10];
        for (place, name) in places.iter_mut().zip(COLUMNS) {
            *place = columns.find(&[name]).ok_or_else(|| {
                Error::new(
                    ErrorKind::Data,
                    format!("line 1: no column \"{name}\": expected Usage, Image name, {}", COLUMNS.join(", ")),
                )
            })?;
        }
        Ok((places, columns.find(&["image name", "image", "file", "name"])))
    };
    let parse = |(places, name): &([usize; 10], Option<usize>), _: usize, line: &str| {
        let cells: Vec<&str> = table::cells(line).collect();
        let mut votes = [0; 10];
        for ((vote, &place), column) in votes.iter_mut().zip(places).zip(COLUMNS) {
            let cell = cells.get(place).copied().unwrap_or_default();
            *vote = cell.parse().map_err(|_| {
                let short: String = cell.chars().take(24).collect();
                Error::new(ErrorKind::Data, format!("{column} is \"{short}\": expected a number of votes"))
            })?;
        }
        let image = name.and_then(|n| cells.get(n)).copied().unwrap_or_default().to_string();
        Ok(VoteRow { image, votes })
    };
    table::read(input, MOST_PROBLEMS, begin, parse)
}

/// `N` of a file named `ferN.png`.
fn official_row(name: &str) -> Option<u32> {
    let file = name.rsplit('/').next()?;
    let (stem, _) = file.rsplit_once('.')?;
    let digits = stem.strip_prefix("fer")?;
    (digits.len() == 7).then(|| digits.parse().ok())?
}

fn open(path: &Path) -> Result<BufReader<File>> {
    match File::open(path) {
        Ok(file) => Ok(BufReader::with_capacity(1 << 20, file)),
        Err(e) => Err(Error::new(ErrorKind::File, format!("{} cannot be opened: {e}", path.display())).with_source(e)),
    }
}

fn at(path: &Path, error: Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// An error that names the first problem, and how many more there are.
fn first_problem(path: &Path, problems: Vec<Error>) -> Result<()> {
    let more = match problems.len() {
        0 | 1 => String::new(),
        n if n >= MOST_PROBLEMS => format!(" (and at least {} more lines)", n - 1),
        n => format!(" (and {} more lines)", n - 1),
    };
    match problems.into_iter().next() {
        Some(problem) => Err(Error::new(problem.kind(), format!("{}: {problem}{more}", path.display()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use crate::data::speech;
    use crate::data::votes::VoteModel;

    fn shared() -> Option<PathBuf> {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fer2013"));
        if !path.is_dir() {
            eprintln!("skipped: the checks on FER-2013, because ../shared is absent");
            return None;
        }
        Some(path)
    }

    /// A row's pixels: 2,304 times the same number but for the first.
    fn pixels(first: u8, rest: u8) -> String {
        let mut text = first.to_string();
        for _ in 1..PIXELS {
            text.push_str(&format!(" {rest}"));
        }
        text
    }

    fn parse(text: &str) -> (FaceSet, Vec<String>) {
        let (set, problems) = FaceSet::parse(text.as_bytes()).unwrap();
        (set, problems.iter().map(Error::to_string).collect())
    }

    #[test]
    fn official_and_icml_columns_give_the_same_set() {
        let p = pixels(7, 9);
        let official = format!("emotion,pixels,Usage\n3,{p},Training\n6,\"{p}\",PublicTest\r\n0,{p},PrivateTest\n");
        let icml = format!("emotion, Usage, pixels\n3,Training,{p}\n6,PublicTest,{p}\n\n0,PrivateTest,{p}");
        for text in [official, icml] {
            let (set, problems) = parse(&text);
            assert!(problems.is_empty(), "{problems:?}");
            let small = |p: &FacePicture| p.pixels.thumbnail().unwrap();
            let found: Vec<_> = set.pictures.iter().map(|p| (p.emotion, p.split, small(p)[0], small(p)[1])).collect();
            assert_eq!(
                found,
                [
                    (Emotion::Happy, Split::Train, 7, 9),
                    (Emotion::Neutral, Split::Validation, 7, 9),
                    (Emotion::Angry, Split::Test, 7, 9)
                ]
            );
            assert_eq!(set.pictures[2].name, "fer0000002.png");
        }
    }

    #[test]
    fn bad_rows_name_their_line_and_what_was_expected() {
        let p = pixels(1, 2);
        let cases = [
            ("0,1 2 3,Training".to_string(), "line 3: 3 pixels: expected 2304"),
            (format!("0,{p} 5,Training"), "line 3: 2305 pixels: expected 2304"),
            (format!("7,{p},Training"), "line 3: the label is 7: expected 0 to 6"),
            (format!("-1,{p},Training"), "line 3: the label is -1: expected 0 to 6"),
            (format!("glad,{p},Training"), "line 3: the label is \"glad\""),
            (format!("0,{},Training", p.replacen('1', "256", 1)), "line 3: pixel 0 is \"256\""),
            (format!("0,{},Training", p.replacen('1', "x", 1)), "line 3: pixel 0 is \"x\""),
            (format!("0,{p},Holiday"), "line 3: \"Holiday\" names no split"),
            (format!("0,{p}"), "line 3: the row has no \"Usage\""),
            (String::from("0"), "line 3: the row has no"),
        ];
        for (row, expected) in cases {
            let (set, problems) = parse(&format!("emotion,pixels,Usage\n1,{p},Training\n{row}\n2,{p},Training\n"));
            assert_eq!(problems.len(), 1);
            assert!(problems[0].starts_with(expected), "{} does not begin with {expected}", problems[0]);
            assert_eq!(set.pictures.len(), 2);
        }
        for text in ["", "emotion,Usage\n", "\u{0}\u{1}", "\n\n"] {
            assert_eq!(FaceSet::parse(text.as_bytes()).unwrap_err().kind(), ErrorKind::Data);
        }
        let (_, problems) = FaceSet::parse(&b"emotion,pixels,Usage\n0,\xff\xfe,Training\n"[..]).unwrap();
        assert!(problems[0].to_string().contains("line 2: the line is not UTF-8"));
    }

    #[test]
    fn votes_become_shares() {
        let text = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n\
                    Training,fer0000000.png,6,0,0,3,1,0,0,0,0,0\nTraining,,0,0,0,0,0,0,0,0,0,10\n";
        let (rows, problems) = parse_votes(text.as_bytes()).unwrap();
        assert!(problems.is_empty());
        let (mut set, _) = parse(&format!("emotion,pixels\n3,{}\n3,{}\n", pixels(0, 1), pixels(1, 2)));
        let mut shares = [0.0; 7];
        for (picture, row) in set.pictures.iter_mut().zip(&rows) {
            picture.votes = Some(row.votes);
        }
        set.pictures[0].vote_shares(&Emotion::FER, &mut shares);
        let expected = [0.0, 0.0, 0.0, 0.0, 3.0 / 9.0, 0.0, 6.0 / 9.0];
        assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{shares:?}");
        assert_eq!(set.pictures[0].voted(), Some(Emotion::Neutral));
        set.pictures[1].vote_shares(&Emotion::FER, &mut shares);
        assert_eq!(shares[Emotion::Happy.index()], 1.0);
        assert_eq!(set.pictures[1].voted(), None);
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("demeanor-faces-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn save(path: &Path, side: u32, value: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_fn(side, side, |x, _| image::Luma([value.saturating_add(x as u8)])).save(path).unwrap();
    }

    #[test]
    fn trees_with_synonyms_other_sizes_and_broken_files_are_read() {
        let root = folder("tree");
        for i in 0..10 {
            save(&root.join(format!("Training/Happiness/{i}.png")), 48, 10 * i);
        }
        save(&root.join("PrivateTest/anger/a.png"), 96, 50);
        save(&root.join("PrivateTest/unknown/a.png"), 48, 50);
        fs::write(root.join("Training/Happiness/broken.png"), b"text").unwrap();
        fs::write(root.join("Training/Happiness/notes.txt"), b"text").unwrap();
        let set = FaceSet::load(&root, &LoadOptions::default()).unwrap();
        let sizes = Split::ALL.map(|s| set.indices(s).len());
        assert_eq!(sizes, [9, 1, 1]);
        let notes = set.notes.join("; ");
        for expected in ["PrivateTest/unknown", "1 broken pictures", "no validation part: 1 training pictures"] {
            assert!(notes.contains(expected), "{notes}");
        }
        let test = &set.pictures[set.indices(Split::Test)[0]];
        assert_eq!((test.emotion, test.name.as_str()), (Emotion::Angry, "PrivateTest/anger/a.png"));
        // Twice as large: pixel 10 is the mean of columns 20 and 21.
        let small = test.pixels.thumbnail().unwrap();
        assert!(small[10].abs_diff(70) <= 1, "{}", small[10]);
        assert_eq!(test.pixels.picture().unwrap().width(), 96);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(FaceSet::load(&root, &LoadOptions::default()).unwrap_err().kind(), ErrorKind::File);
        fs::create_dir_all(&root).unwrap();
        let error = FaceSet::load(&root, &LoadOptions::default()).unwrap_err();
        assert!(error.to_string().contains("holds no picture"), "{error}");
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn a_bad_table_names_the_file_and_how_many_lines_more() {
        let root = folder("table");
        let p = pixels(1, 2);
        let path = root.join("fer2013.csv");
        fs::write(&path, format!("emotion,pixels,Usage\n0,{p},Training\n9,{p},Training\n0,1,Training\n")).unwrap();
        let error = FaceSet::load(&root, &LoadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("fer2013.csv: line 3: the label is 9") && error.contains("1 more lines"), "{error}");
        fs::write(&path, "emotion,pixels,Usage\n").unwrap();
        assert_eq!(FaceSet::load(&path, &LoadOptions::default()).unwrap_err().kind(), ErrorKind::Data);
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn no_bytes_make_a_parser_panic() {
        use rand::{Rng, RngExt};
        let seed = format!("emotion,pixels,Usage\n3,{},Training\n\"0\",\"1 2\",PublicTest\n", pixels(7, 9));
        for i in 0..300 {
            let mut random = stream(9, 0, i);
            let mut bytes = seed.clone().into_bytes();
            for _ in 0..random.random_range(1..40) {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.next_u32() as u8;
            }
            bytes.truncate(random.random_range(0..=bytes.len()));
            let _ = FaceSet::parse(&bytes[..]);
            let _ = parse_votes(&bytes[..]);
            let _ = speech::parse_manifest(&bytes[..], &speech::LabelMap::default());
            let _ = speech::LabelMap::parse(&bytes[..]);
        }
    }

    #[test]
    fn a_table_and_a_tree_give_the_same_pictures() {
        let Some(path) = shared() else { return };
        let set = FaceSet::load(&path, &LoadOptions::default()).unwrap();
        let mut text = String::from("emotion, Usage, pixels\n");
        let usage = ["Training", "PublicTest", "PrivateTest"];
        for picture in &set.pictures[28_500..29_000] {
            let pixels: Vec<String> = picture.pixels.picture().unwrap().pixels().iter().map(u8::to_string).collect();
            text += &format!("{},{},{}\n", picture.emotion.index(), usage[picture.split.index()], pixels.join(" "));
        }
        let (table, problems) = FaceSet::parse(text.as_bytes()).unwrap();
        assert!(problems.is_empty());
        for (a, b) in table.pictures.iter().zip(&set.pictures[28_500..]) {
            let pixels = |p: &FacePicture| p.pixels.picture().unwrap().into_owned();
            assert_eq!((a.emotion, a.split, pixels(a)), (b.emotion, b.split, pixels(b)));
        }
    }

    #[test]
    fn the_tree_of_fer_2013_has_its_counts_and_order() {
        let Some(path) = shared() else { return };
        let start = std::time::Instant::now();
        let set = FaceSet::load(&path, &LoadOptions::default()).unwrap();
        eprintln!("loaded in {:?}; {:?}", start.elapsed(), set.notes);
        assert_eq!(set.counts(Split::Train)[..7], [3995, 436, 4097, 7215, 4830, 3171, 4965]);
        assert_eq!(set.counts(Split::Validation)[..7], [467, 56, 496, 895, 653, 415, 607]);
        assert_eq!(set.counts(Split::Test)[..7], [491, 55, 528, 879, 594, 416, 626]);
        assert!(set.pictures.iter().enumerate().all(|(i, p)| p.row == Some(i as u32) && p.votes.is_some()));
        assert_eq!(set.pictures.iter().filter(|p| p.pixels.is_blank()).count(), 12);
        assert!(set.notes.is_empty());
        // votes of other pictures would agree with a fifth of the labels
        let voted: Vec<_> = set.pictures.iter().filter_map(|p| Some((p.voted()?, p.emotion))).collect();
        let agreeing = voted.iter().filter(|(v, e)| v == e).count();
        assert!(agreeing * 10 > voted.len() * 7, "{agreeing} of {} votes agree with the label", voted.len());
        // what votes say of labels holds for pictures that it was not fitted to; a label drawn by frequency has 1.85
        let model = VoteModel::fit(&set, &set.indices(Split::Train), &Emotion::FER).unwrap();
        let validation = set.indices(Split::Validation);
        let (mut loss, mut right) = (0.0, 0.0);
        for picture in validation.iter().map(|&i| &set.pictures[i]) {
            let mut chances = [0.0; 7];
            model.posterior(&picture.votes.unwrap(), &mut chances);
            let own = chances[Emotion::FER.iter().position(|&e| e == picture.emotion).unwrap()];
            loss -= f64::from(own.ln()) / validation.len() as f64;
            right += f64::from(u8::from(chances.iter().all(|&c| c <= own))) / validation.len() as f64;
        }
        eprintln!("votes name the label of {:.1} % of validation, cross entropy {loss:.3}", 100.0 * right);
        assert!(loss < 0.92 && right > 0.65, "{loss} {right}");
    }
}
