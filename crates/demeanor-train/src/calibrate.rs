//! A temperature that makes scores say how often they are right.

use crate::loss::softmax;

/// Coolest and hottest temperature that is considered.
const RANGE: (f64, f64) = (0.05, 20.0);

/// The temperature with the least mean cross-entropy of `softmax(logits / temperature)` (Guo et al. 2017), by golden
/// section of its logarithm. `logits` is `[count, labels]`. It is 1 without examples.
pub fn temperature(logits: &[f32], classes: &[usize], labels: usize) -> f32 {
    if classes.is_empty() || labels == 0 {
        return 1.0;
    }
    // the loss is convex in 1 / temperature, so it has one dip in the logarithm
    let ratio = (5.0f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    let at = |log: f64| cross_entropy(logits, classes, labels, log.exp());
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut loss_a, mut loss_b) = (at(a), at(b));
    while high - low > 1e-5 {
        if loss_a <= loss_b {
            (high, b, loss_b) = (b, a, loss_a);
            a = high - ratio * (high - low);
            loss_a = at(a);
        } else {
            (low, a, loss_a) = (a, b, loss_b);
            b = low + ratio * (high - low);
            loss_b = at(b);
        }
    }
    ((low + high) / 2.0).exp() as f32
}

/// Mean cross-entropy of `softmax(logits / temperature)`.
pub fn cross_entropy(logits: &[f32], classes: &[usize], labels: usize, temperature: f64) -> f64 {
    let (mut cooled, mut p) = (Vec::with_capacity(labels), Vec::with_capacity(labels));
    let mut sum = 0.0;
    for (row, &class) in logits.chunks_exact(labels).zip(classes) {
        cooled.clear();
        cooled.extend(row.iter().map(|&z| (f64::from(z) / temperature) as f32));
        softmax(&cooled, &mut p);
        sum -= f64::from(p[class].max(1e-30)).ln();
    }
    sum / classes.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stream;
    use rand::RngExt;

    #[test]
    fn finds_the_temperature_that_was_taken_away() {
        for wanted in [0.5f32, 1.0, 3.0] {
            let mut rng = stream(1, 2, 3);
            let (mut logits, mut classes, mut p) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..20_000 {
                let row: Vec<f32> = (0..4).map(|_| rng.random_range(-2.0..2.0f32)).collect();
                softmax(&row, &mut p);
                let mut draw: f32 = rng.random_range(0.0..1.0);
                let class = p.iter().position(|&q| {
                    draw -= q;
                    draw <= 0.0
                });
                classes.push(class.unwrap_or(3));
                logits.extend(row.iter().map(|z| z * wanted));
            }
            let found = temperature(&logits, &classes, 4);
            assert!((found / wanted - 1.0).abs() < 0.05, "{found}, not {wanted}");
        }
        assert_eq!(temperature(&[], &[], 4), 1.0);
    }
}
