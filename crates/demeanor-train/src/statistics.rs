//! Intervals and tests: how sure a figure is, and which differences are more than chance. Checked against SciPy
//! (`testdata/statistics/goldens.py`).

use demeanor::{Error, ErrorKind, Result};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

use crate::data::stream;
use crate::metrics::Spread;

/// The value below which a part `q` (0 to 1) of some values lies, with straight lines between them, as NumPy's default;
/// none without finite values.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
}

/// 95 % intervals of several statistics by the percentile bootstrap over clusters (Efron & Tibshirani 1993): as many
/// clusters are drawn with replacement as there are, with all their members, `resamples` times. `statistics` gives the
/// statistics of some members (with repetitions); one that is not finite in a resample is left out of it. None for a
/// statistic that never is finite, or with fewer than two clusters. On all cores; the same arguments give the same result.
pub fn bootstrap<const N: usize>(
    clusters: &[Vec<usize>],
    resamples: usize,
    seed: u64,
    statistics: impl Fn(&[usize]) -> [f64; N] + Sync,
) -> [Option<[f64; 2]>; N] {
    if clusters.len() < 2 {
        return [None; N];
    }
    let drawn: Vec<[f64; N]> = (0..resamples as u64)
        .into_par_iter()
        .map_init(Vec::new, |members, sample| {
            let mut random = stream(seed, 0x626f_6f74, sample);
            members.clear();
            for _ in 0..clusters.len() {
                members.extend_from_slice(&clusters[random.random_range(0..clusters.len())]);
            }
            statistics(members)
        })
        .collect();
    std::array::from_fn(|n| {
        let values: Vec<f64> = drawn.iter().map(|d| d[n]).collect();
        Some([quantile(&values, 0.025)?, quantile(&values, 0.975)?])
    })
}

/// A t-test of two means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TTest {
    /// The difference of the means: first minus second.
    pub difference: f64,
    /// The difference over its standard error.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// The chance of so large a `t`, of either sign, if the means were equal.
    pub p: f64,
}

impl TTest {
    fn of(difference: f64, error: f64, df: f64) -> Option<Self> {
        let t = difference / error;
        if !t.is_finite() {
            return None;
        }
        let p = 2.0 * StudentsT::new(0.0, 1.0, df).ok()?.sf(t.abs());
        Some(TTest { difference, t, df, p })
    }

    /// Two independent groups whose variances may differ (Welch 1947); none when one has fewer than two values or neither
    /// varies.
    pub fn welch(a: &[f64], b: &[f64]) -> Option<Self> {
        if a.len() < 2 || b.len() < 2 {
            return None;
        }
        let (of_a, of_b) = (Spread::of(a), Spread::of(b));
        let (va, vb) = (of_a.sd.powi(2) / a.len() as f64, of_b.sd.powi(2) / b.len() as f64);
        let df = (va + vb).powi(2) / (va * va / (a.len() - 1) as f64 + vb * vb / (b.len() - 1) as f64);
        Self::of(of_a.mean - of_b.mean, (va + vb).sqrt(), df)
    }

    /// Pairs of values, such as two figures of each speaker; none for fewer than two pairs or when no difference varies.
    pub fn paired(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        if differences.len() < 2 {
            return None;
        }
        let spread = Spread::of(&differences);
        let n = differences.len() as f64;
        Self::of(spread.mean, spread.sd / n.sqrt(), n - 1.0)
    }
}

/// Chances of several tests, corrected for their number (Holm 1979): each is what the single test's would have to be for
/// the whole family to err once in so many.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut most: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        most = most.max((p.len() - rank) as f64 * p[i]).min(1.0);
        corrected[i] = most;
    }
    corrected
}

/// McNemar's exact test of two programs on the same examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Examples that only the first reads right.
    pub first_only: u64,
    /// Examples that only the second reads right.
    pub second_only: u64,
    /// The chance of so uneven counts, either way, if both were right equally often.
    pub p: f64,
}

impl McNemar {
    /// Of the examples that only one of the two reads right.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] when there are more of them than can be counted with.
    pub fn of(first_only: u64, second_only: u64) -> Result<Self> {
        let n = first_only + second_only;
        let p = if n == 0 {
            1.0
        } else {
            let of = Binomial::new(0.5, n).map_err(|e| Error::new(ErrorKind::Data, format!("{n} differences: {e}")))?;
            (2.0 * of.cdf(first_only.min(second_only))).min(1.0)
        };
        Ok(McNemar { first_only, second_only, p })
    }
}

/// The chance that a right answer is given with more confidence than a wrong one (the area under the ROC curve, ties half
/// counted); none without right or without wrong answers.
pub fn auroc(confidence: &[(f64, bool)]) -> Option<f64> {
    let mut sorted: Vec<(f64, bool)> = confidence.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let right = sorted.iter().filter(|c| c.1).count() as f64;
    let wrong = sorted.len() as f64 - right;
    if right == 0.0 || wrong == 0.0 {
        return None;
    }
    // mean ranks of ties
    let (mut ranks, mut first) = (0.0, 0);
    while first < sorted.len() {
        let end = first + sorted[first..].iter().take_while(|c| c.0 == sorted[first].0).count();
        let rank = (first + 1 + end) as f64 / 2.0;
        ranks += rank * sorted[first..end].iter().filter(|c| c.1).count() as f64;
        first = end;
    }
    Some((ranks - right * (right + 1.0) / 2.0) / (right * wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{anova, interval_95};
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn close(found: f64, expected: &Value) {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() <= 1e-9 + 1e-6 * expected.abs(), "{found} is not {expected}");
    }

    #[test]
    fn tests_and_intervals_are_those_of_scipy() {
        let goldens: Value = serde_json::from_str(include_str!("../../../testdata/statistics/goldens.json")).unwrap();
        for case in goldens["groups"].as_array().unwrap() {
            let groups: Vec<Vec<f64>> = case["groups"].as_array().unwrap().iter().map(numbers).collect();
            let found = anova(&groups).unwrap();
            close(found.f, &case["anova"]["f"]);
            close(found.p, &case["anova"]["p"]);
            for test in case["welch"].as_array().unwrap() {
                let at = |name: &str| &groups[test[name].as_u64().unwrap() as usize];
                let found = TTest::welch(at("a"), at("b")).unwrap();
                close(found.t, &test["t"]);
                close(found.df, &test["df"]);
                close(found.p, &test["p"]);
            }
            for test in case["paired"].as_array().unwrap() {
                let at = |name: &str| &groups[test[name].as_u64().unwrap() as usize];
                let pairs: Vec<(f64, f64)> = at("a").iter().copied().zip(at("b").iter().copied()).collect();
                let found = TTest::paired(&pairs).unwrap();
                close(found.t, &test["t"]);
                close(found.p, &test["p"]);
            }
            let interval = interval_95(&groups[0]).unwrap();
            close(interval[0], &case["interval"][0]);
            close(interval[1], &case["interval"][1]);
        }
        for case in goldens["holm"].as_array().unwrap() {
            let found = holm(&numbers(&case["p"]));
            found.iter().zip(case["corrected"].as_array().unwrap()).for_each(|(f, e)| close(*f, e));
        }
        for case in goldens["mcnemar"].as_array().unwrap() {
            let count = |name: &str| case[name].as_u64().unwrap();
            close(McNemar::of(count("b"), count("c")).unwrap().p, &case["p"]);
        }
        for case in goldens["quantile"].as_array().unwrap() {
            let values = numbers(&case["values"]);
            for pair in case["at"].as_array().unwrap() {
                close(quantile(&values, pair[0].as_f64().unwrap()).unwrap(), &pair[1]);
            }
        }
        for case in goldens["auroc"].as_array().unwrap() {
            let right = case["right"].as_array().unwrap().iter().map(|r| r.as_bool().unwrap());
            let pairs: Vec<(f64, bool)> = numbers(&case["confidence"]).into_iter().zip(right).collect();
            close(auroc(&pairs).unwrap(), &case["auroc"]);
        }
        // draws differ between the two programs: the ends agree to a part of the interval's width
        for case in goldens["bootstrap"].as_array().unwrap() {
            let values = numbers(&case["values"]);
            let clusters: Vec<Vec<usize>> = (0..values.len()).map(|i| vec![i]).collect();
            let mean = |members: &[usize]| [members.iter().map(|&i| values[i]).sum::<f64>() / members.len() as f64];
            let [found] = bootstrap(&clusters, 20_000, 1, mean);
            let (found, expected) = (found.unwrap(), numbers(&case["interval"]));
            let width = expected[1] - expected[0];
            for (f, e) in found.iter().zip(&expected) {
                assert!((f - e).abs() < 0.03 * width, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn clusters_are_drawn_whole_and_the_same_seed_draws_the_same() {
        // two speakers whose clips are all right or all wrong: as unsure as two answers, not as a hundred
        let clusters = [(0..50).collect::<Vec<usize>>(), (50..100).collect()];
        let right = |members: &[usize]| [members.iter().filter(|&&i| i < 50).count() as f64 / members.len() as f64];
        let [wide] = bootstrap(&clusters, 1000, 3, right);
        assert_eq!(wide, Some([0.0, 1.0]));
        let single: Vec<Vec<usize>> = (0..100).map(|i| vec![i]).collect();
        let [narrow] = bootstrap(&single, 1000, 3, right);
        assert!(narrow.unwrap()[0] > 0.35 && narrow.unwrap()[1] < 0.65, "{narrow:?}");
        assert_eq!(bootstrap(&single, 1000, 3, right), [narrow]);
        assert_eq!(bootstrap(&single[..1], 10, 3, right), [None]);
        assert_eq!(bootstrap(&single, 10, 3, |_| [f64::NAN]), [None]);
    }

    #[test]
    fn tests_without_enough_say_so() {
        assert_eq!(TTest::welch(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(TTest::welch(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(TTest::paired(&[(1.0, 2.0)]), None);
        assert_eq!(McNemar::of(0, 0).unwrap().p, 1.0);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(auroc(&[(0.5, true)]), None);
        assert!(holm(&[]).is_empty());
    }
}
