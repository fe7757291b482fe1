//! What a detector's network sees of each candidate in pictures, for testdata/detect/fit_rejection.py:
//!
//!     cargo run --release -p demeanor-train --no-default-features --example looks -- MODEL MIN_FACE OUT.bin < LIST
//!
//! LIST has the name of a picture on each line. OUT.bin holds of each candidate the number of its line, x and y of its middle and
//! its side in pixels, and the numbers that a rejection is learnt from, as f32, little-endian.

use std::io::{BufRead, BufWriter, Write};

use demeanor::BlazeFaceModel;
use demeanor::face::detect::{BlazeFace, Search};
use demeanor::training;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, min_face, out] = arguments.as_slice() else { return Err("expected MODEL MIN_FACE OUT.bin".into()) };
    let model = BlazeFaceModel::load(&std::fs::read(model)?)?;
    let search = Search { min_face_px: min_face.parse()?, ..Search::default() };
    let mut detector = BlazeFace::new(&model);
    let mut out = BufWriter::new(std::fs::File::create(out)?);
    for (number, name) in std::io::stdin().lock().lines().enumerate() {
        let picture = demeanor_media::picture::open(std::path::Path::new(&name?))?;
        let mut rows = Vec::new();
        training::looks(&mut detector, &picture.frame(), &search, |place, features| {
            rows.push(number as f32);
            rows.extend_from_slice(&place);
            rows.extend_from_slice(features);
        })?;
        for value in rows {
            out.write_all(&value.to_le_bytes())?;
        }
    }
    out.flush()?;
    Ok(())
}
