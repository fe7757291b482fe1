//! The learning curve of a run, as a picture.

use std::fmt::Write as _;

use crate::checkpoint::EpochRecord;

/// Width and height of the picture.
const SIZE: [f64; 2] = [760.0, 380.0];
/// Width and height of each of its two charts.
const CHART: [f64; 2] = [300.0, 260.0];

/// An SVG with two charts over the epochs: the loss, and the part that was read rightly; of training and validation.
pub fn svg(name: &str, history: &[EpochRecord]) -> String {
    let [width, height] = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"50\" y=\"28\" font-size=\"16\">{name}</text>\n"
    );
    let column = |f: &dyn Fn(&EpochRecord) -> Option<f64>| -> Vec<Option<f64>> { history.iter().map(f).collect() };
    let losses = [column(&|r| Some(r.train_loss)), column(&|r| r.validation_loss), Vec::new()];
    let parts =
        [column(&|r| Some(r.train_accuracy)), column(&|r| r.validation_accuracy), column(&|r| r.validation_uar)];
    chart(&mut svg, 50.0, "loss", &losses, false);
    chart(&mut svg, 430.0, "part read rightly", &parts, true);
    let names = [("training", COLOURS[0]), ("validation", COLOURS[1]), ("validation, mean of recalls", COLOURS[2])];
    for (i, (name, colour)) in names.iter().enumerate() {
        let x = 50.0 + 130.0 * i as f64;
        let _ = writeln!(
            svg,
            "<path d=\"M{x} 362h18\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{}\" y=\"366\">{name}</text>",
            x + 24.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

const COLOURS: [&str; 3] = ["#1f77b4", "#d62728", "#2ca02c"];

fn chart(svg: &mut String, left: f64, title: &str, lines: &[Vec<Option<f64>>], is_part: bool) {
    let (top, [width, height]) = (60.0, CHART);
    let values = || lines.iter().flatten().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = if is_part {
        (0.0, 1.0)
    } else {
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        (0.0, if high.is_finite() && high > 0.0 { high * 1.05 } else { 1.0 })
    };
    let epochs = lines.iter().map(Vec::len).max().unwrap_or(0).max(2);
    let x = |epoch: usize| left + width * epoch as f64 / (epochs - 1) as f64;
    let y = |value: f64| top + height * (1.0 - (value - low) / (high - low));
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\">{title}</text><rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" \
         fill=\"none\" stroke=\"#999\"/>",
        top - 8.0
    );
    for i in 0..=4 {
        let value = low + (high - low) * f64::from(i) / 4.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {at:.1}h{width}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value:.2}</text>",
            left - 6.0,
            y(value) + 4.0,
            at = y(value),
        );
    }
    for epoch in [0, epochs / 2, epochs - 1] {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(epoch),
            top + height + 18.0,
            epoch + 1
        );
    }
    for (line, colour) in lines.iter().zip(COLOURS) {
        let points: Vec<String> = line
            .iter()
            .enumerate()
            .filter_map(|(epoch, value)| {
                value.filter(|v| v.is_finite()).map(|v| format!("{:.1},{:.1}", x(epoch), y(v)))
            })
            .collect();
        if !points.is_empty() {
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                points.join(" ")
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_whatever_there_is() {
        let record = |epoch, loss| EpochRecord {
            epoch,
            train_loss: loss,
            train_accuracy: 0.5,
            validation_loss: (epoch > 1).then_some(1.0),
            validation_accuracy: None,
            validation_uar: None,
            rate: 0.1,
            seconds: 1.0,
        };
        for history in [vec![], vec![record(1, 2.0)], vec![record(1, 2.0), record(2, f64::NAN), record(3, 1.0)]] {
            let svg = svg("face-v1", &history);
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            assert_eq!(svg.contains("<polyline"), !history.is_empty());
        }
    }
}
