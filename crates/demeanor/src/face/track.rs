//! Regions in time: the same id for the same face.
//!
//! A detector is slow over a whole frame and quick over a part of it. So a [`Tracker`] says before each frame where to
//! look ([`Look`]): everywhere every Nth frame, and in between only around the faces it knows. What was found is then
//! matched to the known faces by where each was expected to be, how large it was and, where faces cross, what it looked
//! like. A face that is not found again is carried along unseen for a short while, so that it keeps its id through a blink
//! of the detector or somebody walking past; after that it is given up. Nothing is reported for a face that is not seen.
//!
//! The tracker knows no clock: the times are those of the frames.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::face::detect::Landmarks;
use crate::input::{Frame, PixelLayout, Region};

/// Side of the small picture that a [`Mark`] is made of.
const MARK_SIDE: usize = 8;

/// Time constant of the position filter: shorter jitters with the detector's boxes, longer lags behind a moving head.
const POSITION: Duration = Duration::from_millis(50);

/// Time constant of the speed filter.
const SPEED: Duration = Duration::from_millis(250);

/// An unseen face is expected to slow down with this time constant.
const COAST: Duration = Duration::from_millis(600);

/// A face that is found again after so long was away, rather than flickering, and begins with [`AGAIN`].
const AWAY: Duration = Duration::from_millis(300);

/// The confidence in a face that comes back.
const AGAIN: f32 = 0.75;

/// Time constant of [`Track::confidence`].
const CONFIDENCE: Duration = Duration::from_millis(500);

/// Within this time a face does not come to look like another.
const SUDDEN: Duration = Duration::from_millis(120);

/// Marks of less [likeness](Mark::likeness) than this, one frame after the other, are of two faces.
const STRANGER: f32 = 0.2;

/// How the tracker works.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TrackSettings {
    /// The whole frame is searched every this many frames, at least 1.
    pub search_every: u32,
    /// The whole frame is searched at least this often, however few frames a second there are.
    pub search_within: Duration,
    /// In how many looks a new face must be found before it is reported, at least 1; and in three of four looks since it
    /// was first found. What a detector takes for a face by chance flickers.
    pub confirm: u32,
    /// Where there are few frames a second, a face that was found so for this long is reported after three hits; where they are
    /// this far apart, from its first, as in pictures, if the detector is sure, else from its second.
    pub confirm_within: Duration,
    /// A face of less [confidence](Track::confidence) is followed, but does not count as seen, 0 to 1.
    pub least_confidence: f32,
    /// How long a face that is no longer found keeps its id.
    pub give_up_after: Duration,
    /// How many faces are followed at most; the largest come first.
    pub max_faces: usize,
}

impl TrackSettings {
    /// For a detector that seldom takes anything else for a face and seldom misses one: faces are reported sooner, and many
    /// are followed.
    pub fn sure() -> Self {
        TrackSettings {
            search_every: 6,
            search_within: Duration::from_millis(250),
            confirm: 3,
            max_faces: 64,
            ..Self::default()
        }
    }
}

impl Default for TrackSettings {
    fn default() -> Self {
        TrackSettings {
            search_every: 10,
            search_within: Duration::from_millis(400),
            confirm: 5,
            confirm_within: Duration::from_millis(400),
            least_confidence: 0.6,
            give_up_after: Duration::from_millis(1500),
            max_faces: 16,
        }
    }
}

/// Where a frame is to be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The whole frame.
    Everywhere,
    /// Only the [windows](Tracker::windows) around the known faces.
    Around,
}

/// What a face looks like, roughly: 8x8 grey values with mean 0 and deviation 1. Only for telling apart faces that cross;
/// it dies with the track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark([f32; MARK_SIDE * MARK_SIDE]);

impl Mark {
    /// The mark of a region of a frame; what lies outside the frame repeats its edge.
    pub fn of(frame: &Frame<'_>, region: &Region) -> Mark {
        // each value is the mean of 2x2 points
        const POINTS: usize = MARK_SIDE * 2;
        let mut values = [0.0; MARK_SIDE * MARK_SIDE];
        let (step_x, step_y) = (region.width / POINTS as f32, region.height / POINTS as f32);
        for py in 0..POINTS {
            let y = (region.y + (py as f32 + 0.5) * step_y).clamp(0.0, (frame.height() - 1) as f32) as usize;
            let row = frame.row(y);
            for px in 0..POINTS {
                let x = (region.x + (px as f32 + 0.5) * step_x).clamp(0.0, (frame.width() - 1) as f32) as usize;
                let pixel = &row[x * frame.layout().bytes()..];
                let value = match frame.layout() {
                    PixelLayout::Grey8 => f32::from(pixel[0]),
                    // green alone is close enough to grey here
                    PixelLayout::Rgb8 | PixelLayout::Bgr8 | PixelLayout::Rgba8 => f32::from(pixel[1]),
                };
                values[(py / 2) * MARK_SIDE + px / 2] += value / 4.0;
            }
        }
        let count = values.len() as f32;
        let mean = values.iter().sum::<f32>() / count;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count).sqrt().max(1.0);
        for value in &mut values {
            *value = (*value - mean) / deviation;
        }
        Mark(values)
    }

    /// How alike two marks are: the correlation, -1 to 1.
    pub fn likeness(&self, other: &Mark) -> f32 {
        let sum: f32 = self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum();
        (sum / self.0.len() as f32).clamp(-1.0, 1.0)
    }

    fn blend(&mut self, other: &Mark, share: f32) {
        for (mine, new) in self.0.iter_mut().zip(&other.0) {
            *mine += (new - *mine) * share;
        }
    }
}

/// A face found in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Where it was found.
    pub region: Region,
    /// What it looks like there, if known.
    pub mark: Option<Mark>,
    /// How sure the detector is, 0 to 1.
    pub confidence: f32,
    /// Eyes, nose, mouth and ears, if known.
    pub landmarks: Option<Landmarks>,
}

/// Where to look for a known face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Where it may be, inside of the frame.
    pub area: Region,
    /// How wide the face is, in pixels.
    pub side: f32,
    /// By how much the head was tilted, in radians.
    pub roll: f32,
}

/// The mean confidence of a network's looks that makes a face of a candidate. In films of a portrait whose neck ring is now and
/// then taken for a second face that never has more than 0.713, and the face over 0.9 (docs/detector.md).
const SURE: f32 = 0.72;

/// A face that is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    id: u32,
    region: Region,
    velocity: [f32; 2],
    mark: Option<Mark>,
    /// What it looked like when it was last seen, before any blending.
    latest: Option<Mark>,
    /// The last score of the detector, and the landmarks in parts of the region.
    score: f32,
    landmarks: Option<Landmarks>,
    first: Duration,
    seen: Duration,
    visible: bool,
    trusted: bool,
    hits: u32,
    /// Sum of the detector's confidence over the hits.
    sureness: f32,
    looks: u32,
    confidence: f32,
    confirmed: bool,
}

impl Track {
    /// The face's number, from 1 in order of appearance; never used again in a session.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where the face is, smoothed over a few frames; where it was last seen when it is not seen now.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Whether the face was found in the last frame, and is found reliably enough.
    pub fn is_seen(&self) -> bool {
        self.visible && self.trusted
    }

    /// Whether the face was found often enough to be reported.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// When the face was first seen.
    pub fn first_seen(&self) -> Duration {
        self.first
    }

    /// When the face was last seen.
    pub fn last_seen(&self) -> Duration {
        self.seen
    }

    /// How sure the detector was when it last found the face, 0 to 1.
    pub fn score(&self) -> f32 {
        self.score
    }

    /// Eyes, nose, mouth and ears, smoothed as the region is; none where the detector gives none.
    pub fn landmarks(&self) -> Option<Landmarks> {
        let Region { x, y, width, height } = self.region;
        self.landmarks.map(|parts| parts.map(|[u, v]| [x + u * width, y + v * height]))
    }

    /// How reliably the face is found, 0 to 1: the share of looks that found it, over about the last half second.
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// Where the face is expected at a time.
    fn expected(&self, time: Duration) -> Region {
        let since = time.saturating_sub(self.seen).as_secs_f32();
        // speed that decays exponentially: its integral
        let way = COAST.as_secs_f32() * (1.0 - (-since / COAST.as_secs_f32()).exp());
        Region { x: self.region.x + self.velocity[0] * way, y: self.region.y + self.velocity[1] * way, ..self.region }
    }

    /// How badly a sighting fits; `None` when it cannot be this face.
    fn misfit(&self, sighting: &Sighting, time: Duration) -> Option<f32> {
        let unseen = time.saturating_sub(self.seen).as_secs_f32();
        let expected = self.expected(time);
        let region = &sighting.region;
        let side = (expected.width + region.width) / 2.0;
        let dx = (expected.x + expected.width / 2.0) - (region.x + region.width / 2.0);
        let dy = (expected.y + expected.height / 2.0) - (region.y + region.height / 2.0);
        let distance = dx.hypot(dy) / side;
        let growth = (region.width / expected.width).ln().abs();
        // a head moves at most a few of its widths in a second, and what was unseen for longer may be farther off
        let reach = (0.5 + 1.5 * unseen).min(1.5);
        if distance > reach || growth > 0.45 + 0.2 * unseen.min(1.0) {
            return None;
        }
        // another face in the same place from one frame to the next: the picture was cut there
        if unseen <= SUDDEN.as_secs_f32()
            && let (Some(mine), Some(latest), Some(other)) = (&self.mark, &self.latest, &sighting.mark)
            && mine.likeness(other).max(latest.likeness(other)) < STRANGER
        {
            return None;
        }
        let unlike = match (&self.mark, &sighting.mark) {
            (Some(mine), Some(other)) => 1.0 - mine.likeness(other),
            _ => 0.0,
        };
        Some(distance + growth + unlike)
    }

    fn meet(&mut self, sighting: &Sighting, time: Duration) {
        let dt = time.saturating_sub(self.seen).as_secs_f32();
        let expected = self.expected(time);
        let region = sighting.region;
        if self.confirmed && dt > AWAY.as_secs_f32() {
            self.confidence = self.confidence.max(AGAIN);
        }
        let follow = if dt > 0.0 { 1.0 - (-dt / POSITION.as_secs_f32()).exp() } else { 1.0 };
        self.score = sighting.confidence;
        if let Some(found) = sighting.landmarks {
            let found = parts_of(&found, &region);
            self.landmarks = Some(self.landmarks.map_or(found, |mine| blend(&mine, &found, follow)));
        }
        if dt > 0.0 {
            let [dx, dy] = [
                (region.x + region.width / 2.0) - (expected.x + expected.width / 2.0),
                (region.y + region.height / 2.0) - (expected.y + expected.height / 2.0),
            ];
            let width = expected.width + (region.width - expected.width) * follow;
            let height = expected.height + (region.height - expected.height) * follow;
            let cx = expected.x + expected.width / 2.0 + dx * follow;
            let cy = expected.y + expected.height / 2.0 + dy * follow;
            self.region = Region { x: cx - width / 2.0, y: cy - height / 2.0, width, height };
            let learn = (1.0 - (-dt / SPEED.as_secs_f32()).exp()) / dt;
            let decay = (-dt / COAST.as_secs_f32()).exp();
            // the speed decays in `expected`, and what that costs is learnt back from the residual
            self.velocity = [self.velocity[0] * decay + dx * learn, self.velocity[1] * decay + dy * learn];
        } else {
            self.region = region;
        }
        match (&mut self.mark, &sighting.mark) {
            (Some(mine), Some(new)) => mine.blend(new, (1.0 - (-dt / 0.5).exp()).max(0.02)),
            (mine @ None, new) => *mine = *new,
            _ => {}
        }
        self.latest = sighting.mark.or(self.latest);
        self.seen = time;
        self.visible = true;
        self.hits = self.hits.saturating_add(1);
        self.sureness += sighting.confidence;
    }
}

/// Follows faces from frame to frame.
#[derive(Debug, Clone)]
pub struct Tracker {
    settings: TrackSettings,
    tracks: Vec<Track>,
    next_id: u32,
    frames_since_search: u32,
    last_search: Option<Duration>,
    last_frame: Option<Duration>,
    /// How far apart frames come, as far as that is known.
    between: Duration,
    found: Vec<Sighting>,
    pairs: Vec<(f32, usize, usize)>,
    taken: Vec<bool>,
}

impl Tracker {
    /// A tracker that knows no face yet.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when a count in the settings is 0.
    pub fn new(settings: TrackSettings) -> Result<Tracker> {
        if settings.search_every == 0 || settings.confirm == 0 || settings.max_faces == 0 {
            return Err(Error::new(
                ErrorKind::Setting,
                format!(
                    "search_every ({}), confirm ({}) and max_faces ({}) must be at least 1",
                    settings.search_every, settings.confirm, settings.max_faces
                ),
            ));
        }
        // room for what a frame can need, so that following faces allocates nothing
        let tracks = Vec::with_capacity(2 * settings.max_faces + 1);
        Ok(Tracker {
            settings,
            tracks,
            next_id: 1,
            frames_since_search: 0,
            last_search: None,
            last_frame: None,
            between: Duration::ZERO,
            found: Vec::with_capacity(64),
            pairs: Vec::with_capacity(256),
            taken: Vec::with_capacity(64),
        })
    }

    /// Frames will come so far apart; without this it is learnt from the second on.
    pub fn expect(&mut self, between: Duration) {
        self.between = between;
    }

    /// Where the frame at `time` is to be searched. While no face is known the whole frame is searched every second
    /// frame, which a viewer does not notice.
    pub fn look(&self, time: Duration) -> Look {
        let Some(last) = self.last_search else { return Look::Everywhere };
        let every = if self.tracks.is_empty() { self.settings.search_every.min(2) } else { self.settings.search_every };
        let due = self.frames_since_search + 1 >= every || time.saturating_sub(last) >= self.settings.search_within;
        if due { Look::Everywhere } else { Look::Around }
    }

    /// Writes the windows to search when the answer was [`Look::Around`]: one for each known face, inside a frame of
    /// `width` x `height` pixels.
    pub fn windows(&self, time: Duration, width: usize, height: usize, windows: &mut Vec<Window>) {
        windows.clear();
        let (width, height) = (width as f32, height as f32);
        for track in &self.tracks {
            let expected = track.expected(time);
            let unseen = time.saturating_sub(track.seen).as_secs_f32();
            let spare = expected.width * (0.4 + unseen.min(0.5));
            let left = (expected.x - spare).max(0.0).floor();
            let top = (expected.y - spare).max(0.0).floor();
            let right = (expected.x + expected.width + spare).min(width).ceil();
            let bottom = (expected.y + expected.height + spare).min(height).ceil();
            if right - left >= 8.0 && bottom - top >= 8.0 {
                let area = Region { x: left, y: top, width: right - left, height: bottom - top };
                let roll = track.landmarks.map_or(0.0, |landmarks| landmarks.roll());
                windows.push(Window { area, side: expected.width, roll });
            }
        }
    }

    /// Takes in what was found in the frame at `time`, in pixels of the frame. Sightings of the same face may repeat (windows
    /// overlap). Regions that are empty or not finite are left out. Times must not go back: an earlier one counts as the
    /// last.
    pub fn update(&mut self, found: &[Sighting], look: Look, time: Duration) {
        let time = self.last_frame.map_or(time, |last| time.max(last));
        if let Some(last) = self.last_frame {
            self.between = time - last;
        }
        let dt = self.last_frame.map_or(0.0, |last| (time - last).as_secs_f32());
        self.last_frame = Some(time);
        let sparse = self.between >= self.settings.confirm_within;
        match look {
            Look::Everywhere => {
                self.frames_since_search = 0;
                self.last_search = Some(time);
            }
            Look::Around => self.frames_since_search += 1,
        }

        self.found.clear();
        for sighting in found {
            let r = &sighting.region;
            let sound = r.width > 0.0 && r.height > 0.0 && [r.x, r.y, r.width, r.height].iter().all(|v| v.is_finite());
            if sound && !self.found.iter().any(|other| is_same(&other.region, r)) {
                self.found.push(*sighting);
            }
        }

        self.pairs.clear();
        for (t, track) in self.tracks.iter().enumerate() {
            for (s, sighting) in self.found.iter().enumerate() {
                if let Some(misfit) = track.misfit(sighting, time) {
                    self.pairs.push((misfit, t, s));
                }
            }
        }
        self.pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        for track in &mut self.tracks {
            track.visible = false;
        }
        self.taken.clear();
        self.taken.resize(self.found.len(), false);
        for &(_, t, s) in &self.pairs {
            if !self.tracks[t].visible && !self.taken[s] {
                self.tracks[t].meet(&self.found[s], time);
                self.taken[s] = true;
            }
        }

        let keep = (-dt / CONFIDENCE.as_secs_f32()).exp();
        for track in &mut self.tracks {
            let hit = if track.visible { 1.0 } else { 0.0 };
            track.confidence = hit + (track.confidence - hit) * keep;
            track.trusted = track.confidence >= self.settings.least_confidence;
            track.looks = track.looks.saturating_add(1);
            let lasted = time.saturating_sub(track.first) >= self.settings.confirm_within;
            let enough = if sparse { 2 } else { 3 };
            let often =
                track.hits >= self.settings.confirm || (lasted && track.hits >= self.settings.confirm.min(enough));
            // a cascade's confidence counts neighbours, a network's (which gives landmarks) is one of being a face
            let sure = track.landmarks.is_none() || track.sureness >= SURE * track.hits as f32;
            track.confirmed |= often && sure && track.hits.saturating_mul(4) >= track.looks.saturating_mul(3);
        }
        let give_up = self.settings.give_up_after;
        self.tracks.retain(|t| {
            // what was never confirmed is not worth waiting for
            if t.confirmed {
                t.visible || time.saturating_sub(t.seen) <= give_up
            } else {
                (t.visible || time.saturating_sub(t.seen) <= give_up / 3) && t.looks <= 2 * t.hits + 2
            }
        });

        for (s, sighting) in self.found.iter().enumerate() {
            if !self.taken[s] && !self.tracks.iter().any(|t| t.visible && is_same(&t.region, &sighting.region)) {
                if self.tracks.len() >= 2 * self.settings.max_faces {
                    break;
                }
                self.tracks.push(Track {
                    id: 0,
                    region: sighting.region,
                    velocity: [0.0; 2],
                    mark: sighting.mark,
                    latest: sighting.mark,
                    score: sighting.confidence,
                    landmarks: sighting.landmarks.map(|found| parts_of(&found, &sighting.region)),
                    first: time,
                    seen: time,
                    visible: true,
                    trusted: true,
                    hits: 1,
                    sureness: sighting.confidence,
                    looks: 1,
                    confidence: 1.0,
                    confirmed: self.settings.confirm == 1
                        || sparse && sighting.landmarks.is_some() && sighting.confidence >= SURE,
                });
            }
        }
        self.limit();
        // ids are given on confirmation, so that chance hits leave no gaps
        for track in &mut self.tracks {
            if track.confirmed && track.id == 0 {
                track.id = self.next_id;
                self.next_id += 1;
            }
        }
    }

    /// The faces followed: confirmed ones (with an id) and candidates, seen and unseen, in order of appearance.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Forgets all faces, as at a cut. Ids go on counting.
    pub fn forget(&mut self) {
        self.tracks.clear();
        self.last_search = None;
        self.last_frame = None;
        self.frames_since_search = 0;
    }

    /// Keeps the confirmed and then the largest.
    fn limit(&mut self) {
        while self.tracks.len() > self.settings.max_faces {
            let rank = |t: &Track| (t.confirmed, t.visible, t.region.width * t.region.height);
            let least = self.tracks.iter().enumerate().min_by(|(_, a), (_, b)| {
                let (a, b) = (rank(a), rank(b));
                a.0.cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.total_cmp(&b.2))
            });
            let Some((least, _)) = least else { return };
            self.tracks.remove(least);
        }
    }
}

/// Landmarks in parts of a region.
fn parts_of(landmarks: &Landmarks, region: &Region) -> Landmarks {
    landmarks.map(|[x, y]| [(x - region.x) / region.width, (y - region.y) / region.height])
}

/// Landmarks between two: `share` of the second.
fn blend(one: &Landmarks, other: &Landmarks, share: f32) -> Landmarks {
    let between = |a: [f32; 2], b: [f32; 2]| [0, 1].map(|axis| a[axis] + (b[axis] - a[axis]) * share);
    Landmarks {
        right_eye: between(one.right_eye, other.right_eye),
        left_eye: between(one.left_eye, other.left_eye),
        nose: between(one.nose, other.nose),
        mouth: between(one.mouth, other.mouth),
        right_ear: between(one.right_ear, other.right_ear),
        left_ear: between(one.left_ear, other.left_ear),
    }
}

/// Whether two regions of one frame are the same face found twice: much overlap, or one inside the other.
fn is_same(a: &Region, b: &Region) -> bool {
    if a.iou(b) > 0.4 {
        return true;
    }
    let w = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
    let h = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
    w > 0.0 && h > 0.0 && w * h > 0.8 * (a.width * a.height).min(b.width * b.height)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: Duration = Duration::from_nanos(33_333_333);

    fn face(x: f32, y: f32, side: f32) -> Sighting {
        Sighting { region: Region { x, y, width: side, height: side }, mark: None, confidence: 1.0, landmarks: None }
    }

    fn tracker() -> Tracker {
        Tracker::new(TrackSettings::default()).unwrap()
    }

    /// Feeds one frame of faces in view and returns the ids reported as seen, in order of x.
    fn see(tracker: &mut Tracker, found: &[Sighting], time: Duration) -> Vec<u32> {
        let look = tracker.look(time);
        tracker.update(found, look, time);
        let mut seen: Vec<_> = tracker.tracks().iter().filter(|t| t.is_confirmed() && t.is_seen()).collect();
        seen.sort_by(|a, b| a.region().x.total_cmp(&b.region().x));
        seen.iter().map(|t| t.id()).collect()
    }

    #[test]
    fn a_still_face_keeps_its_id() {
        let mut t = tracker();
        for i in 0..100 {
            let ids = see(&mut t, &[face(100.0, 80.0, 120.0)], FRAME * i);
            assert_eq!(ids, if i < 4 { vec![] } else { vec![1] }, "frame {i}");
        }
    }

    #[test]
    fn one_chance_hit_is_not_reported_and_takes_no_id() {
        let mut t = tracker();
        assert!(see(&mut t, &[face(10.0, 10.0, 60.0)], Duration::ZERO).is_empty());
        for i in 1..60 {
            see(&mut t, &[face(300.0, 100.0, 120.0)], FRAME * i);
        }
        assert_eq!(t.tracks().len(), 1);
        assert_eq!(t.tracks()[0].id(), 1);
    }

    #[test]
    fn what_flickers_is_hardly_ever_reported() {
        // found in two of five frames, as things are that a detector takes for a face by chance
        let mut t = tracker();
        let (mut reported, mut state) = (0, 1u32);
        for i in 0..3000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let there = (state >> 16) % 5 < 2;
            let thing = face(300.0, 100.0, 120.0);
            reported += see(&mut t, if there { std::slice::from_ref(&thing) } else { &[] }, FRAME * i).len();
        }
        assert!(reported < 150, "reported in {reported} of 3000 frames");
        // one that is found in nine of ten is
        let mut t = tracker();
        let mut reported = 0;
        for i in 0..300 {
            let thing = face(300.0, 100.0, 120.0);
            reported += see(&mut t, if i % 10 == 3 { &[] } else { std::slice::from_ref(&thing) }, FRAME * i).len();
        }
        assert!(reported > 255, "reported in {reported} of 300 frames");
    }

    #[test]
    fn the_whole_frame_is_searched_every_tenth_frame() {
        let mut t = tracker();
        let mut looks = Vec::new();
        for i in 0..41 {
            looks.push(t.look(FRAME * i));
            see(&mut t, &[face(100.0, 80.0, 120.0)], FRAME * i);
        }
        let at: Vec<_> = (0..41).filter(|&i| looks[i] == Look::Everywhere).collect();
        assert_eq!(at, [0, 10, 20, 30, 40]);
    }

    #[test]
    fn slow_films_are_searched_by_time() {
        let mut t = tracker();
        let mut searched = 0;
        for i in 0..50 {
            let time = Duration::from_millis(200) * i;
            searched += u32::from(t.look(time) == Look::Everywhere);
            see(&mut t, &[face(100.0, 80.0, 120.0)], time);
        }
        assert!((24..=26).contains(&searched), "{searched} searches in 50 frames 200 ms apart");
    }

    #[test]
    fn losses_keep_or_give_up_the_id() {
        // (milliseconds unseen, the id after)
        for (unseen_ms, id) in [(100, 1), (500, 1), (1200, 1), (1700, 2), (10_000, 2)] {
            let mut t = tracker();
            let mut time = Duration::ZERO;
            for _ in 0..30 {
                see(&mut t, &[face(100.0, 80.0, 120.0)], time);
                time += FRAME;
            }
            let back = time + Duration::from_millis(unseen_ms);
            while time < back {
                assert!(see(&mut t, &[], time).is_empty(), "nothing is reported for a face that is not seen");
                time += FRAME;
            }
            let mut ids = Vec::new();
            for _ in 0..10 {
                ids = see(&mut t, &[face(110.0, 84.0, 122.0)], time);
                time += FRAME;
            }
            assert_eq!(ids, [id], "after {unseen_ms} ms");
        }
    }

    #[test]
    fn a_walking_face_keeps_its_id_at_any_frame_rate() {
        for fps in [5, 10, 15, 24, 30, 60, 120] {
            let mut t = tracker();
            let mut last = vec![];
            for i in 0..(4 * fps) {
                let time = Duration::from_secs(i as u64) / fps;
                // 150 pixels a second, more than a face's width
                last = see(&mut t, &[face(20.0 + 150.0 * time.as_secs_f32(), 80.0, 120.0)], time);
            }
            assert_eq!(last, [1], "{fps} frames a second");
        }
    }

    /// Two faces pass each other; while they overlap the detector finds only the one in front.
    fn cross(speed: f32, fps: u32, marks: Option<(Mark, Mark)>, jitter: impl Fn(u32) -> f32) -> Vec<u32> {
        let mut t = tracker();
        let mut ids = vec![];
        let frames = (500.0 / speed * fps as f32) as u32;
        for i in 0..frames {
            let time = Duration::from_secs(u64::from(i)) / fps;
            let way = speed * time.as_secs_f32();
            let mut front = face(40.0 + way + jitter(i), 100.0, 100.0);
            let mut back = face(540.0 - way + jitter(i + 7), 104.0, 92.0);
            if let Some((a, b)) = marks {
                (front.mark, back.mark) = (Some(a), Some(b));
            }
            let apart = (front.region.x - back.region.x).abs();
            let found: &[Sighting] = if apart < 70.0 { &[front] } else { &[front, back] };
            ids = see(&mut t, found, time);
            if i == 10 {
                assert_eq!(ids, [1, 2], "front left, back right");
            }
        }
        ids
    }

    #[test]
    fn crossing_faces_keep_their_ids() {
        for speed in [120.0, 200.0, 300.0] {
            for fps in [15, 25, 30, 60] {
                let ids = cross(speed, fps, None, |i| ((i * 7919) % 7) as f32 - 3.0);
                assert_eq!(ids, [2, 1], "{speed} px/s at {fps} frames/s");
            }
        }
    }

    #[test]
    fn marks_tell_apart_faces_that_meet_and_turn_back() {
        let mut data = vec![0u8; 64 * 64];
        for (i, v) in data.iter_mut().enumerate() {
            *v = if i % 64 < 32 { 200 } else { 40 };
        }
        let frame = Frame::new(&data, 64, 64, PixelLayout::Grey8).unwrap();
        let a = Mark::of(&frame, &Region::whole(&frame));
        let b = Mark::of(&frame, &Region { x: 0.0, y: 0.0, width: 20.0, height: 64.0 });
        let mirrored = Mark::of(&frame, &Region { x: 63.0, y: 0.0, width: -63.0, height: 64.0 });
        assert!((a.likeness(&a) - 1.0).abs() < 1e-3);
        assert!(a.likeness(&mirrored) < -0.9);
        assert!(b.likeness(&a).abs() < 0.1);

        let mut t = tracker();
        let mut ids = vec![];
        for i in 0..180u32 {
            let time = FRAME * i;
            let way = 200.0 - (200.0 - i as f32 * 2.4).abs();
            let mut left = face(100.0 + way, 100.0, 100.0);
            let mut right = face(500.0 - way, 100.0, 100.0);
            (left.mark, right.mark) = (Some(a), Some(mirrored));
            let found: &[Sighting] =
                if (left.region.x - right.region.x).abs() < 60.0 { &[left] } else { &[left, right] };
            ids = see(&mut t, found, time);
        }
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn regions_that_are_no_regions_are_left_out() {
        let mut t = tracker();
        let bad = [face(f32::NAN, 0.0, 10.0), face(0.0, 0.0, 0.0), face(0.0, 0.0, -4.0), face(0.0, f32::INFINITY, 4.0)];
        for i in 0..9 {
            assert!(see(&mut t, &bad, FRAME * i).is_empty());
        }
        assert!(t.tracks().is_empty());
    }

    #[test]
    fn pictures_that_are_seconds_apart_need_no_second_look() {
        let sure = |confidence: f32, landmarks: bool| {
            let place = [50.0, 50.0];
            let all = Landmarks {
                right_eye: place,
                left_eye: place,
                nose: place,
                mouth: place,
                right_ear: place,
                left_ear: place,
            };
            let region = Region { x: 30.0, y: 30.0, width: 60.0, height: 60.0 };
            Sighting { region, mark: None, confidence, landmarks: landmarks.then_some(all) }
        };
        // when the face is first reported: of frames so far apart, that were expected or not
        for (ms, expected, sighting, frame) in [
            (2000, true, sure(0.9, true), 0),
            (2000, false, sure(0.9, true), 1),
            (2000, true, sure(0.5, true), 99),
            (2000, true, sure(0.9, false), 1),
            (500, true, sure(0.9, true), 0),
            (100, true, sure(0.9, true), 2),
            (33, false, sure(0.9, true), 2),
        ] {
            let mut tracker = Tracker::new(TrackSettings::sure()).unwrap();
            let between = Duration::from_millis(ms);
            if expected {
                tracker.expect(between);
            }
            let found = (0..8).find(|&i| {
                tracker.update(&[sighting], Look::Everywhere, between * i);
                tracker.tracks().iter().any(|t| t.is_confirmed() && t.is_seen())
            });
            assert_eq!(found.unwrap_or(99), frame, "{ms} ms, expected {expected}, {}", sighting.confidence);
        }
    }

    #[test]
    fn counts_of_zero_are_refused() {
        for settings in [
            TrackSettings { search_every: 0, ..Default::default() },
            TrackSettings { confirm: 0, ..Default::default() },
            TrackSettings { max_faces: 0, ..Default::default() },
        ] {
            assert_eq!(Tracker::new(settings).unwrap_err().kind(), ErrorKind::Setting);
        }
    }

    #[test]
    fn windows_stay_inside_the_frame() {
        let mut t = tracker();
        for i in 0..5 {
            see(&mut t, &[face(-10.0, -5.0, 120.0), face(560.0, 400.0, 90.0)], FRAME * i);
        }
        let mut windows = Vec::new();
        t.windows(FRAME * 5, 640, 480, &mut windows);
        assert_eq!(windows.len(), 2);
        for Window { area: w, side, .. } in windows {
            assert!(w.x >= 0.0 && w.y >= 0.0 && w.x + w.width <= 640.0 && w.y + w.height <= 480.0, "{w:?}");
            assert!(w.width >= side * 0.9);
        }
    }

    proptest! {
        #[test]
        fn ids_are_unique_counted_up_and_bounded(
            frames in prop::collection::vec(prop::collection::vec((0f32..600.0, 0f32..400.0, 20f32..200.0), 0..6), 1..60),
        ) {
            let mut t = Tracker::new(TrackSettings { max_faces: 4, ..Default::default() }).unwrap();
            let mut highest = 0;
            for (i, frame) in frames.iter().enumerate() {
                let found: Vec<_> = frame.iter().map(|&(x, y, side)| face(x, y, side)).collect();
                let time = FRAME * i as u32;
                let look = t.look(time);
                t.update(&found, look, time);
                prop_assert!(t.tracks().len() <= 4);
                let mut ids: Vec<_> = t.tracks().iter().map(Track::id).filter(|&id| id > 0).collect();
                ids.sort_unstable();
                let count = ids.len();
                ids.dedup();
                prop_assert_eq!(ids.len(), count);
                for id in ids {
                    prop_assert!(id <= highest + 4);
                    highest = highest.max(id);
                }
                for track in t.tracks() {
                    prop_assert!((0.0..=1.0).contains(&track.confidence()));
                    prop_assert!(track.region().width > 0.0 && track.region().x.is_finite());
                }
            }
        }
    }
}
