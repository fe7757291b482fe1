//! A person's resting face and voice, and scores corrected for them.
//!
//! Some resting faces read as sad, some resting voices as angry. A [`Baseline`] takes in the scores of a person at rest. How
//! far their mean departs from what a resting person should read as is taken off later scores, in the logarithm: an
//! emotion that the resting face already shows must be shown more than that to count.

use crate::emotion::{Emotion, Scores};

/// What neutral (and calm, where it is a label) gets together when a person at rest is read well.
const RESTING_NEUTRAL: f32 = 0.7;

/// An emotion's score is multiplied or divided by at most this.
const LIMIT: f32 = 8.0;

/// The mean score below which differences are chance.
const FLOOR: f32 = 0.02;

/// The scores of one person at rest.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    sums: [f64; Emotion::COUNT],
    labels: [bool; Emotion::COUNT],
    count: u32,
}

impl Baseline {
    /// A baseline that has seen nothing and corrects nothing.
    pub fn new() -> Baseline {
        Baseline::default()
    }

    /// Takes in uncorrected scores of the person at rest.
    pub fn learn(&mut self, scores: &Scores) {
        for (emotion, score) in scores.iter() {
            self.sums[emotion.index()] += f64::from(score);
            self.labels[emotion.index()] = true;
        }
        self.count = self.count.saturating_add(1);
    }

    /// The scores corrected by a baseline of mixed expressions rather than of rest: over a while a person shows each
    /// emotion about as often as the others, so what their mean has too much of is taken off and what it has too little of
    /// is added. `strength` as in [`Baseline::correct`].
    pub fn level(&self, scores: &Scores, strength: f32) -> Scores {
        let even = 1.0 / scores.iter().count() as f32;
        self.scaled(scores, strength, |emotion| even / self.mean(emotion).max(FLOOR))
    }

    /// How many scores were taken in.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The scores corrected; `strength` 0 leaves them as they are, 1 takes off the whole departure. Without anything learnt
    /// they stay as they are.
    pub fn correct(&self, scores: &Scores, strength: f32) -> Scores {
        let is_rest = |e: Emotion| matches!(e, Emotion::Neutral | Emotion::Calm);
        let rest: f32 = scores.iter().map(|(e, _)| if is_rest(e) { self.mean(e) } else { 0.0 }).sum();
        let others = scores.iter().filter(|&(e, _)| !is_rest(e)).count().max(1) as f32;
        // who already reads as neutral at rest is not pulled anywhere
        let wanted_rest = RESTING_NEUTRAL.max(rest);
        self.scaled(scores, strength, |emotion| {
            if is_rest(emotion) {
                // neutral and calm keep their relation
                wanted_rest / rest.max(FLOOR)
            } else {
                let wanted = (1.0 - wanted_rest) / others;
                // only what the resting face shows too much of is taken off
                (wanted.max(FLOOR) / self.mean(emotion).max(FLOOR)).min(1.0)
            }
        })
    }

    /// The mean score of an emotion; 0 where nothing was learnt.
    fn mean(&self, emotion: Emotion) -> f32 {
        (self.sums[emotion.index()] / f64::from(self.count.max(1))) as f32
    }

    /// The scores, each times the factor of its emotion to the power of `strength`; emotions that were not learnt, and all
    /// where nothing was, stay as they are.
    fn scaled(&self, scores: &Scores, strength: f32, factor: impl Fn(Emotion) -> f32) -> Scores {
        if self.count == 0 {
            return *scores;
        }
        let mut pairs = [(Emotion::Angry, 0.0); Emotion::COUNT];
        let mut count = 0;
        for (emotion, score) in scores.iter() {
            let factor = if self.labels[emotion.index()] { factor(emotion) } else { 1.0 };
            pairs[count] = (emotion, score * factor.clamp(1.0 / LIMIT, LIMIT).powf(strength.clamp(0.0, 1.0)));
            count += 1;
        }
        // each score times a factor of more than 0
        Scores::from_weights(&pairs[..count]).unwrap_or(*scores)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(pairs: &[(Emotion, f32)]) -> Scores {
        let named: f32 = pairs.iter().map(|p| p.1).sum();
        let rest = (1.0 - named) / (7 - pairs.len()) as f32;
        let all: Vec<_> =
            Emotion::FER.iter().map(|&e| (e, pairs.iter().find(|p| p.0 == e).map_or(rest, |p| p.1))).collect();
        Scores::from_weights(&all).unwrap()
    }

    #[test]
    fn a_resting_face_that_reads_as_sad_stops_doing_so() {
        let resting = scores(&[(Emotion::Sad, 0.6), (Emotion::Neutral, 0.25)]);
        let mut baseline = Baseline::new();
        for _ in 0..30 {
            baseline.learn(&resting);
        }
        let corrected = baseline.correct(&resting, 1.0);
        assert_eq!(corrected.top().0, Emotion::Neutral);
        assert!(corrected.of(Emotion::Sad) < 0.15, "{}", corrected.of(Emotion::Sad));
        // a smile is still a smile, and much sadness still sad
        let smile = scores(&[(Emotion::Happy, 0.8), (Emotion::Sad, 0.1)]);
        assert_eq!(baseline.correct(&smile, 1.0).top().0, Emotion::Happy);
        let very_sad = scores(&[(Emotion::Sad, 0.95), (Emotion::Neutral, 0.01)]);
        assert_eq!(baseline.correct(&very_sad, 1.0).top().0, Emotion::Sad);
    }

    #[test]
    fn a_resting_face_that_reads_as_neutral_changes_nothing() {
        let resting = scores(&[(Emotion::Neutral, 0.85)]);
        let mut baseline = Baseline::new();
        baseline.learn(&resting);
        for other in [resting, scores(&[(Emotion::Sad, 0.5)]), scores(&[(Emotion::Happy, 0.9)])] {
            let out = baseline.correct(&other, 1.0);
            for e in Emotion::FER {
                assert!((out.of(e) - other.of(e)).abs() < 0.02, "{e}");
            }
        }
    }

    #[test]
    fn a_mean_of_all_expressions_is_levelled() {
        let mut baseline = Baseline::new();
        baseline.learn(&scores(&[(Emotion::Sad, 0.7)]));
        baseline.learn(&scores(&[(Emotion::Sad, 0.5), (Emotion::Happy, 0.2)]));
        let now = scores(&[(Emotion::Sad, 0.4), (Emotion::Happy, 0.3)]);
        assert_eq!(now.top().0, Emotion::Sad);
        assert_eq!(baseline.level(&now, 1.0).top().0, Emotion::Happy);
        assert_eq!(baseline.level(&now, 0.0).top().0, Emotion::Sad);
    }

    #[test]
    fn nothing_learnt_corrects_nothing() {
        let any = scores(&[(Emotion::Fear, 0.4)]);
        assert_eq!(Baseline::new().correct(&any, 1.0), any);
    }

    proptest! {
        #[test]
        fn sums_to_one_keeps_labels_and_strength_zero_changes_nothing(
            rest in prop::array::uniform7(0.0f32..1.0), now in prop::array::uniform7(0.001f32..1.0), strength in 0f32..1.0,
        ) {
            prop_assume!(rest.iter().sum::<f32>() > 1e-3);
            let of = |w: [f32; 7]| Scores::from_weights(&Emotion::FER.into_iter().zip(w).collect::<Vec<_>>()).unwrap();
            let mut baseline = Baseline::new();
            baseline.learn(&of(rest));
            let now = of(now);
            let out = baseline.correct(&now, strength);
            prop_assert!((out.iter().map(|(_, s)| s).sum::<f32>() - 1.0).abs() < 1e-5);
            let same = baseline.correct(&now, 0.0);
            for e in Emotion::FER {
                prop_assert!((same.of(e) - now.of(e)).abs() < 1e-5);
                // what the resting face shows too much of never grows beside neutral
                prop_assert!(out.of(Emotion::Sad) * now.of(Emotion::Neutral)
                    <= out.of(Emotion::Neutral) * now.of(Emotion::Sad) + 1e-4);
            }
        }
    }
}
