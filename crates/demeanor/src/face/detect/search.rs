//! The search of a frame with BlazeFace: at several sizes, then once more at each candidate.
//!
//! 1. **Sizes**: the network finds faces from some sixth of its square of 128 to most of it. The frame is made smaller so
//!    that the smallest face asked for has [`FINEST`] pixels, and smaller again by at most [`STEP`] until all of it lies in
//!    one square.
//! 2. **Suppression**: boxes that overlap are one face; it stands where their mean is, weighed by their scores, and has the
//!    highest of them (as in MediaPipe).
//! 3. **Second look**: each candidate is looked at again, alone, upright and at the size that the network knows best, then
//!    smaller in a mirror and larger. What it does not find again there is no face; what it does gets the box and the
//!    landmarks of the first of these looks, and its score is read from all three ([`super::rejection`]).

use super::blazeface::{BlazeFaceModel, Hit, Workspace};
use super::rejection::LOOKS;
use super::{Detection, DetectorKind, Landmarks, Search};
use crate::error::{Error, ErrorKind, Result};
use crate::face::sample::{Sampler, View};
use crate::face::track::Window;
use crate::input::{Frame, Region};

/// Side of the smallest face in the network's picture, in pixels.
const FINEST: f32 = 32.0;

/// No smaller faces are looked for, in pixels of the frame: there is nothing in them to be read.
const LEAST: u32 = 12;

/// From one size of the frame to the next, at most.
const STEP: f32 = 3.0;

/// The longest side of a picture that the network looks at in one go; larger ones are looked at in parts.
const PART: usize = 640;

/// By how much parts overlap: more than any face that is looked for at that size.
const OVERLAP: usize = 96;

/// A candidate's score at the first look, before the sigmoid, at least: for the smallest faces, of which it is seldom sure, and
/// for others.
const FIRST: [f32; 2] = [-1.3, -0.6];

/// Boxes of more intersection over union than this are the same face (MediaPipe's `min_suppression_threshold`).
const SAME: f32 = 0.3;

/// Which part of the picture's side the face takes at the second look.
const SECOND: f32 = 0.5;

/// The other looks that the confidence is made of: part of the side, and whether in a mirror. Faces look alike in all of them; what
/// is taken for one by chance seldom does (chosen on the training half of docs/detector.md).
const OTHERS: [(f32, bool); LOOKS - 1] = [(0.4, true), (0.75, false)];

/// What a look counts that finds nothing, before the sigmoid.
const NOTHING: f32 = -3.0;

/// What a candidate must have at its first look again, before the sigmoid, where a rejection decides about it.
const FAINT: f32 = -1.0;

/// A face that is followed needs this much less than one that is new, before the sigmoid.
const KNOWN: f32 = 0.6;

/// Candidates that are looked at again at most, the surest first.
const CANDIDATES: usize = 4 * super::MAX_FACES;

/// A head that is tilted by less than this, in radians, is looked at as it is.
const LEVEL: f32 = 0.2;

/// Room for hits from the start.
const HITS: usize = 4096;

/// A hit in pixels of the frame.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    score: f32,
    middle: [f32; 2],
    size: [f32; 2],
    landmarks: [[f32; 2]; 6],
}

impl Candidate {
    fn new(hit: &Hit, view: &View) -> Self {
        let v = &hit.values;
        let scale = view.scale();
        let landmarks = std::array::from_fn(|i| view.place([v[4 + 2 * i], v[5 + 2 * i]]));
        Candidate {
            score: 1.0 / (1.0 + (-hit.logit).exp()),
            middle: view.place([v[0], v[1]]),
            size: [v[2] * scale, v[3] * scale],
            landmarks,
        }
    }

    fn is_sound(&self) -> bool {
        let numbers = self.middle.iter().chain(&self.size).chain(self.landmarks.iter().flatten());
        self.score.is_finite() && numbers.into_iter().all(|v| v.is_finite()) && self.size.iter().all(|s| *s > 0.0)
    }

    fn side(&self) -> f32 {
        (self.size[0] + self.size[1]) / 2.0
    }

    fn iou(&self, other: &Candidate) -> f32 {
        self.region().iou(&other.region())
    }

    /// Whether another box is the same face: much overlap, or one inside the other.
    fn covers(&self, other: &Candidate) -> bool {
        let (a, b) = (self.region(), other.region());
        let w = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
        let h = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
        let least = (a.width * a.height).min(b.width * b.height);
        self.iou(other) > SAME || (w > 0.0 && h > 0.0 && w * h > 0.7 * least)
    }

    fn region(&self) -> Region {
        let [width, height] = self.size;
        Region { x: self.middle[0] - width / 2.0, y: self.middle[1] - height / 2.0, width, height }
    }

    /// By how much a look at it is turned.
    fn turn(&self) -> f32 {
        turn(self.landmarks().roll())
    }

    fn landmarks(&self) -> Landmarks {
        let [right_eye, left_eye, nose, mouth, right_ear, left_ear] = self.landmarks;
        Landmarks { right_eye, left_eye, nose, mouth, right_ear, left_ear }
    }

    fn detection(&self) -> Detection {
        let side = self.side();
        let [x, y] = self.middle.map(|v| v - side / 2.0);
        Detection {
            region: Region { x, y, width: side, height: side },
            confidence: self.score,
            landmarks: Some(self.landmarks()),
            by: DetectorKind::BlazeFace,
        }
    }
}

/// Joins what overlaps, as MediaPipe's weighted non-maximum suppression does: the mean of the overlapping boxes and landmarks,
/// weighed by score, with the highest score. The surest come first.
fn suppress(candidates: &mut Vec<Candidate>, kept: &mut Vec<Candidate>) {
    kept.clear();
    candidates.sort_unstable_by(|a, b| {
        b.score.total_cmp(&a.score).then(a.middle[0].total_cmp(&b.middle[0])).then(a.middle[1].total_cmp(&b.middle[1]))
    });
    while let Some(best) = candidates.first().copied() {
        let (mut sum, mut weight) = ([0.0; 16], 0.0);
        candidates.retain(|other| {
            let same = best.iou(other) > SAME;
            if same {
                weight += other.score;
                let numbers = other.middle.iter().chain(&other.size).chain(other.landmarks.iter().flatten());
                sum.iter_mut().zip(numbers).for_each(|(sum, value)| *sum += value * other.score);
            }
            !same
        });
        if weight > 0.0 {
            let mean = sum.map(|sum| sum / weight);
            kept.push(Candidate {
                score: best.score,
                middle: [mean[0], mean[1]],
                size: [mean[2], mean[3]],
                landmarks: std::array::from_fn(|i| [mean[4 + 2 * i], mean[5 + 2 * i]]),
            });
        } else {
            // a box that does not even overlap with itself
            candidates.remove(0);
        }
    }
}

/// By how much a look at a head tilted by `roll` is turned.
fn turn(roll: f32) -> f32 {
    if roll.abs() > LEVEL { roll } else { 0.0 }
}

/// The output of the network that means this score.
fn logit(score: f32) -> f32 {
    let score = score.clamp(1e-6, 1.0 - 1e-6);
    (score / (1.0 - score)).ln()
}

/// Finds faces with the network of a [`BlazeFaceModel`].
#[derive(Debug)]
pub struct BlazeFace {
    model: BlazeFaceModel,
    room: Workspace,
    sampler: Sampler,
    hits: Vec<Hit>,
    candidates: Vec<Candidate>,
    firsts: Vec<Candidate>,
    kept: Vec<Candidate>,
    again: Vec<Candidate>,
}

impl BlazeFace {
    /// A detector of a model, the weights of which are shared.
    pub fn new(model: &BlazeFaceModel) -> Self {
        BlazeFace {
            model: model.clone(),
            room: Workspace::default(),
            sampler: Sampler::default(),
            hits: Vec::with_capacity(HITS),
            candidates: Vec::with_capacity(HITS),
            firsts: Vec::with_capacity(HITS),
            kept: Vec::with_capacity(HITS),
            again: Vec::with_capacity(HITS),
        }
    }

    /// The model.
    pub fn model(&self) -> &BlazeFaceModel {
        &self.model
    }

    /// Adds the faces in an area of a frame to `out`, the surest first.
    pub(super) fn search(
        &mut self,
        frame: &Frame<'_>,
        area: &Region,
        search: &Search,
        out: &mut Vec<Detection>,
    ) -> Result<()> {
        if !(0.0..=1.0).contains(&search.min_confidence) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("the least confidence of a face is {}; expected 0 to 1", search.min_confidence),
            ));
        }
        let bound = |from: f32, length: f32, limit: usize| {
            // not `clamp`, which panics where a bound is no number; so an area that is none is empty
            let low = from.max(0.0).min(limit as f32);
            (low, (from + length).max(low).min(limit as f32))
        };
        let (left, right) = bound(area.x, area.width, frame.width());
        let (top, bottom) = bound(area.y, area.height, frame.height());
        // what is not a number, too
        if !(right - left >= 1.0 && bottom - top >= 1.0) {
            return Ok(());
        }
        self.first_looks(frame, [left, top, right - left, bottom - top], search)?;
        self.second_looks(frame, search)?;
        let smallest = 0.75 * search.min_face_px as f32;
        let largest = search.max_face_px.map_or(f32::INFINITY, |px| 1.33 * px as f32);
        self.candidates.retain(|c| c.score >= search.min_confidence && (smallest..=largest).contains(&c.side()));
        // looks at one face from several candidates: the surest counts
        self.candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        self.kept.clear();
        for candidate in &self.candidates {
            if !self.kept.iter().any(|kept| kept.covers(candidate)) {
                self.kept.push(*candidate);
            }
        }
        out.extend(self.kept.iter().map(Candidate::detection));
        Ok(())
    }

    /// Adds the face that is expected in a window to `out`, if it is there.
    pub(super) fn around(
        &mut self,
        frame: &Frame<'_>,
        window: &Window,
        search: &Search,
        out: &mut Vec<Detection>,
    ) -> Result<()> {
        let Region { x, y, width, height } = window.area;
        let sound = [x, y, width, height, window.side, window.roll].iter().all(|v| v.is_finite()) && window.side >= 1.0;
        if !sound {
            return Ok(());
        }
        let middle = [x + width / 2.0, y + height / 2.0];
        let size = self.model.size();
        let view = View::turned(middle, window.side / SECOND, turn(window.roll), size);
        self.look(frame, &view, [size; 2], false, logit(search.min_confidence) - KNOWN)?;
        self.candidates.clear();
        self.candidates.extend(self.hits.iter().map(|hit| Candidate::new(hit, &view)).filter(Candidate::is_sound));
        suppress(&mut self.candidates, &mut self.kept);
        // the surest that may be the face which was expected: others have windows of their own, or are found by a search
        let near = |other: &&Candidate| {
            let distance = (other.middle[0] - middle[0]).hypot(other.middle[1] - middle[1]);
            distance < 0.75 * window.side && (0.5..2.0).contains(&(other.side() / window.side))
        };
        out.extend(self.kept.iter().find(near).map(Candidate::detection));
        Ok(())
    }

    /// Looks at an area `[left, top, width, height]` at all sizes; fills `firsts` with the surest candidates.
    fn first_looks(&mut self, frame: &Frame<'_>, area: [f32; 4], search: &Search) -> Result<()> {
        let [_, _, wide, high] = area;
        let last = wide.max(high) / self.model.size() as f32;
        let first = (search.min_face_px.max(LEAST) as f32 / FINEST).min(last);
        let steps = ((last / first).ln() / STEP.ln()).ceil().max(0.0) as u32;
        self.firsts.clear();
        for turn in if search.any_rotation { 0..4 } else { 0..1 } {
            self.candidates.clear();
            for step in 0..=steps {
                let scale = if steps == 0 { last } else { first * (last / first).powf(step as f32 / steps as f32) };
                let least = FIRST[usize::from(step > 0 || scale >= last)];
                self.level(frame, area, scale, turn, least)?;
            }
            suppress(&mut self.candidates, &mut self.kept);
            self.firsts.extend_from_slice(&self.kept);
        }
        self.firsts.sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        self.firsts.truncate(CANDIDATES);
        Ok(())
    }

    /// Looks at an area `[left, top, width, height]` made smaller by `scale`, in so many quarter turns; adds to the candidates.
    fn level(&mut self, frame: &Frame<'_>, area: [f32; 4], scale: f32, turn: u8, least: f32) -> Result<()> {
        let [left, top, wide, high] = area;
        let (view, whole) = match turn {
            0 => (View::upright(left, top, scale), [wide, high]),
            1 => (View { origin: [left + wide, top], across: [0.0, scale], down: [-scale, 0.0] }, [high, wide]),
            2 => (View { origin: [left + wide, top + high], across: [-scale, 0.0], down: [0.0, -scale] }, [wide, high]),
            _ => (View { origin: [left, top + high], across: [0.0, -scale], down: [scale, 0.0] }, [high, wide]),
        };
        let whole = whole.map(|side| ((side / scale).round() as usize).max(1));
        let parts = whole.map(|side| side.saturating_sub(OVERLAP).div_ceil(PART - OVERLAP).max(1));
        for row in 0..parts[1] {
            for column in 0..parts[0] {
                let from = [column, row].map(|part| part * (PART - OVERLAP));
                let sides = [0, 1].map(|axis| (whole[axis] - from[axis]).min(PART));
                let part = View { origin: view.place(from.map(|place| place as f32)), ..view };
                self.look(frame, &part, sides, false, least)?;
                let found = self.hits.iter().map(|hit| Candidate::new(hit, &part)).filter(Candidate::is_sound);
                self.candidates.extend(found);
            }
        }
        Ok(())
    }

    /// Looks once at a view of `sides` samples, or at its mirror image; fills `hits` with places in what was looked at.
    fn look(&mut self, frame: &Frame<'_>, view: &View, sides: [usize; 2], mirror: bool, least: f32) -> Result<()> {
        let [wide, high] = sides.map(|side| side.next_multiple_of(self.model.reach()));
        let picture = &mut self.room.picture;
        picture.shape(high, wide);
        self.sampler.rows(frame, view, sides, 3, |y, row| {
            let to = picture.row_mut(y);
            // -1 to 1. A dim picture stays dim: the network finds faces in it, and lost two of three when it was made brighter, for
            // its noise became as bright (docs/detector.md)
            to.iter_mut().zip(row).for_each(|(to, value)| *to = value / 127.5 - 1.0);
            to[row.len()..].fill(0.0);
        });
        for y in sides[1]..high {
            picture.row_mut(y).fill(0.0);
        }
        if mirror {
            for y in 0..sides[1] {
                picture.row_mut(y)[..3 * sides[0]].as_chunks_mut::<3>().0.reverse();
            }
        }
        self.hits.clear();
        self.model.run(&mut self.room, least, &mut self.hits)
    }

    /// Looks again at each of `firsts`, upright; fills `candidates` with those that are faces.
    fn second_looks(&mut self, frame: &Frame<'_>, search: &Search) -> Result<()> {
        let least = logit(search.min_confidence);
        let faint = if self.model.rejects() { FAINT } else { least.min(0.0) };
        self.candidates.clear();
        for i in 0..self.firsts.len() {
            let mut sum = self.model.prior();
            let looked = self.look_through(frame, self.firsts[i], |model, room, look, logit| {
                let evidence = if look == 0 && logit < faint { None } else { model.evidence(room, look, logit) };
                sum += evidence.unwrap_or(0.0);
                evidence.is_some()
            })?;
            let Some(mut found) = looked else { continue };
            if sum >= least {
                found.score = 1.0 / (1.0 + (-sum).exp());
                self.candidates.push(found);
            }
        }
        Ok(())
    }

    /// All looks at a candidate. `take` gets the number of each and the score of what was found, before the sigmoid, and says whether
    /// to go on; gives the face that the first look found, if all were taken. What is learnt from and what is judged is the same.
    fn look_through(
        &mut self,
        frame: &Frame<'_>,
        first: Candidate,
        mut take: impl FnMut(&BlazeFaceModel, &mut Workspace, usize, f32) -> bool,
    ) -> Result<Option<Candidate>> {
        let Some(found) = self.look_again(frame, first)? else { return Ok(None) };
        if !take(&self.model, &mut self.room, 0, logit(found.score)) {
            return Ok(None);
        }
        for (number, (part, mirror)) in OTHERS.into_iter().enumerate() {
            let highest = self.look_beside(frame, &found, part, mirror)?;
            if !take(&self.model, &mut self.room, number + 1, highest) {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// The first look again: the face that was meant by a candidate, not one beside it.
    fn look_again(&mut self, frame: &Frame<'_>, first: Candidate) -> Result<Option<Candidate>> {
        let size = self.model.size();
        let view = View::turned(first.middle, first.side() / SECOND, first.turn(), size);
        self.look(frame, &view, [size; 2], false, NOTHING)?;
        self.again.clear();
        self.again.extend(self.hits.iter().map(|hit| Candidate::new(hit, &view)).filter(Candidate::is_sound));
        suppress(&mut self.again, &mut self.kept);
        Ok(self.kept.iter().find(|other| other.iou(&first) > SAME).copied())
    }

    /// Another look at what was found, so that it takes a part of the side; the highest score, before the sigmoid, of what is in
    /// the middle and about as large as it should be.
    fn look_beside(&mut self, frame: &Frame<'_>, found: &Candidate, part: f32, mirror: bool) -> Result<f32> {
        let size = self.model.size();
        let view = View::turned(found.middle, found.side() / part, found.turn(), size);
        self.look(frame, &view, [size; 2], mirror, NOTHING)?;
        let (middle, usual) = (size as f32 / 2.0, size as f32 * part);
        let fits = |hit: &&Hit| {
            let [x, y, width, ..] = hit.values;
            (x - middle).hypot(y - middle) < 0.25 * usual && (0.6..1.6).contains(&(width / usual))
        };
        Ok(self.hits.iter().filter(fits).map(|hit| hit.logit).fold(NOTHING, f32::max))
    }

    /// Every candidate of a frame that is found again, `[x, y]` of its middle and its side, with what a rejection is learnt from.
    ///
    /// # Errors
    /// As a search.
    pub(crate) fn each_look(
        &mut self,
        frame: &Frame<'_>,
        search: &Search,
        mut put: impl FnMut([f32; 3], &[f32]),
    ) -> Result<()> {
        let whole = [0.0, 0.0, frame.width() as f32, frame.height() as f32];
        self.first_looks(frame, whole, search)?;
        let mut features = Vec::new();
        for i in 0..self.firsts.len() {
            features.clear();
            let looked = self.look_through(frame, self.firsts[i], |model, room, look, logit| {
                model.features(room, look, logit, &mut features);
                true
            })?;
            let Some(found) = looked else { continue };
            put([found.middle[0], found.middle[1], found.side()], &features);
        }
        Ok(())
    }
}
