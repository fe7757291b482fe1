//! What predictions are worth: accuracy and its relatives, calibration, and how sure several runs make of them.

use demeanor::{Emotion, Error, ErrorKind, Result, Scores};
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, FisherSnedecor, StudentsT};

/// Bins of the calibration error, of equal width in confidence. As in Guo et al. 2017.
pub const BINS: usize = 15;

/// Counts of what was read as what, and how confidently.
#[derive(Debug, Clone, PartialEq)]
pub struct Confusion {
    labels: Vec<Emotion>,
    /// `[truth, predicted]`.
    counts: Vec<u64>,
    /// Predictions per bin of confidence, the right ones among them, and the sum of their confidences.
    bins: [(u64, u64, f64); BINS],
}

impl Confusion {
    /// No predictions yet, of these labels.
    pub fn new(labels: &[Emotion]) -> Self {
        Confusion { labels: labels.to_vec(), counts: vec![0; labels.len() * labels.len()], bins: [(0, 0, 0.0); BINS] }
    }

    /// The labels, in the order of rows and columns.
    pub fn labels(&self) -> &[Emotion] {
        &self.labels
    }

    /// Counts one prediction: the place of the true label, and a probability for each label (in order).
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when there is no such label or another number of probabilities; [`ErrorKind::NotFinite`]
    /// when one is not a number.
    pub fn add(&mut self, truth: usize, probabilities: &[f32]) -> Result<()> {
        let n = self.labels.len();
        if truth >= n || probabilities.len() != n {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("label {truth} with {} probabilities; expected {n} labels", probabilities.len()),
            ));
        }
        if let Some(bad) = probabilities.iter().find(|p| !p.is_finite()) {
            return Err(Error::new(ErrorKind::NotFinite, format!("a probability is {bad}")));
        }
        let (mut top, mut confidence) = (0, f32::NEG_INFINITY);
        for (i, &p) in probabilities.iter().enumerate() {
            if p > confidence {
                (top, confidence) = (i, p);
            }
        }
        self.count(truth, top, f64::from(confidence));
        Ok(())
    }

    /// Counts one prediction by the places of two of the labels.
    pub(crate) fn count(&mut self, truth: usize, predicted: usize, confidence: f64) {
        self.counts[truth * self.labels.len() + predicted] += 1;
        // Bins are open below and closed above, so that a confidence of 1 is in the last.
        let bin = (confidence * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[bin.clamp(1, BINS) - 1];
        bin.0 += 1;
        bin.1 += u64::from(predicted == truth);
        bin.2 += confidence;
    }

    /// The bins of confidence, from 0 up, each 1 / [`BINS`] wide.
    pub fn reliability(&self) -> [ReliabilityBin; BINS] {
        self.bins.map(|(samples, right, sum)| {
            let share = |part: f64| (samples > 0).then(|| part / samples as f64);
            ReliabilityBin { samples, confidence: share(sum), accuracy: share(right as f64) }
        })
    }

    /// Counts one prediction of a model.
    ///
    /// # Errors
    /// [`ErrorKind::Label`] when the truth is not among the labels.
    pub fn add_scores(&mut self, truth: Emotion, scores: &Scores) -> Result<()> {
        let place = self.labels.iter().position(|&l| l == truth).ok_or_else(|| {
            let names: Vec<_> = self.labels.iter().map(|l| l.name()).collect();
            Error::new(ErrorKind::Label, format!("\"{truth}\" is not among the labels {}", names.join(", ")))
        })?;
        let probabilities: Vec<f32> = self.labels.iter().map(|&l| scores.of(l)).collect();
        self.add(place, &probabilities)
    }

    /// Counts one prediction from logits (in the order of the labels), divided by the temperature.
    ///
    /// # Errors
    /// As [`Confusion::add`].
    pub fn add_logits(&mut self, truth: usize, logits: &[f32], temperature: f32) -> Result<()> {
        let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut probabilities: Vec<f32> = logits.iter().map(|l| ((l - top) / temperature).exp()).collect();
        let sum: f32 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|p| *p /= sum);
        self.add(truth, &probabilities)
    }

    /// Adds the predictions of another with the same labels.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] when the labels differ.
    pub fn merge(&mut self, other: &Confusion) -> Result<()> {
        if self.labels != other.labels {
            return Err(Error::new(ErrorKind::Shape, "confusions of different labels cannot be added"));
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        for (a, b) in self.bins.iter_mut().zip(&other.bins) {
            *a = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
        }
        Ok(())
    }

    /// How many predictions were counted.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The metrics of the predictions counted so far.
    pub fn metrics(&self) -> Metrics {
        let n = self.labels.len();
        let count = |truth: usize, predicted: usize| self.counts[truth * n + predicted] as f64;
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
        let mut per_class = Vec::with_capacity(n);
        let mut sums = [0.0; 4];
        let (mut supported, mut seen) = (0.0, 0.0);
        for (i, &emotion) in self.labels.iter().enumerate() {
            let support: f64 = (0..n).map(|j| count(i, j)).sum();
            let predicted: f64 = (0..n).map(|j| count(j, i)).sum();
            let (precision, recall) = (ratio(count(i, i), predicted), ratio(count(i, i), support));
            let f1 = ratio(2.0 * count(i, i), support + predicted);
            per_class.push(ClassMetrics { emotion, precision, recall, f1, support: support as u64 });
            // A label that neither occurs nor is predicted says nothing; one without examples has no recall.
            if support > 0.0 {
                supported += 1.0;
                sums[0] += recall;
            }
            if support + predicted > 0.0 {
                seen += 1.0;
                sums[1] += precision;
                sums[2] += recall;
                sums[3] += f1;
            }
        }
        let samples = self.samples();
        let right: f64 = (0..n).map(|i| count(i, i)).sum();
        let ece = self.bins.iter().map(|&(_, right, sum)| (right as f64 - sum).abs()).sum();
        Metrics {
            samples,
            accuracy: ratio(right, samples as f64),
            balanced_accuracy: ratio(sums[0], supported),
            macro_precision: ratio(sums[1], seen),
            macro_recall: ratio(sums[2], seen),
            macro_f1: ratio(sums[3], seen),
            ece: ratio(ece, samples as f64),
            per_class,
            confusion: self.counts.chunks(n.max(1)).map(<[u64]>::to_vec).collect(),
        }
    }
}

/// The predictions whose confidence lies in a bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// How many there are.
    pub samples: u64,
    /// Their mean confidence; none without any.
    pub confidence: Option<f64>,
    /// The part of them that is right; none without any.
    pub accuracy: Option<f64>,
}

/// Metrics of a set of predictions; parts of 1, not percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// How many examples.
    pub samples: u64,
    /// The part that was read right.
    pub accuracy: f64,
    /// Mean recall of the labels that occur (unweighted average recall).
    pub balanced_accuracy: f64,
    /// Mean precision of the labels that occur or are predicted; 0 for one that is never predicted.
    pub macro_precision: f64,
    /// Mean recall of the labels that occur or are predicted.
    pub macro_recall: f64,
    /// Mean F1 of the labels that occur or are predicted.
    pub macro_f1: f64,
    /// Expected calibration error over [`BINS`] bins of the top score: mean of |confidence - accuracy|.
    pub ece: f64,
    /// Each label by itself.
    pub per_class: Vec<ClassMetrics>,
    /// `[truth][predicted]`, in the order of `per_class`.
    pub confusion: Vec<Vec<u64>>,
}

/// Metrics of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The label.
    pub emotion: Emotion,
    /// The part of the predictions of this label that are right; 0 when there are none.
    pub precision: f64,
    /// The part of the examples of this label that are read right; 0 when there are none.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Examples with this label.
    pub support: u64,
}

/// Mean and standard deviation over runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of the sample (n - 1 below); 0 for a single run.
    pub sd: f64,
}

impl Spread {
    /// Of some values; both are 0 without any.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / n };
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Spread { mean, sd: if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 } }
    }
}

/// The 95 % confidence interval of the mean of some runs, by Student's t; none for fewer than two.
pub fn interval_95(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len() as f64;
    let t = StudentsT::new(0.0, 1.0, n - 1.0).ok().filter(|_| values.len() > 1)?.inverse_cdf(0.975);
    let Spread { mean, sd } = Spread::of(values);
    let half = t * sd / n.sqrt();
    Some([mean - half, mean + half])
}

/// A one-way analysis of variance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Anova {
    /// Variance between groups over variance within them.
    pub f: f64,
    /// The chance of so large an `f` if all groups had the same mean.
    pub p: f64,
    /// Degrees of freedom between groups.
    pub between: u64,
    /// Degrees of freedom within groups.
    pub within: u64,
}

/// Tests whether groups (such as each emotion's recall over runs) have different means; none when there are fewer than
/// two groups, no group has two values, or no value differs from its group's mean.
pub fn anova(groups: &[Vec<f64>]) -> Option<Anova> {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|g| !g.is_empty()).collect();
    let n: usize = groups.iter().map(|g| g.len()).sum();
    if groups.len() < 2 || n <= groups.len() {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all = groups.iter().flat_map(|g| g.iter()).sum::<f64>() / n as f64;
    let between: f64 = groups.iter().map(|g| g.len() as f64 * (mean(g) - all).powi(2)).sum();
    let within: f64 = groups.iter().map(|g| g.iter().map(|v| (v - mean(g)).powi(2)).sum::<f64>()).sum();
    let (df1, df2) = (groups.len() - 1, n - groups.len());
    let f = (between / df1 as f64) / (within / df2 as f64);
    if !f.is_finite() {
        return None;
    }
    let p = FisherSnedecor::new(df1 as f64, df2 as f64).ok()?.sf(f);
    Some(Anova { f, p, between: df1 as u64, within: df2 as u64 })
}

/// Several runs (or folds) of one protocol, taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunMetrics {
    /// How many runs.
    pub runs: usize,
    /// Examples of all runs together.
    pub samples: u64,
    /// Accuracy over runs.
    pub accuracy: Spread,
    /// 95 % confidence interval of the mean accuracy, for two runs or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_interval_95: Option<[f64; 2]>,
    /// Unweighted average recall (balanced accuracy) over runs.
    pub uar: Spread,
    /// Macro F1 over runs.
    pub macro_f1: Spread,
    /// Calibration error of all examples together.
    pub ece: f64,
    /// Each label, over all examples together.
    pub per_class: Vec<ClassMetrics>,
    /// `[truth][predicted]` of all examples together.
    pub confusion: Vec<Vec<u64>>,
    /// Whether the emotions' recalls differ over the runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anova_over_emotions: Option<Anova>,
}

impl RunMetrics {
    /// Of the predictions of each run.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] without runs, [`ErrorKind::Shape`] when their labels differ.
    pub fn of(runs: &[Confusion]) -> Result<Self> {
        let (first, rest) =
            runs.split_first().ok_or_else(|| Error::new(ErrorKind::Data, "there are no runs to take together"))?;
        let mut all = first.clone();
        for run in rest {
            all.merge(run)?;
        }
        let each: Vec<Metrics> = runs.iter().map(Confusion::metrics).collect();
        let values = |pick: fn(&Metrics) -> f64| each.iter().map(pick).collect::<Vec<f64>>();
        let accuracy = values(|m| m.accuracy);
        let recalls: Vec<Vec<f64>> = (0..first.labels.len())
            .map(|i| each.iter().filter(|m| m.per_class[i].support > 0).map(|m| m.per_class[i].recall).collect())
            .collect();
        let pooled = all.metrics();
        Ok(RunMetrics {
            runs: runs.len(),
            samples: pooled.samples,
            accuracy: Spread::of(&accuracy),
            accuracy_interval_95: interval_95(&accuracy),
            uar: Spread::of(&values(|m| m.balanced_accuracy)),
            macro_f1: Spread::of(&values(|m| m.macro_f1)),
            ece: pooled.ece,
            per_class: pooled.per_class,
            confusion: pooled.confusion,
            anova_over_emotions: anova(&recalls),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [Emotion; 3] = [Emotion::Happy, Emotion::Sad, Emotion::Neutral];

    /// The label `top` with a probability, the rest even.
    fn row(top: usize, p: f32) -> [f32; 3] {
        let mut row = [(1.0 - p) / 2.0; 3];
        row[top] = p;
        row
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    #[test]
    fn metrics_of_a_small_table_are_those_worked_out_by_hand() {
        let mut confusion = Confusion::new(&LABELS);
        // happy: 3 right, 1 as sad; sad: 1 right, 1 as happy; neutral: never seen, never predicted.
        for (truth, top) in [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 0)] {
            confusion.add(truth, &row(top, 0.8)).unwrap();
        }
        let m = confusion.metrics();
        assert_eq!(m.samples, 6);
        close(m.accuracy, 4.0 / 6.0);
        close(m.balanced_accuracy, (0.75 + 0.5) / 2.0);
        close(m.macro_precision, (0.75 + 0.5) / 2.0);
        close(m.macro_f1, (0.75 + 0.5) / 2.0);
        close(m.ece, (0.8_f32 as f64 - 4.0 / 6.0).abs());
        assert_eq!(m.confusion, [[3, 1, 0], [1, 1, 0], [0, 0, 0]]);
        assert_eq!(m.per_class[2].support, 0);
    }

    #[test]
    fn calibration_error_of_right_confidences_is_0_and_of_wrong_ones_1() {
        let mut sure = Confusion::new(&LABELS);
        sure.add(1, &row(1, 1.0)).unwrap();
        close(sure.metrics().ece, 0.0);
        let mut wrong = Confusion::new(&LABELS);
        wrong.add(0, &row(1, 1.0)).unwrap();
        close(wrong.metrics().ece, 1.0);
        // Errors in different bins do not cancel: 0.5 is off by 0.5 one way, 0.9 by 0.9 the other.
        let mut both = Confusion::new(&LABELS);
        both.add(1, &row(1, 0.5)).unwrap();
        both.add(0, &row(1, 0.9)).unwrap();
        close(both.metrics().ece, (0.5 + 0.9_f32 as f64) / 2.0);
    }

    #[test]
    fn nothing_counted_gives_zeros_not_nans() {
        let m = Confusion::new(&LABELS).metrics();
        assert_eq!((m.accuracy, m.macro_f1, m.ece), (0.0, 0.0, 0.0));
    }

    #[test]
    fn bad_rows_are_refused() {
        let mut confusion = Confusion::new(&LABELS);
        assert_eq!(confusion.add(3, &row(0, 0.5)).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(confusion.add(0, &[1.0]).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(confusion.add(0, &[f32::NAN; 3]).unwrap_err().kind(), ErrorKind::NotFinite);
        let scores = Scores::from_logits(&LABELS, &[0.0, 1.0, 0.0], 1.0).unwrap();
        assert_eq!(confusion.add_scores(Emotion::Calm, &scores).unwrap_err().kind(), ErrorKind::Label);
        confusion.add_scores(Emotion::Sad, &scores).unwrap();
        confusion.add_logits(1, &[0.0, 1.0, 0.0], 1.0).unwrap();
        close(confusion.metrics().accuracy, 1.0);
    }

    #[test]
    fn statistics_are_those_of_the_tables() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        close(spread.mean, 5.0);
        close(spread.sd, (32.0_f64 / 7.0).sqrt());
        // t with 4 degrees of freedom at 97.5 %: 2.776445.
        let [low, high] = interval_95(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        close(high - low, 2.0 * 2.776_445_105 * 2.5_f64.sqrt() / 5.0_f64.sqrt());
        assert_eq!(interval_95(&[1.0]), None);
        // scipy.stats.f_oneway([6, 8, 4, 5, 3, 4], [8, 12, 9, 11, 6, 8], [13, 9, 11, 8, 7, 12]): F 9.2647, p 0.0024.
        let found = anova(&[
            vec![6.0, 8.0, 4.0, 5.0, 3.0, 4.0],
            vec![8.0, 12.0, 9.0, 11.0, 6.0, 8.0],
            vec![13.0, 9.0, 11.0, 8.0, 7.0, 12.0],
        ])
        .unwrap();
        assert!((found.f - 9.264_705_88).abs() < 1e-6 && (found.p - 0.002_398_777).abs() < 1e-6, "{found:?}");
        assert_eq!((found.between, found.within), (2, 15));
        assert_eq!(anova(&[vec![1.0, 1.0], vec![1.0]]), None);
    }

    #[test]
    fn runs_are_taken_together() {
        let (mut a, mut b) = (Confusion::new(&LABELS), Confusion::new(&LABELS));
        a.add(0, &row(0, 0.6)).unwrap();
        a.add(1, &row(0, 0.6)).unwrap();
        b.add(0, &row(0, 0.6)).unwrap();
        b.add(1, &row(1, 0.6)).unwrap();
        let runs = RunMetrics::of(&[a, b]).unwrap();
        assert_eq!((runs.runs, runs.samples), (2, 4));
        close(runs.accuracy.mean, 0.75);
        close(runs.accuracy.sd, 0.125_f64.sqrt());
        assert_eq!(runs.confusion, [[2, 0, 0], [1, 1, 0], [0, 0, 0]]);
        assert!(RunMetrics::of(&[]).is_err());
    }
}
