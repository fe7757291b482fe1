//! What training minimises: value and gradient in the outputs of a network.

use crate::recipe::{ClassWeights, Loss};

/// The probabilities of one row of logits: their softmax.
pub fn softmax(logits: &[f32], probabilities: &mut Vec<f32>) {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    probabilities.clear();
    probabilities.extend(logits.iter().map(|&z| (z - top).exp()));
    let sum: f32 = probabilities.iter().sum();
    for p in probabilities {
        *p /= sum;
    }
}

impl Loss {
    /// The mean loss of a batch, and its gradient in the logits.
    ///
    /// `logits`, `targets` (each row sums to 1) and `gradient` are `[count, labels]`; `weights` has a number for each
    /// label, or is empty for 1. An example's weight is the mean of its labels' weights by its targets.
    ///
    /// `masked` is `[count, labels]`, or empty where nothing is masked: a label that is masked for an example is as if the
    /// network had no such output for it, in the softmax, the targets and the smoothing.
    pub fn value_and_gradient(
        &self,
        logits: &[f32],
        targets: &[f32],
        labels: usize,
        weights: &[f32],
        masked: &[bool],
        gradient: &mut [f32],
    ) -> f64 {
        let (gamma, smoothing) = match *self {
            Loss::CrossEntropy { smoothing } => (0.0, smoothing),
            Loss::Focal { gamma, smoothing } => (gamma, smoothing),
        };
        let count = (logits.len() / labels.max(1)).max(1);
        let mut p = Vec::with_capacity(labels);
        let mut pull = vec![0.0f32; labels];
        let (mut kept_logits, mut kept_targets) = (Vec::with_capacity(labels), Vec::with_capacity(labels));
        let mut total = 0.0f64;
        let rows = logits.chunks_exact(labels).zip(targets.chunks_exact(labels)).zip(gradient.chunks_exact_mut(labels));
        for (i, ((z, t), g)) in rows.enumerate() {
            let hidden = masked.get(i * labels..(i + 1) * labels).unwrap_or_default();
            let is_hidden = |c: usize| hidden.get(c).copied().unwrap_or(false);
            let left = labels - hidden.iter().filter(|h| **h).count();
            let (z, t) = if left == labels {
                (z, t)
            } else {
                let sum: f32 = (0..labels).filter(|&c| !is_hidden(c)).map(|c| t[c]).sum();
                kept_logits.clear();
                kept_logits.extend((0..labels).map(|c| if is_hidden(c) { f32::NEG_INFINITY } else { z[c] }));
                kept_targets.clear();
                kept_targets.extend((0..labels).map(|c| if is_hidden(c) || sum <= 0.0 { 0.0 } else { t[c] / sum }));
                (kept_logits.as_slice(), kept_targets.as_slice())
            };
            softmax(z, &mut p);
            let top = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let log_sum = z.iter().map(|&z| (z - top).exp()).sum::<f32>().ln() + top;
            let weight: f32 =
                if weights.is_empty() { 1.0 } else { t.iter().zip(weights).map(|(t, w)| t * w).sum::<f32>() };
            // with l = log p: d(-t (1 - p)^gamma l) / dlog p, per label; the softmax then takes off p times their sum
            let mut value = 0.0f32;
            pull.fill(0.0);
            for c in (0..labels).filter(|&c| !is_hidden(c)) {
                let target = t[c] * (1.0 - smoothing) + smoothing / left as f32;
                let log_p = z[c] - log_sum;
                let rest = (1.0 - p[c]).max(0.0);
                let (modulation, slope) = if gamma == 0.0 {
                    (1.0, 0.0)
                } else {
                    (rest.powf(gamma), gamma * p[c] * rest.max(1e-12).powf(gamma - 1.0))
                };
                value -= target * modulation * log_p;
                pull[c] = target * (slope * log_p - modulation);
            }
            let sum: f32 = pull.iter().sum();
            for c in 0..labels {
                g[c] = weight * (pull[c] - p[c] * sum) / count as f32;
            }
            total += f64::from(weight * value);
        }
        total / count as f64
    }
}

impl ClassWeights {
    /// A weight for each label, given how many training examples have it; empty when all count alike. Over the training
    /// examples the mean weight is 1. A label without examples gets 0.
    pub fn of(self, counts: &[usize]) -> Vec<f32> {
        let power = match self {
            ClassWeights::None => return Vec::new(),
            ClassWeights::Inverse => -1.0,
            ClassWeights::SqrtInverse => -0.5,
        };
        let raw: Vec<f64> = counts.iter().map(|&n| if n == 0 { 0.0 } else { (n as f64).powf(power) }).collect();
        let total: f64 = raw.iter().zip(counts).map(|(w, &n)| w * n as f64).sum();
        let examples: usize = counts.iter().sum();
        raw.iter().map(|w| (w * examples as f64 / total.max(f64::MIN_POSITIVE)) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 8] = [0.3, -1.2, 2.0, 0.1, 4.0, -3.0, 0.5, 0.7];
    const TARGETS: [f32; 8] = [0.0, 0.0, 1.0, 0.0, 0.1, 0.6, 0.3, 0.0];

    #[test]
    fn gradient_is_that_of_the_value() {
        let losses = [
            Loss::CrossEntropy { smoothing: 0.0 },
            Loss::CrossEntropy { smoothing: 0.1 },
            Loss::Focal { gamma: 2.0, smoothing: 0.0 },
            Loss::Focal { gamma: 0.5, smoothing: 0.1 },
        ];
        for loss in losses {
            for weights in [vec![], vec![0.5, 2.0, 1.0, 0.7]] {
                let mut gradient = [0.0; 8];
                loss.value_and_gradient(&LOGITS, &TARGETS, 4, &weights, &[], &mut gradient);
                for (i, &analytic) in gradient.iter().enumerate() {
                    let at = |d: f32| {
                        let mut moved = LOGITS;
                        moved[i] += d;
                        loss.value_and_gradient(&moved, &TARGETS, 4, &weights, &[], &mut [0.0; 8])
                    };
                    let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
                    assert!((numeric - f64::from(analytic)).abs() < 2e-3, "{loss:?} {i}: {numeric} {analytic}");
                }
            }
        }
    }

    #[test]
    fn a_masked_label_is_as_if_the_network_had_none() {
        let masked = [false, true, false, false, false, true, false, false];
        let without = |row: &[f32]| [row[0], row[2], row[3], row[4], row[6], row[7]];
        for loss in [Loss::CrossEntropy { smoothing: 0.1 }, Loss::Focal { gamma: 2.0, smoothing: 0.1 }] {
            let mut gradient = [0.0; 8];
            let value = loss.value_and_gradient(&LOGITS, &TARGETS, 4, &[], &masked, &mut gradient);
            // the second row had 0.6 of its target on the masked label: the rest makes the whole
            let targets = [0.0, 1.0, 0.0, 0.25, 0.75, 0.0];
            let mut smaller = [0.0; 6];
            let expected = loss.value_and_gradient(&without(&LOGITS), &targets, 3, &[], &[], &mut smaller);
            assert!((value - expected).abs() < 1e-6, "{value} {expected}");
            assert_eq!((gradient[1], gradient[5]), (0.0, 0.0));
            for (a, b) in without(&gradient).iter().zip(&smaller) {
                assert!((a - b).abs() < 1e-6, "{gradient:?} {smaller:?}");
            }
        }
    }

    #[test]
    fn cross_entropy_of_a_sure_and_right_answer_is_small() {
        let loss = Loss::default().value_and_gradient(&[10.0, -10.0], &[1.0, 0.0], 2, &[], &[], &mut [0.0; 2]);
        assert!(loss.abs() < 1e-6, "{loss}");
        let wrong = Loss::default().value_and_gradient(&[100.0, -100.0], &[0.0, 1.0], 2, &[], &[], &mut [0.0; 2]);
        assert!((wrong - 200.0).abs() < 1e-3, "{wrong}");
    }

    #[test]
    fn class_weights_average_to_one() {
        let counts = [10, 90, 0, 100];
        for kind in [ClassWeights::Inverse, ClassWeights::SqrtInverse] {
            let w = kind.of(&counts);
            let mean: f32 = w.iter().zip(&counts).map(|(w, &n)| w * n as f32).sum::<f32>() / 200.0;
            assert!((mean - 1.0).abs() < 1e-5, "{mean}");
            assert_eq!(w[2], 0.0);
            assert!(w[0] > w[1] && w[1] > w[3]);
        }
        assert!(ClassWeights::None.of(&counts).is_empty());
        // inverse: n / (classes present * n_c)
        assert!((ClassWeights::Inverse.of(&counts)[0] - 200.0 / 30.0).abs() < 1e-4);
    }
}
