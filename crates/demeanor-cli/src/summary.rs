//! The table of all films or recordings of a call: a row for each film and face, and one for a film without a face and for a
//! recording, so that none is missing.

use std::time::Duration;

use demeanor::{Emotion, Reading};

use crate::table::{self, Cell, Columns, Kind, Row};
use crate::timeline::account::Account;
use crate::timeline::{Lane, Who};

/// Which columns a summary has.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The emotions of faces; none for recordings.
    face: Vec<Emotion>,
    /// The emotions of voices.
    voice: Vec<Emotion>,
}

impl Summary {
    /// A summary of films or recordings, for models of these labels.
    pub fn new(face: &[Emotion], voice: &[Emotion]) -> Summary {
        let sorted = |labels: &[Emotion]| Emotion::ALL.into_iter().filter(|e| labels.contains(e)).collect();
        Summary { face: sorted(face), voice: sorted(voice) }
    }

    /// The columns, in order.
    pub fn columns(&self) -> Columns {
        let mut columns = vec![("file".to_owned(), Kind::Text), ("duration_s".to_owned(), Kind::Real)];
        let mut add = |name: String, kind| columns.push((name, kind));
        if !self.face.is_empty() {
            for (name, kind) in [
                ("frames", Kind::Whole),
                ("faces", Kind::Whole),
                ("face_id", Kind::Whole),
                ("first_s", Kind::Real),
                ("last_s", Kind::Real),
                ("seen_s", Kind::Real),
                ("changes", Kind::Whole),
                ("emotion", Kind::Text),
            ] {
                add(name.to_owned(), kind);
            }
            lane_columns("", &self.face, &mut add);
        }
        if !self.voice.is_empty() {
            for (name, kind) in [
                ("speech_s", Kind::Real),
                ("utterances", Kind::Whole),
                ("voice_changes", Kind::Whole),
                ("voice_emotion", Kind::Text),
            ] {
                add(name.to_owned(), kind);
            }
            lane_columns("voice_", &self.voice, &mut add);
        }
        add("problem".to_owned(), Kind::Text);
        columns
    }

    /// The rows of a film or recording, with what was wrong with it, if anything.
    pub fn rows(&self, file: &str, account: &Account, problem: Option<&str>) -> Vec<Row> {
        let timeline = account.timeline();
        let lane = |who: Who| timeline.lanes().find(|(w, _)| *w == who).map(|(_, lane)| lane);
        let ids = timeline.lanes().filter_map(|(who, _)| if let Who::Face(id) = who { Some(Some(id)) } else { None });
        let mut ids: Vec<_> = ids.collect();
        if ids.is_empty() {
            ids.push(None);
        }
        let row = |id: Option<u32>| {
            let mut row: Row = vec![file.into(), seconds(timeline.end())];
            if !self.face.is_empty() {
                row.extend([account.frames().into(), u64::from(account.faces()).into()]);
                row.push(u64::from(id.unwrap_or(0)).into());
                let face = id.and_then(|id| lane(Who::Face(id)));
                let span = face.and_then(|lane| Some((lane.spans().first()?.start, lane.spans().last()?.end)));
                row.extend([span.map_or(Cell::Empty, |s| seconds(s.0)), span.map_or(Cell::Empty, |s| seconds(s.1))]);
                row.push(face.map_or(Cell::Real(0.0), |lane| seconds(lane.length())));
                row.push(id.map_or(Cell::Empty, |id| (timeline.changes(Who::Face(id)) as u64).into()));
                add_lane(&mut row, face, &self.face);
            }
            if !self.voice.is_empty() {
                let voice = lane(Who::Voice);
                row.push(voice.map_or(Cell::Real(0.0), |lane| seconds(lane.length())));
                row.push(u64::from(account.utterances()).into());
                row.push((timeline.changes(Who::Voice) as u64).into());
                add_lane(&mut row, voice, &self.voice);
            }
            row.push(problem.into());
            row
        };
        ids.into_iter().map(row).collect()
    }

    /// The row of a film or recording that could not be read.
    pub fn failed(&self, file: &str, problem: &str) -> Row {
        table::unread(self.columns().len(), file, Some(problem))
    }
}

fn seconds(time: Duration) -> Cell {
    // to a thousandth, as in all tables
    Cell::Real((time.as_secs_f64() * 1e3).round() / 1e3)
}

/// The share of time of each reading, then the mean score of each emotion.
fn lane_columns(prefix: &str, labels: &[Emotion], add: &mut impl FnMut(String, Kind)) {
    for label in labels.iter().map(|e| Reading::Emotion(*e)).chain([Reading::Unsure]) {
        add(format!("{prefix}share_{label}"), Kind::Real);
    }
    for label in labels {
        add(format!("{prefix}mean_{label}"), Kind::Real);
    }
}

fn add_lane(row: &mut Row, lane: Option<&Lane>, labels: &[Emotion]) {
    let shares = lane.map(Lane::shares).unwrap_or_default();
    row.push(shares.first().map(|(reading, _)| reading.to_string()).into());
    for label in labels.iter().map(|e| Reading::Emotion(*e)).chain([Reading::Unsure]) {
        let share = shares.iter().find(|(reading, _)| *reading == label).map_or(0.0, |(_, share)| *share);
        row.push(lane.map(|_| share).into());
    }
    let means = lane.map(Lane::means);
    for label in labels {
        let mean = means.as_ref().map(|means| means.iter().find(|(e, _)| e == label).map_or(0.0, |(_, mean)| *mean));
        row.push(mean.into());
    }
}

#[cfg(test)]
mod tests {
    use demeanor::estimate::{EstimateRecord, SeenRecord};
    use demeanor::{Region, Scores};

    use super::*;
    use crate::timeline::tests::certain;

    fn face(id: u32, scores: Scores) -> SeenRecord {
        SeenRecord {
            id,
            region: Region { x: 0.0, y: 0.0, width: 9.0, height: 9.0 },
            confidence: 1.0,
            landmarks: None,
            quality: 1.0,
            emotion: Some(scores.reading(0.4)),
            score: Some(scores.top().1),
            scores: Some(scores),
        }
    }

    #[test]
    fn a_film_has_a_row_for_each_face_and_one_without() {
        let summary = Summary::new(&Emotion::FER, &Emotion::RAVDESS);
        let columns = summary.columns();
        let at = |name: &str| columns.iter().position(|(n, _)| n == name).expect("a column");
        let mut account = Account::new(Duration::ZERO, 0.4, None);
        for i in 0..10 {
            let emotion = if i < 4 { Emotion::Sad } else { Emotion::Happy };
            let mut faces = vec![face(1, certain(emotion))];
            if i >= 5 {
                faces.push(face(2, certain(Emotion::Fear)));
            }
            let record = EstimateRecord { time_s: f64::from(i), frame: Some(1), faces, voice: None, fused: None };
            account.see(&record, true);
        }
        account.finish();
        let rows = summary.rows("a.mp4", &account, None);
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.len() == columns.len() && row[0] == Cell::from("a.mp4")));
        let first = &rows[0];
        for (name, cell) in [
            ("duration_s", Cell::Real(10.0)),
            ("faces", Cell::Whole(2)),
            ("face_id", Cell::Whole(1)),
            ("seen_s", Cell::Real(10.0)),
            ("changes", Cell::Whole(1)),
            ("emotion", "happy".into()),
            ("share_sad", Cell::Real(0.4)),
            ("share_unsure", Cell::Real(0.0)),
            ("speech_s", Cell::Real(0.0)),
            ("voice_share_sad", Cell::Empty),
            ("problem", Cell::Empty),
        ] {
            assert_eq!(first[at(name)], cell, "{name}");
        }
        let Cell::Real(mean) = first[at("mean_sad")] else { panic!("a mean") };
        assert!((mean - (0.4 * 0.94 + 0.6 * 0.01)).abs() < 1e-6, "{mean}");
        assert_eq!(rows[1][at("first_s")], Cell::Real(5.0));
        let nothing = summary.rows("b.mp4", &Account::new(Duration::ZERO, 0.4, None), Some("cut off"));
        assert_eq!((nothing.len(), &nothing[0][at("face_id")]), (1, &Cell::Whole(0)));
        assert_eq!(nothing[0][at("problem")], "cut off".into());
        assert_eq!(summary.failed("c.mp4", "x").len(), columns.len());
        // recordings have no faces
        assert!(Summary::new(&[], &Emotion::RAVDESS).columns().iter().all(|(name, _)| name != "face_id"));
    }
}
