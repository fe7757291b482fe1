//! The records of a film or a live session, one after the other, to a timeline and an account in words.

use std::io::{self, Write};
use std::time::Duration;

use demeanor::Scores;
use demeanor::estimate::{EstimateRecord, SegmentRecord};

use super::{Timeline, Who, clock};

/// A frame whose end, the time of the next one, is not known yet.
#[derive(Debug)]
struct Shown {
    time: Duration,
    faces: Vec<(u32, Scores)>,
    fused: Option<Scores>,
}

/// What was seen and heard so far.
#[derive(Debug)]
pub struct Account {
    timeline: Timeline,
    min_score: f32,
    /// A frame stands for no longer than this.
    longest: Option<Duration>,
    shown: Option<Shown>,
    frames: u64,
    last_frame: Duration,
    /// How long a frame usually stands, for the last one.
    usual: Duration,
    last_length: Option<Duration>,
    ids: u32,
    utterances: u32,
    found: bool,
}

impl Account {
    /// Of nothing yet. Readings of a face that last less than `least` will belong to what was before them. A frame stands until
    /// the next one comes, however long that takes, or no longer than `longest`.
    pub fn new(least: Duration, min_score: f32, longest: Option<Duration>) -> Account {
        Account {
            timeline: Timeline::new(least),
            min_score,
            longest,
            shown: None,
            frames: 0,
            last_frame: Duration::ZERO,
            usual: Duration::from_millis(40),
            last_length: None,
            ids: 0,
            utterances: 0,
            found: false,
        }
    }

    /// Takes the record of a frame. What both together read as says something new only `with_sound`.
    pub fn see(&mut self, record: &EstimateRecord, with_sound: bool) {
        let time = Duration::try_from_secs_f64(record.time_s).unwrap_or_default().max(self.last_frame);
        self.close(time);
        if self.frames > 0 {
            let length = time - self.last_frame;
            self.usual = self.last_length.map_or(length, |last| last.min(length));
            self.last_length = Some(length);
        }
        self.frames += 1;
        self.last_frame = time;
        let faces: Vec<_> = record.faces.iter().filter_map(|f| Some((f.id, f.scores?))).collect();
        self.found |= !faces.is_empty();
        self.ids = record.faces.iter().map(|f| f.id).fold(self.ids, u32::max);
        let fused = record.fused.as_ref().filter(|_| with_sound).map(|f| f.scores);
        self.shown = Some(Shown { time, faces, fused });
    }

    /// Gives the last frame its end.
    fn close(&mut self, end: Duration) {
        let Some(shown) = self.shown.take() else { return };
        let end = self.longest.map_or(end, |longest| end.min(shown.time + longest));
        for (id, scores) in &shown.faces {
            self.timeline.add(Who::Face(*id), shown.time, end, scores, self.min_score);
        }
        if let Some(scores) = &shown.fused {
            self.timeline.add(Who::Together, shown.time, end, scores, self.min_score);
        }
        self.timeline.reaches(end);
    }

    /// It lasts at least until here.
    pub fn reaches(&mut self, end: Duration) {
        self.timeline.reaches(end);
    }

    /// Takes an utterance.
    pub fn utterance(&mut self, start: Duration, end: Duration, scores: &Scores) {
        self.utterances += 1;
        self.voice(start, end, scores);
    }

    /// Takes a part of an utterance that is counted otherwise.
    pub fn voice(&mut self, start: Duration, end: Duration, scores: &Scores) {
        self.found = true;
        self.timeline.add(Who::Voice, start, end, scores, self.min_score);
    }

    /// Another utterance, of which parts are taken.
    pub fn count_utterance(&mut self) {
        self.utterances += 1;
    }

    /// Takes the record of an utterance.
    pub fn segment(&mut self, segment: &SegmentRecord) {
        let at = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.utterance(at(segment.start_s), at(segment.end_s), &segment.scores);
    }

    /// Closes what is open.
    pub fn finish(&mut self) {
        self.close(self.last_frame + self.usual);
        self.timeline.finish();
    }

    /// The timeline, whole after [`Account::finish`].
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Frames seen.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Faces seen, read or not.
    pub fn faces(&self) -> u32 {
        self.ids
    }

    /// Utterances heard.
    pub fn utterances(&self) -> u32 {
        self.utterances
    }

    /// Whether any face or voice was read.
    pub fn found(&self) -> bool {
        self.found
    }

    /// The readable account: for each face, the voice and both together the share of time of each reading.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write, name: &str) -> io::Result<()> {
        let timeline = &self.timeline;
        let faces = match self.ids {
            0 => "no face".to_owned(),
            1 => "1 face".to_owned(),
            n => format!("{n} faces"),
        };
        let pictures = if self.frames > 0 { format!(", {} frames, {faces}", self.frames) } else { String::new() };
        writeln!(out, "{name}: {}{pictures}", clock(timeline.end()))?;
        for (who, lane) in timeline.lanes() {
            let shares: Vec<_> = lane.shares().iter().map(|(r, share)| format!("{r} {:.0} %", share * 100.0)).collect();
            let spans = lane.spans();
            let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
            write!(out, "{who:<9} {} to {}", clock(first.start), clock(last.end))?;
            if who == Who::Voice {
                let (seconds, number) = (lane.length().as_secs_f64(), self.utterances);
                let utterances = if number == 1 { "utterance" } else { "utterances" };
                write!(out, ", {seconds:.1} s of speech in {number} {utterances}")?;
            } else {
                write!(out, ", seen for {:.1} s", lane.length().as_secs_f64())?;
            }
            let changes = timeline.changes(who);
            let changes = if changes == 1 { "1 change".to_owned() } else { format!("{changes} changes") };
            writeln!(out, ": reads as {}; {changes}", shares.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use demeanor::estimate::SeenRecord;
    use demeanor::{Emotion, Region};

    use super::super::tests::{certain, ms};
    use super::*;

    fn frame(time_ms: u64, emotion: Emotion) -> EstimateRecord {
        let scores = certain(emotion);
        let face = SeenRecord {
            id: 1,
            region: Region { x: 0.0, y: 0.0, width: 9.0, height: 9.0 },
            confidence: 1.0,
            landmarks: None,
            quality: 1.0,
            emotion: Some(scores.reading(0.4)),
            score: Some(scores.top().1),
            scores: Some(scores),
        };
        EstimateRecord { time_s: time_ms as f64 / 1e3, frame: Some(1), faces: vec![face], voice: None, fused: None }
    }

    #[test]
    fn a_frame_stands_until_the_next_one_comes() {
        for (longest, seen) in [(None, ms(7_000)), (Some(ms(1000)), ms(2_000))] {
            let mut account = Account::new(ms(250), 0.4, longest);
            for time in [0, 500, 6_500] {
                account.see(&frame(time, Emotion::Sad), true);
            }
            account.finish();
            let (_, lane) = account.timeline().lanes().next().expect("a face");
            // the last one stands as long as the shorter of the two before it
            assert_eq!(lane.length(), seen, "{longest:?}");
        }
    }

    #[test]
    fn the_account_says_shares_and_changes() {
        let mut account = Account::new(ms(250), 0.4, None);
        for i in 0..40 {
            account.see(&frame(100 * i, if i < 10 { Emotion::Sad } else { Emotion::Happy }), true);
        }
        account.utterance(ms(500), ms(1500), &certain(Emotion::Angry));
        account.finish();
        let mut text = Vec::new();
        account.write(&mut text, "f.mp4").expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        for line in [
            "f.mp4: 0:04.0, 40 frames, 1 face\n",
            "face 1    0:00.0 to 0:04.0, seen for 4.0 s: reads as happy 75 %, sad 25 %; 1 change\n",
            "voice     0:00.5 to 0:01.5, 1.0 s of speech in 1 utterance: reads as angry 100 %; 0 changes\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
