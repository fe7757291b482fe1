//! `demeanor face`: pictures in, what their faces read as out.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use demeanor::estimate::{FaceRecord, MIN_SCORE, PictureRecord};
use demeanor::face::detect::{BlazeFaceModel, HaarSettings, MAX_FACES};
use demeanor::face::net::FaceModel;
use demeanor::table::{LANDMARKS, places};
use demeanor::{Emotion, Face, FaceReader, Picture, Reading, Region, Scores};
use demeanor_media::picture::{self, EXTENSIONS, Opened};
use serde::Serialize;

use crate::claim::{Claims, OverwriteArgs};
use crate::detector::{self, DetectorArgs};
use crate::draw::{Drawn, Pen, in_rgb};
use crate::exports::{is_stdout, stems};
use crate::interrupt;
use crate::output::Results;
use crate::progress::{Progress, share_and_left};
use crate::sources::{self, FileName, Source};
use crate::spread::{self, Said, Tell, ThreadArgs, spread};
use crate::table::{self, Cell, Kind, Row, Table, TableFiles};
use crate::terminal::{self, Outcome};
use crate::write::write_whole;

/// Reads the faces in pictures
///
/// Prints a line per face, or with --json a JSON object per picture:
///
/// {"file", "width", "height", "faces": [{"region": {"x", "y", "width", "height"}, "confidence", "landmarks": {"right_eye",
/// "left_eye", "nose", "mouth", "right_ear", "left_ear"}, "quality", "emotion", "score", "scores": {...}}]}
///
/// Sizes and places are in pixels of the upright picture; "confidence" is how sure the detector is, 0 to 1; landmarks are [x, y],
/// right and left are the person's own, and null where the detector knows none; "quality" (0 to 1) is less for
/// faces that are dim, blurred or small; scores go from 0 to 1 and sum to 1; "emotion" is "unsure" when
/// the highest score, "score", is under --min-score. Faces stand in order of size, the largest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Picture files, folders of them (searched with all below), patterns, or - for stdin
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// One JSON object per picture
    #[arg(long)]
    json: bool,
    /// Write a row for each face as CSV, and one for a picture without: file, picture_width, picture_height, face_id, confidence,
    /// success, the scores, emotion, box, quality, landmarks, problem; without FILE to stdout, in place of the lines
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    csv: Option<PathBuf>,
    /// Write the same table as Parquet
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "FILE")]
    parquet: Option<PathBuf>,
    /// Write the pictures with box, label and bars into this folder, as PNG
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// The smallest face to look for, in pixels [default: 32, with --detector haar 30; in large pictures a 40th of the shorter
    /// side]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..))]
    min_face: Option<u32>,
    /// The lowest score of a reading; below it an expression reads as unsure
    #[arg(long, value_name = "P", default_value_t = MIN_SCORE, value_parser = score)]
    min_score: f32,
    /// The memory that the decoding of a picture may take, in MB; a JPEG that would take more is read at a part of its size
    #[arg(long, value_name = "MB", default_value_t = picture::MAX_MEMORY >> 20, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    max_memory: u64,
    /// The pictures are faces already: read them whole, without looking for faces
    #[arg(long, conflicts_with_all = ["min_face", "detector", "detector_model", "any_rotation"])]
    whole: bool,
    #[command(flatten)]
    detector: DetectorArgs,
    /// A model file, or the name of a built-in model [default: the newest built-in face model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Say nothing but warnings and errors on stderr
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    threads: ThreadArgs,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

impl Args {
    fn table(&self) -> TableFiles {
        #[cfg(feature = "parquet")]
        let parquet = self.parquet.clone();
        #[cfg(not(feature = "parquet"))]
        let parquet = None;
        TableFiles { csv: self.csv.clone(), parquet }
    }
}

/// A score of the command line: 0 to 1.
pub fn score(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

/// A picture in JSON.
#[derive(Serialize)]
struct PictureLine<'a> {
    #[serde(flatten)]
    file: FileName,
    #[serde(flatten)]
    picture: &'a PictureRecord,
}

/// What is told of a picture.
enum Told {
    /// Bytes for stdout.
    Out(Vec<u8>),
    /// A row of the table.
    Row(Row),
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let found = sources::search(&args.paths, EXTENSIONS, "pictures");
    let sources = &found.sources;
    let mut claims = Claims::new(args.overwrite);
    for path in sources.iter().map(Source::path).chain(args.model.as_deref()) {
        claims.reads(path);
    }
    let files = args.table();
    let table_on_stdout = files.csv.as_deref().is_some_and(is_stdout);
    if table_on_stdout && args.json {
        bail!("only one output can go to stdout; give the table a file: --csv FILE");
    }
    for path in [&files.csv, &files.parquet].into_iter().flatten() {
        claims.writes(path)?;
    }
    if !table_on_stdout {
        claims.writes(Path::new("-"))?;
    }
    let annotator = match &args.annotate {
        Some(folder) => Some(Annotator::new(folder, sources, &mut claims)?),
        None => None,
    };
    let models = (crate::model::face(args.model.as_deref())?, args.detector.model()?);
    Reader::new(&args, &models)?;
    let columns =
        Columns { labels: Emotion::ALL.into_iter().filter(|e| models.0.header().labels.contains(e)).collect() };
    let writes = files.csv.is_some() || files.parquet.is_some() || annotator.is_some();
    if writes {
        interrupt::listen();
    }
    let table = Table::create(columns.columns(), &files, args.overwrite.overwrite)?;
    let mut teller = Teller {
        sources,
        out: Results::create(!writes)?,
        prints: !table_on_stdout,
        progress: Progress::new(args.quiet),
        columns: &columns,
        table,
    };
    let coloured = terminal::coloured();
    let read = |reader: &mut Reader, number: usize, told: &spread::Teller<'_, Told>| {
        read_one(reader, &args, &sources[number], annotator.as_ref().map(|a| (a, number)), &columns, coloured, told)
    };
    let threads = args.threads.count(sources.len());
    let came = spread(sources.len(), threads, || Reader::new(&args, &models), read, &mut teller)?;
    let Teller { out, table, .. } = teller;
    let well = table.finish() && !out.has_failed() && !found.failed;
    came.end(sources.len(), "pictures were read", !well)
}

/// Reads a picture; whether there was a face.
fn read_one(
    reader: &mut Reader,
    args: &Args,
    source: &Source,
    annotator: Option<(&Annotator, usize)>,
    columns: &Columns,
    coloured: bool,
    teller: &spread::Teller<'_, Told>,
) -> anyhow::Result<bool> {
    let name = source.shown();
    let Opened { picture, reduced } = read(source, args.max_memory << 20)?;
    let (faces, more) = reader.read(&picture)?;
    // told in pixels of the file
    let told = PictureRecord::new(&picture.frame(), &faces, reduced, args.min_score);
    if more {
        let text = format!("{name}: more than {MAX_FACES} faces; only the surest {MAX_FACES} are read");
        teller.say(Said::Warning(text))?;
    }
    if reduced > 1 && !args.quiet {
        teller.say(Said::Note(format!(
            "{name}: read at a {} of its size, for want of memory (--max-memory)",
            ["half", "quarter", "eighth"].get(reduced.ilog2() as usize - 1).unwrap_or(&"part")
        )))?;
    }
    let mut text = Vec::new();
    if args.json {
        serde_json::to_writer(&mut text, &PictureLine { file: FileName::of(source.path()), picture: &told })?;
        writeln!(text)?;
    } else {
        for (index, face) in told.faces.iter().enumerate() {
            writeln!(text, "{}", line(&name, index, faces.len(), face, coloured))?;
        }
    }
    teller.say(Said::Told(Told::Out(text)))?;
    for row in columns.rows(source, &told) {
        teller.say(Said::Told(Told::Row(row)))?;
    }
    if faces.is_empty() {
        teller.say(Said::Warning(format!(
            "{name}: no face found; --whole reads a picture that is a face already, --min-face finds smaller ones"
        )))?;
    }
    if let Some((annotator, number)) = annotator {
        annotator.write(number, picture, &faces, args.min_score)?;
    }
    Ok(!faces.is_empty())
}

/// Prints and writes what is told of the pictures.
struct Teller<'a> {
    sources: &'a [Source],
    out: Results,
    /// Whether faces are printed; the table may be instead.
    prints: bool,
    progress: Progress,
    columns: &'a Columns,
    table: Table,
}

impl Tell<Told> for Teller<'_> {
    fn tell(&mut self, _: usize, told: Told) -> anyhow::Result<()> {
        match told {
            Told::Out(text) if self.prints => self.out.write(&text)?,
            Told::Out(_) => {}
            Told::Row(row) => self.table.row(row),
        }
        Ok(())
    }

    fn failed(&mut self, source: usize, error: &anyhow::Error) -> anyhow::Result<()> {
        let (text, source) = (terminal::whole(error), &self.sources[source]);
        terminal::problem(format_args!("{}: {text}", source.shown()));
        self.table.row(self.columns.failed(source, &text));
        Ok(())
    }

    fn progress(&mut self, read: f64, ended: usize) {
        let count = self.sources.len();
        self.progress.tell(|took| {
            let pace = ended as f64 / took.as_secs_f64().max(1e-9);
            let left = share_and_left(read / count.max(1) as f64, took);
            format!("{ended} of {count} pictures read, {pace:.1}/s; {left}")
        });
    }

    fn clear(&mut self) {
        self.progress.clear();
    }
}

/// The columns of the table: a row for each face, and one for a picture without.
struct Columns {
    labels: Vec<Emotion>,
}

impl Columns {
    fn columns(&self) -> table::Columns {
        let mut columns: table::Columns = Vec::new();
        let mut add = |name: &str, kind| columns.push((name.to_owned(), kind));
        add("file", Kind::Text);
        add("picture_width", Kind::Whole);
        add("picture_height", Kind::Whole);
        add("face_id", Kind::Whole);
        add("confidence", Kind::Real);
        add("success", Kind::Whole);
        self.labels.iter().for_each(|emotion| add(emotion.name(), Kind::Real));
        add("emotion", Kind::Text);
        ["x", "y", "width", "height", "quality"].into_iter().for_each(|name| add(name, Kind::Real));
        for name in LANDMARKS {
            add(&format!("{name}_x"), Kind::Real);
            add(&format!("{name}_y"), Kind::Real);
        }
        add("problem", Kind::Text);
        columns
    }

    fn rows(&self, source: &Source, told: &PictureRecord) -> Vec<Row> {
        let row = |number: u64, face: Option<&FaceRecord>| {
            let size = [told.width as u64, told.height as u64].map(Cell::from);
            let mut row: Row = vec![source.path().to_string_lossy().into_owned().into()];
            row.extend(size);
            row.extend([number.into(), face.and_then(|f| f.confidence).into(), u64::from(face.is_some()).into()]);
            row.extend(self.labels.iter().map(|emotion| face.map(|f| f.scores.of(*emotion)).into()));
            row.push(face.map(|f| f.emotion.to_string()).into());
            let Region { x, y, width, height } =
                face.map_or(Region { x: 0.0, y: 0.0, width: 0.0, height: 0.0 }, |f| f.region);
            row.extend([x, y, width, height].map(|v| face.map(|_| v).into()));
            row.push(face.map(|f| f.quality).into());
            match face.and_then(|f| f.landmarks) {
                Some(landmarks) => row.extend(places(&landmarks).into_iter().flatten().map(Cell::from)),
                None => row.extend(vec![Cell::Empty; 2 * LANDMARKS.len()]),
            }
            row.push(Cell::Empty);
            row
        };
        match &told.faces[..] {
            [] => vec![row(0, None)],
            faces => (1..).zip(faces).map(|(number, face)| row(number, Some(face))).collect(),
        }
    }

    /// The row of a picture that could not be read.
    fn failed(&self, source: &Source, problem: &str) -> Row {
        let mut row = table::unread(self.columns().len(), &source.path().to_string_lossy(), Some(problem));
        row[5] = 0u64.into();
        row
    }
}

/// The picture of a source; a JPEG that would take too much memory is made smaller.
fn read(source: &Source, max_memory: u64) -> anyhow::Result<Opened> {
    Ok(match source {
        Source::Stdin => picture::read_within(std::io::stdin().lock(), max_memory)?,
        Source::File { path, .. } => picture::open_within(path, max_memory)?,
    })
}

/// What reads faces, looking for them or not.
struct Reader {
    faces: FaceReader,
    whole: bool,
}

impl Reader {
    fn new(args: &Args, (model, detector): &(FaceModel, Option<BlazeFaceModel>)) -> anyhow::Result<Self> {
        let mut faces = FaceReader::new(model.clone())?;
        if !args.whole {
            faces = faces.with_detector(detector::of(detector.as_ref(), HaarSettings::default())?);
        }
        faces = faces.with_any_rotation(args.detector.any_rotation);
        if let Some(pixels) = args.min_face {
            faces = faces.with_min_face(pixels);
        }
        Ok(Reader { faces, whole: args.whole })
    }

    /// The faces of a picture, the largest first, and whether there are more.
    fn read(&mut self, picture: &Picture) -> anyhow::Result<(Vec<Face>, bool)> {
        let frame = picture.frame();
        if self.whole {
            return Ok((vec![self.faces.read_whole(&frame)?], false));
        }
        Ok((self.faces.read(&frame)?, self.faces.has_more_faces()))
    }
}

/// A face in one line.
fn line(file: &str, index: usize, count: usize, face: &FaceRecord, coloured: bool) -> String {
    let which = if count > 1 { format!("face {} of {count}", index + 1) } else { "face".to_owned() };
    let Region { x, y, width, height } = face.region;
    let (top, rest) = in_words(face.emotion, face.score, &face.scores);
    let bar = bar(if face.emotion == Reading::Unsure { 0.0 } else { face.score });
    let (on, off) = if coloured { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("{file}: {which} at {x:.0},{y:.0} ({width:.0} x {height:.0} px) reads as {on}{top:<14}{off} {bar} {rest}")
}

/// What something reads as with its score, and the next two emotions with theirs.
pub fn in_words(reading: Reading, score: f32, scores: &Scores) -> (String, String) {
    let mut scores: Vec<_> = scores.iter().collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (top, rest) = match reading {
        Reading::Emotion(_) => (format!("{reading} {:.0} %", 100.0 * score), &scores[1..]),
        Reading::Unsure => ("unsure".to_owned(), &scores[..]),
    };
    let rest: Vec<_> = rest.iter().take(2).map(|(e, s)| format!("{e} {:.0} %", 100.0 * s)).collect();
    (top, rest.join(", "))
}

/// A bar of ten characters.
fn bar(score: f32) -> String {
    let eighths = (score * 80.0).round().clamp(0.0, 80.0) as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.extend([' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'].get(eighths % 8).filter(|_| !eighths.is_multiple_of(8)));
    let blank = 10 - bar.chars().count();
    bar + &"░".repeat(blank)
}

/// Writes annotated pictures.
struct Annotator {
    pen: Pen,
    /// Where the picture of each source goes.
    paths: Vec<PathBuf>,
    overwrite: bool,
}

impl Annotator {
    /// Chooses and claims a place for each picture: the name below the folder that was named, with the extension .png; never
    /// that of a picture that is read, or of another one that is written.
    fn new(folder: &Path, sources: &[Source], claims: &mut Claims) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", terminal::shown(folder)))?;
        let as_png = |stem: &Path| {
            let mut name = stem.as_os_str().to_owned();
            name.push(".png");
            PathBuf::from(name)
        };
        let stems = stems(folder, sources, |stem| claims.is_read(&as_png(stem)));
        let paths: Vec<_> = stems.iter().map(|stem| as_png(stem)).collect();
        for path in &paths {
            claims.writes(path)?;
        }
        Ok(Annotator { pen: Pen::new()?, paths, overwrite: claims.overwrite() })
    }

    fn write(&self, number: usize, picture: Picture, faces: &[Face], min_score: f32) -> anyhow::Result<()> {
        let path = &self.paths[number];
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", terminal::shown(folder)))?;
        }
        let mut image = in_rgb(picture);
        // small pictures are enlarged, so that the words can be read
        let factor = (320 / image.width().min(image.height()).max(1)).clamp(1, 8);
        if factor > 1 {
            let (width, height) = (image.width() * factor, image.height() * factor);
            if width.max(height) <= 4096 {
                image = image::imageops::resize(&image, width, height, image::imageops::FilterType::Triangle);
            }
        }
        let scale = factor as f32;
        let drawn = (1..).zip(faces).map(|(number, face)| Drawn {
            region: face.region.scaled(scale),
            number: (faces.len() > 1).then_some(number),
            reading: face.scores.reading(min_score),
            scores: &face.scores,
        });
        self.pen.faces(&mut image, &drawn.collect::<Vec<_>>(), None);
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, image::ImageFormat::Png)?;
        write_whole(path, self.overwrite, |file| file.write_all(png.get_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_ten_characters() {
        for (score, expected) in
            [(0.0, "░░░░░░░░░░"), (0.07, "▊░░░░░░░░░"), (0.5, "█████░░░░░"), (0.999, "██████████"), (1.0, "██████████")]
        {
            assert_eq!(bar(score), expected);
        }
    }

    #[test]
    fn scores_of_the_command_line_are_checked() {
        assert_eq!(score("0.5"), Ok(0.5));
        for bad in ["-0.1", "1.1", "nan", "x", ""] {
            assert!(score(bad).is_err(), "{bad}");
        }
    }
}
