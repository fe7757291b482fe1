//! Frames in time to faces with scores: detection, tracking, preparation, network and smoothing in their order.

use std::time::Duration;

use crate::baseline::Baseline;
use crate::emotion::Scores;
use crate::error::{Error, ErrorKind, Result};
use crate::face::detect::{Detection, Detector, HaarSettings, Landmarks, Search};
use crate::face::net::FaceModel;
use crate::face::prepare::FacePreparer;
use crate::face::track::{Look, Mark, Sighting, TrackSettings, Tracker, Window};
use crate::input::{Frame, Region};
use crate::smooth::Smoother;

/// How faces are watched.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WatchSettings {
    /// How the whole frame is searched. The smallest face is meant for a frame of 480 rows and grows with the frame, so that
    /// a search takes about the same time at any size.
    pub search: Search,
    /// How faces are followed.
    pub track: TrackSettings,
    /// Each face is read this often, not with every frame: an expression lasts longer than a frame.
    pub read_every: Duration,
    /// How many faces are read in one frame at most; the others have their turn in the next frames.
    pub reads_per_frame: usize,
    /// Time constant of the smoothing.
    pub smoothing: Duration,
    /// How strongly a resting face corrects scores, 0 to 1.
    pub baseline_strength: f32,
}

impl WatchSettings {
    /// For the network as detector: faces from an eighth of the frame's rows, reported sooner, and up to 64 of them.
    pub fn blazeface() -> Self {
        let search = Search { min_face_px: 60, ..Search::default() };
        WatchSettings { search, track: TrackSettings::sure(), ..Self::default() }
    }
}

impl Default for WatchSettings {
    fn default() -> Self {
        WatchSettings {
            search: Search { min_face_px: 80, ..Search::default() },
            track: TrackSettings::default(),
            read_every: Duration::from_millis(90),
            reads_per_frame: 2,
            smoothing: Duration::from_millis(400),
            baseline_strength: 1.0,
        }
    }
}

/// A face and what it reads as.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceEstimate {
    /// The face's number, from 1 in order of appearance; never used again in a session.
    pub id: u32,
    /// Where the face is, in pixels of the frame.
    pub region: Region,
    /// Whether the face was found in the last frame. While it is not, its scores are those of when it was last seen.
    pub is_seen: bool,
    /// How reliably the face is found, 0 to 1: how sure the detector is, times the share of looks that found it.
    pub confidence: f32,
    /// Eyes, nose, mouth and ears, where the detector gives them.
    pub landmarks: Option<Landmarks>,
    /// How much there was to be read when the face was last read, 0 to 1: [`FaceInput::quality`](crate::face::prepare::FaceInput::quality).
    pub quality: f32,
    /// Scores, smoothed and corrected by the baseline; `None` until the face has been read once.
    pub scores: Option<Scores>,
    /// The last scores of the network itself.
    pub raw: Option<Scores>,
    /// When the face was last read.
    pub read_at: Duration,
    /// Whether the scores are corrected by a baseline of this face.
    pub has_baseline: bool,
}

/// A stage of seeing a frame, for those who measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Faces were looked for and matched to the known ones.
    Found,
    /// Faces were read and smoothed.
    Read,
}

#[derive(Debug)]
struct Person {
    id: u32,
    smoother: Smoother,
    baseline: Baseline,
    estimate: FaceEstimate,
}

/// Watches faces from frame to frame.
#[derive(Debug)]
pub struct Watcher {
    settings: WatchSettings,
    detector: Detector,
    tracker: Tracker,
    model: FaceModel,
    preparer: FacePreparer,
    windows: Vec<Window>,
    found: Vec<Detection>,
    more: bool,
    sightings: Vec<Sighting>,
    people: Vec<Person>,
    spare: Vec<Person>,
    seen: Vec<FaceEstimate>,
    due: Vec<(Duration, usize)>,
    resting: Option<(Duration, Duration)>,
    last: Option<Duration>,
    scene: Scene,
}

impl Watcher {
    /// A watcher that has seen nothing yet. It finds faces with the cascade until it is given
    /// [another detector](Watcher::set_detector).
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a setting is out of its range, [`ErrorKind::Cascade`] when the detector is damaged.
    pub fn new(model: FaceModel, settings: WatchSettings) -> Result<Watcher> {
        if settings.reads_per_frame == 0 || !(0.0..=1.0).contains(&settings.baseline_strength) {
            return Err(Error::new(
                ErrorKind::Setting,
                format!(
                    "reads_per_frame is {} (at least 1) and baseline_strength {} (0 to 1)",
                    settings.reads_per_frame, settings.baseline_strength
                ),
            ));
        }
        let room = 2 * settings.track.max_faces + 1;
        Ok(Watcher {
            detector: Detector::haar(HaarSettings::live())?,
            tracker: Tracker::new(settings.track.clone())?,
            preparer: FacePreparer::new(model.recipe())?,
            model,
            windows: Vec::with_capacity(room),
            found: Vec::with_capacity(256),
            more: false,
            sightings: Vec::with_capacity(256),
            people: Vec::with_capacity(room),
            spare: Vec::with_capacity(room),
            seen: Vec::with_capacity(room),
            due: Vec::with_capacity(room),
            resting: None,
            last: None,
            scene: Scene::default(),
            settings,
        })
    }

    /// The model that reads the faces.
    pub fn model(&self) -> &FaceModel {
        &self.model
    }

    /// Finds faces with another detector from now on.
    pub fn set_detector(&mut self, detector: Detector) {
        self.detector = detector;
    }

    /// Frames will come so far apart: [`Tracker::expect`].
    pub fn expect(&mut self, between: Duration) {
        self.tracker.expect(between);
    }

    /// Whether the last search of a whole frame found more faces than are followed.
    pub fn has_more_faces(&self) -> bool {
        self.more
    }

    /// What is seen from `from` until `until` is each person's face at rest; scores from then on are corrected for it.
    pub fn rest(&mut self, from: Duration, until: Duration) {
        self.resting = Some((from, until));
        for person in &mut self.people {
            person.baseline = Baseline::new();
        }
    }

    /// Sees a frame. `stage` is told when a stage is done.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when the time is before that of the last frame, and those of detection and network.
    pub fn see(&mut self, frame: &Frame<'_>, time: Duration, stage: &mut dyn FnMut(Stage)) -> Result<()> {
        if let Some(last) = self.last
            && time < last
        {
            return Err(Error::new(
                ErrorKind::Setting,
                format!("a frame of {time:?} after one of {last:?}; times must not go back"),
            ));
        }
        self.last = Some(time);
        if self.scene.is_cut_by(frame) {
            // what comes after a cut has nothing to do with what was before it
            self.tracker.forget();
            self.spare.append(&mut self.people);
        }
        self.find(frame, time)?;
        stage(Stage::Found);
        self.read(frame, time)?;
        stage(Stage::Read);
        Ok(())
    }

    /// The faces that are reported: seen now, in order of appearance.
    pub fn faces(&self) -> &[FaceEstimate] {
        &self.seen
    }

    /// Forgets all faces, as at a cut.
    pub fn forget(&mut self) {
        self.tracker.forget();
        self.spare.append(&mut self.people);
        self.seen.clear();
        self.last = None;
        self.scene = Scene::default();
    }

    fn find(&mut self, frame: &Frame<'_>, time: Duration) -> Result<()> {
        let look = self.tracker.look(time);
        self.sightings.clear();
        let scaled = |px: u32| {
            let rows = frame.height().min(frame.width()) as f32;
            (px as f32 * (rows / 480.0).max(0.25)).round().max(24.0) as u32
        };
        match look {
            Look::Everywhere => {
                let search = Search {
                    min_face_px: scaled(self.settings.search.min_face_px),
                    max_face_px: self.settings.search.max_face_px.map(scaled),
                    ..self.settings.search
                };
                self.more = self.detector.detect(frame, &search, &mut self.found)?;
                self.more |= self.found.len() > self.settings.track.max_faces;
                collect(frame, &self.found, &mut self.sightings);
            }
            Look::Around => {
                self.tracker.windows(time, frame.width(), frame.height(), &mut self.windows);
                for window in &self.windows {
                    self.detector.detect_around(frame, window, &self.settings.search, &mut self.found)?;
                    collect(frame, &self.found, &mut self.sightings);
                }
            }
        }
        self.tracker.update(&self.sightings, look, time);

        // people follow the tracks
        let tracks = self.tracker.tracks();
        let mut i = 0;
        while i < self.people.len() {
            if tracks.iter().any(|t| t.id() == self.people[i].id) {
                i += 1;
            } else {
                let gone = self.people.remove(i);
                self.spare.push(gone);
            }
        }
        for track in tracks.iter().filter(|t| t.is_confirmed()) {
            let place = self.people.iter().position(|p| p.id == track.id());
            let place = match place {
                Some(place) => place,
                None => {
                    let mut person = self.spare.pop().unwrap_or_else(|| Person {
                        id: 0,
                        smoother: Smoother::new(self.settings.smoothing),
                        baseline: Baseline::new(),
                        estimate: FaceEstimate {
                            id: 0,
                            region: track.region(),
                            is_seen: false,
                            confidence: 0.0,
                            landmarks: None,
                            quality: 0.0,
                            scores: None,
                            raw: None,
                            read_at: Duration::ZERO,
                            has_baseline: false,
                        },
                    });
                    person.id = track.id();
                    person.smoother.forget();
                    person.baseline = Baseline::new();
                    person.estimate = FaceEstimate {
                        id: track.id(),
                        scores: None,
                        raw: None,
                        has_baseline: false,
                        ..person.estimate
                    };
                    self.people.push(person);
                    self.people.len() - 1
                }
            };
            let estimate = &mut self.people[place].estimate;
            estimate.region = track.region();
            estimate.is_seen = track.is_seen();
            estimate.confidence = track.confidence() * track.score();
            estimate.landmarks = track.landmarks();
        }
        Ok(())
    }

    fn read(&mut self, frame: &Frame<'_>, time: Duration) -> Result<()> {
        self.due.clear();
        for (i, person) in self.people.iter().enumerate() {
            let face = &person.estimate;
            let since = time.saturating_sub(face.read_at);
            if face.is_seen && (face.raw.is_none() || since >= self.settings.read_every) {
                let urgency = if face.raw.is_none() { Duration::MAX } else { since };
                self.due.push((urgency, i));
            }
        }
        // those that wait longest first
        self.due.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for &(_, i) in self.due.iter().take(self.settings.reads_per_frame) {
            let person = &mut self.people[i];
            let face = Detection {
                region: person.estimate.region,
                confidence: person.estimate.confidence,
                landmarks: person.estimate.landmarks,
                by: self.detector.kind(),
            };
            let input = self.preparer.prepare(frame, Some(&face))?;
            let quality = input.quality();
            let raw = self.model.read(input)?;
            let mut scores = raw;
            if let Some((from, until)) = self.resting {
                if time >= from && time < until {
                    person.baseline.learn(&raw);
                } else if time >= until && person.baseline.count() > 0 {
                    scores = person.baseline.correct(&raw, self.settings.baseline_strength);
                    if !person.estimate.has_baseline {
                        // what was smoothed so far was not corrected
                        person.smoother.forget();
                        person.estimate.has_baseline = true;
                    }
                }
            }
            person.estimate.raw = Some(raw);
            person.estimate.quality = quality;
            person.estimate.scores = Some(person.smoother.add_of_quality(&scores, quality, time));
            person.estimate.read_at = time;
        }
        self.seen.clear();
        self.seen.extend(self.people.iter().filter(|p| p.estimate.is_seen).map(|p| p.estimate));
        Ok(())
    }
}

/// Columns and rows of the small picture that scenes are told apart by.
const SCENE: [usize; 2] = [24, 16];

/// Small pictures of two frames that correlate less than this are of two scenes. Neighbouring frames of one scene stay above
/// 0.8 even while a camera pans.
const CUT: f32 = 0.5;

/// A frame whose small picture deviates by less than this (of 255) is as good as empty: nothing can be told from it.
const EMPTY: f32 = 3.0;

/// What the last frame looked like, roughly: grey values with mean 0 and deviation 1.
#[derive(Debug, Default)]
struct Scene(Option<[f32; SCENE[0] * SCENE[1]]>);

impl Scene {
    /// Whether a frame is of another scene than the one before it.
    fn is_cut_by(&mut self, frame: &Frame<'_>) -> bool {
        let [columns, rows] = SCENE;
        let mut values = [0.0; SCENE[0] * SCENE[1]];
        let mut line = [0u8; 4 * SCENE[0]];
        for (row, values) in values.chunks_exact_mut(columns).enumerate() {
            // the mean of 4 x 4 points
            for part in 0..4 {
                let y = ((row * 4 + part) * 2 + 1) * frame.height() / (8 * rows);
                crate::face::grey::points(frame, y, &mut line);
                for (value, points) in values.iter_mut().zip(line.chunks_exact(4)) {
                    *value += points.iter().map(|&v| f32::from(v)).sum::<f32>() / 16.0;
                }
            }
        }
        let count = values.len() as f32;
        let mean = values.iter().sum::<f32>() / count;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt();
        if deviation < EMPTY {
            // black, or a frame that was lost: what comes next is compared with what was before it
            return false;
        }
        values.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
        let before = self.0.replace(values);
        before.is_some_and(|before| before.iter().zip(&values).map(|(a, b)| a * b).sum::<f32>() / count < CUT)
    }
}

fn collect(frame: &Frame<'_>, found: &[Detection], sightings: &mut Vec<Sighting>) {
    for face in found {
        // the cascade's windows say nothing about how sure it is: what flickers does
        let confidence = if face.landmarks.is_some() { face.confidence } else { 1.0 };
        let mark = Some(Mark::of(frame, &face.region));
        sightings.push(Sighting { region: face.region, mark, confidence, landmarks: face.landmarks });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::PixelLayout;

    fn picture(seed: u32, light: f32, shift: usize) -> Vec<u8> {
        (0..320 * 240)
            .map(|i| {
                let (x, y) = ((i % 320 + shift) / 40, i / 320 / 40);
                let v = (seed.wrapping_mul(31) ^ (x as u32 * 7 + y as u32 * 13)).wrapping_mul(2_654_435_761) >> 24;
                (v as f32 * light) as u8
            })
            .collect()
    }

    #[test]
    fn cuts_are_told_from_movement_and_light() {
        let mut scene = Scene::default();
        let mut is_cut = |seed, light, shift| {
            let data = picture(seed, light, shift);
            scene.is_cut_by(&Frame::new(&data, 320, 240, PixelLayout::Grey8).unwrap())
        };
        assert!(!is_cut(1, 1.0, 0), "the first frame");
        assert!(!is_cut(1, 1.0, 0));
        assert!(!is_cut(1, 1.0, 6), "a pan");
        assert!(!is_cut(1, 0.3, 6), "a lamp goes out");
        assert!(is_cut(2, 0.3, 6), "another scene");
        assert!(!is_cut(2, 0.3, 6));
        assert!(!is_cut(2, 0.0, 0), "black");
        assert!(!is_cut(2, 1.0, 6), "the same scene after black");
        assert!(!is_cut(1, 0.0, 0));
        assert!(is_cut(1, 1.0, 0), "another scene after black");
    }
}
