//! `demeanor face`: pictures in, what their faces read as out.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use demeanor::estimate::{FaceRecord, MIN_SCORE, PictureRecord};
use demeanor::face::detect::{HaarSettings, MAX_FACES};
use demeanor::{Face, FaceReader, Picture, Reading, Region};
use demeanor_media::picture::{self, EXTENSIONS, Opened};
use serde::Serialize;

use crate::claim::{Claims, OverwriteArgs};
use crate::detector::DetectorArgs;
use crate::draw::{Pen, in_rgb};
use crate::sources::{self, FileName, Source};
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
    #[command(flatten)]
    overwrite: OverwriteArgs,
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

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut reader = Reader::new(&args)?;
    let search = sources::search(&args.paths, EXTENSIONS, "pictures");
    let mut claims = Claims::new(args.overwrite);
    for path in search.sources.iter().map(Source::path).chain(args.model.as_deref()) {
        claims.reads(path);
    }
    claims.writes(Path::new("-"))?;
    let mut annotator = match &args.annotate {
        Some(folder) => Some(Annotator::new(folder, &search.sources, &mut claims)?),
        None => None,
    };
    let mut out = terminal::out();
    let coloured = terminal::coloured();
    search.each(|source| {
        let name = source.shown();
        let found =
            read(source, args.max_memory << 20).and_then(|p| reader.read(&name, &p.picture).map(|faces| (p, faces)));
        let (Opened { picture, reduced }, faces) = match found {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        // told in pixels of the file
        let told = PictureRecord::new(&picture.frame(), &faces, reduced, args.min_score);
        if reduced > 1 {
            terminal::note(format_args!(
                "{name}: read at a {} of its size, for want of memory (--max-memory)",
                ["half", "quarter", "eighth"].get(reduced.ilog2() as usize - 1).unwrap_or(&"part")
            ));
        }
        if args.json {
            serde_json::to_writer(&mut out, &PictureLine { file: FileName::of(source.path()), picture: &told })?;
            writeln!(out)?;
        } else {
            for (index, face) in told.faces.iter().enumerate() {
                writeln!(out, "{}", line(&name, index, faces.len(), face, coloured))?;
            }
        }
        // line by line, so that a reader of a pipe need not wait, and notes stand where they belong
        out.flush()?;
        if faces.is_empty() {
            terminal::warn(format_args!(
                "{name}: no face found; --whole reads a picture that is a face already, --min-face finds smaller ones"
            ));
        }
        if let Some(annotator) = &mut annotator {
            // the other pictures are still read
            if let Err(error) = annotator.write(source, picture, &faces, args.min_score) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(!faces.is_empty()))
    })
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
    fn new(args: &Args) -> anyhow::Result<Self> {
        let mut faces = FaceReader::new(crate::model::face(args.model.as_deref())?)?;
        if !args.whole {
            faces = faces.with_detector(args.detector.detector(HaarSettings::default())?);
        }
        faces = faces.with_any_rotation(args.detector.any_rotation);
        if let Some(pixels) = args.min_face {
            faces = faces.with_min_face(pixels);
        }
        Ok(Reader { faces, whole: args.whole })
    }

    /// The faces of a picture, the largest first.
    fn read(&mut self, name: &str, picture: &Picture) -> anyhow::Result<Vec<Face>> {
        let frame = picture.frame();
        let found = if self.whole { vec![self.faces.read_whole(&frame)?] } else { self.faces.read(&frame)? };
        if !self.whole && self.faces.has_more_faces() {
            terminal::warn(format_args!("{name}: more than {MAX_FACES} faces; only the surest {MAX_FACES} are read"));
        }
        Ok(found)
    }
}

/// A face in one line.
fn line(file: &str, index: usize, count: usize, face: &FaceRecord, coloured: bool) -> String {
    let which = if count > 1 { format!("face {} of {count}", index + 1) } else { "face".to_owned() };
    let Region { x, y, width, height } = face.region;
    let mut scores: Vec<_> = face.scores.iter().collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (top, rest) = match face.emotion {
        Reading::Emotion(_) => (format!("{} {:.0} %", face.emotion, 100.0 * face.score), &scores[1..]),
        Reading::Unsure => ("unsure".to_owned(), &scores[..]),
    };
    let rest: Vec<_> = rest.iter().take(2).map(|(e, s)| format!("{e} {:.0} %", 100.0 * s)).collect();
    let bar = bar(if face.emotion == Reading::Unsure { 0.0 } else { face.score });
    let (on, off) = if coloured { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!(
        "{file}: {which} at {x:.0},{y:.0} ({width:.0} x {height:.0} px) reads as {on}{top:<14}{off} {bar} {}",
        rest.join(", ")
    )
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
    paths: HashMap<PathBuf, PathBuf>,
    overwrite: bool,
}

impl Annotator {
    /// Chooses and claims a place for each picture: the name below the folder that was named, with the extension .png; never
    /// that of a picture that is read, or of another one that is written.
    fn new(folder: &Path, sources: &[Source], claims: &mut Claims) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", terminal::shown(folder)))?;
        let (mut paths, mut taken) = (HashMap::new(), HashSet::new());
        for source in sources {
            let below = match source {
                Source::Stdin => Path::new("stdin"),
                Source::File { below, .. } => below,
            };
            let folder = folder.join(below.parent().unwrap_or(Path::new("")));
            let mut number = 1u32;
            let path = loop {
                let mut name = below.file_stem().unwrap_or_default().to_owned();
                if number > 1 {
                    name.push(format!("-{number}"));
                }
                name.push(".png");
                let path = folder.join(name);
                if !claims.is_read(&path) && !taken.contains(&path) {
                    break path;
                }
                number += 1;
            };
            claims.writes(&path)?;
            taken.insert(path.clone());
            paths.insert(source.path().to_owned(), path);
        }
        Ok(Annotator { pen: Pen::new()?, paths, overwrite: claims.overwrite() })
    }

    fn write(&mut self, source: &Source, picture: Picture, faces: &[Face], min_score: f32) -> anyhow::Result<()> {
        let path = self.paths.get(source.path()).context("no place for the annotated picture")?;
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
        for face in faces {
            self.pen.face(&mut image, &face.region.scaled(scale), face.scores.reading(min_score), &face.scores);
        }
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
