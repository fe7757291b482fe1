//! A face and a voice to one estimate.
//!
//! Late fusion of calibrated scores: each sense says how much likelier its evidence makes an emotion, and the two are
//! multiplied, each to the power of its weight. That is what Bayes' rule gives when the senses err independently, with a
//! weight below 1 for the one that deserves less trust. What follows from this form:
//! - a sense without a preference changes nothing, so "unsure" needs no rule of its own;
//! - one sense alone comes out as it went in;
//! - senses that agree give a clearer estimate than each; senses that disagree a vaguer one.
//!
//! The label sets may differ: the estimate is over their union. What a sense has no label for it sees as the nearest label
//! that it has ([`nearest`]): a face model without calm reads a calm face as neutral, so its evidence for neutral is its
//! evidence for calm too.

use std::time::Duration;

use crate::emotion::{Emotion, Scores};
use crate::error::{Error, ErrorKind, Result};

/// Scores below this count as this, so that no single sense can rule an emotion out.
const FLOOR: f32 = 1e-3;

/// Below this weight a sense is too old to count.
const STALE: f32 = 0.02;

/// What is known of a sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trust {
    /// How good the sense is, more than 0 and at most 1; only the relation between the senses matters.
    pub reliability: f32,
    /// For how long scores keep their full weight.
    pub fresh_for: Duration,
    /// After that the weight falls to a half each time this passes.
    pub half_life: Duration,
}

/// What scores are divided and weighted by.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct FuseSettings {
    /// Trust in faces.
    pub face: Trust,
    /// Trust in voices.
    pub speech: Trust,
    /// What the logarithms of fused scores are divided by where both senses count, so that they are calibrated; more than
    /// 0. Above 1 because the senses do not err quite independently.
    pub temperature: f32,
}

impl Default for FuseSettings {
    /// Faces are trusted as they are (balanced accuracy around 0.7 on FER-2013, seven classes), voices a little less (0.65
    /// with speakers held out, eight classes). An expression changes within a second; a voice is read over seconds.
    fn default() -> Self {
        FuseSettings {
            face: Trust {
                reliability: 1.0,
                fresh_for: Duration::from_millis(300),
                half_life: Duration::from_millis(700),
            },
            speech: Trust { reliability: 0.9, fresh_for: Duration::from_secs(1), half_life: Duration::from_secs(2) },
            temperature: 1.2,
        }
    }
}

/// The scores of a sense, and how old they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Calibrated scores.
    pub scores: Scores,
    /// Time since what was seen or heard.
    pub age: Duration,
    /// What the trust is multiplied by for a reason of its own, 0 to 1: little speech so far, a face hardly found.
    pub quality: f32,
}

/// A fused estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused {
    /// Scores over the union of the label sets.
    pub scores: Scores,
    /// What the face counted, 0 to 1.
    pub face_weight: f32,
    /// What the voice counted, 0 to 1.
    pub speech_weight: f32,
}

/// Fuses what is known; `None` when neither sense has anything that is not stale.
///
/// # Errors
/// [`ErrorKind::Setting`] when a reliability is not in (0, 1], the temperature is not more than 0, or a quality is not in
/// 0 to 1.
pub fn fuse(face: Option<&Evidence>, speech: Option<&Evidence>, settings: &FuseSettings) -> Result<Option<Fused>> {
    if settings.temperature <= 0.0 || !settings.temperature.is_finite() {
        return Err(Error::new(
            ErrorKind::Setting,
            format!("a fusion temperature is more than 0, not {}", settings.temperature),
        ));
    }
    let face_weight = weight(face, &settings.face)?;
    let speech_weight = weight(speech, &settings.speech)?;
    let strongest = face_weight.max(speech_weight);
    if strongest < STALE {
        return Ok(None);
    }
    // the better sense speaks in full; fading with age is in `recency`, so that one sense alone fades into "unsure"
    let senses = [
        (face, face_weight / strongest, recency(face, &settings.face)),
        (speech, speech_weight / strongest, recency(speech, &settings.speech)),
    ];
    let mut logs = [None::<f32>; Emotion::COUNT];
    for (evidence, _, _) in senses.iter().filter(|s| s.1 > 0.0) {
        let Some(evidence) = evidence else { continue };
        for (emotion, _) in evidence.scores.iter() {
            logs[emotion.index()] = Some(0.0);
        }
    }
    for (evidence, power, recency) in senses.iter().filter(|s| s.1 > 0.0) {
        let Some(evidence) = evidence else { continue };
        let chance = 1.0 / evidence.scores.iter().count() as f32;
        for (emotion, log) in Emotion::ALL.into_iter().zip(&mut logs) {
            let Some(log) = log else { continue };
            let score = if evidence.scores.has(emotion) {
                evidence.scores.of(emotion)
            } else {
                match nearest(emotion) {
                    Some(other) if evidence.scores.has(other) => evidence.scores.of(other),
                    // it knows nothing of this emotion
                    _ => chance,
                }
            };
            let faded = score * recency + chance * (1.0 - recency);
            *log += power * (faded.max(FLOOR) / chance).ln();
        }
    }
    let both = face_weight.min(speech_weight) / strongest;
    let temperature = 1.0 + (settings.temperature - 1.0) * both;
    let top = logs.iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut pairs = [(Emotion::Angry, 0.0); Emotion::COUNT];
    let mut count = 0;
    for (emotion, log) in Emotion::ALL.into_iter().zip(logs) {
        if let Some(log) = log {
            pairs[count] = (emotion, ((log - top) / temperature).exp());
            count += 1;
        }
    }
    let scores = Scores::from_weights(&pairs[..count])?;
    Ok(Some(Fused { scores, face_weight, speech_weight }))
}

/// The emotion that a sense without a label for this one takes it for.
pub const fn nearest(emotion: Emotion) -> Option<Emotion> {
    match emotion {
        Emotion::Calm => Some(Emotion::Neutral),
        Emotion::Contempt => Some(Emotion::Disgust),
        _ => None,
    }
}

/// 1 while fresh, then halved with every half-life; 0 when there is nothing.
fn recency(evidence: Option<&Evidence>, trust: &Trust) -> f32 {
    let Some(evidence) = evidence else { return 0.0 };
    let old = evidence.age.saturating_sub(trust.fresh_for).as_secs_f32();
    if old == 0.0 {
        return 1.0;
    }
    0.5f32.powf(old / trust.half_life.as_secs_f32().max(1e-6))
}

fn weight(evidence: Option<&Evidence>, trust: &Trust) -> Result<f32> {
    if !(trust.reliability > 0.0 && trust.reliability <= 1.0) {
        return Err(Error::new(
            ErrorKind::Setting,
            format!("a sense's reliability is more than 0 and at most 1, not {}", trust.reliability),
        ));
    }
    let Some(evidence) = evidence else { return Ok(0.0) };
    if !(0.0..=1.0).contains(&evidence.quality) {
        return Err(Error::new(ErrorKind::Setting, format!("a quality is 0 to 1, not {}", evidence.quality)));
    }
    let weight = trust.reliability * evidence.quality * recency(Some(evidence), trust);
    Ok(if weight < STALE { 0.0 } else { weight })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peaked(labels: &[Emotion], at: Emotion, score: f32) -> Scores {
        let rest = (1.0 - score) / (labels.len() - 1) as f32;
        let pairs: Vec<_> = labels.iter().map(|&e| (e, if e == at { score } else { rest })).collect();
        Scores::from_weights(&pairs).unwrap()
    }

    fn flat(labels: &[Emotion]) -> Scores {
        Scores::from_weights(&labels.iter().map(|&e| (e, 1.0)).collect::<Vec<_>>()).unwrap()
    }

    fn now(scores: Scores) -> Evidence {
        Evidence { scores, age: Duration::ZERO, quality: 1.0 }
    }

    fn aged(scores: Scores, age_s: f32) -> Evidence {
        Evidence { scores, age: Duration::from_secs_f32(age_s), quality: 1.0 }
    }

    fn fused(face: Option<Evidence>, speech: Option<Evidence>) -> Option<Scores> {
        fuse(face.as_ref(), speech.as_ref(), &FuseSettings::default()).unwrap().map(|f| f.scores)
    }

    #[test]
    fn one_sense_alone_comes_out_as_it_went_in() {
        let face = peaked(&Emotion::FER, Emotion::Happy, 0.7);
        let speech = peaked(&Emotion::RAVDESS, Emotion::Calm, 0.6);
        for (out, expected) in [
            (fused(Some(now(face)), None).unwrap(), face),
            (fused(None, Some(now(speech))).unwrap(), speech),
            // the other one is long gone
            (fused(Some(now(face)), Some(aged(speech, 60.0))).unwrap(), face),
            (fused(Some(aged(face, 60.0)), Some(now(speech))).unwrap(), speech),
        ] {
            for e in Emotion::ALL {
                assert!((out.of(e) - expected.of(e)).abs() < 2e-3, "{e}: {} {}", out.of(e), expected.of(e));
                assert_eq!(out.has(e), expected.has(e), "{e}");
            }
        }
    }

    #[test]
    fn nothing_fresh_gives_nothing() {
        let face = peaked(&Emotion::FER, Emotion::Happy, 0.7);
        assert_eq!(fused(None, None), None);
        assert_eq!(fused(Some(aged(face, 60.0)), None), None);
        let no_quality = Evidence { quality: 0.0, ..now(face) };
        assert_eq!(fused(Some(no_quality), None), None);
    }

    #[test]
    fn an_unsure_sense_changes_nothing_of_the_order() {
        let face = peaked(&Emotion::FER, Emotion::Sad, 0.6);
        let out = fused(Some(now(face)), Some(now(flat(&Emotion::RAVDESS)))).unwrap();
        assert_eq!(out.top().0, Emotion::Sad);
        assert!(out.of(Emotion::Sad) > 0.4);
    }

    #[test]
    fn agreement_is_clearer_and_disagreement_vaguer() {
        let face = now(peaked(&Emotion::FER, Emotion::Happy, 0.6));
        let same = fused(Some(face), Some(now(peaked(&Emotion::RAVDESS, Emotion::Happy, 0.6)))).unwrap();
        assert!(same.of(Emotion::Happy) > 0.75, "{}", same.of(Emotion::Happy));
        let other = fused(Some(face), Some(now(peaked(&Emotion::RAVDESS, Emotion::Sad, 0.6)))).unwrap();
        assert!(other.top().1 < 0.6);
        assert!(other.of(Emotion::Happy) > 0.2 && other.of(Emotion::Sad) > 0.2);
    }

    #[test]
    fn a_neutral_face_leaves_calm_possible() {
        let face = now(peaked(&Emotion::FER, Emotion::Neutral, 0.8));
        let speech = now(peaked(&Emotion::RAVDESS, Emotion::Calm, 0.7));
        let out = fused(Some(face), Some(speech)).unwrap();
        assert_eq!(out.top().0, Emotion::Calm);
        assert!(out.of(Emotion::Calm) > 0.7, "{}", out.of(Emotion::Calm));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let face = now(flat(&Emotion::FER));
        let mut settings = FuseSettings { temperature: 0.0, ..Default::default() };
        assert_eq!(fuse(Some(&face), None, &settings).unwrap_err().kind(), ErrorKind::Setting);
        settings.temperature = 1.0;
        settings.face.reliability = 1.5;
        assert_eq!(fuse(Some(&face), None, &settings).unwrap_err().kind(), ErrorKind::Setting);
        let odd = Evidence { quality: f32::NAN, ..face };
        assert_eq!(fuse(Some(&odd), None, &FuseSettings::default()).unwrap_err().kind(), ErrorKind::Setting);
    }

    fn any_scores(labels: &'static [Emotion]) -> impl Strategy<Value = Scores> {
        prop::collection::vec(0.001f32..1.0, labels.len()).prop_map(move |weights| {
            Scores::from_weights(&labels.iter().copied().zip(weights).collect::<Vec<_>>()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn sums_to_one_over_the_union(
            face in any_scores(&Emotion::FER), speech in any_scores(&Emotion::RAVDESS),
            face_age in 0f32..10.0, speech_age in 0f32..10.0,
        ) {
            if let Some(out) = fused(Some(aged(face, face_age)), Some(aged(speech, speech_age))) {
                let sum: f32 = out.iter().map(|(_, s)| s).sum();
                prop_assert!((sum - 1.0).abs() < 1e-5);
                prop_assert!(!out.has(Emotion::Contempt));
            }
        }

        #[test]
        fn older_counts_less(face in any_scores(&Emotion::FER), speech in any_scores(&Emotion::RAVDESS)) {
            let weight_at = |age| {
                fuse(Some(&aged(face, age)), Some(&now(speech)), &FuseSettings::default()).unwrap().unwrap().face_weight
            };
            prop_assert!(weight_at(0.1) >= weight_at(1.0) && weight_at(1.0) > weight_at(3.0));
        }

        #[test]
        fn time_moves_it_without_jumps(face in any_scores(&Emotion::FER), speech in any_scores(&Emotion::FER)) {
            let mut before: Option<Scores> = None;
            for step in 0..400 {
                // what is stale leaves the union, so both have the same labels here
                let Some(out) = fused(Some(aged(face, step as f32 * 0.01)), Some(now(speech))) else { break };
                if let Some(before) = before {
                    for e in Emotion::FER {
                        prop_assert!((before.of(e) - out.of(e)).abs() < 0.12, "{} at step {}", e, step);
                    }
                }
                before = Some(out);
            }
        }
    }
}
