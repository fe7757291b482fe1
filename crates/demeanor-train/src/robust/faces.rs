//! Pictures of faces, spoilt.

use std::f32::consts::PI;

use demeanor::{Error, ErrorKind, Picture, PixelLayout, Result};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::Strength;
use crate::data::faces::FaceSet;
use crate::data::pixels::{PIXELS, Pixels, SIDE};
use crate::data::{Split, stream};

/// A way to spoil a picture of 48x48 grey values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaceEdit {
    /// Gaussian blur with this standard deviation in pixels.
    Blur(f32),
    /// Light falls to this part.
    Light(f32),
    /// Values over 255 to this power.
    Gamma(f32),
    /// Normal noise with this standard deviation, of 255.
    Noise(f32),
    /// JPEG of this quality.
    Jpeg(u8),
    /// Turned by so many degrees, half of the pictures each way.
    Rotation(f32),
    /// Made so many pixels small and 48 again.
    Small(usize),
    /// Covered by a grey bar.
    Covered(Cover),
    /// The box moved by this part of its side; the eight directions take turns.
    Shift(f32),
}

/// What a bar covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cover {
    /// The eyes, which lie at 39 % of the height of FER-2013's pictures.
    Eyes,
    /// The mouth, at 78 %.
    Mouth,
}

impl FaceEdit {
    /// The edits of the robustness test, the mildest of a kind first.
    pub const ALL: [FaceEdit; 27] = [
        FaceEdit::Blur(0.7),
        FaceEdit::Blur(1.0),
        FaceEdit::Blur(2.0),
        FaceEdit::Light(0.5),
        FaceEdit::Light(0.3),
        FaceEdit::Light(0.12),
        FaceEdit::Light(0.05),
        FaceEdit::Gamma(0.5),
        FaceEdit::Gamma(2.0),
        FaceEdit::Noise(8.0),
        FaceEdit::Noise(16.0),
        FaceEdit::Noise(32.0),
        FaceEdit::Jpeg(50),
        FaceEdit::Jpeg(20),
        FaceEdit::Jpeg(10),
        FaceEdit::Rotation(10.0),
        FaceEdit::Rotation(20.0),
        FaceEdit::Rotation(30.0),
        FaceEdit::Rotation(45.0),
        FaceEdit::Small(32),
        FaceEdit::Small(24),
        FaceEdit::Small(16),
        FaceEdit::Covered(Cover::Eyes),
        FaceEdit::Covered(Cover::Mouth),
        FaceEdit::Shift(0.05),
        FaceEdit::Shift(0.10),
        FaceEdit::Shift(0.15),
    ];

    /// What is done, and how strongly.
    pub fn describe(&self) -> (&'static str, String) {
        match *self {
            FaceEdit::Blur(sigma) => ("blur", format!("{sigma} px")),
            FaceEdit::Light(part) => ("low light", format!("x {part}")),
            FaceEdit::Gamma(gamma) => ("gamma", format!("{gamma}")),
            FaceEdit::Noise(deviation) => ("noise", format!("{deviation} of 255")),
            FaceEdit::Jpeg(quality) => ("JPEG", format!("quality {quality}")),
            FaceEdit::Rotation(degrees) => ("rotation", format!("{degrees} degrees")),
            FaceEdit::Small(side) => ("small", format!("{side} px")),
            FaceEdit::Covered(Cover::Eyes) => ("covered", "eyes".to_owned()),
            FaceEdit::Covered(Cover::Mouth) => ("covered", "mouth".to_owned()),
            FaceEdit::Shift(part) => ("box moved", format!("{:.0} % of its side", 100.0 * part)),
        }
    }

    /// How strongly, as a number, where it is one.
    pub fn strength(&self) -> Option<Strength> {
        let (value, axis, untouched) = match *self {
            FaceEdit::Blur(sigma) => (sigma, "standard deviation (px of 48)", Some(0.0)),
            FaceEdit::Light(part) => (part, "part of the light that is left", Some(1.0)),
            FaceEdit::Gamma(gamma) => (gamma, "power", Some(1.0)),
            FaceEdit::Noise(deviation) => (deviation, "standard deviation (of 255)", Some(0.0)),
            FaceEdit::Jpeg(quality) => (f32::from(quality), "quality", None),
            FaceEdit::Rotation(degrees) => (degrees, "degrees", Some(0.0)),
            FaceEdit::Small(side) => (side as f32, "side of the face (px)", Some(SIDE as f32)),
            FaceEdit::Covered(_) => return None,
            FaceEdit::Shift(part) => (part, "part of the box's side", Some(0.0)),
        };
        Some(Strength { value, axis, untouched })
    }

    /// The pictures of a split (or all), each made 48x48 and edited; what is random is drawn from the place of a picture alone.
    ///
    /// # Errors
    /// [`ErrorKind::File`] when a picture cannot be read any more or its JPEG cannot be made.
    pub fn apply(&self, set: &FaceSet, split: Option<Split>) -> Result<FaceSet> {
        let mut edited = FaceSet::default();
        let wanted = set.pictures.iter().filter(|p| split.is_none_or(|split| p.split == split));
        for (place, picture) in wanted.enumerate() {
            let mut picture = picture.clone();
            let small = picture.pixels.thumbnail()?;
            let pixels = self.edit(&small, place as u64)?;
            picture.pixels = Picture::new(pixels, SIDE, SIDE, PixelLayout::Grey8)?.into();
            edited.pictures.push(picture);
        }
        Ok(edited)
    }

    fn edit(&self, from: &[u8; PIXELS], place: u64) -> Result<Vec<u8>> {
        let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        let each = |f: &dyn Fn(f32) -> f32| from.iter().map(|&p| byte(f(f32::from(p)))).collect::<Vec<u8>>();
        Ok(match *self {
            FaceEdit::Blur(sigma) => blur(from, sigma),
            FaceEdit::Light(part) => each(&|p| p * part),
            FaceEdit::Gamma(gamma) => each(&|p| 255.0 * (p / 255.0).powf(gamma)),
            FaceEdit::Noise(deviation) => {
                let mut random = stream(0, 0x726f_6275, place);
                let mut normal = || -> f32 { StandardNormal.sample(&mut random) };
                from.iter().map(|&p| byte(f32::from(p) + deviation * normal())).collect()
            }
            FaceEdit::Jpeg(quality) => jpeg(from, quality)?,
            FaceEdit::Rotation(degrees) => {
                let angle = if place.is_multiple_of(2) { degrees } else { -degrees }.to_radians();
                let (sin, cos) = angle.sin_cos();
                warped(from, |x, y| (cos * x - sin * y, sin * x + cos * y))
            }
            FaceEdit::Small(side) => small(from, side),
            FaceEdit::Covered(cover) => {
                let middle = if cover == Cover::Eyes { 0.39 } else { 0.78 };
                let mean = from.iter().map(|&p| u32::from(p)).sum::<u32>() / PIXELS as u32;
                let (first, end) = (((middle - 0.1) * SIDE as f32) as usize, ((middle + 0.1) * SIDE as f32) as usize);
                let mut pixels = from.to_vec();
                pixels[first * SIDE..end.min(SIDE) * SIDE].fill(mean as u8);
                pixels
            }
            FaceEdit::Shift(part) => {
                let angle = (place % 8) as f32 * PI / 4.0;
                let by = part * SIDE as f32;
                warped(from, |x, y| (x + by * angle.cos(), y + by * angle.sin()))
            }
        })
    }
}

/// The value between four pixels; beyond the edge its nearest pixel.
fn between(from: &[u8; PIXELS], x: f32, y: f32) -> f32 {
    let edge = (SIDE - 1) as f32;
    let (x, y) = (x.clamp(0.0, edge), y.clamp(0.0, edge));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(SIDE - 1), (top + 1).min(SIDE - 1));
    let (u, v) = (x - left as f32, y - top as f32);
    let at = |x: usize, y: usize| f32::from(from[y * SIDE + x]);
    (at(left, top) * (1.0 - u) + at(right, top) * u) * (1.0 - v)
        + (at(left, bottom) * (1.0 - u) + at(right, bottom) * u) * v
}

/// A picture whose pixels are taken from where `source` says; places are from the middle, in pixels.
fn warped(from: &[u8; PIXELS], source: impl Fn(f32, f32) -> (f32, f32)) -> Vec<u8> {
    let middle = (SIDE - 1) as f32 / 2.0;
    let pixel = |i: usize| {
        let (x, y) = source((i % SIDE) as f32 - middle, (i / SIDE) as f32 - middle);
        between(from, x + middle, y + middle).round() as u8
    };
    (0..PIXELS).map(pixel).collect()
}

fn blur(from: &[u8; PIXELS], sigma: f32) -> Vec<u8> {
    let radius = (3.0 * sigma).ceil() as isize;
    let kernel: Vec<f32> = (-radius..=radius).map(|d| (-((d * d) as f32) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f32 = kernel.iter().sum();
    let edge = SIDE as isize - 1;
    let pass = |values: &[f32], across: bool| -> Vec<f32> {
        let at = |i: usize| {
            let (x, y) = ((i % SIDE) as isize, (i / SIDE) as isize);
            let taps = kernel.iter().zip(-radius..).map(|(k, d)| {
                let (x, y) = if across { ((x + d).clamp(0, edge), y) } else { (x, (y + d).clamp(0, edge)) };
                k * values[y as usize * SIDE + x as usize]
            });
            taps.sum::<f32>() / sum
        };
        (0..PIXELS).map(at).collect()
    };
    let values: Vec<f32> = from.iter().map(|&p| f32::from(p)).collect();
    pass(&pass(&values, true), false).into_iter().map(|v| v.round() as u8).collect()
}

/// Means of areas for the small picture, straight lines back.
fn small(from: &[u8; PIXELS], side: usize) -> Vec<u8> {
    let scale = SIDE as f32 / side as f32;
    let cover = |i: usize, p: usize| {
        let (low, high) = (i as f32 * scale, (i + 1) as f32 * scale);
        ((p + 1) as f32).min(high) - (p as f32).max(low)
    };
    let mut tiny = vec![0.0; side * side];
    for (i, value) in tiny.iter_mut().enumerate() {
        let (x, y) = (i % side, i / side);
        for py in 0..SIDE {
            let v = cover(y, py);
            if v <= 0.0 {
                continue;
            }
            for px in 0..SIDE {
                let u = cover(x, px);
                if u > 0.0 {
                    *value += u * v * f32::from(from[py * SIDE + px]);
                }
            }
        }
        *value /= scale * scale;
    }
    let at = |x: usize, y: usize| tiny[y.min(side - 1) * side + x.min(side - 1)];
    let pixel = |i: usize| {
        let place = |p: usize| ((p as f32 + 0.5) / scale - 0.5).clamp(0.0, (side - 1) as f32);
        let (x, y) = (place(i % SIDE), place(i / SIDE));
        let (left, top, u, v) = (x as usize, y as usize, x.fract(), y.fract());
        let upper = at(left, top) * (1.0 - u) + at(left + 1, top) * u;
        let lower = at(left, top + 1) * (1.0 - u) + at(left + 1, top + 1) * u;
        (upper * (1.0 - v) + lower * v).round() as u8
    };
    (0..PIXELS).map(pixel).collect()
}

fn jpeg(from: &[u8; PIXELS], quality: u8) -> Result<Vec<u8>> {
    let failed = |e: image::ImageError| Error::new(ErrorKind::File, format!("a picture cannot be made a JPEG: {e}"));
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    encoder.encode(&from[..], SIDE as u32, SIDE as u32, image::ExtendedColorType::L8).map_err(failed)?;
    // whatever layout it is read in
    Ok(Pixels::from(demeanor_media::picture::read(&bytes[..])?).thumbnail()?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> [u8; PIXELS] {
        std::array::from_fn(|i| {
            let (x, y) = (i % SIDE, i / SIDE);
            (40 + 3 * x + y + if (x / 6 + y / 6) % 2 == 0 { 20 } else { 0 }) as u8
        })
    }

    fn distance(a: &[u8], b: &[u8]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (f32::from(*a) - f32::from(*b)).abs()).sum::<f32>() / a.len() as f32
    }

    #[test]
    fn stronger_edits_change_more_and_all_are_repeated() {
        let from = picture();
        for edit in FaceEdit::ALL {
            let edited = edit.edit(&from, 3).unwrap();
            assert_eq!(edited.len(), PIXELS, "{edit:?}");
            assert!(distance(&from, &edited) > 0.5, "{edit:?}");
            assert_eq!(edited, edit.edit(&from, 3).unwrap());
        }
        let change = |edit: FaceEdit| distance(&from, &edit.edit(&from, 0).unwrap());
        assert!(change(FaceEdit::Blur(2.0)) > change(FaceEdit::Blur(0.7)));
        assert!(change(FaceEdit::Jpeg(10)) > change(FaceEdit::Jpeg(50)));
        assert!(change(FaceEdit::Small(16)) > change(FaceEdit::Small(32)));
        assert!(change(FaceEdit::Shift(0.15)) > change(FaceEdit::Shift(0.05)));
        // nothing done is nothing changed
        assert_eq!(FaceEdit::Rotation(0.0).edit(&from, 0).unwrap(), from);
        assert_eq!(FaceEdit::Light(1.0).edit(&from, 0).unwrap(), from);
        let flat = [90; PIXELS];
        for edit in [FaceEdit::Blur(2.0), FaceEdit::Small(16), FaceEdit::Rotation(45.0)] {
            assert!(distance(&flat, &edit.edit(&flat, 0).unwrap()) < 0.01, "{edit:?}");
        }
    }
}
