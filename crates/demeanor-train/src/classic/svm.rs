//! A linear support vector machine, one class against all others.
//!
//! The solver is dual coordinate descent for the squared hinge loss (Hsieh et al. 2008, the algorithm of LIBLINEAR): it needs one
//! pass over the examples a round and no matrix of kernels. The crates that have an SVM (linfa, smartcore) keep a kernel value for
//! each two examples, 6 GB for FER-2013.

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::Examples;
use crate::data::stream;

/// Rounds at most.
const ROUNDS: usize = 300;
/// The largest violation of the optimality conditions, over the first round's, at which the solver stops.
const TOLERANCE: f64 = 0.01;

/// The weights of each class against all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Svm {
    /// Numbers of an example.
    pub width: usize,
    /// `[classes, width + 1]`; the last of each row is the bias.
    pub weights: Vec<f32>,
}

impl Svm {
    /// Fits `min |w|^2 / 2 + C sum_i c_i max(0, 1 - y_i (w x_i + b))^2` for each class, the bias being a weight of a feature
    /// that is 1. `weights` has `c` by class, or is empty for 1. On all cores; the seed decides the order of the examples.
    pub fn fit(examples: &Examples, classes: usize, strength: f64, weights: &[f32], seed: u64) -> Self {
        let width = examples.width();
        let rows: Vec<Vec<f32>> =
            (0..classes).into_par_iter().map(|class| one(examples, class, strength, weights, seed)).collect();
        Svm { width, weights: rows.concat() }
    }

    /// The margin of each class for an example.
    pub fn margins(&self, x: &[f32]) -> impl Iterator<Item = f32> {
        self.weights.chunks_exact(self.width + 1).map(|w| dot(&w[..self.width], x) + w[self.width])
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // eight sums, so that the compiler uses whole vectors
    let mut sums = [0.0f32; 8];
    let (ca, cb) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = ca.remainder().iter().zip(cb.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in ca.zip(cb) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The weights of a class against all others.
fn one(examples: &Examples, class: usize, strength: f64, weights: &[f32], seed: u64) -> Vec<f32> {
    let (width, count) = (examples.width(), examples.classes.len());
    let row = |i: usize| &examples.values[i * width..(i + 1) * width];
    let sign = |i: usize| if examples.classes[i] == class { 1.0f64 } else { -1.0 };
    let cost = |i: usize| strength * weights.get(examples.classes[i]).map_or(1.0, |w| f64::from(*w));
    // the diagonal of the dual's matrix: |x|^2, 1 for the bias, and the term of the squared loss
    let diagonal: Vec<f64> =
        (0..count).map(|i| f64::from(dot(row(i), row(i))) + 1.0 + 0.5 / cost(i).max(f64::MIN_POSITIVE)).collect();
    let mut w = vec![0.0f32; width + 1];
    let mut alpha = vec![0.0f64; count];
    let mut order: Vec<usize> = (0..count).filter(|&i| cost(i) > 0.0).collect();
    let mut first = None;
    for round in 0..ROUNDS {
        order.shuffle(&mut stream(seed, 0x73_766d + class as u64, round as u64));
        let mut worst = 0.0f64;
        for &i in &order {
            let (x, y) = (row(i), sign(i));
            let margin = f64::from(dot(&w[..width], x) + w[width]);
            let gradient = y * margin - 1.0 + alpha[i] * 0.5 / cost(i);
            let projected = if alpha[i] == 0.0 { gradient.min(0.0) } else { gradient };
            worst = worst.max(projected.abs());
            if projected.abs() > 1e-12 {
                let before = alpha[i];
                alpha[i] = (before - gradient / diagonal[i]).max(0.0);
                let step = ((alpha[i] - before) * y) as f32;
                w[..width].iter_mut().zip(x).for_each(|(w, x)| *w += step * x);
                w[width] += step;
            }
        }
        if worst <= TOLERANCE * *first.get_or_insert(worst) {
            break;
        }
    }
    w
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_objective_is_that_of_liblinear() {
        let goldens: Value = serde_json::from_str(include_str!("../../../../testdata/classic/goldens.json")).unwrap();
        let numbers = |v: &Value| v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect::<Vec<f64>>();
        for case in goldens["svm"].as_array().unwrap() {
            let values: Vec<f32> = case["x"].as_array().unwrap().iter().flat_map(&numbers).map(|v| v as f32).collect();
            let classes: Vec<usize> = numbers(&case["y"]).iter().map(|&c| c as usize).collect();
            let examples = Examples { values, classes };
            let (strength, count) = (case["c"].as_f64().unwrap(), case["classes"].as_u64().unwrap() as usize);
            let svm = Svm::fit(&examples, count, strength, &[], 0);
            for (class, expected) in numbers(&case["objectives"]).iter().enumerate() {
                let w = &svm.weights[class * (svm.width + 1)..][..svm.width + 1];
                let mut found = w.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / 2.0;
                for (x, &c) in examples.values.chunks_exact(svm.width).zip(&examples.classes) {
                    let y = if c == class { 1.0 } else { -1.0 };
                    let margin = f64::from(dot(&w[..svm.width], x) + w[svm.width]);
                    found += strength * (1.0 - y * margin).max(0.0).powi(2);
                }
                assert!(found <= expected * 1.002 && found >= expected * 0.999, "{class}: {found} {expected}");
            }
        }
    }
}
