//! The learning rate over the steps of a run.

use std::f64::consts::PI;

use crate::recipe::Schedule;

impl Schedule {
    /// What the learning rate is multiplied by in step `step` (from 0) of `steps`, with `per_epoch` steps in an epoch.
    pub fn factor(&self, step: usize, steps: usize, per_epoch: usize) -> f32 {
        let steps = steps.max(1) as f64;
        let at = step as f64;
        // half a cosine from `from` at 0 to `to` at 1
        let ease = |from: f64, to: f64, part: f64| to + (from - to) * 0.5 * (1.0 + (PI * part.clamp(0.0, 1.0)).cos());
        let factor = match *self {
            Schedule::OneCycle { rise, start, end } => {
                let top = (f64::from(rise) * steps - 1.0).max(0.0);
                if at < top {
                    ease(f64::from(start), 1.0, at / top)
                } else {
                    ease(1.0, f64::from(end), (at - top) / (steps - 1.0 - top).max(1.0))
                }
            }
            Schedule::Constant { warm_up } | Schedule::Cosine { warm_up, .. } | Schedule::Step { warm_up, .. } => {
                let warm = (f64::from(warm_up) * steps).round();
                if at < warm {
                    (at + 1.0) / warm
                } else {
                    match *self {
                        Schedule::Cosine { floor, .. } => {
                            ease(1.0, f64::from(floor), (at - warm) / (steps - warm).max(1.0))
                        }
                        Schedule::Step { every, factor, .. } => {
                            f64::from(factor).powi((step / per_epoch.max(1) / every.max(1)) as i32)
                        }
                        _ => 1.0,
                    }
                }
            }
        };
        factor as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors() {
        let one = Schedule::OneCycle { rise: 0.3, start: 0.04, end: 1e-4 };
        let cosine = Schedule::Cosine { warm_up: 0.1, floor: 0.0 };
        let step = Schedule::Step { every: 2, factor: 0.1, warm_up: 0.0 };
        let cases = [
            (Schedule::default(), 0, 1.0),
            (Schedule::default(), 99, 1.0),
            (Schedule::Constant { warm_up: 0.1 }, 0, 0.1),
            (Schedule::Constant { warm_up: 0.1 }, 9, 1.0),
            (one, 0, 0.04),
            (one, 29, 1.0),
            (one, 99, 1e-4),
            (cosine, 0, 0.1),
            (cosine, 10, 1.0),
            (cosine, 55, 0.5),
            (step, 19, 1.0),
            (step, 20, 0.1),
            (step, 40, 0.01),
        ];
        for (schedule, at, expected) in cases {
            let factor = schedule.factor(at, 100, 10);
            assert!((factor - expected).abs() < 1e-5, "{schedule:?} at {at}: {factor}, not {expected}");
        }
    }
}
