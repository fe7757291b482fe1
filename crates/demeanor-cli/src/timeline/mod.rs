//! What a film reads as over time: spans of the same reading for each face, the voice, and both together.
//!
//! Memory grows with the changes, not with the frames.

pub mod account;
pub mod eaf;
pub mod plot;
pub mod textgrid;
pub mod vtt;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use demeanor::{Emotion, Reading, Scores};

/// A face that is gone for less than this has been there.
const BRIDGED: Duration = Duration::from_millis(300);

/// A reading counts once it has lasted this long, unless something else is asked for; shorter flickers belong to what was
/// before.
pub const LASTING: Duration = Duration::from_millis(250);

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
    /// Scores times seconds, by [`Emotion::index`].
    sums: [f64; Emotion::COUNT],
    /// Which of them there are.
    labels: [bool; Emotion::COUNT],
    /// How long there were scores, in seconds.
    seconds: f64,
}

impl Span {
    fn new(start: Duration, end: Duration, reading: Reading, scores: &Scores) -> Span {
        let seconds = end.saturating_sub(start).as_secs_f64();
        let sums = Emotion::ALL.map(|e| f64::from(scores.of(e)) * seconds);
        Span { start, end, reading, sums, labels: Emotion::ALL.map(|e| scores.has(e)), seconds }
    }

    pub fn length(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }

    /// The mean scores, in the order of the emotions.
    pub fn scores(&self) -> impl Iterator<Item = (Emotion, f64)> + '_ {
        let seconds = self.seconds.max(1e-9);
        let here = Emotion::ALL.into_iter().filter(|e| self.labels[e.index()]);
        here.map(move |e| (e, self.sums[e.index()] / seconds))
    }

    /// The mean score of what it reads as; of the highest, where it reads as unsure.
    pub fn score(&self) -> f64 {
        let of = |emotion| self.scores().find(|(e, _)| *e == emotion).map_or(0.0, |(_, score)| score);
        match self.reading {
            Reading::Emotion(emotion) => of(emotion),
            Reading::Unsure => self.scores().map(|(_, score)| score).fold(0.0, f64::max),
        }
    }

    /// Goes on to the end of another span, with its scores.
    fn take_in(&mut self, other: &Span) {
        self.end = other.end;
        self.seconds += other.seconds;
        for (i, sum) in other.sums.iter().enumerate() {
            self.sums[i] += sum;
            self.labels[i] |= other.labels[i];
        }
    }
}

/// The readings of one face or voice.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    spans: Vec<Span>,
    /// Curves for the plot.
    pub curve: plot::Curve,
}

impl Lane {
    /// Adds a span that begins where the last one ended, or later.
    fn add(&mut self, span: Span) {
        match self.spans.last_mut() {
            Some(last) if last.reading == span.reading && last.end == span.start => last.take_in(&span),
            _ => self.spans.push(span),
        }
    }

    /// Closes short gaps, and gives readings that last less than `least` to what was before them; at the beginning to what
    /// comes after. What stands alone stays, however short.
    fn settle(&mut self, least: Duration) {
        let mut settled: Vec<Span> = Vec::with_capacity(self.spans.len());
        // whether the last of them has lasted, or waits for what comes
        let mut lasts = true;
        for span in self.spans.drain(..) {
            let Some(last) = settled.last_mut() else {
                lasts = span.length() >= least;
                settled.push(span);
                continue;
            };
            let gap = span.start.saturating_sub(last.end);
            if gap >= BRIDGED {
                lasts = span.length() >= least;
                settled.push(span);
                continue;
            }
            // the time of the gap goes to what was before it
            last.end = span.start;
            if last.reading == span.reading {
                last.take_in(&span);
                lasts |= last.length() >= least;
            } else if !lasts {
                // nothing before it has lasted: all of it goes to the first that does
                last.take_in(&span);
                last.reading = span.reading;
                lasts = span.length() >= least;
            } else if span.length() >= least {
                settled.push(span);
            } else {
                last.take_in(&span);
            }
        }
        self.spans = settled;
    }

    /// The spans, in order, none overlapping.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The whole time of all spans.
    pub fn length(&self) -> Duration {
        self.spans.iter().map(Span::length).sum()
    }

    /// The mean score of each emotion over the time of all spans.
    pub fn means(&self) -> Vec<(Emotion, f64)> {
        let seconds: f64 = self.spans.iter().map(|s| s.seconds).sum();
        let labels = Emotion::ALL.into_iter().filter(|e| self.spans.iter().any(|s| s.labels[e.index()]));
        let sum = |e: Emotion| self.spans.iter().map(|s| s.sums[e.index()]).sum::<f64>();
        labels.map(|e| (e, sum(e) / seconds.max(1e-9))).collect()
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
#[derive(Debug, Clone)]
pub struct Timeline {
    lanes: BTreeMap<Who, Lane>,
    end: Duration,
    least: Duration,
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline::new(LASTING)
    }
}

impl Timeline {
    /// A timeline without anything on it, whose spans will last `least` or longer, those of the voice apart: an utterance is
    /// a span, however short it is.
    pub fn new(least: Duration) -> Timeline {
        Timeline { lanes: BTreeMap::new(), end: Duration::ZERO, least }
    }

    /// Adds a reading of somebody for a stretch of time.
    pub fn add(&mut self, who: Who, start: Duration, end: Duration, scores: &Scores, min_score: f32) {
        if end <= start {
            return;
        }
        let lane = self.lanes.entry(who).or_default();
        lane.add(Span::new(start, end, scores.reading(min_score), scores));
        lane.curve.add(start, end, scores);
        self.end = self.end.max(end);
    }

    /// The film lasts at least until here.
    pub fn reaches(&mut self, end: Duration) {
        self.end = self.end.max(end);
    }

    /// Closes what is open.
    pub fn finish(&mut self) {
        for (who, lane) in &mut self.lanes {
            if *who != Who::Voice {
                lane.settle(self.least);
            }
        }
    }

    /// How often the reading of somebody changes: from one utterance to the next for a voice; for a face only without a gap
    /// between, during which nobody knows.
    pub fn changes(&self, who: Who) -> usize {
        let spans = self.lanes.get(&who).map(Lane::spans).unwrap_or_default();
        let follows = |w: &&[Span]| who == Who::Voice || w[0].end == w[1].start;
        spans.windows(2).filter(follows).filter(|w| w[0].reading != w[1].reading).count()
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
        let spans: Vec<_> = face.spans().iter().map(|s| (s.start, s.end, s.reading)).collect();
        assert_eq!(
            spans,
            [
                (ms(0), ms(1600), Reading::Emotion(Emotion::Neutral)),
                (ms(2000), ms(4000), Reading::Emotion(Emotion::Happy)),
            ]
        );
        assert!((face.spans()[1].score() - 0.94).abs() < 1e-6);
        assert!((face.spans()[0].scores().map(|(_, score)| score).sum::<f64>() - 1.0).abs() < 1e-6);
        assert_eq!(t.changes(Who::Face(1)), 0, "a gap is no change");
        assert_eq!(t.changes(Who::Voice), 1, "from one utterance to the next");
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
    fn short_gaps_are_bridged_and_long_ones_are_not() {
        for (gap, spans) in [(40, 1), (120, 1), (299, 1), (300, 2), (1000, 2)] {
            for (second, more) in [(Emotion::Sad, 0), (Emotion::Happy, 1)] {
                let mut t = Timeline::default();
                t.add(Who::Face(1), ms(0), ms(1000), &certain(Emotion::Sad), 0.4);
                t.add(Who::Face(1), ms(1000 + gap), ms(2000 + gap), &certain(second), 0.4);
                t.finish();
                let (_, lane) = t.lanes().next().expect("a lane");
                let expected = if spans == 1 { 1 + more } else { 2 };
                assert_eq!(lane.spans().len(), expected, "a gap of {gap} ms to {second}");
                if gap < 300 {
                    assert!(lane.spans().windows(2).all(|w| w[0].end == w[1].start));
                }
            }
        }
        // every tenth frame has no face, as a search now and then gives it
        let mut t = Timeline::default();
        for i in (0..300u64).filter(|i| i % 10 != 9) {
            t.add(Who::Face(1), ms(i * 33), ms(i * 33 + 33), &certain(Emotion::Happy), 0.4);
        }
        t.finish();
        assert_eq!(t.lanes().next().expect("a lane").1.spans().len(), 1);
    }

    #[test]
    fn utterances_stay_as_they_are() {
        let mut t = Timeline::default();
        t.add(Who::Voice, ms(0), ms(900), &certain(Emotion::Sad), 0.4);
        t.add(Who::Voice, ms(1100), ms(1300), &certain(Emotion::Sad), 0.4);
        t.add(Who::Voice, ms(1500), ms(1700), &certain(Emotion::Happy), 0.4);
        t.finish();
        assert_eq!(t.lanes().next().expect("a lane").1.spans().len(), 3);
        assert_eq!(t.changes(Who::Voice), 1);
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
            least in 0u64..600,
        ) {
            let mut t = Timeline::new(ms(least));
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
            // shorter ones only stand alone, or at the end of a stretch in which nothing lasted
            for (i, span) in lane.spans().iter().enumerate() {
                let before = i > 0 && lane.spans()[i - 1].end == span.start;
                let after = lane.spans().get(i + 1).is_some_and(|s| s.start == span.end);
                prop_assert!(span.length() >= ms(least) || !before && !after);
            }
            prop_assert_eq!(lane.spans().last().map(|s| s.end), Some(ms(now)));
            let sum: f64 = lane.shares().iter().map(|s| s.1).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9);
        }
    }
}
