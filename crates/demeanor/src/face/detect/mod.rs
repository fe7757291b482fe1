//! Where faces are in a frame: a Viola-Jones cascade over a pyramid of integral images.
//!
//! Follows OpenCV 4's `CascadeClassifier::detectMultiScale` step by step, so that it finds the same regions; what it does
//! in another way (several windows at once, a few rows at a time) does not change them. `docs/detector.md` tells more.

mod cascade;
mod group;
mod level;
mod scan;

pub use cascade::Cascade;

use crate::error::{Error, ErrorKind, Result};
use crate::face::grey;
use crate::input::{Frame, Region};

use cascade::{Layout, Plan};
use group::{Candidate, Grouper};
use level::{Level, Picture};
use scan::{Form, scan};

/// The figures of OpenCV's `haarcascade_frontalface_default`; `frontal.LICENSE.txt` beside it says whose they are.
static FRONTAL: &[u8] = include_bytes!("frontal.cascade");

/// Candidates for which there is room from the start; only a frame with more allocates again.
const CANDIDATES: usize = 8192;

/// How faces are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectSettings {
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

impl Default for DetectSettings {
    /// For still pictures: finds small faces too.
    fn default() -> Self {
        DetectSettings { scale_factor: 1.1, min_neighbours: 5, min_face_px: 30, max_face_px: None }
    }
}

impl DetectSettings {
    /// For live video of 640x480: someone in front of the camera, within a few milliseconds.
    pub fn live() -> Self {
        DetectSettings { scale_factor: 1.2, min_neighbours: 4, min_face_px: 80, max_face_px: None }
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

/// A face that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where it is: a square within the frame.
    pub region: Region,
    /// How many windows agreed on it, at least 1: the more, the surer.
    pub neighbours: u32,
}

/// Finds faces. One detector serves frame after frame: it keeps its buffers, and allocates nothing once they have grown
/// to the size of the frames.
#[derive(Debug)]
pub struct Detector {
    cascade: Cascade,
    form: Form,
    /// For windows at every column, and at every second one.
    plans: [Plan; 2],
    level: Level,
    grey: Vec<u8>,
    scales: Vec<f32>,
    passed: Vec<u32>,
    candidates: Vec<Candidate>,
    grouper: Grouper,
    detections: Vec<Detection>,
}

impl Detector {
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
        Detector {
            cascade,
            form: Form::best(),
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
    pub fn detect(&mut self, frame: &Frame<'_>, settings: &DetectSettings, out: &mut Vec<Region>) -> Result<()> {
        self.detect_within(frame, &Region::whole(frame), settings, out)
    }

    /// As [`Detector::detect`], in a part of the frame only; what of `area` lies outside the frame is left out. The
    /// regions are in the frame's coordinates.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detect_within(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        settings: &DetectSettings,
        out: &mut Vec<Region>,
    ) -> Result<()> {
        out.clear();
        self.search(frame, area, settings)?;
        out.extend(self.detections.iter().map(|detection| detection.region));
        Ok(())
    }

    /// As [`Detector::detect_within`], with how many windows agreed on each face.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detections_within(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        settings: &DetectSettings,
        out: &mut Vec<Detection>,
    ) -> Result<()> {
        out.clear();
        self.search(frame, area, settings)?;
        out.extend_from_slice(&self.detections);
        Ok(())
    }

    /// As [`Detector::detect`], with how many windows agreed on each face.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range.
    pub fn detections(&mut self, frame: &Frame<'_>, settings: &DetectSettings, out: &mut Vec<Detection>) -> Result<()> {
        self.detections_within(frame, &Region::whole(frame), settings, out)
    }

    /// Fills `self.detections`.
    fn search(&mut self, frame: &Frame<'_>, area: &Region, settings: &DetectSettings) -> Result<()> {
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
        // one stride for all sizes, so that the cascade is laid out once
        let widest = self.scales.first().map_or(0, |&scale| shrunk(width, scale));
        let stride = stride(widest + 1);
        self.candidates.clear();
        // OpenCV splits the rows into stripes by the width of the first level; see `Rows`
        let stripes = (widest + 1).saturating_sub(self.cascade.window().0).div_ceil(32);
        for &scale in &self.scales {
            let halved = scale < 2.0;
            let plan = &mut self.plans[usize::from(halved)];
            plan.lay(&self.cascade, Layout { stride, halved });
            let search = LevelSearch { form: self.form, plan, cascade: &self.cascade, scale, stripes };
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
    fn choose_scales(&mut self, width: usize, height: usize, factor: f64, settings: &DetectSettings) {
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
    form: Form,
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
        level.begin(picture, width, height, self.plan.layout);
        let side = |of: usize| (of as f32 * self.scale).round_ties_even() as i32;
        for y in (0..down).step_by(step) {
            let from = level.rows(picture, y, window_height + 1);
            passed.clear();
            scan(self.form, self.plan, level.sums(), from, across, passed);
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
