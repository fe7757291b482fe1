//! WebVTT: subtitles of the readings.

use std::io::{self, Write};
use std::time::Duration;

use super::Timeline;

/// Writes a cue for each span, in order of time.
pub fn write(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    writeln!(out, "WEBVTT")?;
    writeln!(out, "\nNOTE What faces and voices read as. It is an estimate of what is shown, not of what is felt.")?;
    let mut cues: Vec<_> =
        timeline.lanes().flat_map(|(who, lane)| lane.spans().iter().map(move |s| (s, who))).collect();
    cues.sort_by_key(|(span, who)| (span.start, *who, span.end));
    for (span, who) in cues {
        writeln!(out, "\n{} --> {}\n<v {who}>{who}: {}", stamp(span.start), stamp(span.end), span.reading)?;
    }
    Ok(())
}

fn stamp(time: Duration) -> String {
    let ms = time.as_millis();
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{example, ms};
    use super::*;

    #[test]
    fn cues_are_in_order_and_well_formed() {
        let mut text = Vec::new();
        write(&mut text, &example()).expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        assert!(text.starts_with("WEBVTT\n"));
        let starts: Vec<_> = text.lines().filter_map(|l| l.split_once(" --> ")).map(|(a, _)| a.to_owned()).collect();
        assert_eq!(starts.len(), 7);
        assert!(starts.is_sorted());
        assert!(text.contains("00:00:00.500 --> 00:00:01.500\n<v voice>voice: angry\n"));
        assert_eq!(stamp(ms(3_600_000 * 11 + 61_005)), "11:01:01.005");
    }
}
