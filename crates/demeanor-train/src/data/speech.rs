//! RAVDESS and sets like it: recordings of single utterances, each with a label and, where known, a speaker.
//!
//! Three forms are read: trees with the file names of a well-known corpus ([`corpora`]; RAVDESS is
//! `Actor_NN/03-01-EE-II-SS-RR-AA.wav` or `.flac`, Livingstone & Russo 2018), folders named by emotion, and a table
//! `path,emotion,speaker`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use demeanor::speech::prepare::{SpeechPreparer, SpeechRecipe};
use demeanor::{Audio, Emotion, Error, ErrorKind, Hz, Result, training};
use demeanor_media::Recording;
use demeanor_media::sound::EXTENSIONS;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{corpora, table};

/// The rate that recordings are kept at.
pub const RATE: Hz = Hz(16_000);

/// Longest recording that a data set may hold, in seconds: an hour would be a recording still to be cut into utterances.
const LONGEST_S: usize = 600;

/// Folders within folders that are searched.
const DEEPEST: usize = 6;

/// The table of a folder that has one.
const MANIFEST: &str = "manifest.csv";

/// The label map of a folder or table that has one.
const LABELS: &str = "labels.csv";

/// Problems with rows of a table that are listed before reading stops.
const MOST_PROBLEMS: usize = 20;

/// The sex of a speaker, where a set tells it; only used to balance folds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

impl Sex {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Sex::Female => "female",
            Sex::Male => "male",
        }
    }

    /// Reads a word or its initial, in any case; none for another word.
    pub fn read(word: &str) -> Option<Self> {
        match word.trim().to_ascii_lowercase().as_str() {
            "female" | "f" | "woman" => Some(Sex::Female),
            "male" | "m" | "man" => Some(Sex::Male),
            _ => None,
        }
    }
}

/// A labelled recording.
#[derive(Debug, Clone)]
pub struct SpeechClip {
    /// Mono samples at [`RATE`]; full scale is 1.
    pub samples: Vec<f32>,
    /// What it is labelled.
    pub emotion: Emotion,
    /// Who speaks, where known.
    pub speaker: Option<String>,
    /// The speaker's sex, where known.
    pub sex: Option<Sex>,
    /// File below the set's folder; of several corpora with the corpus's name before it.
    pub name: String,
    /// The sentence that is spoken, where known.
    pub sentence: Option<String>,
    /// The place of its corpus in [`SpeechSet::corpora`]. Speakers of two corpora are two people, whatever their names.
    pub corpus: usize,
    /// Index of an earlier clip with the very same samples.
    pub same_as: Option<usize>,
    /// The first 8 bytes of the SHA-256 of its file.
    pub hash: [u8; 8],
}

/// A corpus of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// The name of its folder or table.
    pub name: String,
    /// Whether all names are those of RAVDESS.
    pub is_ravdess: bool,
}

impl SpeechClip {
    /// The recording with its rate.
    ///
    /// # Errors
    /// None: the rate is a constant.
    pub fn audio(&self) -> Result<Audio<'_>> {
        Audio::new(&self.samples, 1, RATE)
    }

    /// File name without folders and ending, by which split lists name a clip.
    pub fn stem(&self) -> &str {
        let file = self.name.rsplit('/').next().unwrap_or_default();
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }
}

/// What the name of a RAVDESS file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RavdessName {
    /// 1 full video, 2 video only, 3 sound only.
    pub modality: u8,
    /// 1 speech, 2 song.
    pub channel: u8,
    /// The emotion that is acted.
    pub emotion: Emotion,
    /// 1 normal, 2 strong.
    pub intensity: u8,
    /// 1 "Kids are talking by the door", 2 "Dogs are sitting by the door".
    pub sentence: u8,
    /// First or second repetition.
    pub repetition: u8,
    /// 1 to 24; odd ones are men, even ones women.
    pub actor: u8,
}

impl RavdessName {
    /// Reads a file name without its ending, such as `03-01-06-01-02-01-12`; none when it is no such name.
    pub fn read(stem: &str) -> Option<Self> {
        let mut fields = [0_u8; 7];
        let mut words = stem.split('-');
        for field in &mut fields {
            let word = words.next().filter(|w| w.len() == 2 && w.bytes().all(|b| b.is_ascii_digit()))?;
            *field = word.parse().ok()?;
        }
        let [modality, channel, emotion, intensity, sentence, repetition, actor] = fields;
        let ranges = [(modality, 3), (channel, 2), (intensity, 2), (sentence, 2), (repetition, 2), (actor, 24)];
        if words.next().is_some() || ranges.iter().any(|&(value, most)| value == 0 || value > most) {
            return None;
        }
        let emotion = *Emotion::RAVDESS.get(usize::from(emotion).checked_sub(1)?)?;
        Some(RavdessName { modality, channel, emotion, intensity, sentence, repetition, actor })
    }

    /// The actor's sex: odd numbers are men.
    pub fn sex(&self) -> Sex {
        if self.actor % 2 == 1 { Sex::Male } else { Sex::Female }
    }
}

/// Files of a set that are not speech clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeftOut {
    /// Songs of RAVDESS.
    pub songs: usize,
    /// Films of RAVDESS: pictures without sound, or sound that the sound-only files hold as well.
    pub videos: usize,
    /// Sound files that belong to no emotion.
    pub unlabelled: usize,
    /// Files that could not be decoded.
    pub broken: usize,
}

impl LeftOut {
    /// All together.
    pub fn total(&self) -> usize {
        self.songs + self.videos + self.unlabelled + self.broken
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = [
            (self.songs, "songs"),
            (self.videos, "videos"),
            (self.unlabelled, "recordings without an emotion"),
            (self.broken, "broken files"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        f.write_str(&if parts.is_empty() { "nothing".into() } else { parts.join(", ") })
    }
}

/// A set of labelled recordings.
#[derive(Debug, Clone, Default)]
pub struct SpeechSet {
    /// The recordings, by speaker and name.
    pub clips: Vec<SpeechClip>,
    /// What was left out.
    pub left_out: LeftOut,
    /// Whether all names are those of RAVDESS.
    pub is_ravdess: bool,
    /// The corpora that it was put together of; empty where it is one. Use [`SpeechSet::corpora`].
    pub corpora: Vec<Corpus>,
    /// What the user should know of how the set was read.
    pub notes: Vec<String>,
}

/// A recording that is still to be decoded.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    path: PathBuf,
    name: String,
    emotion: Emotion,
    speaker: Option<String>,
    sex: Option<Sex>,
    sentence: Option<String>,
}

impl SpeechSet {
    /// Loads a folder or a table, decoding on all cores. A folder is one that holds a table `manifest.csv`, a tree with the
    /// file names of a well-known corpus ([`corpora`]), or `EMOTION/*.wav`, also with folders of speakers above or below.
    /// A table is a `.csv` with the columns `path,emotion` and, where known, `speaker`, `sex` and `sentence`; paths are
    /// relative to it. Words that name no emotion are looked up in `labels.csv` (see [`LabelMap`]) beside the table or in
    /// the folder.
    ///
    /// A recording that cannot be decoded is left out with a note.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when something cannot be opened or read, [`ErrorKind::Data`] when it holds no labelled
    /// recording or the table is malformed (the message names the line).
    pub fn load(path: &Path) -> Result<Self> {
        let mut set = SpeechSet::default();
        let manifest = path.join(MANIFEST);
        let labels = LabelMap::beside(path)?;
        let mut entries = if manifest.is_file() {
            set.entries_of_table(&manifest, &labels)?
        } else if path.is_dir() {
            set.entries_of_tree(path, &labels)?
        } else {
            set.entries_of_table(path, &labels)?
        };
        if entries.is_empty() {
            let besides = if set.left_out.total() > 0 { format!(" (but {})", set.left_out) } else { String::new() };
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "{} holds no labelled recording{besides}: expected the file names of a known corpus (such as RAVDESS: \
                     Actor_NN/03-01-...wav), folders named by emotion, or a table path,emotion,speaker",
                    path.display()
                ),
            ));
        }
        entries.sort_by(|a, b| (&a.speaker, &a.name).cmp(&(&b.speaker, &b.name)));
        set.is_ravdess = entries.iter().all(|e| RavdessName::read(stem(&e.name)).is_some());
        let read = |e: &Entry| Ok((Decoded::read(&e.path)?, hash_of_file(&e.path)?));
        let decoded: Vec<Result<(Decoded, [u8; 8])>> = entries.par_iter().map(read).collect();
        let (mut broken, mut damaged) = (Vec::new(), Vec::new());
        for (entry, samples) in entries.into_iter().zip(decoded) {
            match samples {
                Ok((Decoded { samples, warnings }, hash)) => {
                    damaged.extend(warnings.into_iter().map(|w| format!("{}: {w}", entry.name)));
                    set.clips.push(SpeechClip {
                        samples,
                        emotion: entry.emotion,
                        speaker: entry.speaker,
                        sex: entry.sex,
                        name: entry.name,
                        sentence: entry.sentence,
                        corpus: 0,
                        same_as: None,
                        hash,
                    });
                }
                Err(error) => broken.push(error),
            }
        }
        set.left_out.broken = broken.len();
        if set.left_out.total() > 0 {
            set.notes.push(format!("left out: {}", set.left_out));
        }
        match damaged.as_slice() {
            [] => {}
            [one] => set.notes.push(format!("damaged: {one}")),
            [first, others @ ..] => set.notes.push(format!("damaged: {first}; and {} more", others.len())),
        }
        for error in broken.iter().take(3) {
            set.notes.push(format!("left out: {error}"));
        }
        if set.clips.is_empty()
            && let Some(error) = broken.into_iter().next()
        {
            return Err(error);
        }
        set.mark_same();
        Ok(set)
    }

    /// Loads several corpora as one set: names are those of the folders (or tables). A single one is as [`SpeechSet::load`]
    /// reads it.
    ///
    /// # Errors
    /// Those of [`SpeechSet::load`], naming the corpus; [`ErrorKind::Setting`] when none or one twice is named.
    pub fn load_all(paths: &[PathBuf]) -> Result<Self> {
        let [first, others @ ..] = paths else {
            return Err(Error::new(ErrorKind::Setting, "no folder of recordings is named"));
        };
        if others.is_empty() {
            return Self::load(first);
        }
        let mut sets: Vec<(String, SpeechSet)> = Vec::with_capacity(paths.len());
        for (i, path) in paths.iter().enumerate() {
            let same = |other: &PathBuf| other == path || other.canonicalize().ok() == path.canonicalize().ok();
            if paths[..i].iter().any(same) {
                return Err(Error::new(ErrorKind::Setting, format!("{} is named twice", path.display())));
            }
            let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
            let named = if whole.is_dir() { whole.file_name() } else { whole.file_stem() };
            let mut name = named.map_or_else(|| "corpus".to_owned(), |n| n.to_string_lossy().into_owned());
            if sets.iter().any(|(other, _)| *other == name) {
                name = format!("{name}-{}", i + 1);
            }
            sets.push((name, Self::load(path)?));
        }
        Ok(Self::together(sets))
    }

    /// Several sets, each a corpus, as one.
    pub fn together(sets: Vec<(String, SpeechSet)>) -> Self {
        let mut whole = SpeechSet::default();
        for (corpus, (name, set)) in sets.into_iter().enumerate() {
            let first = whole.clips.len();
            whole.clips.extend(set.clips.into_iter().map(|clip| SpeechClip {
                name: format!("{name}/{}", clip.name),
                corpus,
                same_as: clip.same_as.map(|i| first + i),
                ..clip
            }));
            let (sum, part) = (&mut whole.left_out, set.left_out);
            sum.songs += part.songs;
            sum.videos += part.videos;
            sum.unlabelled += part.unlabelled;
            sum.broken += part.broken;
            whole.notes.extend(set.notes.into_iter().map(|note| format!("{name}: {note}")));
            whole.corpora.push(Corpus { name, is_ravdess: set.is_ravdess });
        }
        whole
    }

    /// The corpora that clips are of: at least one.
    pub fn corpora(&self) -> Cow<'_, [Corpus]> {
        if self.corpora.is_empty() {
            Cow::Owned(vec![Corpus { name: String::new(), is_ravdess: self.is_ravdess }])
        } else {
            Cow::Borrowed(&self.corpora)
        }
    }

    /// For each corpus the emotions that it has no clip of though another corpus has: of its clips nobody knows how often
    /// a rater would have said so, and training leaves them out of the loss.
    pub fn lacking(&self) -> Vec<Vec<Emotion>> {
        let all = self.labels();
        let has = |corpus: usize, e: Emotion| self.clips.iter().any(|c| c.corpus == corpus && c.emotion == e);
        (0..self.corpora().len()).map(|k| all.iter().copied().filter(|&e| !has(k, e)).collect()).collect()
    }

    /// The labelled recordings of a tree; counts what is none.
    fn entries_of_tree(&mut self, root: &Path, labels: &LabelMap) -> Result<Vec<Entry>> {
        let mut files = Vec::new();
        walk(root, 0, &mut files)?;
        files.sort();
        let mut entries = Vec::new();
        for path in files {
            let name = below(root, &path);
            match RavdessName::read(stem(&name)) {
                Some(n) if n.channel == 2 => self.left_out.songs += 1,
                Some(n) if n.modality != 3 => self.left_out.videos += 1,
                _ if !is_sound(&path) => {}
                _ => match labels_of_names(&name, labels) {
                    Some((emotion, speaker, sex, sentence)) => {
                        entries.push(Entry { emotion, speaker, sex, sentence, path, name });
                    }
                    None => self.left_out.unlabelled += 1,
                },
            }
        }
        Ok(entries)
    }

    /// The labelled recordings of a table; counts those whose label the map leaves out.
    fn entries_of_table(&mut self, path: &Path, labels: &LabelMap) -> Result<Vec<Entry>> {
        let at = |e: Error| Error::new(e.kind(), format!("{}: {e}", path.display()));
        let file = File::open(path).map_err(|e| {
            Error::new(ErrorKind::File, format!("{} cannot be opened: {e}", path.display())).with_source(e)
        })?;
        let (rows, problems) = parse_manifest(BufReader::new(file), labels).map_err(at)?;
        if let Some(problem) = problems.into_iter().next() {
            return Err(at(problem));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(emotion) = row.emotion else {
                self.left_out.unlabelled += 1;
                continue;
            };
            let named = corpora::named(stem(&row.path));
            entries.push(Entry {
                path: folder.join(&row.path),
                sex: row.sex.or(named.as_ref().and_then(|n| n.sex)),
                sentence: row.sentence.or(named.map(|n| n.sentence)),
                name: row.path,
                emotion,
                speaker: row.speaker,
            });
        }
        Ok(entries)
    }

    /// Marks clips whose samples equal those of an earlier clip.
    fn mark_same(&mut self) {
        let keys: Vec<u64> = self
            .clips
            .par_iter()
            .map(|clip| {
                let mut hasher = DefaultHasher::new();
                clip.samples.iter().for_each(|s| s.to_bits().hash(&mut hasher));
                hasher.finish()
            })
            .collect();
        let mut first: HashMap<u64, usize> = HashMap::new();
        for (i, key) in keys.into_iter().enumerate() {
            let earlier = *first.entry(key).or_insert(i);
            if earlier != i && self.clips[earlier].samples == self.clips[i].samples {
                self.clips[i].same_as = Some(earlier);
                self.notes
                    .push(format!("{} is the same recording as {}", self.clips[i].name, self.clips[earlier].name));
            }
        }
    }

    /// The emotions that occur: in the order of RAVDESS where they are among its eight, then any others in class order.
    pub fn labels(&self) -> Vec<Emotion> {
        let found: BTreeSet<Emotion> = self.clips.iter().map(|c| c.emotion).collect();
        let others = Emotion::ALL.into_iter().filter(|e| !Emotion::RAVDESS.contains(e));
        Emotion::RAVDESS.into_iter().chain(others).filter(|e| found.contains(e)).collect()
    }

    /// The speakers with their sex and number of clips, by name. Clips of unknown speakers are left out.
    pub fn speakers(&self) -> BTreeMap<String, (Option<Sex>, usize)> {
        let mut speakers = BTreeMap::new();
        for clip in &self.clips {
            if let Some(speaker) = &clip.speaker {
                let entry = speakers.entry(speaker.clone()).or_insert((clip.sex, 0));
                entry.1 += 1;
            }
        }
        speakers
    }

    /// Mean and standard deviation of each row of the features over all frames of these clips: what a recipe's `mean` and
    /// `deviation` should be, when computed of the training clips. On all cores. Deviations are at least 1e-5.
    ///
    /// # Errors
    /// Those of the preparation; [`ErrorKind::Data`] without clips.
    pub fn statistics(&self, indices: &[usize], recipe: &SpeechRecipe) -> Result<(Vec<f32>, Vec<f32>)> {
        let rows = recipe.rows();
        let sums = indices
            .par_iter()
            .map_init(
                || (SpeechPreparer::new(recipe), Vec::new()),
                |(preparer, values), &i| {
                    let preparer = preparer.as_mut().map_err(|e| Error::new(e.kind(), e.to_string()))?;
                    let clip = self.clips.get(i).ok_or_else(|| {
                        Error::new(ErrorKind::Data, format!("there is no clip {i} in a set of {}", self.clips.len()))
                    })?;
                    let frames = training::features(preparer, &clip.audio()?, values)?;
                    let mut sums = vec![0.0_f64; 2 * rows];
                    for row in values.chunks_exact(rows) {
                        for (r, &value) in row.iter().enumerate() {
                            sums[r] += f64::from(value);
                            sums[rows + r] += f64::from(value) * f64::from(value);
                        }
                    }
                    Ok::<_, Error>((frames, sums))
                },
            )
            .collect::<Result<Vec<_>>>()?;
        let frames: usize = sums.iter().map(|s| s.0).sum();
        if frames == 0 {
            return Err(Error::new(ErrorKind::Data, "no clips to compute means and deviations of"));
        }
        let total = |r: usize| sums.iter().map(|s| s.1[r]).sum::<f64>() / frames as f64;
        let mean: Vec<f64> = (0..rows).map(total).collect();
        let deviation = (0..rows).map(|r| (total(rows + r) - mean[r] * mean[r]).max(1e-10).sqrt() as f32).collect();
        Ok((mean.iter().map(|&m| m as f32).collect(), deviation))
    }
}

/// A recording as mono samples at [`RATE`].
struct Decoded {
    samples: Vec<f32>,
    /// What is wrong with it, short of an error.
    warnings: Vec<String>,
}

impl Decoded {
    /// Reads a recording as the program reads every recording.
    fn read(path: &Path) -> Result<Self> {
        let named = |e: Error| Error::new(e.kind(), format!("{}: {e}", path.display())).with_source(e);
        let most = LONGEST_S * RATE.0 as usize;
        let mut samples = Vec::new();
        let mut take = |piece: &Audio<'_>| {
            samples.extend_from_slice(piece.samples());
            if samples.len() > most {
                let why = format!("it is longer than {LONGEST_S} s: cut it into utterances first");
                return Err(Error::new(ErrorKind::Sound, why));
            }
            Ok(())
        };
        let recording = Recording::open(path).map_err(named)?;
        let heard = recording.hear(None, RATE, &mut |_, _| {}, &mut take).map_err(named)?;
        if samples.is_empty() {
            return Err(named(Error::new(ErrorKind::Sound, "it holds no sound")));
        }
        Ok(Decoded { samples, warnings: heard.warnings })
    }
}

/// Whether a file's ending is that of a recording.
fn is_sound(path: &Path) -> bool {
    let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// All files below a folder, hidden ones left out.
fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::File, format!("{} cannot be read: {e}", folder.display())).with_source(e)
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden && depth < DEEPEST {
            walk(&path, depth + 1, files)?;
        } else if path.is_file() && !hidden {
            files.push(path);
        }
    }
    Ok(())
}

/// A path as it is named below a folder, with `/` between its parts.
fn below(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// What names say of a recording: emotion, speaker, sex, sentence. The emotion is that of the file name of RAVDESS, else of
/// the innermost folder named by one, else of the file name of another known corpus; the speaker is the file name's, else
/// the other innermost folder.
#[allow(clippy::type_complexity)]
fn labels_of_names(name: &str, labels: &LabelMap) -> Option<(Emotion, Option<String>, Option<Sex>, Option<String>)> {
    let folders: Vec<&str> = name.split('/').rev().skip(1).collect();
    let of_folder = folders.iter().enumerate().find_map(|(i, f)| labels.read(f).ok().flatten().map(|e| (i, e)));
    let of_name = corpora::named(stem(name));
    match (of_folder, of_name) {
        (Some(_), Some(n)) if n.corpus == "RAVDESS" => Some((n.emotion?, Some(n.speaker), n.sex, Some(n.sentence))),
        (Some((_, emotion)), Some(n)) => Some((emotion, Some(n.speaker), n.sex, Some(n.sentence))),
        (None, Some(n)) => Some((n.emotion?, Some(n.speaker), n.sex, Some(n.sentence))),
        (Some((at, emotion)), None) => {
            let speaker = folders.iter().enumerate().find(|&(i, f)| i != at && labels.read(f).is_err());
            Some((emotion, speaker.map(|(_, f)| (*f).to_string()), None, None))
        }
        (None, None) => None,
    }
}

/// The first 8 bytes of the SHA-256 of a file, by which training and evaluation know it again.
fn hash_of_file(path: &Path) -> Result<[u8; 8]> {
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::File, format!("{} cannot be read: {e}", path.display())).with_source(e)
    };
    Ok(crate::seen::hash(&fs::read(path).map_err(failed)?))
}

/// The words of a corpus for emotions, from a file `labels.csv` with the columns `label,emotion`. A label without an emotion
/// is left out of the set. Other words are read as [`Emotion`] reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelMap(BTreeMap<String, Option<Emotion>>);

impl LabelMap {
    /// The map in the folder, or in the folder of the table; empty where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when it cannot be read, [`ErrorKind::Data`] when it is malformed.
    pub fn beside(path: &Path) -> Result<Self> {
        let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new(".")) };
        let file = folder.join(LABELS);
        if file == path || !file.is_file() {
            return Ok(Self::default());
        }
        let at = |e: Error| Error::new(e.kind(), format!("{}: {e}", file.display()));
        let open = File::open(&file).map_err(|e| {
            Error::new(ErrorKind::File, format!("{} cannot be opened: {e}", file.display())).with_source(e)
        })?;
        Self::parse(BufReader::new(open)).map_err(at)
    }

    /// Reads a map from the text of its table.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when a column is missing or a word on the right names no emotion (the message names the line);
    /// [`ErrorKind::File`] when reading fails.
    pub fn parse(input: impl BufRead) -> Result<Self> {
        let begin = |columns: &table::Columns| match (columns.find(&["label"]), columns.find(&["emotion"])) {
            (Some(label), Some(emotion)) => Ok((label, emotion)),
            _ => Err(Error::new(ErrorKind::Data, "line 1: expected the columns label and emotion")),
        };
        let parse = |&(label, emotion): &(usize, usize), _: usize, line: &str| {
            let cells: Vec<&str> = table::cells(line).collect();
            let cell = |at: usize| cells.get(at).copied().filter(|c| !c.is_empty());
            let label = cell(label).ok_or_else(|| Error::new(ErrorKind::Data, "the row has no \"label\""))?;
            Ok((label.to_lowercase(), cell(emotion).map(str::parse).transpose()?))
        };
        let (rows, problems) = table::read(input, 1, begin, parse)?;
        match problems.into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(LabelMap(rows.into_iter().collect())),
        }
    }

    /// The emotion that a word names; none where the map leaves it out.
    ///
    /// # Errors
    /// [`ErrorKind::Label`] when the word stands in no map and names no emotion.
    pub fn read(&self, word: &str) -> Result<Option<Emotion>> {
        match self.0.get(&word.trim().to_lowercase()) {
            Some(emotion) => Ok(*emotion),
            None => word.parse().map(Some),
        }
    }
}

/// A row of a table of recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// The file, relative to the table.
    pub path: String,
    /// What it is labelled; none where the label map leaves the label out.
    pub emotion: Option<Emotion>,
    /// Who speaks, where the table says so.
    pub speaker: Option<String>,
    /// The speaker's sex, where the table says so.
    pub sex: Option<Sex>,
    /// The sentence that is spoken, where the table says so.
    pub sentence: Option<String>,
}

/// Reads a table of recordings (`path,emotion`, and `speaker`, `sex` and `sentence`, which may be absent or empty) with the
/// problems of its rows, each naming its line. Never panics, whatever the bytes.
///
/// # Errors
/// [`ErrorKind::Data`] when a column is missing, [`ErrorKind::File`] when reading fails.
pub fn parse_manifest(input: impl BufRead, labels: &LabelMap) -> Result<(Vec<ManifestRow>, Vec<Error>)> {
    let begin = |columns: &table::Columns| {
        let find = |names: &[&str]| {
            columns.find(names).ok_or_else(|| {
                Error::new(
                    ErrorKind::Data,
                    format!("line 1: no column \"{}\": expected path, emotion and (optionally) speaker", names[0]),
                )
            })
        };
        let path = find(&["path", "file", "filename"])?;
        let emotion = find(&["emotion", "label"])?;
        let others = [&["speaker", "actor"][..], &["sex", "gender"], &["sentence", "text"]];
        Ok((path, emotion, others.map(|names| columns.find(names))))
    };
    let parse = |&(path, emotion, others): &(usize, usize, [Option<usize>; 3]), _: usize, line: &str| {
        let cells: Vec<&str> = table::cells(line).collect();
        let cell = |at: usize| cells.get(at).copied().filter(|c| !c.is_empty());
        let absent = |name: &str| Error::new(ErrorKind::Data, format!("the row has no \"{name}\""));
        let [speaker, sex, sentence] = others.map(|at| at.and_then(cell));
        Ok(ManifestRow {
            path: cell(path).ok_or_else(|| absent("path"))?.to_string(),
            emotion: labels.read(cell(emotion).ok_or_else(|| absent("emotion"))?)?,
            speaker: speaker.map(str::to_string),
            sex: sex.and_then(Sex::read),
            sentence: sentence.map(str::to_string),
        })
    };
    table::read(input, MOST_PROBLEMS, begin, parse)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A wav file of 16-bit samples, written by hand.
    pub(crate) fn write_wav(path: &Path, rate: u32, samples: &[i16]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let size = 2 * samples.len() as u32;
        let mut bytes = Vec::new();
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(36 + size).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt ");
        bytes.extend_from_slice(&16_u32.to_le_bytes());
        bytes.extend_from_slice(&[1, 0, 1, 0]);
        bytes.extend_from_slice(&rate.to_le_bytes());
        bytes.extend_from_slice(&(2 * rate).to_le_bytes());
        bytes.extend_from_slice(&[2, 0, 16, 0]);
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&size.to_le_bytes());
        samples.iter().for_each(|s| bytes.extend_from_slice(&s.to_le_bytes()));
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn tone(rate: u32, seconds: f32, hertz: f32) -> Vec<i16> {
        let count = (rate as f32 * seconds) as usize;
        (0..count).map(|i| (8000.0 * (i as f32 * hertz * std::f32::consts::TAU / rate as f32).sin()) as i16).collect()
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("demeanor-speech-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn names_of_ravdess_are_read_and_others_are_not() {
        let name = RavdessName::read("03-01-06-02-01-02-12").unwrap();
        assert_eq!((name.emotion, name.intensity, name.actor, name.sex()), (Emotion::Fear, 2, 12, Sex::Female));
        for wrong in ["", "03-01-06-02-01-02", "03-01-09-02-01-02-12", "03-01-06-02-01-02-25", "3-1-6-2-1-2-12", "a"] {
            assert_eq!(RavdessName::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn songs_videos_and_broken_files_are_counted() {
        let root = folder("tree");
        for (name, hertz) in
            [("03-01-03-01-01-01-01", 200.0), ("03-01-04-01-01-01-02", 300.0), ("03-02-03-01-01-01-01", 250.0)]
        {
            write_wav(&root.join(format!("Actor_x/{name}.wav")), 48_000, &tone(48_000, 0.3, hertz));
        }
        write_wav(&root.join("Actor_x/03-01-03-01-01-02-01.wav"), 48_000, &tone(48_000, 0.3, 200.0));
        write_wav(&root.join("loose.wav"), 48_000, &tone(48_000, 0.3, 200.0));
        fs::write(root.join("01-01-03-01-01-01-01.mp4"), b"film").unwrap();
        fs::write(root.join("02-01-03-01-01-01-01.mp4"), b"film").unwrap();
        fs::write(root.join("03-01-05-01-01-01-01.wav"), b"text").unwrap();
        fs::write(root.join("README.txt"), b"text").unwrap();
        let set = SpeechSet::load(&root).unwrap();
        assert_eq!(set.left_out, LeftOut { songs: 1, videos: 2, unlabelled: 1, broken: 1 });
        assert!(set.is_ravdess);
        assert_eq!(set.labels(), [Emotion::Happy, Emotion::Sad]);
        let names: Vec<_> = set.clips.iter().map(|c| (c.stem(), c.speaker.as_deref(), c.same_as)).collect();
        assert_eq!(
            names,
            [
                ("03-01-03-01-01-01-01", Some("01"), None),
                ("03-01-03-01-01-02-01", Some("01"), Some(0)),
                ("03-01-04-01-01-01-02", Some("02"), None)
            ]
        );
        assert!((set.clips[0].samples.len() as i64 - 4800).abs() < 8, "{}", set.clips[0].samples.len());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn folders_and_tables_name_emotions_and_speakers() {
        let root = folder("folders");
        write_wav(&root.join("anna/Happiness/a.wav"), 16_000, &tone(16_000, 0.2, 200.0));
        write_wav(&root.join("ben/sad/b.wav"), 8_000, &tone(8_000, 0.2, 200.0));
        let set = SpeechSet::load(&root).unwrap();
        let found: Vec<_> = set.clips.iter().map(|c| (c.emotion, c.speaker.as_deref())).collect();
        assert_eq!(found, [(Emotion::Happy, Some("anna")), (Emotion::Sad, Some("ben"))]);
        fs::write(root.join("list.csv"), "path,emotion,speaker\nanna/Happiness/a.wav,joy,\nben/sad/b.wav,sad,Ben\n")
            .unwrap();
        let set = SpeechSet::load(&root.join("list.csv")).unwrap();
        let found: Vec<_> = set.clips.iter().map(|c| (c.emotion, c.speaker.as_deref())).collect();
        assert_eq!(found, [(Emotion::Happy, None), (Emotion::Sad, Some("Ben"))]);
        fs::write(root.join("list.csv"), "path,emotion\na.wav,glad\n").unwrap();
        let error = SpeechSet::load(&root.join("list.csv")).unwrap_err().to_string();
        assert!(error.contains("list.csv: line 2: \"glad\" names no emotion"), "{error}");
        fs::write(root.join("list.csv"), "emotion\nsad\n").unwrap();
        let error = SpeechSet::load(&root.join("list.csv")).unwrap_err().to_string();
        assert!(error.contains("no column \"path\""), "{error}");
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(SpeechSet::load(&root).unwrap_err().kind(), ErrorKind::File);
    }

    #[test]
    fn a_set_brings_its_table_its_words_and_its_names() {
        let root = folder("corpora");
        for name in ["x/EB0_anger_3.wav", "x/KL1_neutral_4.wav", "y/03a01Fa.wav", "y/03a01La.wav", "z/a.wav", "z/b.wav"]
        {
            write_wav(&root.join(name), 16_000, &tone(16_000, 0.2, 200.0 + name.len() as f32));
        }
        type Said = (Emotion, Option<String>, Option<Sex>, Option<String>);
        let said = |set: &SpeechSet| -> Vec<Said> {
            set.clips.iter().map(|c| (c.emotion, c.speaker.clone(), c.sex, c.sentence.clone())).collect()
        };
        let some = |word: &str| Some(word.to_owned());
        let named = SpeechSet::load(&root.join("x")).unwrap();
        let expected =
            [(Emotion::Angry, some("EB0"), None, some("3")), (Emotion::Neutral, some("KL1"), None, some("4"))];
        assert_eq!(said(&named), expected);
        // boredom is nobody's label here
        let german = SpeechSet::load(&root.join("y")).unwrap();
        assert_eq!(said(&german), [(Emotion::Happy, some("03"), Some(Sex::Male), some("a01"))]);
        assert_eq!(german.left_out.unlabelled, 1);
        // a folder's own table, with words of its own
        fs::write(
            root.join("z/manifest.csv"),
            "path,emotion,speaker,sex\na.wav,Freude,P,female\nb.wav,Langeweile,Q,m\n",
        )
        .unwrap();
        let error = SpeechSet::load(&root.join("z")).unwrap_err().to_string();
        assert!(error.contains("\"Freude\" names no emotion"), "{error}");
        fs::write(root.join("z/labels.csv"), "label,emotion\nfreude,happy\nLangeweile,\n").unwrap();
        let own = SpeechSet::load(&root.join("z")).unwrap();
        assert_eq!(said(&own), [(Emotion::Happy, some("P"), Some(Sex::Female), None)]);
        assert_eq!(own.left_out.unlabelled, 1);
        assert_eq!(own.clips[0].hash, crate::seen::hash(&fs::read(root.join("z/a.wav")).unwrap()));
        fs::write(root.join("z/labels.csv"), "label,emotion\nfreude,glad\n").unwrap();
        let error = SpeechSet::load(&root.join("z")).unwrap_err().to_string();
        assert!(error.contains("labels.csv: line 2"), "{error}");

        let paths = ["x", "y"].map(|name| root.join(name));
        let both = SpeechSet::load_all(&paths).unwrap();
        assert_eq!(both.corpora().iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(both.clips.iter().map(|c| c.corpus).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(both.clips[2].name, "y/03a01Fa.wav");
        assert_eq!(both.lacking(), [vec![Emotion::Happy], vec![Emotion::Neutral, Emotion::Angry]]);
        assert!(SpeechSet::load_all(&[root.join("x"), root.join("./x")]).unwrap_err().to_string().contains("twice"));
        assert!(named.lacking().iter().all(Vec::is_empty));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn nemo_has_its_counts() {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/nemo"));
        if !path.is_dir() {
            eprintln!("skipped: the checks on nEMO, because ../shared is absent");
            return;
        }
        let set = SpeechSet::load(&path).unwrap();
        assert_eq!((set.clips.len(), set.speakers().len(), set.is_ravdess), (1265, 9, false));
        assert!(set.clips.iter().all(|c| c.sex.is_some() && c.sentence.is_some()));
        let count = |emotion| set.clips.iter().filter(|c| c.emotion == emotion).count();
        assert_eq!((count(Emotion::Angry), count(Emotion::Surprise), count(Emotion::Calm)), (216, 192, 0));
        for fold in 0..5 {
            let fold = set.fold(crate::data::splits::Protocol::Speaker, fold).unwrap();
            let speakers =
                |part: &[usize]| -> BTreeSet<_> { part.iter().map(|&i| set.clips[i].speaker.clone()).collect() };
            assert!(speakers(&fold.test).is_disjoint(&speakers(&fold.train)));
        }
    }

    #[test]
    fn an_empty_folder_says_what_was_expected() {
        let root = folder("empty");
        let error = SpeechSet::load(&root).unwrap_err();
        assert!(error.to_string().contains("holds no labelled recording"), "{error}");
        fs::remove_dir_all(root).unwrap();
    }

    pub(crate) fn ravdess() -> Option<PathBuf> {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/ravdess"));
        if !path.is_dir() {
            eprintln!("skipped: the checks on RAVDESS, because ../shared is absent");
            return None;
        }
        Some(path)
    }

    #[test]
    fn ravdess_has_its_counts_and_its_one_duplicate() {
        let Some(path) = ravdess() else { return };
        let start = std::time::Instant::now();
        let set = SpeechSet::load(&path).unwrap();
        let seconds: f64 = set.clips.iter().map(|c| c.samples.len() as f64 / 16_000.0).sum();
        eprintln!("loaded {seconds:.0} s of sound in {:?}", start.elapsed());
        assert_eq!((set.clips.len(), set.left_out.total(), set.is_ravdess), (1440, 0, true));
        assert_eq!(set.labels(), Emotion::RAVDESS);
        let speakers = set.speakers();
        assert_eq!(speakers.len(), 24);
        assert!(speakers.values().all(|s| s.1 == 60));
        let same: Vec<_> = set.clips.iter().filter(|c| c.same_as.is_some()).map(|c| c.stem()).collect();
        assert_eq!(same, ["03-01-03-01-02-02-07"]);
    }
}
