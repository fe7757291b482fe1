//! The timeline as a picture: SVG, a lane per face and voice.

use std::io::{self, Write};
use std::time::Duration;

use demeanor::{Emotion, Reading, Scores};

use super::{Lane, Timeline, Who, clock, xml};

/// Bins of a curve; a longer film has wider ones.
const BINS: usize = 600;
const FIRST_WIDTH: Duration = Duration::from_millis(100);

/// Faces in a plot; the others are counted in a line.
const MOST_FACES: usize = 12;

/// Mean scores over time, in at most [`BINS`] bins however long the film is.
#[derive(Debug, Clone)]
pub struct Curve {
    width: Duration,
    bins: Vec<Bin>,
    labels: [bool; Emotion::COUNT],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    sums: [f32; Emotion::COUNT],
    seconds: f32,
}

impl Default for Curve {
    fn default() -> Self {
        Curve { width: FIRST_WIDTH, bins: Vec::new(), labels: [false; Emotion::COUNT] }
    }
}

impl Curve {
    /// Adds scores that stand for a stretch of time.
    pub fn add(&mut self, start: Duration, end: Duration, scores: &Scores) {
        while end.as_nanos() > self.width.as_nanos() * BINS as u128 {
            self.width *= 2;
            self.bins = self
                .bins
                .chunks(2)
                .map(|pair| {
                    let mut bin = pair[0];
                    if let Some(second) = pair.get(1) {
                        bin.seconds += second.seconds;
                        for (sum, more) in bin.sums.iter_mut().zip(second.sums) {
                            *sum += more;
                        }
                    }
                    bin
                })
                .collect();
        }
        let (first, last) = (start.as_nanos() / self.width.as_nanos(), (end.as_nanos() - 1) / self.width.as_nanos());
        for i in first as usize..=last as usize {
            if self.bins.len() <= i {
                self.bins.resize(i + 1, Bin::default());
            }
            let from = start.max(self.width * i as u32);
            let to = end.min(self.width * (i as u32 + 1));
            let seconds = to.saturating_sub(from).as_secs_f32();
            self.bins[i].seconds += seconds;
            for (emotion, score) in scores.iter() {
                self.bins[i].sums[emotion.index()] += score * seconds;
                self.labels[emotion.index()] = true;
            }
        }
    }

    /// The middle of each bin and the mean score there, in stretches without gaps.
    fn stretches(&self, emotion: Emotion) -> Vec<Vec<(Duration, f32)>> {
        let mut all = Vec::new();
        let mut now = Vec::new();
        for (i, bin) in self.bins.iter().enumerate() {
            if bin.seconds > 0.0 {
                now.push((self.width * i as u32 + self.width / 2, bin.sums[emotion.index()] / bin.seconds));
            } else if !now.is_empty() {
                all.push(std::mem::take(&mut now));
            }
        }
        if !now.is_empty() {
            all.push(now);
        }
        all
    }
}

/// The colour of an emotion on white, as in `#d73027`. Annotated pictures have lighter ones, for dark text upon them.
pub fn colour(emotion: Emotion) -> &'static str {
    match emotion {
        Emotion::Angry => "#d7301f",
        Emotion::Disgust => "#4d8f3a",
        Emotion::Fear => "#7b4fb0",
        Emotion::Happy => "#e6a400",
        Emotion::Sad => "#2b6cb8",
        Emotion::Surprise => "#e07bb0",
        Emotion::Neutral => "#8a8a8a",
        Emotion::Calm => "#3fa7a0",
        Emotion::Contempt => "#8c6d46",
    }
}

/// The same colour as red, green and blue.
pub fn rgb(emotion: Emotion) -> [u8; 3] {
    let hex = u32::from_str_radix(&colour(emotion)[1..], 16).unwrap_or_default();
    [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8]
}

/// Writes the plot of a film's timeline.
pub fn write(out: &mut dyn Write, timeline: &Timeline, title: &str) -> io::Result<()> {
    const LEFT: f64 = 110.0;
    const WIDE: f64 = 960.0;
    // half of the longest label of the last tick
    const RIGHT: f64 = 44.0;
    const TOP: f64 = 76.0;
    const CURVES: f64 = 84.0;
    const STRIP: f64 = 16.0;
    const LANE: f64 = CURVES + STRIP + 26.0;
    let mut faces: Vec<_> = timeline.lanes().filter(|(who, _)| matches!(who, Who::Face(_))).collect();
    let all_faces = faces.len();
    faces.sort_by_key(|(_, lane)| std::cmp::Reverse(lane.length()));
    faces.truncate(MOST_FACES);
    faces.sort_by_key(|(who, _)| *who);
    let lanes: Vec<(Who, &Lane)> =
        faces.into_iter().chain(timeline.lanes().filter(|(who, _)| !matches!(who, Who::Face(_)))).collect();
    let end = timeline.end().max(Duration::from_millis(1)).as_secs_f64();
    let x = |t: Duration| LEFT + WIDE * t.as_secs_f64() / end;
    let height = TOP + LANE * lanes.len().max(1) as f64 + 40.0;
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {height}" width="{w}" height="{height}" font-family="sans-serif" font-size="12" fill="#333">"##,
        w = LEFT + WIDE + RIGHT
    )?;
    writeln!(out, r##"<rect width="100%" height="100%" fill="#fff"/>"##)?;
    writeln!(out, r##"<text x="{LEFT}" y="22" font-size="15" fill="#111">{}</text>"##, xml(&shortened(title)))?;
    writeln!(
        out,
        r##"<text x="{LEFT}" y="40" font-size="11" fill="#666">What faces and voices read as: an estimate of what is shown, not of what is felt.</text>"##
    )?;
    let shown: Vec<Emotion> =
        Emotion::ALL.into_iter().filter(|e| lanes.iter().any(|(_, l)| l.curve.labels[e.index()])).collect();
    for (i, &emotion) in shown.iter().enumerate() {
        let at = LEFT + 96.0 * i as f64;
        writeln!(
            out,
            r##"<rect x="{at}" y="50" width="12" height="12" rx="2" fill="{}"/><text x="{}" y="60">{emotion}</text>"##,
            colour(emotion),
            at + 17.0
        )?;
    }
    for (i, (who, lane)) in lanes.iter().enumerate() {
        let top = TOP + LANE * i as f64;
        writeln!(out, r##"<g><text x="14" y="{:.1}" font-size="13" fill="#111">{who}</text>"##, top + 16.0)?;
        writeln!(
            out,
            r##"<rect x="{LEFT}" y="{top}" width="{WIDE}" height="{CURVES}" fill="#f6f6f6"/><text x="{tx}" y="{a}" font-size="10" fill="#999" text-anchor="end">1</text><text x="{tx}" y="{b}" font-size="10" fill="#999" text-anchor="end">0</text>"##,
            tx = LEFT - 6.0,
            a = top + 9.0,
            b = top + CURVES
        )?;
        // lines stay inside by their width
        let y = |score: f64| top + 1.0 + (CURVES - 2.0) * (1.0 - score.clamp(0.0, 1.0));
        for &emotion in &shown {
            // an utterance has one score, and nothing is known between two of them
            let utterances = lane.spans().iter().filter(|_| *who == Who::Voice).filter_map(|span| {
                let score = span.scores().find(|(e, _)| *e == emotion)?.1;
                Some(vec![(span.start, score), (span.end, score)])
            });
            let curves = lane.curve.stretches(emotion).into_iter().filter(|_| *who != Who::Voice);
            let curves = curves.map(|c| c.into_iter().map(|(t, s)| (t, f64::from(s))).collect::<Vec<_>>());
            for stretch in utterances.chain(curves) {
                let points: Vec<_> =
                    stretch.iter().map(|(t, s)| format!("{:.1},{:.1}", x((*t).min(timeline.end())), y(*s))).collect();
                // a stretch of one bin is a dot
                let points = if points.len() == 1 { format!("{0} {0}", points[0]) } else { points.join(" ") };
                writeln!(
                    out,
                    r##"<polyline points="{points}" fill="none" stroke="{}" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"/>"##,
                    colour(emotion)
                )?;
            }
        }
        for span in lane.spans() {
            let fill = match span.reading {
                Reading::Emotion(emotion) => colour(emotion),
                Reading::Unsure => "#dddddd",
            };
            writeln!(
                out,
                r##"<rect x="{:.2}" y="{:.1}" width="{:.2}" height="{STRIP}" fill="{fill}"><title>{} to {}: {}</title></rect>"##,
                x(span.start),
                top + CURVES + 3.0,
                (x(span.end) - x(span.start)).max(0.5),
                clock(span.start),
                clock(span.end),
                span.reading
            )?;
        }
        writeln!(out, "</g>")?;
    }
    if lanes.is_empty() {
        writeln!(out, r##"<text x="{LEFT}" y="{}">no face and no voice was found</text>"##, TOP + 20.0)?;
    }
    let bottom = TOP + LANE * lanes.len().max(1) as f64;
    let step = tick(end);
    let mut t = 0.0;
    while t <= end + 1e-9 {
        let at = LEFT + WIDE * t / end;
        writeln!(
            out,
            r##"<line x1="{at:.1}" x2="{at:.1}" y1="{:.1}" y2="{:.1}" stroke="#ccc"/><text x="{at:.1}" y="{:.1}" text-anchor="middle" fill="#666">{}</text>"##,
            bottom - 8.0,
            bottom - 2.0,
            bottom + 12.0,
            clock(Duration::from_secs_f64(t))
        )?;
        t += step;
    }
    if all_faces > MOST_FACES {
        writeln!(
            out,
            r##"<text x="{LEFT}" y="{:.1}" fill="#666">{} more faces, seen for less time, are not drawn</text>"##,
            bottom + 30.0,
            all_faces - MOST_FACES
        )?;
    }
    writeln!(out, "</svg>")
}

/// A title that has room: the end of a long path says more than its beginning.
fn shortened(title: &str) -> String {
    const MOST: usize = 110;
    let count = title.chars().count();
    if count <= MOST {
        return title.to_owned();
    }
    format!("...{}", title.chars().skip(count - MOST + 3).collect::<String>())
}

/// A round distance between marks of the time axis, in seconds: at most ten of them.
fn tick(end: f64) -> f64 {
    const ROUND: [f64; 16] =
        [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];
    let mut best = ROUND.into_iter().find(|step| end / step <= 10.0).unwrap_or(7200.0);
    while end / best > 12.0 {
        best *= 2.0;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::tests::{certain, example, ms};
    use super::*;

    #[test]
    fn a_plot_has_a_lane_each_and_stays_inside_its_frame() {
        let mut text = Vec::new();
        write(&mut text, &example(), "a <film>").expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"));
        assert!(text.contains("a &lt;film&gt;"));
        assert_eq!(text.matches("<g>").count(), 4);
        for point in text.split("points=\"").skip(1).flat_map(|p| p.split('"').next().unwrap_or("").split(' ')) {
            let (x, y) = point.split_once(',').expect("a point");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((110.0..=1070.0).contains(&x) && (76.0..=600.0).contains(&y), "{point}");
        }
    }

    #[test]
    fn nothing_leaves_the_picture_and_silences_have_no_lines() {
        // two hours, in which bins are wider than the silences
        let mut t = Timeline::default();
        for i in 0..720u64 {
            t.add(Who::Voice, ms(i * 10_000), ms(i * 10_000 + 9_000), &certain(Emotion::Sad), 0.4);
        }
        t.add(Who::Face(1), ms(0), ms(7_200_000), &certain(Emotion::Happy), 0.4);
        t.finish();
        let mut text = Vec::new();
        write(&mut text, &t, &"x".repeat(400)).expect("a buffer");
        let text = String::from_utf8(text).expect("text");
        let attribute = |line: &str, name: &str| -> Option<f64> {
            line.split_once(&format!(" {name}=\""))?.1.split('"').next()?.parse().ok()
        };
        let whole = attribute(&text, "width").expect("a width");
        for line in text.split('<').filter(|l| l.starts_with("text ")) {
            let (at, words) = (attribute(line, "x").expect("a place"), line.split_once('>').expect("words").1);
            let size = attribute(line, "font-size").unwrap_or(12.0);
            // letters are about half as wide as they are tall
            let wide = 0.56 * size * words.chars().count() as f64;
            let (left, right) = match line {
                l if l.contains("\"middle\"") => (at - wide / 2.0, at + wide / 2.0),
                l if l.contains("\"end\"") => (at - wide, at),
                _ => (at, at + wide),
            };
            assert!(left >= 0.0 && right <= whole, "{words} from {left} to {right} of {whole}");
        }
        // of the voice each line is one utterance: no longer than 9 of 7200 seconds
        let voice = text.split("<g>").find(|g| g.contains(">voice<")).expect("the voice");
        for points in voice.split("points=\"").skip(1).filter_map(|p| p.split('"').next()) {
            let xs: Vec<f64> = points.split(' ').filter_map(|p| p.split_once(',')?.0.parse().ok()).collect();
            assert!(xs.len() == 2 && xs[1] - xs[0] <= 960.0 * 9.0 / 7200.0 + 0.2, "{points}");
        }
        // lines stay inside of their panels, which are 84 tall
        for lane in text.split("<g>").skip(1) {
            let top = attribute(lane.split("<rect").nth(1).expect("a panel"), "y").expect("its top");
            for points in lane.split("points=\"").skip(1).filter_map(|p| p.split('"').next()) {
                for (_, y) in points.split(' ').filter_map(|p| p.split_once(',')) {
                    let y: f64 = y.parse().expect("a number");
                    assert!(y >= top + 0.8 && y <= top + 83.2, "{points}");
                }
            }
        }
    }

    #[test]
    fn an_empty_timeline_says_so() {
        let mut text = Vec::new();
        write(&mut text, &Timeline::default(), "nothing").expect("a buffer");
        assert!(String::from_utf8(text).expect("text").contains("no face and no voice"));
    }

    #[test]
    fn a_long_film_keeps_to_its_bins() {
        let mut curve = Curve::default();
        for second in 0..7200 {
            curve.add(ms(second * 1000), ms(second * 1000 + 1000), &certain(Emotion::Sad));
        }
        assert!(curve.bins.len() <= BINS);
        let seconds: f32 = curve.bins.iter().map(|b| b.seconds).sum();
        assert!((seconds - 7200.0).abs() < 1.0);
        for (_, score) in curve.stretches(Emotion::Sad).concat() {
            assert!((score - 0.94).abs() < 1e-3);
        }
    }
}
