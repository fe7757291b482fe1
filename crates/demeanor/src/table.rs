//! A film as a table: a row for each frame and face, and one for a frame without a face.
//!
//! `frame` counts from 1; `face_id` is 0 in the row of a frame without a face; `timestamp` is in seconds from the start of
//! the film; `confidence` says how reliably the face is found, 0 to 1; `success` is 1 where a face was read. Then the face's
//! scores by emotion, its `emotion` ("unsure" below the threshold), and its box in pixels of the film. With a voice its scores
//! as `voice_...`, and the fused ones as `fused_...`. At the end the landmarks in pixels of the film, as `right_eye_x` and so
//! on; right and left are the person's own. What is not known is empty.

use std::io::{self, Write};

use crate::emotion::{Emotion, Scores};
use crate::estimate::{EstimateRecord, SeenRecord};
use crate::face::detect::Landmarks;
use crate::pipeline::Pipeline;

/// The landmarks in the order of their columns.
pub const LANDMARKS: [&str; 6] = ["right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"];

/// The places of landmarks in the order of [`LANDMARKS`].
pub fn places(landmarks: &Landmarks) -> [[f32; 2]; 6] {
    let Landmarks { right_eye, left_eye, nose, mouth, right_ear, left_ear } = *landmarks;
    [right_eye, left_eye, nose, mouth, right_ear, left_ear]
}

/// Which scores a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Those of faces, in class order.
    pub face: Vec<Emotion>,
    /// Those of the voice, in class order; none without a speech model.
    pub voice: Vec<Emotion>,
    /// Those of both together; none without a speech model.
    pub fused: Vec<Emotion>,
}

impl Columns {
    /// The columns for what a pipeline tells.
    pub fn of(pipeline: &Pipeline) -> Self {
        let sorted = |labels: &[Emotion]| Emotion::ALL.into_iter().filter(|e| labels.contains(e)).collect::<Vec<_>>();
        let face = pipeline.face_model().map(|m| sorted(&m.header().labels)).unwrap_or_default();
        let voice = pipeline.speech_model().map(|m| sorted(&m.header().labels)).unwrap_or_default();
        let fused = if voice.is_empty() { Vec::new() } else { sorted(&[&face[..], &voice[..]].concat()) };
        Columns { face, voice, fused }
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = ["frame", "face_id", "timestamp", "confidence", "success"].map(str::to_owned).into();
        names.extend(self.face.iter().map(ToString::to_string));
        names.extend(["emotion", "x", "y", "width", "height"].map(str::to_owned));
        for (prefix, labels) in [("voice", &self.voice), ("fused", &self.fused)] {
            if !labels.is_empty() {
                names.push(format!("{prefix}_emotion"));
                names.extend(labels.iter().map(|emotion| format!("{prefix}_{emotion}")));
            }
        }
        names.extend(LANDMARKS.iter().flat_map(|name| [format!("{name}_x"), format!("{name}_y")]));
        names
    }

    /// Writes the names as a line of CSV.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.names().join(","))
    }

    /// Writes the rows of a frame as CSV; none for sound alone.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_rows(&self, out: &mut dyn Write, record: &EstimateRecord) -> io::Result<()> {
        let Some(frame) = record.frame else { return Ok(()) };
        let faces = record.faces.iter().map(Some);
        let none = if record.faces.is_empty() { Some(None) } else { None };
        for face in faces.chain(none) {
            self.write_row(out, frame, record, face)?;
        }
        Ok(())
    }

    fn write_row(
        &self,
        out: &mut dyn Write,
        frame: u64,
        record: &EstimateRecord,
        face: Option<&SeenRecord>,
    ) -> io::Result<()> {
        let scores = face.and_then(|f| f.scores);
        let (id, confidence) = face.map_or((0, 0.0), |f| (f.id, f.confidence));
        let success = u8::from(scores.is_some());
        write!(out, "{frame},{id},{:.3},{confidence:.3},{success}", record.time_s)?;
        write_scores(out, scores.as_ref(), &self.face)?;
        write_known(out, face.and_then(|f| f.emotion))?;
        match face {
            Some(SeenRecord { region: r, .. }) => {
                write!(out, ",{:.1},{:.1},{:.1},{:.1}", r.x, r.y, r.width, r.height)?;
            }
            None => write!(out, ",,,,")?,
        }
        if !self.voice.is_empty() {
            write_known(out, record.voice.as_ref().and_then(|v| v.emotion))?;
            write_scores(out, record.voice.as_ref().and_then(|v| v.scores).as_ref(), &self.voice)?;
            write_known(out, record.fused.as_ref().map(|f| f.emotion))?;
            write_scores(out, record.fused.as_ref().map(|f| f.scores).as_ref(), &self.fused)?;
        }
        match face.and_then(|f| f.landmarks) {
            Some(landmarks) => {
                for [x, y] in places(&landmarks) {
                    write!(out, ",{x:.1},{y:.1}")?;
                }
            }
            None => write!(out, "{}", ",".repeat(2 * LANDMARKS.len()))?,
        }
        writeln!(out)
    }
}

fn write_known(out: &mut dyn Write, word: Option<impl std::fmt::Display>) -> io::Result<()> {
    match word {
        Some(word) => write!(out, ",{word}"),
        None => write!(out, ","),
    }
}

fn write_scores(out: &mut dyn Write, scores: Option<&Scores>, labels: &[Emotion]) -> io::Result<()> {
    labels.iter().try_for_each(|&emotion| match scores {
        Some(scores) => write!(out, ",{:.4}", scores.of(emotion)),
        None => write!(out, ","),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Region;

    #[test]
    fn rows_have_as_many_fields_as_the_header_and_begin_as_openface_does() {
        let weights = Emotion::FER.map(|e| (e, if e == Emotion::Happy { 0.94 } else { 0.01 }));
        let scores = Scores::from_weights(&weights).unwrap();
        let place = [1.25, 2.0];
        let landmarks = Landmarks {
            right_eye: place,
            left_eye: place,
            nose: place,
            mouth: place,
            right_ear: place,
            left_ear: place,
        };
        let seen = SeenRecord {
            id: 3,
            region: Region { x: 1.0, y: 2.0, width: 30.0, height: 30.0 },
            confidence: 0.5,
            landmarks: Some(landmarks),
            quality: 1.0,
            emotion: Some(scores.reading(0.1)),
            score: Some(scores.top().1),
            scores: Some(scores),
        };
        let unread = SeenRecord { landmarks: None, emotion: None, score: None, scores: None, ..seen.clone() };
        for voice in [vec![], Emotion::RAVDESS.to_vec()] {
            let columns = Columns { face: Emotion::FER.to_vec(), fused: voice.clone(), voice };
            for (faces, rows) in [(vec![], 1), (vec![seen.clone()], 1), (vec![seen.clone(), unread.clone()], 2)] {
                let mut text = Vec::new();
                columns.write_header(&mut text).unwrap();
                let is_seen = !faces.is_empty();
                let record = EstimateRecord { time_s: 1.234, frame: Some(7), faces, voice: None, fused: None };
                columns.write_rows(&mut text, &record).unwrap();
                columns.write_rows(&mut text, &EstimateRecord { frame: None, ..record }).unwrap();
                let text = String::from_utf8(text).unwrap();
                let fields: Vec<_> = text.lines().map(|line| line.split(',').count()).collect();
                assert_eq!(fields, vec![columns.names().len(); 1 + rows], "{text}");
                let lines: Vec<_> = text.lines().collect();
                assert!(lines[0].starts_with("frame,face_id,timestamp,confidence,success,angry,disgust,"));
                assert!(lines[1].starts_with(if is_seen { "7,3,1.234,0.500,1,0.0100" } else { "7,0,1.234,0.000,0,," }));
            }
        }
    }
}
