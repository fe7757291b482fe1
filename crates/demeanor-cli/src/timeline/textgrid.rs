//! Praat's TextGrid, long text form: an interval tier for each lane.

use std::io::{self, Write};
use std::time::Duration;

use super::{Timeline, Who};

/// Start, end and text.
type Interval = (Duration, Duration, String);

/// Writes the tiers. Praat wants intervals that cover the whole time: the gaps are empty ones.
pub fn write(out: &mut dyn Write, timeline: &Timeline) -> io::Result<()> {
    // Praat refuses a grid without extent
    let end = timeline.end().max(Duration::from_millis(1));
    let mut lanes: Vec<(Who, Vec<Interval>)> = Vec::new();
    for (who, lane) in timeline.lanes() {
        let mut intervals = Vec::new();
        let mut at = Duration::ZERO;
        for span in lane.spans() {
            if span.start > at {
                intervals.push((at, span.start, String::new()));
            }
            intervals.push((span.start, span.end, span.reading.to_string()));
            at = span.end;
        }
        if at < end {
            intervals.push((at, end, String::new()));
        }
        lanes.push((who, intervals));
    }
    let seconds = |t: Duration| t.as_nanos() as f64 / 1e9;
    writeln!(out, "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n")?;
    writeln!(out, "xmin = 0 \nxmax = {} \ntiers? <exists> \nsize = {} \nitem []: ", seconds(end), lanes.len())?;
    for (number, (who, intervals)) in lanes.iter().enumerate() {
        writeln!(out, "    item [{}]:", number + 1)?;
        writeln!(out, "        class = \"IntervalTier\" \n        name = \"{who}\" ")?;
        writeln!(out, "        xmin = 0 \n        xmax = {} ", seconds(end))?;
        writeln!(out, "        intervals: size = {} ", intervals.len())?;
        for (i, (from, to, text)) in intervals.iter().enumerate() {
            writeln!(out, "        intervals [{}]:", i + 1)?;
            writeln!(out, "            xmin = {} \n            xmax = {} ", seconds(*from), seconds(*to))?;
            writeln!(out, "            text = \"{}\" ", text.replace('"', "\"\""))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn intervals_cover_the_whole_time_without_gaps() {
        let mut text = Vec::new();
        write(&mut text, &example()).expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains("size = 4 \n"));
        for tier in text.split("item [").skip(2) {
            let numbers = |key: &str| -> Vec<f64> {
                tier.lines()
                    .filter_map(|l| l.trim().strip_prefix(key))
                    .map(|v| v.trim().parse().expect("a number"))
                    .collect()
            };
            let (from, to) = (numbers("xmin = "), numbers("xmax = "));
            // the first pair is the tier's own
            assert_eq!((from[0], to[0]), (0.0, 4.0));
            assert_eq!((from[1], *to.last().expect("intervals")), (0.0, 4.0));
            for i in 1..from.len() - 1 {
                assert_eq!(to[i], from[i + 1]);
            }
            assert!(tier.contains(&format!("intervals: size = {}", from.len() - 1)));
        }
    }
}
