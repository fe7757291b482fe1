//! A row per face and frame: OpenFace's first columns, then the scores.

use std::io::{self, Write};
use std::time::Duration;

use demeanor::face::detect::Landmarks;
use demeanor::face::watch::FaceEstimate;
use demeanor::{Emotion, Region, Scores};

/// The header line for these label sets.
///
/// `frame` counts from 1; `face_id` is 0 in the row of a frame without a face; `timestamp` is in seconds from the start of
/// the film; `confidence` says how reliably the face is found, 0 to 1; `success` is 1 where a face was read. Then the
/// face's scores by emotion, its `emotion` ("unsure" below the threshold), and its box in pixels of the film. With a voice
/// its scores as `voice_...`, and the fused ones as `fused_...`. At the end the landmarks in pixels of the film, as
/// `right_eye_x` and so on; right and left are the person's own; empty where the detector knows none.
pub fn header(out: &mut dyn Write, face: &[Emotion], voice: &[Emotion], fused: &[Emotion]) -> io::Result<()> {
    write!(out, "frame,face_id,timestamp,confidence,success")?;
    for emotion in face {
        write!(out, ",{emotion}")?;
    }
    write!(out, ",emotion,x,y,width,height")?;
    for (prefix, labels) in [("voice", voice), ("fused", fused)] {
        if !labels.is_empty() {
            write!(out, ",{prefix}_emotion")?;
            for emotion in labels {
                write!(out, ",{prefix}_{emotion}")?;
            }
        }
    }
    for name in LANDMARKS {
        write!(out, ",{name}_x,{name}_y")?;
    }
    writeln!(out)
}

/// The landmarks in the order of their columns.
const LANDMARKS: [&str; 6] = ["right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"];

/// What stands in one row.
pub struct Row<'a> {
    pub frame: u64,
    pub time: Duration,
    pub face: Option<&'a FaceEstimate>,
    pub region: Option<Region>,
    pub landmarks: Option<Landmarks>,
    pub voice: Option<&'a Scores>,
    pub fused: Option<&'a Scores>,
    pub min_score: f32,
}

/// A row for the same label sets as the header's.
pub fn row(
    out: &mut dyn Write,
    row: &Row<'_>,
    face: &[Emotion],
    voice: &[Emotion],
    fused: &[Emotion],
) -> io::Result<()> {
    let scores = row.face.and_then(|f| f.scores);
    write!(
        out,
        "{},{},{:.3},{:.3},{}",
        row.frame,
        row.face.map_or(0, |f| f.id),
        row.time.as_secs_f64(),
        row.face.map_or(0.0, |f| f.confidence),
        u8::from(scores.is_some()),
    )?;
    write_scores(out, scores.as_ref(), face)?;
    match &scores {
        Some(scores) => write!(out, ",{}", scores.reading(row.min_score))?,
        None => write!(out, ",")?,
    }
    match row.region {
        Some(r) => write!(out, ",{:.1},{:.1},{:.1},{:.1}", r.x, r.y, r.width, r.height)?,
        None => write!(out, ",,,,")?,
    }
    for (scores, labels) in [(row.voice, voice), (row.fused, fused)] {
        if !labels.is_empty() {
            match scores {
                Some(scores) => write!(out, ",{}", scores.reading(row.min_score))?,
                None => write!(out, ",")?,
            }
            write_scores(out, scores, labels)?;
        }
    }
    match row.landmarks {
        Some(Landmarks { right_eye, left_eye, nose, mouth, right_ear, left_ear }) => {
            for [x, y] in [right_eye, left_eye, nose, mouth, right_ear, left_ear] {
                write!(out, ",{x:.1},{y:.1}")?;
            }
        }
        None => write!(out, "{}", ",".repeat(2 * LANDMARKS.len()))?,
    }
    writeln!(out)
}

fn write_scores(out: &mut dyn Write, scores: Option<&Scores>, labels: &[Emotion]) -> io::Result<()> {
    for &emotion in labels {
        match scores {
            Some(scores) => write!(out, ",{:.4}", scores.of(emotion))?,
            None => write!(out, ",")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{certain, ms};
    use super::*;

    #[test]
    fn rows_have_as_many_fields_as_the_header_and_begin_as_openface_does() {
        let face = FaceEstimate {
            id: 3,
            region: Region { x: 1.0, y: 2.0, width: 30.0, height: 30.0 },
            is_seen: true,
            confidence: 0.5,
            landmarks: None,
            quality: 1.0,
            scores: Some(certain(Emotion::Happy)),
            raw: None,
            read_at: Duration::ZERO,
            has_baseline: false,
        };
        let voice = certain(Emotion::Sad);
        for (face, region, with_voice) in
            [(Some(&face), Some(face.region), true), (None, None, false), (None, None, true)]
        {
            let mut text = Vec::new();
            let labels: &[Emotion] = if with_voice { &Emotion::RAVDESS } else { &[] };
            header(&mut text, &Emotion::FER, labels, labels).expect("a buffer");
            let r = Row {
                frame: 7,
                time: ms(1234),
                face,
                region,
                landmarks: None,
                voice: Some(&voice),
                fused: None,
                min_score: 0.4,
            };
            row(&mut text, &r, &Emotion::FER, labels, labels).expect("a buffer");
            let text = String::from_utf8(text).expect("text");
            let lines: Vec<_> = text.lines().collect();
            assert!(lines[0].starts_with("frame,face_id,timestamp,confidence,success,angry,disgust,"));
            assert_eq!(lines[0].split(',').count(), lines[1].split(',').count(), "{text}");
            assert!(lines[1].starts_with(if face.is_some() {
                "7,3,1.234,0.500,1,0.0100"
            } else {
                "7,0,1.234,0.000,0,,"
            }));
        }
    }
}
