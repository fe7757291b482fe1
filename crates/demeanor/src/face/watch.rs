//! Frames in time to faces with scores: detection, tracking, preparation, network and smoothing in their order.

use std::time::Duration;

use crate::baseline::Baseline;
use crate::emotion::Scores;
use crate::error::{Error, ErrorKind, Result};
use crate::face::detect::{DetectSettings, Detector};
use crate::face::net::FaceModel;
use crate::face::prepare::FacePreparer;
use crate::face::track::{Look, Mark, Sighting, TrackSettings, Tracker};
use crate::input::{Frame, Region};
use crate::smooth::Smoother;

/// How faces are watched.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WatchSettings {
    /// How the whole frame is searched. The smallest face is meant for a frame of 480 rows and grows with the frame, so that
    /// a search takes about the same time at any size.
    pub detect: DetectSettings,
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

impl Default for WatchSettings {
    fn default() -> Self {
        WatchSettings {
            detect: DetectSettings::live(),
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
    /// How reliably the face is found, 0 to 1.
    pub confidence: f32,
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
    windows: Vec<(Region, f32)>,
    regions: Vec<Region>,
    sightings: Vec<Sighting>,
    people: Vec<Person>,
    spare: Vec<Person>,
    seen: Vec<FaceEstimate>,
    due: Vec<(Duration, usize)>,
    resting: Option<(Duration, Duration)>,
    last: Option<Duration>,
}

impl Watcher {
    /// A watcher that has seen nothing yet.
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
            detector: Detector::frontal()?,
            tracker: Tracker::new(settings.track.clone())?,
            preparer: FacePreparer::new(model.recipe())?,
            model,
            windows: Vec::with_capacity(room),
            regions: Vec::with_capacity(256),
            sightings: Vec::with_capacity(256),
            people: Vec::with_capacity(room),
            spare: Vec::with_capacity(room),
            seen: Vec::with_capacity(room),
            due: Vec::with_capacity(room),
            resting: None,
            last: None,
            settings,
        })
    }

    /// The model that reads the faces.
    pub fn model(&self) -> &FaceModel {
        &self.model
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
                let settings = DetectSettings {
                    min_face_px: scaled(self.settings.detect.min_face_px),
                    max_face_px: self.settings.detect.max_face_px.map(scaled),
                    ..self.settings.detect
                };
                self.detector.detect(frame, &settings, &mut self.regions)?;
                collect(frame, &self.regions, &mut self.sightings);
            }
            Look::Around => {
                self.tracker.windows(time, frame.width(), frame.height(), &mut self.windows);
                for (window, side) in &self.windows {
                    let settings = DetectSettings {
                        min_face_px: (side * 0.75) as u32,
                        max_face_px: Some((side * 1.33).ceil() as u32),
                        ..self.settings.detect
                    };
                    self.detector.detect_within(frame, window, &settings, &mut self.regions)?;
                    collect(frame, &self.regions, &mut self.sightings);
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
            estimate.confidence = track.confidence();
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
            let input = self.preparer.prepare(frame, Some(&person.estimate.region))?;
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
            person.estimate.scores = Some(person.smoother.add(&scores, time));
            person.estimate.read_at = time;
        }
        self.seen.clear();
        self.seen.extend(self.people.iter().filter(|p| p.estimate.is_seen).map(|p| p.estimate));
        Ok(())
    }
}

fn collect(frame: &Frame<'_>, regions: &[Region], sightings: &mut Vec<Sighting>) {
    for region in regions {
        sightings.push(Sighting { region: *region, mark: Some(Mark::of(frame, region)) });
    }
}
