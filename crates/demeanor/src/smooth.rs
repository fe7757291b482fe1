//! Scores over time, made steady.
//!
//! The smoothed scores are a weighted mean of all scores so far. The weight of each falls with its age by `exp(-age /
//! time constant)`; each counts for the time that it stands for, so that twice as many frames a second give the same
//! curve. A weighted mean never leaves the range of its inputs. How sure the scores are plays no part, so that what was
//! sure does not outlive what is unsure; what is seen badly counts less.
//!
//! Lag: a lasting change, to whatever scores, is followed to 63 % after one time constant and to 95 % after three
//! ([`Smoother::lag`]). The first reading after the change stands for the time since the last one before it, so with slow
//! frames the change is followed sooner, by the time between two frames at most.

use std::time::Duration;

use crate::emotion::{Emotion, Scores};

/// Smooths the scores of one face or voice.
#[derive(Debug, Clone)]
pub struct Smoother {
    time_constant: Duration,
    state: Option<State>,
}

#[derive(Debug, Clone)]
struct State {
    sums: [f64; Emotion::COUNT],
    weight: f64,
    labels: [bool; Emotion::COUNT],
    time: Duration,
}

impl Smoother {
    /// A smoother with a time constant; zero leaves the scores as they are.
    pub fn new(time_constant: Duration) -> Smoother {
        Smoother { time_constant, state: None }
    }

    /// After this time a lasting change is followed to 63 %.
    pub fn lag(&self) -> Duration {
        self.time_constant
    }

    /// Takes in the scores at a time and gives the smoothed scores. A time before the last one counts as the last.
    pub fn add(&mut self, scores: &Scores, time: Duration) -> Scores {
        self.add_of_quality(scores, 1.0, time)
    }

    /// As [`Smoother::add`], for scores of an input of some quality, 0 to 1, by which they count less.
    pub fn add_of_quality(&mut self, scores: &Scores, quality: f32, time: Duration) -> Scores {
        // not 0, or nothing would be known of a face that is always dim
        let quality = f64::from(quality.clamp(0.02, 1.0));
        let constant = self.time_constant.as_secs_f64();
        let state = match &mut self.state {
            Some(state) if constant > 0.0 => {
                let dt = time.saturating_sub(state.time).as_secs_f64();
                let keep = (-dt / constant).exp();
                let share = (1.0 - keep) * quality;
                state.weight = state.weight * keep + share;
                for (sum, emotion) in state.sums.iter_mut().zip(Emotion::ALL) {
                    *sum = *sum * keep + f64::from(scores.of(emotion)) * share;
                }
                state.time = state.time.max(time);
                state
            }
            state => state.insert(State {
                sums: Emotion::ALL.map(|e| f64::from(scores.of(e)) * quality),
                weight: quality,
                labels: [false; Emotion::COUNT],
                time,
            }),
        };
        for (label, emotion) in state.labels.iter_mut().zip(Emotion::ALL) {
            *label |= scores.has(emotion);
        }
        let mut pairs = [(Emotion::Angry, 0.0); Emotion::COUNT];
        let mut count = 0;
        for emotion in Emotion::ALL.into_iter().filter(|e| state.labels[e.index()]) {
            pairs[count] = (emotion, (state.sums[emotion.index()] / state.weight).max(0.0) as f32);
            count += 1;
        }
        // the sums are a weighted mean of scores that sum to 1
        Scores::from_weights(&pairs[..count]).unwrap_or(*scores)
    }

    /// Forgets everything, as when a face is lost.
    pub fn forget(&mut self) {
        self.state = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scores(weights: [f32; 7]) -> Scores {
        let pairs: Vec<_> = Emotion::FER.into_iter().zip(weights).collect();
        Scores::from_weights(&pairs).unwrap()
    }

    fn certain(emotion: Emotion) -> Scores {
        scores(Emotion::FER.map(|e| if e == emotion { 1.0 } else { 0.0 }))
    }

    const TAU: Duration = Duration::from_millis(400);

    #[test]
    fn the_first_scores_come_out_unchanged() {
        let first = scores([0.1, 0.2, 0.1, 0.3, 0.1, 0.1, 0.1]);
        let out = Smoother::new(TAU).add(&first, Duration::from_secs(9));
        for e in Emotion::FER {
            assert!((out.of(e) - first.of(e)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_step_is_followed_in_time_not_in_frames() {
        for fps in [5u32, 15, 30, 60, 120] {
            let mut s = Smoother::new(TAU);
            let mut out = None;
            for i in 0..=fps {
                out = Some(s.add(&certain(Emotion::Sad), Duration::from_secs(u64::from(i)) / fps));
            }
            assert!(out.unwrap().of(Emotion::Sad) > 0.999);
            let (mut after_one, mut after_three) = (0.0, 0.0);
            for i in 1..=(2 * fps) {
                let since = Duration::from_secs(u64::from(i)) / fps;
                let happy = s.add(&certain(Emotion::Happy), Duration::from_secs(1) + since).of(Emotion::Happy);
                if since <= TAU {
                    after_one = happy;
                }
                if since <= TAU * 3 {
                    after_three = happy;
                }
            }
            assert!((after_one - 0.632).abs() < 0.08, "{fps} frames/s: {after_one} after one time constant");
            assert!((after_three - 0.95).abs() < 0.03, "{fps} frames/s: {after_three} after three");
        }
    }

    /// How long after the first frame of a change its share reaches 63 %, in seconds, at so many frames a second.
    fn time_to_follow(from: &Scores, to: &Scores, tau: Duration, fps: u32) -> f64 {
        let mut s = Smoother::new(tau);
        for i in 0..=5 * fps {
            s.add(from, Duration::from_secs(u64::from(i)) / fps);
        }
        let (before, after) = (from.of(Emotion::Sad), to.of(Emotion::Sad));
        for i in 1.. {
            let out = s.add(to, Duration::from_secs(5) + Duration::from_secs(i) / fps);
            if (out.of(Emotion::Sad) - before) / (after - before) >= 0.632 {
                return (i - 1) as f64 / f64::from(fps);
            }
        }
        unreachable!()
    }

    #[test]
    fn a_change_is_followed_as_fast_whether_sure_or_unsure() {
        let unsure = scores([0.16, 0.14, 0.14, 0.14, 0.14, 0.14, 0.14]);
        let leaning = scores([0.1, 0.1, 0.1, 0.1, 0.34, 0.1, 0.16]);
        let all = [certain(Emotion::Sad), certain(Emotion::Happy), unsure, leaning];
        for tau_ms in [200, 400, 1000, 3000] {
            let tau = Duration::from_millis(tau_ms);
            for (from, to) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
                if (from.of(Emotion::Sad) - to.of(Emotion::Sad)).abs() < 0.01 {
                    continue;
                }
                for fps in [25, 30, 60] {
                    let took = time_to_follow(from, to, tau, fps);
                    let ratio = took / tau.as_secs_f64();
                    assert!((0.75..=1.25).contains(&ratio), "{tau:?} at {fps} frames/s: {took} s");
                }
            }
        }
    }

    #[test]
    fn no_time_constant_means_no_smoothing() {
        let mut s = Smoother::new(Duration::ZERO);
        s.add(&certain(Emotion::Sad), Duration::ZERO);
        let out = s.add(&certain(Emotion::Happy), Duration::from_millis(1));
        assert_eq!(out.of(Emotion::Happy), 1.0);
    }

    proptest! {
        #[test]
        fn never_outside_its_inputs_and_sums_to_one(
            steps in prop::collection::vec((prop::array::uniform7(0.0f32..1.0), 0u64..5_000), 1..80),
            tau_ms in 1u64..5_000,
        ) {
            let mut s = Smoother::new(Duration::from_millis(tau_ms));
            let mut low = [f32::INFINITY; 7];
            let mut high = [f32::NEG_INFINITY; 7];
            let mut time = Duration::ZERO;
            for (weights, ms) in steps {
                prop_assume!(weights.iter().sum::<f32>() > 1e-3);
                time += Duration::from_millis(ms);
                let input = scores(weights);
                let out = s.add(&input, time);
                let mut sum = 0.0;
                for (i, e) in Emotion::FER.into_iter().enumerate() {
                    low[i] = low[i].min(input.of(e));
                    high[i] = high[i].max(input.of(e));
                    prop_assert!(out.of(e) >= low[i] - 1e-5 && out.of(e) <= high[i] + 1e-5);
                    sum += out.of(e);
                }
                prop_assert!((sum - 1.0).abs() < 1e-5);
            }
        }

        #[test]
        fn more_frames_of_the_same_give_the_same_curve(happy in 0.5f32..1.0, per in 1u32..8) {
            let target = scores(Emotion::FER.map(|e| if e == Emotion::Happy { happy } else { (1.0 - happy) / 6.0 }));
            let run = |frames: u32| {
                let mut s = Smoother::new(TAU);
                s.add(&certain(Emotion::Sad), Duration::ZERO);
                let mut out = None;
                for i in 1..=frames {
                    out = Some(s.add(&target, Duration::from_millis(600) * i / frames));
                }
                out.unwrap().of(Emotion::Happy)
            };
            prop_assert!((run(4) - run(4 * per)).abs() < 2e-3);
        }
    }
}
