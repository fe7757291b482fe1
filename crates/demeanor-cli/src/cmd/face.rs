//! `demeanor face`: pictures in, what their faces read as out.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use demeanor::{FaceReader, Picture, Reading, Region, Scores};
use demeanor_media::picture::{self, EXTENSIONS};
use serde::Serialize;

use crate::draw::{Pen, in_rgb};
use crate::sources::{self, Source};
use crate::terminal::{self, Outcome};
use crate::write::write_whole;

/// Reads the faces in pictures
///
/// Prints a line per face, or with --json a JSON object per picture:
///
/// {"file", "width", "height", "faces": [{"region": {"x", "y", "width", "height"}, "emotion", "score", "scores": {...}}]}
///
/// Sizes and regions are in pixels of the upright picture; scores go from 0 to 1 and sum to 1; "emotion" is "unsure" when
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
    /// The smallest face to look for, in pixels [default: 30, in large pictures a 40th of the shorter side]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..))]
    min_face: Option<u32>,
    /// The lowest score of a reading; below it an expression reads as unsure
    #[arg(long, value_name = "P", default_value_t = MIN_SCORE, value_parser = score)]
    min_score: f32,
    /// The pictures are faces already: read them whole, without looking for faces
    #[arg(long, conflicts_with = "min_face")]
    whole: bool,
    /// A model file, or the name of a built-in model [default: the newest built-in face model]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Twice what pure chance gives each of seven emotions, about.
pub const MIN_SCORE: f32 = 0.3;

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
    file: &'a str,
    width: usize,
    height: usize,
    faces: &'a [Face],
}

/// A face that was read.
#[derive(Debug, Serialize)]
struct Face {
    region: Region,
    emotion: Reading,
    score: f32,
    scores: Scores,
}

pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut reader = Reader::new(&args)?;
    let mut annotator = args.annotate.as_deref().map(Annotator::new).transpose()?;
    let mut out = terminal::out();
    let coloured = terminal::coloured();
    sources::each(&args.paths, EXTENSIONS, "pictures", |source| {
        let name = source.name();
        let (picture, faces) = match read(source).and_then(|p| reader.read(&p).map(|faces| (p, faces))) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if args.json {
            let (width, height) = (picture.width(), picture.height());
            serde_json::to_writer(&mut out, &PictureLine { file: &name, width, height, faces: &faces })?;
            writeln!(out)?;
        } else {
            for (index, face) in faces.iter().enumerate() {
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
            annotator.write(source, picture, &faces)?;
        }
        Ok(Ok(!faces.is_empty()))
    })
}

/// The picture of a source.
fn read(source: &Source) -> anyhow::Result<Picture> {
    Ok(match source {
        Source::Stdin => picture::read(std::io::stdin().lock())?,
        Source::File { path, .. } => picture::open(path)?,
    })
}

/// What reads faces, and from which score on it is believed.
struct Reader {
    faces: FaceReader,
    whole: bool,
    min_score: f32,
}

impl Reader {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let reader = FaceReader::new(crate::model::face(args.model.as_deref())?)?;
        let faces = match args.min_face {
            Some(pixels) => reader.with_min_face(pixels),
            None => reader,
        };
        Ok(Reader { faces, whole: args.whole, min_score: args.min_score })
    }

    /// The faces of a picture, the largest first.
    fn read(&mut self, picture: &Picture) -> anyhow::Result<Vec<Face>> {
        let frame = picture.frame();
        let found = if self.whole {
            vec![demeanor::Face { region: Region::whole(&frame), scores: self.faces.read_whole(&frame)? }]
        } else {
            self.faces.read(&frame)?
        };
        let face = |demeanor::Face { region, scores }| {
            let (emotion, (_, score)) = (scores.reading(self.min_score), scores.top());
            Face { region, emotion, score, scores }
        };
        Ok(found.into_iter().map(face).collect())
    }
}

/// A face in one line.
fn line(file: &str, index: usize, count: usize, face: &Face, coloured: bool) -> String {
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
    folder: PathBuf,
    pen: Pen,
    written: HashSet<PathBuf>,
}

impl Annotator {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Annotator { folder: folder.to_owned(), pen: Pen::new()?, written: HashSet::new() })
    }

    fn write(&mut self, source: &Source, picture: Picture, faces: &[Face]) -> anyhow::Result<()> {
        let path = self.path(source)?;
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
            let Region { x, y, width, height } = face.region;
            let region = Region { x: x * scale, y: y * scale, width: width * scale, height: height * scale };
            self.pen.face(&mut image, &region, face.emotion, &face.scores);
        }
        write_whole(&path, |file| Ok(image.write_to(file, image::ImageFormat::Png)?))
    }

    /// Where the annotated picture goes: the name below the folder that was named, with the extension .png; never onto
    /// the picture itself or one that this run wrote.
    fn path(&mut self, source: &Source) -> anyhow::Result<PathBuf> {
        let below = match source {
            Source::Stdin => Path::new("stdin"),
            Source::File { below, .. } => below,
        };
        let stem = below.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.folder.join(below.parent().unwrap_or(Path::new("")));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for number in 1.. {
            let name = if number == 1 { format!("{stem}.png") } else { format!("{stem}-{number}.png") };
            let path = folder.join(name);
            if let Source::File { path: original, .. } = source
                && path.canonicalize().is_ok_and(|p| original.canonicalize().is_ok_and(|o| o == p))
            {
                continue;
            }
            if self.written.insert(path.clone()) {
                return Ok(path);
            }
        }
        bail!("no free name in {}", folder.display())
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
