//! What a film reads as over time: spans of the same reading for each face, the voice, and both together.
//!
//! Memory grows with the changes, not with the frames.

pub mod csv;
pub mod eaf;
pub mod plot;
pub mod textgrid;
pub mod vtt;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use demeanor::{Emotion, Reading, Scores};

/// A change counts once it has lasted this long; shorter flickers belong to what was before.
const LASTING: Duration = Duration::from_millis(250);

/// Whose readings a lane holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A face, by its id.
    Face(u32),
    /// The voice.
    Voice,
    /// Face and voice fused.
    Together,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Face(id) => f.pad(&format!("face {id}")),
            Who::Voice => f.pad("voice"),
            Who::Together => f.pad("together"),
        }
    }
}

/// A stretch of time with one reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub start: Duration,
    pub end: Duration,
    pub reading: Reading,
}

impl Span {
    pub fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// The readings of one face or voice.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    spans: Vec<Span>,
    /// A new reading that has not lasted yet.
    pending: Option<Span>,
    /// Curves for the plot.
    pub curve: plot::Curve,
}

impl Lane {
    /// Adds a reading for a stretch of time that begins where the last one ended, or later.
    fn add(&mut self, start: Duration, end: Duration, reading: Reading) {
        if let Some(pending) = &mut self.pending {
            if pending.reading == reading && pending.end == start {
                pending.end = end;
                if pending.length() >= LASTING {
                    let span = *pending;
                    self.pending = None;
                    self.spans.push(span);
                }
                return;
            }
            self.settle();
        }
        match self.spans.last_mut() {
            Some(last) if last.reading == reading && last.end == start => last.end = end,
            Some(last) if last.end == start && end - start < LASTING => {
                self.pending = Some(Span { start, end, reading });
            }
            _ => self.spans.push(Span { start, end, reading }),
        }
    }

    /// Gives a change that did not last to the span before it.
    fn settle(&mut self) {
        if let Some(pending) = self.pending.take()
            && let Some(last) = self.spans.last_mut()
        {
            last.end = pending.end;
        }
    }

    /// The spans, in order, none overlapping.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The whole time of all spans.
    pub fn length(&self) -> Duration {
        self.spans.iter().map(Span::length).sum()
    }

    /// How often one reading follows directly on another.
    pub fn changes(&self) -> usize {
        self.spans.windows(2).filter(|w| w[0].end == w[1].start && w[0].reading != w[1].reading).count()
    }

    /// The share of time of each reading, the largest first.
    pub fn shares(&self) -> Vec<(Reading, f64)> {
        let whole = self.length().as_secs_f64();
        let readings = Emotion::ALL.into_iter().map(Reading::Emotion).chain([Reading::Unsure]);
        let mut shares: Vec<_> = readings
            .map(|r| (r, self.spans.iter().filter(|s| s.reading == r).map(|s| s.length().as_secs_f64()).sum::<f64>()))
            .filter(|(_, seconds)| *seconds > 0.0)
            .map(|(r, seconds)| (r, seconds / whole))
            .collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }
}

/// All lanes of a film.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    lanes: BTreeMap<Who, Lane>,
    end: Duration,
}

impl Timeline {
    /// Adds a reading of somebody for a stretch of time.
    pub fn add(&mut self, who: Who, start: Duration, end: Duration, scores: &Scores, min_score: f32) {
        if end <= start {
            return;
        }
        let lane = self.lanes.entry(who).or_default();
        lane.add(start, end, scores.reading(min_score));
        lane.curve.add(start, end, scores);
        self.end = self.end.max(end);
    }

    /// The film lasts at least until here.
    pub fn reaches(&mut self, end: Duration) {
        self.end = self.end.max(end);
    }

    /// Closes what is open.
    pub fn finish(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.settle();
        }
    }

    /// The lanes: faces by id, then the voice, then both together.
    pub fn lanes(&self) -> impl Iterator<Item = (Who, &Lane)> {
        self.lanes.iter().map(|(who, lane)| (*who, lane))
    }

    /// The end of the film.
    pub fn end(&self) -> Duration {
        self.end
    }
}

/// A time as people read it: `1:02:05.5`, `0:07.2`.
pub fn clock(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}.{tenth}") } else { format!("{m}:{s:02}.{tenth}") }
}

/// Text in XML, attributes included. Characters that XML cannot hold become `?`.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c < ' ' || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    pub fn certain(emotion: Emotion) -> Scores {
        let pairs: Vec<_> = Emotion::FER.iter().map(|&e| (e, if e == emotion { 0.94 } else { 0.01 })).collect();
        Scores::from_weights(&pairs).expect("weights are right")
    }

    /// Two faces, a voice, both together; a gap in face 1.
    pub fn example() -> Timeline {
        let mut t = Timeline::default();
        for i in 0..100u64 {
            let (start, end) = (ms(i * 40), ms(i * 40 + 40));
            if !(40..50).contains(&i) {
                let emotion = if i < 40 { Emotion::Neutral } else { Emotion::Happy };
                t.add(Who::Face(1), start, end, &certain(emotion), 0.4);
                t.add(Who::Together, start, end, &certain(emotion), 0.4);
            }
            if i > 60 {
                t.add(Who::Face(2), start, end, &certain(Emotion::Sad), 0.99);
            }
        }
        t.add(Who::Voice, ms(500), ms(1500), &certain(Emotion::Angry), 0.4);
        t.add(Who::Voice, ms(2200), ms(3100), &certain(Emotion::Fear), 0.4);
        t.finish();
        t
    }

    #[test]
    fn spans_follow_the_readings() {
        let t = example();
        let lanes: Vec<_> = t.lanes().collect();
        assert_eq!(
            lanes.iter().map(|l| l.0.to_string()).collect::<Vec<_>>(),
            ["face 1", "face 2", "voice", "together"]
        );
        let face = lanes[0].1;
        assert_eq!(
            face.spans(),
            [
                Span { start: ms(0), end: ms(1600), reading: Reading::Emotion(Emotion::Neutral) },
                Span { start: ms(2000), end: ms(4000), reading: Reading::Emotion(Emotion::Happy) },
            ]
        );
        assert_eq!(face.changes(), 0, "a gap is no change");
        assert_eq!(lanes[1].1.spans()[0].reading, Reading::Unsure);
        assert!((face.shares()[0].1 - 2.0 / 3.6).abs() < 1e-9);
        assert_eq!(t.end(), ms(4000));
    }

    #[test]
    fn flickers_belong_to_what_was_before() {
        let mut t = Timeline::default();
        for i in 0..100u64 {
            let flicker = i % 20 == 7 || i % 20 == 8;
            let emotion = if flicker { Emotion::Fear } else { Emotion::Sad };
            t.add(Who::Face(1), ms(i * 33), ms(i * 33 + 33), &certain(emotion), 0.4);
        }
        t.finish();
        let (_, lane) = t.lanes().next().expect("a lane");
        assert_eq!(lane.spans().len(), 1);
        assert_eq!(lane.length(), ms(3300));
    }

    #[test]
    fn times_are_told_as_people_read_them() {
        for (millis, text) in [(0, "0:00.0"), (7_249, "0:07.2"), (62_500, "1:02.5"), (3_725_480, "1:02:05.5")] {
            assert_eq!(clock(ms(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn spans_never_overlap_and_shares_sum_to_one(
            steps in prop::collection::vec((0usize..7, 1u64..400, prop::bool::weighted(0.1)), 1..200),
        ) {
            let mut t = Timeline::default();
            let mut now = 0;
            for (emotion, length, gap) in steps {
                if gap {
                    now += 500;
                }
                t.add(Who::Face(1), ms(now), ms(now + length), &certain(Emotion::FER[emotion]), 0.4);
                now += length;
            }
            t.finish();
            let (_, lane) = t.lanes().next().expect("a lane");
            for pair in lane.spans().windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
            prop_assert!(lane.spans().iter().all(|s| s.start < s.end));
            let sum: f64 = lane.shares().iter().map(|s| s.1).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9);
        }
    }
}
