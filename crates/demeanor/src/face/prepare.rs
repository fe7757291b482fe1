//! A frame and a detection to the input of a face network. The only producer of [`FaceInput`].
//!
//! 1. The square: a detector's box is made square around its centre by its longer side, so that no face is squashed; it is
//!    moved and widened to what the network learnt to see, which differs between detectors ([`DetectorKind`]), and widened
//!    by the recipe's margin. A head that is tilted is turned upright by its eyes, where the detector tells them. Without a
//!    detection the picture is a face already: the whole frame is taken as it is, and brought to a square whatever its shape.
//! 2. What lies beyond the frame's edge repeats the edge's pixels.
//! 3. Grey (BT.601), as the detector sees it.
//! 4. Resizing: an output pixel is the mean of the source over the area that it covers. Where the source is enlarged that
//!    area is kept at one pixel, which is bilinear interpolation. A square that has the recipe's size and lies on whole
//!    pixels is copied exactly.
//! 5. Scaling to numbers, as the recipe says.

use serde::{Deserialize, Serialize};

use super::detect::{Detection, DetectorKind};
use super::grey::luma;
use super::sample::{Sampler, Span, View};
use crate::error::{Error, ErrorKind, Result};
use crate::input::{Frame, PixelLayout, Region};

/// How a face is prepared; a part of every face model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceRecipe {
    /// Side of the square that the network sees, in pixels, 1 to [`FaceRecipe::MAX_SIZE`].
    pub size: usize,
    /// How grey values become numbers.
    pub scaling: Scaling,
    /// By how much a detector's box is widened on each side before it is cropped, as a part of its side; may be negative,
    /// but more than -0.5, at which nothing is left. A picture that is already cropped enters as a whole frame and is
    /// not widened.
    pub margin: f32,
}

impl FaceRecipe {
    /// The largest side of a network's input, in pixels. A limit, so that a damaged model file cannot ask for all memory.
    pub const MAX_SIZE: usize = 1024;

    /// Whether the settings are in their ranges.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when the size or the margin is out of its range.
    pub fn check(&self) -> Result<()> {
        if !(1..=Self::MAX_SIZE).contains(&self.size) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("a face recipe's size is {} pixels; expected 1 to {}", self.size, Self::MAX_SIZE),
            ));
        }
        if !(self.margin > -0.5 && self.margin <= 10.0) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("a face recipe's margin is {}; expected more than -0.5 and at most 10", self.margin),
            ));
        }
        Ok(())
    }
}

/// How grey values (0 to 255) become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// `v / 255`.
    Unit,
    /// `(v - min) / (max - min)` of the picture; 0 everywhere in a picture of one grey.
    MinMax,
    /// `(v - mean) / max(deviation, 1)` of the picture, v in 0 to 255.
    Standardise,
}

/// A prepared face: `size x size` numbers, rows from the top.
#[derive(Debug, Clone)]
pub struct FaceInput {
    recipe: FaceRecipe,
    values: Vec<f32>,
    /// What each output column takes of a source row.
    columns: Vec<Span>,
    /// The two source rows last resized, `2 x size`: row `y` is in half `y % 2`.
    rows: Vec<f32>,
    /// For heads that are turned upright.
    sampler: Sampler,
    quality: f32,
}

impl FaceInput {
    /// The recipe that prepared it.
    pub fn recipe(&self) -> &FaceRecipe {
        &self.recipe
    }

    /// `size x size` numbers, rows from the top.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How much there is to be read in it, 0 to 1: less where the picture is dim or washed out, blurred, or has fewer pixels
    /// than the network sees. It says nothing about whether the reading is right.
    pub fn quality(&self) -> f32 {
        self.quality
    }
}

/// Prepares one face: a detection in the frame, or the whole frame when the picture is already cropped. [`FacePreparer`]
/// does many.
///
/// # Errors
/// As [`FacePreparer::new`] and [`FacePreparer::prepare`].
pub fn prepare(frame: &Frame<'_>, face: Option<&Detection>, recipe: &FaceRecipe) -> Result<FaceInput> {
    let mut preparer = FacePreparer::new(recipe)?;
    preparer.prepare(frame, face)?;
    Ok(preparer.input)
}

/// Prepares faces, one after the other; allocates nothing once it is made, but for room for turned heads at the first of them.
#[derive(Debug, Clone)]
pub struct FacePreparer {
    /// The last one; seen by others only once it is filled.
    input: FaceInput,
}

impl FacePreparer {
    /// A preparer for a recipe.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting of the recipe is out of its range.
    pub fn new(recipe: &FaceRecipe) -> Result<Self> {
        recipe.check()?;
        let size = recipe.size;
        let input = FaceInput {
            recipe: recipe.clone(),
            values: vec![0.0; size * size],
            columns: vec![Span::default(); size],
            rows: vec![0.0; 2 * size],
            sampler: Sampler::default(),
            quality: 0.0,
        };
        Ok(FacePreparer { input })
    }

    /// The recipe.
    pub fn recipe(&self) -> &FaceRecipe {
        &self.input.recipe
    }

    /// Prepares a face: a detection in the frame, or the whole frame when the picture is already cropped.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the region has no area, is not finite, or has nothing in common with the frame.
    pub fn prepare(&mut self, frame: &Frame<'_>, face: Option<&Detection>) -> Result<&FaceInput> {
        prepare_into(frame, face, &mut self.input)?;
        Ok(&self.input)
    }
}

fn prepare_into(frame: &Frame<'_>, face: Option<&Detection>, input: &mut FaceInput) -> Result<()> {
    match face {
        None => {
            let area = Area { x: 0.0, y: 0.0, width: frame.width() as f64, height: frame.height() as f64 };
            resize(frame, &area, input);
        }
        Some(face) => {
            let crop = Crop::of(face.by);
            let roll = face.landmarks.map_or(0.0, |landmarks| landmarks.roll());
            let roll = if roll.is_finite() && roll.abs() > LEVEL { roll } else { 0.0 };
            let area = crop.area(&square(frame, &face.region)?, roll, input.recipe.margin);
            if roll == 0.0 {
                resize(frame, &area, input);
            } else {
                turn(frame, &area, roll, input);
            }
        }
    }
    input.quality = quality(&input.values, input.recipe.size);
    scale(&mut input.values, input.recipe.scaling);
    Ok(())
}

/// The standard deviation of grey values (of 255) from which on light takes nothing from the quality: 96 % of FER-2013's training
/// pictures have more.
const LIT: f32 = 30.0;

/// The mean size of the Laplacian, in standard deviations, from which on blur takes nothing from the quality. FER-2013's training
/// pictures have 0.29 or more in 99 of 100 cases; blurred by one pixel, or enlarged from a third of their size, 0.17 and 0.12
/// at the median.
const SHARP: f32 = 0.25;

/// Light and sharpness of grey values 0 to 255.
fn quality(values: &[f32], size: usize) -> f32 {
    let count = values.len() as f32;
    let mean = fold(values, 0.0, |v| v, |a, b| a + b) / count;
    let deviation = (fold(values, 0.0, |v| (v - mean) * (v - mean), |a, b| a + b) / count).sqrt();
    let light = (deviation / LIT).min(1.0);
    if size < 3 || deviation <= 0.0 {
        return 0.0;
    }
    let mut sum = 0.0;
    for y in 1..size - 1 {
        let row = |y: usize| &values[y * size..][..size];
        let (above, here, below) = (row(y - 1), row(y), row(y + 1));
        for x in 1..size - 1 {
            sum += (4.0 * here[x] - here[x - 1] - here[x + 1] - above[x] - below[x]).abs();
        }
    }
    let inner = ((size - 2) * (size - 2)) as f32;
    // a larger input of the same face has smaller steps between its pixels
    let scale = size as f32 / 48.0;
    let sharpness = (sum / inner / deviation.max(1.0) * scale / SHARP).min(1.0);
    light * sharpness
}

/// A head that is tilted by more than this, in radians, is turned upright: below some 12 degrees it changes no reading
/// (docs/detector.md).
const LEVEL: f32 = 0.21;

/// How the square that a network sees lies about a detector's box.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Crop {
    /// Its side, in sides of the box.
    side: f64,
    /// How far its middle lies above the box's, towards the forehead, in sides of the box.
    up: f64,
}

impl Crop {
    /// What shows a network trained on FER-2013 about what FER-2013's pictures show. The cascade's boxes cut them; BlazeFace's
    /// are smaller and lower: measured on 7,855 training pictures in which it finds the face (docs/detector.md).
    fn of(detector: DetectorKind) -> Crop {
        match detector {
            DetectorKind::Haar => Crop { side: 1.0, up: 0.0 },
            DetectorKind::BlazeFace => Crop { side: 1.165, up: 0.093 },
        }
    }

    /// The square of a recipe's margin about a square box, for a head of a tilt.
    fn area(&self, square: &Area, roll: f32, margin: f32) -> Area {
        let side = square.width * self.side * (1.0 + 2.0 * f64::from(margin));
        let (sin, cos) = if roll == 0.0 { (0.0, 1.0) } else { f64::from(roll).sin_cos() };
        let (up, spare) = (square.width * self.up, square.width - side);
        Area { x: square.x + spare / 2.0 + up * sin, y: square.y + spare / 2.0 - up * cos, width: side, height: side }
    }
}

/// A rectangle in pixels, in the precision that positions are computed with.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The square around a region.
fn square(frame: &Frame<'_>, region: &Region) -> Result<Area> {
    let Region { x, y, width, height } = *region;
    let finite = [x, y, width, height].iter().all(|v| v.is_finite());
    if !finite || width <= 0.0 || height <= 0.0 {
        return Err(Error::new(
            ErrorKind::Shape,
            format!("a region at {x}, {y} of {width} x {height} pixels has no area to read"),
        ));
    }
    let (x, y, width, height) = (f64::from(x), f64::from(y), f64::from(width), f64::from(height));
    let (w, h) = (frame.width() as f64, frame.height() as f64);
    if x + width <= 0.0 || y + height <= 0.0 || x >= w || y >= h {
        return Err(Error::new(
            ErrorKind::Shape,
            format!("a region at {x}, {y} of {width} x {height} pixels lies outside the frame of {w} x {h}"),
        ));
    }
    let side = width.max(height);
    Ok(Area { x: x + (width - side) / 2.0, y: y + (height - side) / 2.0, width: side, height: side })
}

/// Greys and resizes an area of the frame to values 0 to 255.
fn resize(frame: &Frame<'_>, area: &Area, input: &mut FaceInput) {
    let size = input.recipe.size;
    let whole = Area { x: 0.0, y: 0.0, width: size as f64, height: size as f64 };
    if *area == whole && frame.width() == size && frame.height() == size && frame.layout() == PixelLayout::Grey8 {
        for (y, values) in input.values.chunks_exact_mut(size).enumerate() {
            for (value, &grey) in values.iter_mut().zip(frame.row(y)) {
                *value = f32::from(grey);
            }
        }
        return;
    }
    for (x, span) in input.columns.iter_mut().enumerate() {
        *span = Span::new(x, size, area.x, area.width, frame.width());
    }
    // which source row each half of `rows` holds
    let mut held = [usize::MAX; 2];
    let (even, odd) = input.rows.split_at_mut(size);
    let halves = [even, odd];
    for (y, values) in input.values.chunks_exact_mut(size).enumerate() {
        let span = Span::new(y, size, area.y, area.height, frame.height());
        values.fill(0.0);
        for row in span.start..=span.end {
            let weight = match row {
                _ if row == span.start => span.first,
                _ if row == span.end => span.last,
                _ => span.inner,
            };
            let half = row % 2;
            if held[half] != row {
                shrink_row(frame, row, &input.columns, halves[half]);
                held[half] = row;
            }
            for (value, &grey) in values.iter_mut().zip(&*halves[half]) {
                *value += weight * grey;
            }
        }
    }
}

/// Greys and resizes a square of the frame that is turned about its middle by an angle: what lies at the angle in the frame
/// lies level in the values.
fn turn(frame: &Frame<'_>, area: &Area, angle: f32, input: &mut FaceInput) {
    let size = input.recipe.size;
    let middle = [(area.x + area.width / 2.0) as f32, (area.y + area.height / 2.0) as f32];
    let view = View::turned(middle, area.width as f32, angle, size);
    let values = &mut input.values;
    input.sampler.rows(frame, &view, [size; 2], 1, |y, row| values[y * size..][..size].copy_from_slice(row));
}

/// One source row, greyed, to one value per output column.
fn shrink_row(frame: &Frame<'_>, y: usize, columns: &[Span], values: &mut [f32]) {
    let row = frame.row(y);
    match frame.layout() {
        PixelLayout::Grey8 => shrink(row.as_chunks().0, |&[v]: &[u8; 1]| v, columns, values),
        PixelLayout::Rgb8 => shrink(row.as_chunks().0, |&[r, g, b]: &[u8; 3]| luma(r, g, b), columns, values),
        PixelLayout::Bgr8 => shrink(row.as_chunks().0, |&[b, g, r]: &[u8; 3]| luma(r, g, b), columns, values),
        PixelLayout::Rgba8 => shrink(row.as_chunks().0, |&[r, g, b, _]: &[u8; 4]| luma(r, g, b), columns, values),
    }
}

fn shrink<P>(pixels: &[P], grey: impl Fn(&P) -> u8, columns: &[Span], values: &mut [f32]) {
    for (value, span) in values.iter_mut().zip(columns) {
        let mut sum = span.first * f32::from(grey(&pixels[span.start]));
        if span.end > span.start {
            let inner: u32 = pixels[span.start + 1..span.end].iter().map(|p| u32::from(grey(p))).sum();
            sum += span.inner * inner as f32 + span.last * f32::from(grey(&pixels[span.end]));
        }
        *value = sum;
    }
}

/// Grey values 0 to 255 to the numbers of the recipe. Sums run in a fixed order, so that equal pictures give equal bits.
fn scale(values: &mut [f32], scaling: Scaling) {
    match scaling {
        Scaling::Unit => values.iter_mut().for_each(|v| *v /= 255.0),
        Scaling::MinMax => {
            let min = fold(values, f32::INFINITY, |v| v, f32::min);
            let max = fold(values, f32::NEG_INFINITY, |v| v, f32::max);
            let range = if max > min { max - min } else { 1.0 };
            values.iter_mut().for_each(|v| *v = (*v - min) / range);
        }
        Scaling::Standardise => {
            let count = values.len() as f32;
            let mean = fold(values, 0.0, |v| v, |a, b| a + b) / count;
            values.iter_mut().for_each(|v| *v -= mean);
            let deviation = (fold(values, 0.0, |v| v * v, |a, b| a + b) / count).sqrt().max(1.0);
            values.iter_mut().for_each(|v| *v /= deviation);
        }
    }
}

/// Joins what `map` makes of the values, in several independent chains (which keeps the processor busy) and always in the
/// same order.
fn fold(values: &[f32], start: f32, map: impl Fn(f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    const LANES: usize = 16;
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, map(v));
        }
    }
    let rest = rest.iter().fold(start, |all, &v| join(all, map(v)));
    lanes.into_iter().fold(rest, join)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::face::detect::Landmarks;

    fn face(region: Region) -> Detection {
        Detection::of_region(region)
    }

    fn recipe(size: usize, scaling: Scaling, margin: f32) -> FaceRecipe {
        FaceRecipe { size, scaling, margin }
    }

    /// A picture without symmetry, values 0 to 250.
    fn pixels(width: usize, height: usize, channels: usize) -> Vec<u8> {
        (0..width * height * channels).map(|i| ((i * i / 3 + i * 31) % 251) as u8).collect()
    }

    fn grey(data: &[u8], width: usize, height: usize) -> Frame<'_> {
        Frame::new(data, width, height, PixelLayout::Grey8).unwrap()
    }

    /// Values 0 to 255, to be read easily.
    fn plain(frame: &Frame<'_>, region: Option<&Detection>, size: usize, margin: f32) -> Vec<f32> {
        let unit = prepare(frame, region, &recipe(size, Scaling::Unit, margin)).unwrap();
        unit.values().iter().map(|v| v * 255.0).collect()
    }

    fn near(a: &[f32], b: &[f32], tolerance: f32) {
        assert_eq!(a.len(), b.len());
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() <= tolerance, "value {i}: {a} against {b}");
        }
    }

    #[test]
    fn a_picture_of_the_right_size_is_copied_exactly() {
        let data = pixels(48, 48, 1);
        let expected: Vec<f32> = data.iter().map(|&v| f32::from(v) / 255.0).collect();
        let input = prepare(&grey(&data, 48, 48), None, &recipe(48, Scaling::Unit, 0.1)).unwrap();
        assert_eq!(input.values(), expected);
        // and so is a square on whole pixels of a larger one
        let data = pixels(60, 50, 1);
        let region = Region { x: 7.0, y: 1.0, width: 48.0, height: 48.0 };
        let expected: Vec<f32> =
            (0..48 * 48).map(|i| f32::from(data[(1 + i / 48) * 60 + 7 + i % 48]) / 255.0).collect();
        let input = prepare(&grey(&data, 60, 50), Some(&face(region)), &recipe(48, Scaling::Unit, 0.0)).unwrap();
        assert_eq!(input.values(), expected);
    }

    #[test]
    fn quality_falls_with_light_and_sharpness() {
        let noisy: Vec<u8> = (0..48 * 48u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let of = |data: &[u8], side: usize| {
            prepare(&grey(data, side, side), None, &recipe(48, Scaling::Standardise, 0.0)).unwrap().quality()
        };
        assert_eq!(of(&noisy, 48), 1.0);
        let dim: Vec<u8> = noisy.iter().map(|v| v / 20).collect();
        assert!(of(&dim, 48) < 0.2, "{}", of(&dim, 48));
        // a slope is as blurred as can be
        let slope: Vec<u8> = (0..48 * 48).map(|i| (i % 48 * 5) as u8).collect();
        assert!(of(&slope, 48) < 0.05);
        // from few pixels, enlarged
        assert!(of(&noisy[..36], 6) < 0.6, "{}", of(&noisy[..36], 6));
        assert_eq!(of(&[77; 48 * 48], 48), 0.0);
    }

    #[test]
    fn a_tilted_head_is_turned_upright() {
        // a picture that is dark above and light below, turned by 40 degrees in the frame
        let angle = 40f32.to_radians();
        let at = |x: f32, y: f32| (y - 100.0) * angle.cos() - (x - 100.0) * angle.sin();
        let data: Vec<u8> = (0..200 * 200)
            .map(|i| (128.0 + at((i % 200) as f32 + 0.5, (i / 200) as f32 + 0.5)).clamp(0.0, 255.0) as u8)
            .collect();
        let eye = |x: f32| [100.0 + x * angle.cos(), 100.0 + x * angle.sin()];
        let found = |tilt: bool| Detection {
            region: Region { x: 70.0, y: 70.0, width: 60.0, height: 60.0 },
            confidence: 1.0,
            landmarks: Some(Landmarks {
                right_eye: eye(-10.0),
                left_eye: if tilt { eye(10.0) } else { [eye(-10.0)[0] + 20.0, eye(-10.0)[1] + 3.0] },
                nose: [100.0; 2],
                mouth: [100.0; 2],
                right_ear: [0.0; 2],
                left_ear: [0.0; 2],
            }),
            by: DetectorKind::BlazeFace,
        };
        let frame = grey(&data, 200, 200);
        let values = plain(&frame, Some(&found(true)), 30, 0.0);
        let side = 60.0 * 1.165;
        for (y, row) in values.chunks(30).enumerate() {
            let expected = 128.0 + (y as f32 - 14.5) * side / 30.0 - 0.093 * 60.0;
            row.iter().for_each(|v| assert!((v - expected).abs() < 1.5, "row {y}: {v} {expected}"));
        }
        // a little tilt is left as it is: the same as of the upright square
        let level = Detection { landmarks: None, ..found(false) };
        assert_eq!(plain(&frame, Some(&found(false)), 30, 0.0), plain(&frame, Some(&level), 30, 0.0));
        let same = Region { x: 65.05, y: 59.47, width: 69.9, height: 69.9 };
        near(&plain(&frame, Some(&level), 30, 0.0), &plain(&frame, Some(&face(same)), 30, 0.0), 0.2);
    }

    #[test]
    fn shrinking_takes_the_mean_of_the_area() {
        // whole factor
        let data = [0, 100, 20, 40, 200, 100, 60, 80, 1, 2, 3, 4, 5, 6, 7, 8];
        near(&plain(&grey(&data, 4, 4), None, 2, 0.0), &[100.0, 50.0, 3.5, 5.5], 1e-4);
        // a broken factor: 3 pixels to 2, weights 2/3 and 1/3
        let data = [30, 60, 90, 30, 60, 90, 30, 60, 90];
        near(&plain(&grey(&data, 3, 3), None, 2, 0.0), &[40.0, 80.0, 40.0, 80.0], 1e-4);
        // all to one
        near(&plain(&grey(&[0, 50, 100, 250], 2, 2), None, 1, 0.0), &[100.0], 1e-4);
    }

    #[test]
    fn enlarging_interpolates_between_the_middles_of_pixels() {
        let data = [0, 100, 0, 100];
        let row = [0.0, 25.0, 75.0, 100.0];
        near(&plain(&grey(&data, 2, 2), None, 4, 0.0), &row.repeat(4), 1e-4);
    }

    #[test]
    fn beyond_the_edge_the_edge_repeats() {
        let data = [10, 20, 30, 40];
        let region = Region { x: -2.0, y: -2.0, width: 6.0, height: 6.0 };
        let left = [10.0, 10.0, 10.0, 20.0, 20.0, 20.0];
        let low = [30.0, 30.0, 30.0, 40.0, 40.0, 40.0];
        let expected = [left, left, left, low, low, low].concat();
        near(&plain(&grey(&data, 2, 2), Some(&face(region)), 6, 0.0), &expected, 1e-4);
    }

    #[test]
    fn the_margin_widens_each_side_by_its_part() {
        let data = pixels(40, 40, 1);
        let frame = grey(&data, 40, 40);
        let wide = Region { x: 5.0, y: 5.0, width: 30.0, height: 30.0 };
        for (margin, side) in [(0.25, 20.0), (0.5, 15.0), (-0.25, 60.0)] {
            let at = 20.0 - side / 2.0;
            let region = Region { x: at, y: at, width: side, height: side };
            near(&plain(&frame, Some(&face(region)), 30, margin), &plain(&frame, Some(&face(wide)), 30, 0.0), 1e-3);
        }
    }

    #[test]
    fn a_region_is_made_square_by_its_longer_side() {
        let data = pixels(40, 40, 1);
        let frame = grey(&data, 40, 40);
        let high = Region { x: 10.0, y: 4.0, width: 10.0, height: 30.0 };
        let same = Region { x: 0.0, y: 4.0, width: 30.0, height: 30.0 };
        assert_eq!(plain(&frame, Some(&face(high)), 16, 0.0), plain(&frame, Some(&face(same)), 16, 0.0));
    }

    #[test]
    fn scalings() {
        let data = [0, 50, 100, 250];
        let mean = 100.0;
        let deviation = ((10_000.0f32 + 2_500.0 + 0.0 + 22_500.0) / 4.0).sqrt();
        for (scaling, expected) in [
            (Scaling::Unit, [0.0, 50.0 / 255.0, 100.0 / 255.0, 250.0 / 255.0]),
            (Scaling::MinMax, [0.0, 0.2, 0.4, 1.0]),
            (Scaling::Standardise, [-mean / deviation, (50.0 - mean) / deviation, 0.0, (250.0 - mean) / deviation]),
        ] {
            let input = prepare(&grey(&data, 2, 2), None, &recipe(2, scaling, 0.0)).unwrap();
            near(input.values(), &expected, 1e-6);
        }
        // one grey: no division by nothing
        for (scaling, expected) in [(Scaling::Unit, 0.2), (Scaling::MinMax, 0.0), (Scaling::Standardise, 0.0)] {
            let input = prepare(&grey(&[51; 9], 3, 3), None, &recipe(2, scaling, 0.0)).unwrap();
            near(input.values(), &[expected; 4], 1e-6);
        }
    }

    #[test]
    fn a_frame_of_one_pixel_is_one_grey() {
        let frame = Frame::new(&[255, 0, 0], 1, 1, PixelLayout::Rgb8).unwrap();
        for region in [None, Some(Region::whole(&frame)), Some(Region { x: -1e6, y: -1e6, width: 2e6, height: 2e6 })] {
            near(&plain(&frame, region.map(face).as_ref(), 48, 0.2), &[76.0; 48 * 48], 1e-3);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let data = pixels(8, 8, 1);
        let frame = grey(&data, 8, 8);
        let good = recipe(4, Scaling::Unit, 0.0);
        for (x, y, width, height) in [
            (0.0, 0.0, 0.0, 4.0),
            (0.0, 0.0, 4.0, -1.0),
            (f32::NAN, 0.0, 4.0, 4.0),
            (0.0, f32::INFINITY, 4.0, 4.0),
            (0.0, 0.0, f32::INFINITY, 4.0),
            (8.0, 0.0, 4.0, 4.0),
            (0.0, -4.0, 4.0, 4.0),
        ] {
            let region = Region { x, y, width, height };
            assert_eq!(prepare(&frame, Some(&face(region)), &good).unwrap_err().kind(), ErrorKind::Shape, "{region:?}");
        }
        for (size, margin) in
            [(0, 0.0), (FaceRecipe::MAX_SIZE + 1, 0.0), (usize::MAX, 0.0), (4, -0.5), (4, f32::NAN), (4, 11.0)]
        {
            let bad = recipe(size, Scaling::Unit, margin);
            assert_eq!(prepare(&frame, None, &bad).unwrap_err().kind(), ErrorKind::Setting, "{bad:?}");
        }
    }

    #[test]
    fn a_preparer_can_be_used_again() {
        let (a, b) = (pixels(30, 20, 3), pixels(100, 90, 1));
        let a = Frame::new(&a, 30, 20, PixelLayout::Rgb8).unwrap();
        let b = grey(&b, 100, 90);
        let recipe = recipe(48, Scaling::Standardise, 0.0);
        let mut preparer = FacePreparer::new(&recipe).unwrap();
        for frame in [&a, &b, &a] {
            let input = preparer.prepare(frame, None).unwrap();
            assert_eq!(input.values(), prepare(frame, None, &recipe).unwrap().values());
        }
    }

    proptest! {
        #[test]
        fn layouts_and_strides_agree(
            width in 1usize..40,
            height in 1usize..40,
            gap in 0usize..5,
            x in -20.0f32..30.0,
            y in -20.0f32..30.0,
            side in 0.1f32..60.0,
        ) {
            let rgb = pixels(width, height, 3);
            let repack = |layout: PixelLayout| {
                let mut data = Vec::new();
                for row in rgb.chunks_exact(3 * width) {
                    for p in row.chunks_exact(3) {
                        match layout {
                            PixelLayout::Grey8 => data.push(luma(p[0], p[1], p[2])),
                            PixelLayout::Rgb8 => data.extend(p),
                            PixelLayout::Bgr8 => data.extend([p[2], p[1], p[0]]),
                            PixelLayout::Rgba8 => data.extend([p[0], p[1], p[2], 9]),
                        }
                    }
                    data.extend(std::iter::repeat_n(77, gap));
                }
                data
            };
            let region = Region { x, y, width: side, height: side };
            let recipe = recipe(12, Scaling::Unit, 0.1);
            let expected = prepare(&Frame::new(&rgb, width, height, PixelLayout::Rgb8).unwrap(), Some(&face(region)), &recipe);
            for layout in [PixelLayout::Grey8, PixelLayout::Rgb8, PixelLayout::Bgr8, PixelLayout::Rgba8] {
                let data = repack(layout);
                let stride = width * layout.bytes() + gap;
                let frame = Frame::with_stride(&data, width, height, stride, layout).unwrap();
                match (&expected, prepare(&frame, Some(&face(region)), &recipe)) {
                    (Ok(expected), Ok(found)) => prop_assert_eq!(expected.values(), found.values()),
                    (expected, found) => prop_assert_eq!(expected.is_err(), found.is_err()),
                }
            }
        }

        #[test]
        fn a_flip_mirrors(
            width in 1usize..40,
            height in 1usize..40,
            x in -10.0f32..30.0,
            y in -10.0f32..30.0,
            side in 1.0f32..60.0,
        ) {
            let data = pixels(width, height, 1);
            let mirrored: Vec<u8> = data.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect();
            let region = Region { x, y, width: side, height: side };
            let other = Region { x: width as f32 - x - side, ..region };
            let recipe = recipe(12, Scaling::Unit, 0.0);
            if let (Ok(a), Ok(b)) = (
                prepare(&grey(&data, width, height), Some(&face(region)), &recipe),
                prepare(&grey(&mirrored, width, height), Some(&face(other)), &recipe),
            ) {
                let back: Vec<f32> = b.values().chunks_exact(12).flat_map(|row| row.iter().rev().copied()).collect();
                near(a.values(), &back, 1e-3);
            }
        }

        #[test]
        fn values_stay_between_the_darkest_and_the_lightest(
            width in 1usize..60,
            height in 1usize..60,
            x in -1e9f32..60.0,
            y in -1e9f32..60.0,
            side in 1e-3f32..4e9,
            margin in -0.49f32..10.0,
        ) {
            let data = pixels(width, height, 1);
            let frame = grey(&data, width, height);
            let (min, max) = (data.iter().min().unwrap(), data.iter().max().unwrap());
            let region = Region { x, y, width: side, height: side };
            if let Ok(input) = prepare(&frame, Some(&face(region)), &recipe(9, Scaling::Unit, margin)) {
                for v in input.values() {
                    prop_assert!(v.is_finite());
                    prop_assert!(*v * 255.0 >= f32::from(*min) - 0.01 && *v * 255.0 <= f32::from(*max) + 0.01);
                }
            }
        }
    }
}
