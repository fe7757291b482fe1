//! The Haar detector: a Viola-Jones cascade over a pyramid of integral images.
//!
//! Follows OpenCV 4's `CascadeClassifier::detectMultiScale` step by step, so that it finds the same regions; what it does
//! in another way (several windows at once, a few rows at a time) does not change them. `docs/detector.md` tells more.

use crate::error::{Error, ErrorKind, Result};
use crate::face::grey;
use crate::input::{Frame, Region};
use crate::simd::Isa;
use crate::simd::scan::scan;

use super::cascade::{Cascade, Layout, Plan};
use super::group::{Candidate, Grouper};
use super::level::{Level, Picture};

/// The figures of OpenCV's `haarcascade_frontalface_default`; `frontal.LICENSE.txt` beside it says whose they are.
pub(super) static FRONTAL: &[u8] = include_bytes!("frontal.cascade");

/// Candidates for which there is room from the start; only a frame with more allocates again.
const CANDIDATES: usize = 8192;

/// How faces are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HaarSettings {
    /// From one size of face to the next, 1.01 to 10. Less finds more and takes longer.
    pub scale_factor: f32,
    /// How many windows around a face must agree besides the first one; 0 gives every window by itself. Less finds more
    /// and errs more often.
    pub min_neighbours: u32,
    /// Side of the smallest face, in pixels of the frame. Below 24 it is 24, the size of the cascade's window.
    pub min_face_px: u32,
    /// Side of the largest face, in pixels of the frame; none for as large as the frame.
    pub max_face_px: Option<u32>,
}

impl Default for HaarSettings {
    /// For still pictures: finds small faces too.
    fn default() -> Self {
        HaarSettings { scale_factor: 1.1, min_neighbours: 4, min_face_px: 30, max_face_px: None }
    }
}

impl HaarSettings {
    /// For live video of 640x480: someone in front of the camera, within a few milliseconds.
    pub fn live() -> Self {
        HaarSettings { scale_factor: 1.2, min_neighbours: 4, min_face_px: 80, max_face_px: None }
    }

    /// The scale factor in double precision, as its decimal digits say: 1.1, not 1.10000002384.
    fn factor(&self) -> Result<f64> {
        if !(1.01..=10.0).contains(&self.scale_factor) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("the detector's scale factor is {}, expected 1.01 to 10", self.scale_factor),
            ));
        }
        Ok((f64::from(self.scale_factor) * 1e6).round() / 1e6)
    }
}

/// Windows that agree on a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Where it is: a square within the frame.
    pub region: Region,
    /// How many windows agreed on it, at least 1: the more, the surer.
    pub neighbours: u32,
}

/// Finds faces. One detector serves frame after frame: it keeps its buffers, and allocates nothing once they have grown
/// to the size of the frames.
#[derive(Debug)]
pub struct HaarDetector {
    cascade: Cascade,
    isa: Isa,
    /// For windows at every column, and at every second one.
    plans: [Plan; 2],
    level: Level,
    grey: Vec<u8>,
    scales: Vec<f32>,
    passed: Vec<u32>,
    candidates: Vec<Candidate>,
    grouper: Grouper,
    detections: Vec<Agreement>,
}

impl HaarDetector {
    /// A detector of frontal faces, with the figures of OpenCV's `haarcascade_frontalface_default`.
    ///
    /// # Errors
    /// [`ErrorKind::Cascade`] when the embedded cascade is damaged.
    pub fn frontal() -> Result<Self> {
        Ok(Self::new(Cascade::from_bytes(FRONTAL)?))
    }

    /// A detector with a cascade.
    pub fn new(cascade: Cascade) -> Self {
        let mut grouper = Grouper::default();
        grouper.reserve(CANDIDATES);
        HaarDetector {
            cascade,
            isa: Isa::active(),
            plans: [Plan::default(), Plan::default()],
            level: Level::default(),
            grey: Vec::new(),
            scales: Vec::new(),
            passed: Vec::new(),
            candidates: Vec::with_capacity(CANDIDATES),
            grouper,
            detections: Vec::with_capacity(CANDIDATES),
        }
    }

    /// Puts the regions of the faces in a frame into `out`, the surest first. What was in `out` is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detect(&mut self, frame: &Frame<'_>, settings: &HaarSettings, out: &mut Vec<Region>) -> Result<()> {
        self.detect_within(frame, &Region::whole(frame), settings, out)
    }

    /// As [`HaarDetector::detect`], in a part of the frame only; what of `area` lies outside the frame is left out. The
    /// regions are in the frame's coordinates.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detect_within(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        settings: &HaarSettings,
        out: &mut Vec<Region>,
    ) -> Result<()> {
        out.clear();
        out.extend(self.agreements(frame, area, settings)?.iter().map(|found| found.region));
        Ok(())
    }

    /// As [`HaarDetector::detect_within`], with how many windows agreed on each face.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detections_within(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        settings: &HaarSettings,
        out: &mut Vec<Agreement>,
    ) -> Result<()> {
        out.clear();
        out.extend_from_slice(self.agreements(frame, area, settings)?);
        Ok(())
    }

    /// As [`HaarDetector::detect`], with how many windows agreed on each face.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detections(&mut self, frame: &Frame<'_>, settings: &HaarSettings, out: &mut Vec<Agreement>) -> Result<()> {
        self.detections_within(frame, &Region::whole(frame), settings, out)
    }

    /// What [`HaarDetector::detections_within`] gives, without a copy.
    pub(super) fn agreements(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        settings: &HaarSettings,
    ) -> Result<&[Agreement]> {
        self.search(frame, area, settings)?;
        Ok(&self.detections)
    }

    /// Fills `self.detections`.
    fn search(&mut self, frame: &Frame<'_>, area: &Region, settings: &HaarSettings) -> Result<()> {
        self.detections.clear();
        let factor = settings.factor()?;
        let (left, width) = whole_part(area.x, area.width, frame.width());
        let (top, height) = whole_part(area.y, area.height, frame.height());
        self.choose_scales(width, height, factor, settings);
        if self.scales.is_empty() {
            return Ok(());
        }
        self.grey.resize(width * height, 0);
        for (y, row) in self.grey.chunks_exact_mut(width).enumerate() {
            grey::row(frame, top + y, left, row);
        }
        let picture = Picture { grey: &self.grey, width, height };
        // one stride for all sizes, also of smaller areas, so that the cascade is laid out once
        let widest = self.scales.first().map_or(0, |&scale| shrunk(width, scale));
        let stride = stride(widest + 1).max(self.plans[0].layout.stride).max(self.plans[1].layout.stride);
        self.candidates.clear();
        // OpenCV splits the rows into stripes by the width of the first level; see `LevelSearch::rows`
        let stripes = (widest + 1).saturating_sub(self.cascade.window().0).div_ceil(32);
        for &scale in &self.scales {
            let halved = scale < 2.0;
            let plan = &mut self.plans[usize::from(halved)];
            plan.lay(&self.cascade, Layout { stride, halved });
            let search = LevelSearch { isa: self.isa, plan, cascade: &self.cascade, scale, stripes };
            search.run(picture, &mut self.level, &mut self.passed, &mut self.candidates);
        }
        for candidate in &mut self.candidates {
            candidate.x += left as i32;
            candidate.y += top as i32;
        }
        self.grouper.group(&mut self.candidates, settings.min_neighbours, &mut self.detections);
        Ok(())
    }

    /// The sizes at which a picture is searched, as parts of which its sides are taken.
    fn choose_scales(&mut self, width: usize, height: usize, factor: f64, settings: &HaarSettings) {
        let window = self.cascade.window();
        let fits = |w: f64, h: f64| w <= width as f64 && h <= height as f64;
        let least = f64::from(settings.min_face_px);
        let most = settings.max_face_px.filter(|&px| px > 0).map_or(f64::INFINITY, f64::from);
        self.scales.clear();
        let mut nearest = (f64::INFINITY, 1.0);
        let mut scale = 1.0f64;
        loop {
            let side = |of: usize, scale: f64| (of as f64 * scale).round_ties_even();
            if !fits(side(window.0, scale), side(window.1, scale)) {
                break;
            }
            let single = scale as f32;
            let side = |of: usize| f64::from((of as f32 * single).round_ties_even());
            let (w, h) = (side(window.0), side(window.1));
            if w <= most && h <= most && w >= least && h >= least {
                self.scales.push(single);
            }
            let distance = (w - least).powi(2) + (h - least).powi(2);
            if distance < nearest.0 {
                nearest = (distance, single);
            }
            scale *= factor;
        }
        // OpenCV takes the nearest size when none lies between minimum and maximum; not so when the picture is too small
        if self.scales.is_empty() && nearest.0.is_finite() && fits(least, least) {
            self.scales.push(nearest.1);
        }
    }
}

/// The whole pixels of a stretch that lie within `0..size`: the first and how many.
fn whole_part(from: f32, length: f32, size: usize) -> (usize, usize) {
    let first = from.floor().clamp(0.0, size as f32) as usize;
    let end = (from + length).ceil().clamp(0.0, size as f32) as usize;
    (first, end.saturating_sub(first))
}

/// A side in pixels when the picture is made smaller by `scale`.
fn shrunk(side: usize, scale: f32) -> usize {
    (side as f32 / scale).round_ties_even() as usize
}

/// Numbers from row to row for so many columns: a whole number of cache lines, an odd one, so that the corners of a
/// feature, which lie above each other, do not all fall into the same set of the cache.
fn stride(columns: usize) -> usize {
    (columns + 1).next_multiple_of(16) | 16
}

/// The search for faces of one size.
struct LevelSearch<'a> {
    isa: Isa,
    plan: &'a Plan,
    cascade: &'a Cascade,
    scale: f32,
    stripes: usize,
}

impl LevelSearch<'_> {
    fn run(&self, picture: Picture<'_>, level: &mut Level, passed: &mut Vec<u32>, candidates: &mut Vec<Candidate>) {
        let (window_width, window_height) = self.cascade.window();
        let (width, height) = (shrunk(picture.width, self.scale), shrunk(picture.height, self.scale));
        let step = if self.plan.layout.halved { 2 } else { 1 };
        let across = (width + 1).saturating_sub(window_width).div_ceil(step);
        let down = self.rows(height, step);
        passed.clear();
        passed.reserve(across);
        level.begin(picture, width, height, self.plan.layout);
        let side = |of: usize| (of as f32 * self.scale).round_ties_even() as i32;
        for y in (0..down).step_by(step) {
            let from = level.rows(picture, y, window_height + 1);
            passed.clear();
            scan(self.isa, self.plan, level.sums(), from, across, passed);
            candidates.extend(passed.iter().map(|&x| Candidate {
                x: side(x as usize * step),
                y: side(y),
                width: side(window_width),
                height: side(window_height),
            }));
        }
    }

    /// Windows begin in rows before this one. OpenCV shares rows out to stripes of equal height, which may leave the last
    /// row of windows out.
    fn rows(&self, height: usize, step: usize) -> usize {
        let rows = (height + 1).saturating_sub(self.cascade.window().1);
        let stripe = (rows / step).div_ceil(self.stripes.max(1)).max(1) * step;
        rows.min(stripe * self.stripes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::PixelLayout;

    /// Blobs and edges of a seed: many windows pass a few stages, some pass many.
    fn scenery(seed: u32, width: usize, height: usize) -> Vec<u8> {
        let hash = |a: u32, b: u32| {
            let mut v = seed.wrapping_mul(0x9E37_79B9) ^ a.wrapping_mul(0x85EB_CA6B) ^ b.wrapping_mul(0xC2B2_AE35);
            v ^= v >> 16;
            v = v.wrapping_mul(0x2C1B_3C6D);
            (v >> 16 & 255) as usize
        };
        (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                let size = 9 + seed as usize * 3;
                let at = |dx, dy| hash((x / size + dx) as u32, (y / size + dy) as u32);
                let (u, v) = (x % size, y % size);
                let top = at(0, 0) * (size - u) + at(1, 0) * u;
                let bottom = at(0, 1) * (size - u) + at(1, 1) * u;
                ((top * (size - v) + bottom * v) / (size * size)) as u8
            })
            .collect()
    }

    /// A detector that lets many windows pass.
    fn lax() -> HaarDetector {
        HaarDetector::new(Cascade::from_bytes(FRONTAL).unwrap().of_stages(5))
    }

    fn grey(pixels: &[u8], width: usize, height: usize) -> Frame<'_> {
        Frame::new(pixels, width, height, PixelLayout::Grey8).unwrap()
    }

    #[test]
    fn all_forms_agree() {
        for (seed, width, height) in [(1, 203, 97), (2, 320, 240), (3, 131, 260), (4, 64, 64), (0, 25, 24)] {
            let pixels = scenery(seed, width, height);
            let mut lists = Vec::new();
            for isa in Isa::available() {
                let mut detector = lax();
                detector.isa = isa;
                let settings =
                    HaarSettings { scale_factor: 1.05, min_neighbours: 0, min_face_px: 0, max_face_px: None };
                let mut found = Vec::new();
                detector.detect(&grey(&pixels, width, height), &settings, &mut found).unwrap();
                lists.push((isa, found));
            }
            for (isa, found) in &lists {
                assert_eq!(*found, lists[0].1, "{isa}, {width}x{height}");
                assert!(found.len() > 50 || width < 100, "{}", found.len());
            }
        }
    }

    #[test]
    fn frames_of_any_size() {
        let mut detector = HaarDetector::frontal().unwrap();
        let mut found = vec![Region { x: 0.0, y: 0.0, width: 1.0, height: 1.0 }];
        for (width, height) in
            [(1, 1), (1, 500), (23, 24), (24, 23), (24, 24), (25, 24), (3840, 2160), (47, 3000), (2, 2)]
        {
            let pixels = scenery(1, width, height);
            for min_face_px in [if width < 3000 { 0 } else { 400 }, 200] {
                let settings = HaarSettings { min_face_px, ..HaarSettings::live() };
                detector.detect(&grey(&pixels, width, height), &settings, &mut found).unwrap();
                for r in &found {
                    assert!(r.x >= 0.0 && r.y >= 0.0 && r.width >= 24.0);
                    assert!(r.x + r.width <= width as f32 + 2.0 && r.y + r.height <= height as f32 + 2.0, "{r:?}");
                }
            }
        }
        assert!(found.is_empty());
    }

    #[test]
    fn an_area_is_searched_like_a_picture_of_its_own() {
        let (width, height) = (400, 300);
        let pixels = scenery(2, width, height);
        let cut: Vec<u8> = (40..240).flat_map(|y| pixels[y * width + 70..][..260].to_vec()).collect();
        let settings = HaarSettings { min_neighbours: 0, ..HaarSettings::default() };
        let mut detector = lax();
        let (mut within, mut alone) = (Vec::new(), Vec::new());
        // the larger picture first, so that its layout is kept for the smaller one
        detector.detect(&grey(&pixels, width, height), &settings, &mut within).unwrap();
        assert!(!within.is_empty());
        let area = Region { x: 70.0, y: 40.0, width: 260.0, height: 200.0 };
        detector.detect_within(&grey(&pixels, width, height), &area, &settings, &mut within).unwrap();
        lax().detect(&grey(&cut, 260, 200), &settings, &mut alone).unwrap();
        assert!(!alone.is_empty());
        let moved: Vec<_> = alone.iter().map(|r| Region { x: r.x + 70.0, y: r.y + 40.0, ..*r }).collect();
        assert_eq!(within, moved);
        let outside = [
            (1000.0, 1000.0, 50.0, 50.0),
            (-500.0, -10.0, 100.0, 100.0),
            (f32::NAN, 0.0, 100.0, 100.0),
            (10.0, 10.0, f32::NAN, -5.0),
            (10.0, 10.0, -50.0, 100.0),
        ];
        for (x, y, width, height) in outside {
            let area = Region { x, y, width, height };
            detector.detect_within(&grey(&pixels, 400, 300), &area, &settings, &mut within).unwrap();
            assert!(within.is_empty(), "{area:?}");
        }
        let all = Region { x: -1e30, y: f32::MIN, width: f32::INFINITY, height: f32::INFINITY };
        detector.detect_within(&grey(&pixels, 400, 300), &all, &settings, &mut within).unwrap();
        detector.detect(&grey(&pixels, 400, 300), &settings, &mut alone).unwrap();
        assert_eq!(within, alone);
    }

    #[test]
    fn every_layout_finds_the_same() {
        let (width, height) = (160, 120);
        let pixels = scenery(2, width, height);
        let settings = HaarSettings { min_neighbours: 0, min_face_px: 24, ..HaarSettings::default() };
        let mut detector = lax();
        let mut expected = Vec::new();
        detector.detect(&grey(&pixels, width, height), &settings, &mut expected).unwrap();
        assert!(!expected.is_empty());
        for layout in [PixelLayout::Rgb8, PixelLayout::Bgr8, PixelLayout::Rgba8] {
            let row = width * layout.bytes();
            let stride = row + 13;
            let mut data = vec![77; stride * height];
            for (to, from) in data.chunks_mut(stride).zip(pixels.chunks(width)) {
                for (to, &from) in to[..row].chunks_mut(layout.bytes()).zip(from) {
                    to.fill(from);
                }
            }
            let frame = Frame::with_stride(&data, width, height, stride, layout).unwrap();
            let mut found = Vec::new();
            detector.detect(&frame, &settings, &mut found).unwrap();
            assert_eq!(found, expected, "{layout:?}");
        }
    }

    #[test]
    fn sizes_are_within_minimum_and_maximum() {
        let pixels = scenery(2, 300, 300);
        let mut detector = lax();
        let mut found = Vec::new();
        for (min, max) in [(0, None), (60, None), (0, Some(50)), (40, Some(90))] {
            let settings =
                HaarSettings { min_neighbours: 0, min_face_px: min, max_face_px: max, ..HaarSettings::default() };
            detector.detect(&grey(&pixels, 300, 300), &settings, &mut found).unwrap();
            assert!(found.iter().all(|r| r.width >= min as f32 && max.is_none_or(|max| r.width <= max as f32)));
            assert!(!detector.scales.is_empty());
        }
        // the nearest size where none of the ladder fits, as OpenCV has it; nothing where the picture is too small
        let settings =
            HaarSettings { scale_factor: 1.5, min_face_px: 70, max_face_px: Some(72), ..HaarSettings::default() };
        detector.detect(&grey(&pixels, 300, 300), &settings, &mut found).unwrap();
        assert_eq!(detector.scales, [3.375]);
        let settings = HaarSettings { min_face_px: 301, ..settings };
        detector.detect(&grey(&pixels, 300, 300), &settings, &mut found).unwrap();
        assert!(detector.scales.is_empty() && found.is_empty());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let mut detector = HaarDetector::frontal().unwrap();
        for scale_factor in [f32::NAN, f32::INFINITY, 1.0, 0.5, -2.0, 1.001, 100.0] {
            let settings = HaarSettings { scale_factor, ..HaarSettings::default() };
            let error = detector.detect(&grey(&[0], 1, 1), &settings, &mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Setting);
            assert!(error.to_string().contains("expected 1.01 to 10"), "{error}");
        }
        let factor = |scale_factor| HaarSettings { scale_factor, ..HaarSettings::default() }.factor().unwrap();
        assert_eq!([factor(1.1), factor(1.05), factor(1.2)], [1.1, 1.05, 1.2]);
    }
}
