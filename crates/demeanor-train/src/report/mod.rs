//! Metrics as people read them: tables for the terminal, pictures as SVG, and whole reports as HTML, Markdown and JSON.

pub mod build;
pub mod html;
pub mod markdown;
pub mod tree;

use std::fmt::Write as _;

use demeanor::Emotion;

use crate::evaluate::{FaceReport, SpeechReport};
use crate::metrics::{ClassMetrics, Metrics, RunMetrics, Spread};
use crate::seen::Overlap;
use crate::together::{BaselineReport, FusionReport};

/// A part of 1 as percent with one digit.
fn percent(part: f64) -> String {
    format!("{:.1}", 100.0 * part)
}

fn spread(spread: &Spread) -> String {
    format!("{} +- {} %", percent(spread.mean), percent(spread.sd))
}

/// Precision, recall, F1 and support of each emotion, as aligned lines.
pub fn class_table(classes: &[ClassMetrics]) -> String {
    let mut text = format!("{:<10}{:>10}{:>9}{:>7}{:>9}\n", "", "precision", "recall", "F1", "support");
    for class in classes {
        let _ = writeln!(
            text,
            "{:<10}{:>10}{:>9}{:>7}{:>9}",
            class.emotion.name(),
            percent(class.precision),
            percent(class.recall),
            percent(class.f1),
            class.support
        );
    }
    text
}

/// A confusion matrix as aligned lines: a row for each true emotion, a column for each that it was read as.
pub fn confusion_table(labels: &[Emotion], counts: &[Vec<u64>]) -> String {
    let widest = counts.iter().flatten().map(|c| c.to_string().len()).max().unwrap_or(1);
    let width = labels.iter().map(|l| l.name().len()).max().unwrap_or(0).max(widest) + 2;
    let mut text = format!("{:<width$}", "");
    labels.iter().for_each(|l| {
        let _ = write!(text, "{:>width$}", l.name());
    });
    text.push('\n');
    for (label, row) in labels.iter().zip(counts) {
        let _ = write!(text, "{:<width$}", label.name());
        row.iter().for_each(|c| {
            let _ = write!(text, "{c:>width$}");
        });
        text.push('\n');
    }
    text
}

fn labels(classes: &[ClassMetrics]) -> Vec<Emotion> {
    classes.iter().map(|c| c.emotion).collect()
}

fn summary(metrics: &Metrics) -> String {
    format!(
        "accuracy {} %, balanced {} %, macro F1 {} %, macro precision {} %, calibration error {} % on {} pictures",
        percent(metrics.accuracy),
        percent(metrics.balanced_accuracy),
        percent(metrics.macro_f1),
        percent(metrics.macro_precision),
        percent(metrics.ece),
        metrics.samples
    )
}

/// A split, or `all`, in words.
pub fn pictures(split: &str) -> String {
    if split == "all" { "all pictures".to_owned() } else { format!("{split} split") }
}

/// The report of a face model for the terminal.
pub fn faces(report: &FaceReport) -> String {
    let mut text = format!("{}, {}\n  {}\n", report.model, pictures(&report.split), summary(&report.metrics));
    if let Some(clean) = &report.clean {
        let _ = writeln!(text, "without twins\n  {}", summary(&clean.metrics));
    }
    if let Some(voted) = &report.voted {
        let _ = writeln!(
            text,
            "against the FER+ majority\n  accuracy {} % on {} pictures",
            percent(voted.accuracy),
            voted.samples
        );
    }
    if report.left_out > 0 {
        let _ = writeln!(text, "left out: {} pictures of emotions that the model does not have", report.left_out);
    }
    text += &overlap(report.training_files, report.unseen.as_ref(), report.metrics.samples);
    let metrics = &report.metrics;
    let _ = write!(
        text,
        "\n{}\nrows: labelled; columns: read as\n{}",
        class_table(&metrics.per_class),
        confusion_table(&labels(&metrics.per_class), &metrics.confusion)
    );
    text
}

/// Whether training saw what is tested, and the figures without it.
fn overlap(overlap: Overlap, unseen: Option<&Metrics>, tested: u64) -> String {
    let mut text = format!("{}\n", overlap.describe(tested as usize));
    if let Some(unseen) = unseen {
        let _ = writeln!(
            text,
            "without them\n  accuracy {} %, balanced {} %, macro F1 {} %, calibration error {} % on {}",
            percent(unseen.accuracy),
            percent(unseen.balanced_accuracy),
            percent(unseen.macro_f1),
            percent(unseen.ece),
            unseen.samples
        );
    }
    text
}

/// The report of speech models for the terminal.
pub fn speech(report: &SpeechReport) -> String {
    let RunMetrics { runs, samples, accuracy, uar, macro_f1, ece, per_class, confusion, .. } = &report.metrics;
    let mut text = format!("{}, {} protocol, {runs} runs, {samples} clips\n", report.model, report.protocol);
    if let Some(seconds) = report.conditions.first_s {
        let _ = writeln!(text, "the first {seconds} s of each voice");
    }
    if let Some(noise) = &report.conditions.noise {
        let _ = writeln!(text, "with {:?} noise at {} dB", noise.kind, noise.snr_db);
    }
    let _ = writeln!(
        text,
        "  accuracy {}, unweighted average recall {}, macro F1 {}, calibration error {} %",
        spread(accuracy),
        spread(uar),
        spread(macro_f1),
        percent(*ece)
    );
    if let Some([low, high]) = report.metrics.accuracy_interval_95 {
        let _ = writeln!(text, "  95 % interval of the mean accuracy: {} to {} %", percent(low), percent(high));
    }
    if let Some(anova) = &report.metrics.anova_over_emotions {
        let _ = writeln!(
            text,
            "  recall differs over emotions with F({}, {}) = {:.1}, p = {:.2e}",
            anova.between, anova.within, anova.f, anova.p
        );
    }
    for (sex, accuracy) in &report.accuracy_by_sex {
        let _ = writeln!(text, "  accuracy on {sex:?} voices: {} %", percent(*accuracy));
    }
    if report.left_out > 0 {
        let _ = writeln!(text, "left out: {} clips of emotions that the model does not have", report.left_out);
    }
    text += &overlap(report.training_files, report.unseen.as_ref(), *samples);
    let _ = write!(
        text,
        "\n{}\nrows: labelled; columns: read as\n{}",
        class_table(per_class),
        confusion_table(&labels(per_class), confusion)
    );
    text
}

/// What fusion is worth, as text.
pub fn fusion(report: &FusionReport) -> String {
    let mut text = format!(
        "synthetic pairs of pictures ({} split, {}) and clips of held-out speakers ({}), seed {}: {} pairs\n",
        report.split, report.face_model, report.speech_model, report.seed, report.fused.samples
    );
    for (name, metrics) in [("face alone", &report.face), ("voice alone", &report.speech), ("fused", &report.fused)] {
        let _ = writeln!(
            text,
            "  {name:<12} accuracy {}, unweighted average recall {}, calibration error {} %",
            spread(&metrics.accuracy),
            spread(&metrics.uar),
            percent(metrics.ece)
        );
    }
    let _ = write!(
        text,
        "\nfused, of synthetic pairs; rows: labelled; columns: read as\n{}",
        confusion_table(&labels(&report.fused.per_class), &report.fused.confusion)
    );
    text
}

/// What baselines are worth, as text.
pub fn baselines(report: &BaselineReport) -> String {
    let mut text = format!(
        "{}, speakers held out, baselines of strength {}, seed {}\n\n  {:<9} {:>5} {:>8}   {:<16} {:<16} gain\n",
        report.model, report.strength, report.seed, "of", "clips", "seconds", "UAR without", "UAR with"
    );
    for row in &report.rows {
        let _ = writeln!(
            text,
            "  {:<9} {:>5} {:>8.1}   {:<16} {:<16} {}",
            row.of,
            row.clips,
            row.seconds,
            spread(&row.without),
            spread(&row.with),
            spread(&row.gain)
        );
    }
    text
}

/// A confusion matrix as an SVG: each row in percent of its examples, darker for more.
pub fn confusion_svg(title: &str, labels: &[Emotion], counts: &[Vec<u64>]) -> String {
    const CELL: usize = 58;
    const LEFT: usize = 110;
    // without a title only the labels stand above
    let top: usize = if title.is_empty() { 30 } else { 90 };
    let side = CELL * labels.len();
    let (width, height) = (LEFT + side + 30, top + side + 12);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"confusion\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    if !title.is_empty() {
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"26\" font-size=\"16\">{}</text>\n\
             <text x=\"{LEFT}\" y=\"46\" fill=\"#666\">rows: labelled, columns: read as, percent of the row</text>",
            escaped(title)
        );
    }
    for (i, (label, row)) in labels.iter().zip(counts).enumerate() {
        let middle = CELL * i + CELL / 2;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            LEFT - 8,
            top + middle + 5,
            LEFT + middle,
            top - 10
        );
        let total: u64 = row.iter().sum();
        for (j, &count) in row.iter().enumerate() {
            let part = count as f64 / total.max(1) as f64;
            let ink = if part > 0.5 { "white" } else { "#222" };
            let (x, y) = (LEFT + CELL * j, top + CELL * i);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{}\" \
                 stroke=\"#ddd\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{:.0}</text>",
                colour(part),
                x + CELL / 2,
                y + CELL / 2 + 5,
                100.0 * part
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// White for 0 to a dark blue for 1.
fn colour(part: f64) -> String {
    let shade = |dark: f64| (255.0 - (255.0 - dark) * part).round() as u8;
    format!("rgb({},{},{})", shade(20.0), shade(60.0), shade(120.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;

    #[test]
    fn tables_are_aligned_and_pictures_hold_every_cell() {
        let labels = [Emotion::Happy, Emotion::Sad];
        let mut confusion = Confusion::new(&labels);
        for (truth, row) in [(0, [0.9, 0.1]), (0, [0.4, 0.6]), (1, [0.3, 0.7])] {
            confusion.add(truth, &row).unwrap();
        }
        let metrics = confusion.metrics();
        let text = confusion_table(&labels, &metrics.confusion);
        assert_eq!(text, "         happy    sad\nhappy        1      1\nsad          0      1\n");
        let table = class_table(&metrics.per_class);
        assert!(table.lines().all(|l| l.len() == table.lines().next().unwrap().len()), "{table}");
        let svg = confusion_svg("a < b", &labels, &metrics.confusion);
        assert!(svg.contains("a &lt; b") && svg.matches("<rect").count() == 5 && svg.ends_with("</svg>\n"));
    }
}
