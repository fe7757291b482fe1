//! Finds faces in pictures as told on standard input; the other half of the Python scripts in `testdata/detect`.
//!
//! Each line of input is a JSON object `{"picture": FILE.pgm, "scale": 1.1, "neighbours": 3, "min": 30, "max": 0,
//! "repeats": 1}`; each line of output one of `{"regions": [[x, y, width, height]...], "neighbours": [...], "ms":
//! [...]}`: what was found, and the time of each repetition.

use std::io::{BufRead, Write};
use std::time::Instant;

use demeanor::face::detect::{HaarDetector, HaarSettings};
use demeanor::{Frame, PixelLayout};

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let mut detector = HaarDetector::frontal()?;
    let mut found = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let order: serde_json::Value = serde_json::from_str(&line?)?;
        let number = |key: &str| order[key].as_f64().ok_or(format!("no number {key}"));
        let file = order["picture"].as_str().ok_or("no picture")?;
        let (width, height, grey) = read_pgm(&std::fs::read(file)?)?;
        let frame = Frame::new(&grey, width, height, PixelLayout::Grey8)?;
        let settings = HaarSettings {
            scale_factor: number("scale")? as f32,
            min_neighbours: number("neighbours")? as u32,
            min_face_px: number("min")? as u32,
            max_face_px: Some(number("max")? as u32).filter(|&px| px > 0),
        };
        let mut ms = Vec::new();
        for _ in 0..number("repeats")? as usize {
            let start = Instant::now();
            detector.detections(&frame, &settings, &mut found)?;
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let regions: Vec<_> =
            found.iter().map(|d| [d.region.x, d.region.y, d.region.width, d.region.height].map(|v| v as i32)).collect();
        let neighbours: Vec<_> = found.iter().map(|d| d.neighbours).collect();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::json!({"regions": regions, "neighbours": neighbours, "ms": ms}))?;
        out.flush()?;
    }
    Ok(())
}

/// Width, height and pixels of a binary PGM file of 8 bits without comments.
fn read_pgm(bytes: &[u8]) -> Result<(usize, usize, Vec<u8>), AnyError> {
    let mut rest = bytes;
    let mut words = Vec::new();
    while words.len() < 4 {
        let end = rest.iter().position(u8::is_ascii_whitespace).ok_or("no PGM file")?;
        words.push(std::str::from_utf8(&rest[..end])?);
        rest = &rest[end + 1..];
    }
    let (width, height) = (words[1].parse()?, words[2].parse()?);
    if words[0] != "P5" || words[3] != "255" || rest.len() != width * height {
        return Err("expected a binary PGM file of 8 bits".into());
    }
    Ok((width, height, rest.to_vec()))
}
