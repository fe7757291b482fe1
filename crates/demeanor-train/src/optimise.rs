//! Steps on a flat vector of parameters.

use rayon::prelude::*;

use crate::recipe::Optimiser;
use demeanor::simd::Isa;
use demeanor::vectorized;

/// The memory of an optimiser: its moments and how many steps it has taken.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimiserState {
    /// Mean of the gradient (momentum), one number for each parameter.
    pub first: Vec<f32>,
    /// Mean of its square; empty where the optimiser needs none.
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: u64,
}

// long enough that handing a piece to a core costs nothing; short enough that small networks use all cores
const PIECE: usize = 1 << 14;

impl OptimiserState {
    /// The memory of an optimiser that has not stepped yet.
    pub fn new(optimiser: &Optimiser, parameters: usize) -> Self {
        let second = match optimiser {
            Optimiser::Adam { .. } | Optimiser::Adamw { .. } => parameters,
            Optimiser::Sgd { .. } => 0,
        };
        OptimiserState { first: vec![0.0; parameters], second: vec![0.0; second], steps: 0 }
    }

    /// Takes one step. `decays` says for each parameter whether weight decay applies to it (unless the recipe decays
    /// all); `factor` is the schedule's. All slices are as long as the parameters.
    pub fn step(
        &mut self,
        optimiser: &Optimiser,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
        decays: &[bool],
    ) {
        self.steps += 1;
        let clip = match *optimiser {
            Optimiser::Adam { clip, .. } | Optimiser::Adamw { clip, .. } | Optimiser::Sgd { clip, .. } => clip,
        };
        let scale = if clip > 0.0 {
            // summed in pieces of fixed size, so that the result does not depend on the number of cores
            let pieces: Vec<f64> = gradient
                .par_chunks(PIECE)
                .map(|piece| piece.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>())
                .collect();
            let norm = pieces.iter().sum::<f64>().sqrt() as f32;
            if norm > clip { clip / norm } else { 1.0 }
        } else {
            1.0
        };
        let pieces = parameters
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(decays.par_chunks(PIECE))
            .zip(self.first.par_chunks_mut(PIECE));
        let isa = Isa::active();
        match *optimiser {
            Optimiser::Adam { rate, beta1, beta2, epsilon, decay, decay_all, .. }
            | Optimiser::Adamw { rate, beta1, beta2, epsilon, decay, decay_all, .. } => {
                let plain = rate * factor;
                let apart = matches!(optimiser, Optimiser::Adamw { .. });
                let (pull, shrink) = if apart { (0.0, plain * decay) } else { (decay, 0.0) };
                let (rate, second_scale) = corrected(plain, beta1, beta2, self.steps);
                let adam = Adam { rate, second_scale, beta1, beta2, epsilon, scale, pull, shrink, decay_all };
                pieces
                    .zip(self.second.par_chunks_mut(PIECE))
                    .for_each(|((((w, g), d), m), v)| adam_step(isa, w, g, d, m, v, &adam));
            }
            Optimiser::Sgd { rate, momentum, nesterov, decay, decay_all, .. } => {
                let rate = rate * factor;
                pieces.for_each(|(((w, g), d), m)| {
                    for i in 0..w.len() {
                        let mut g = g[i] * scale;
                        if d[i] || decay_all {
                            g += decay * w[i];
                        }
                        m[i] = momentum * m[i] + g;
                        w[i] -= rate * if nesterov { g + momentum * m[i] } else { m[i] };
                    }
                });
            }
        }
    }
}

/// What a step of Adam needs to know besides its slices.
struct Adam {
    rate: f32,
    second_scale: f32,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// Multiplies the gradient (clipping).
    scale: f32,
    /// Weight decay as a part of the gradient.
    pull: f32,
    /// Weight decay as a part of the weight that is taken off.
    shrink: f32,
    decay_all: bool,
}

vectorized! {
    /// A step for a piece of the parameters; all slices are equally long. No branch in the loop, so that it is done on whole
    /// vectors.
    fn adam_step<'a>(w: &'a mut [f32], g: &'a [f32], d: &'a [bool], m: &'a mut [f32], v: &'a mut [f32], adam: &'a Adam) {
        let n = w.len();
        let (g, d, m, v) = (&g[..n], &d[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            let decays = f32::from(u8::from(d[i] | adam.decay_all));
            let gradient = g[i] * adam.scale + decays * adam.pull * w[i];
            let weight = w[i] - decays * adam.shrink * w[i];
            m[i] = large(adam.beta1 * m[i] + (1.0 - adam.beta1) * gradient);
            v[i] = large(adam.beta2 * v[i] + (1.0 - adam.beta2) * gradient * gradient);
            w[i] = weight - adam.rate * m[i] / ((v[i] * adam.second_scale).sqrt() + adam.epsilon);
        }
    }
}

/// A moment, or 0 where it is so small that it moves no weight: where a unit is dead its moments fade for ever, and a
/// processor takes a hundred times as long for numbers below the normal range.
#[inline(always)]
fn large(moment: f32) -> f32 {
    if moment.abs() < 1e-25 { 0.0 } else { moment }
}

/// Adam's learning rate corrected for the first moment, and what the second is multiplied by.
fn corrected(rate: f32, beta1: f32, beta2: f32, steps: u64) -> (f32, f32) {
    let left = |beta: f32| 1.0 - f64::from(beta).powf(steps as f64);
    ((f64::from(rate) / left(beta1)) as f32, (1.0 / left(beta2)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    // torch 2.x: two parameters from [1.0, -2.0], gradient [0.5, -1.5] then [-0.25, 3.0], rate 0.1
    fn two_steps(optimiser: Optimiser, decays: [bool; 2]) -> [f32; 2] {
        let mut state = OptimiserState::new(&optimiser, 2);
        let mut w = [1.0, -2.0];
        for g in [[0.5, -1.5], [-0.25, 3.0]] {
            state.step(&optimiser, 1.0, &mut w, &g, &decays);
        }
        w
    }

    #[test]
    fn sgd_by_hand() {
        let sgd =
            |nesterov, decay| Optimiser::Sgd { rate: 0.1, momentum: 0.9, nesterov, decay, decay_all: false, clip: 0.0 };
        // m1 = g1; w1 = w0 - 0.1 g1; m2 = 0.9 g1 + g2; w2 = w1 - 0.1 m2
        let w = two_steps(sgd(false, 0.0), [true; 2]);
        assert!((w[0] - (1.0 - 0.05 - 0.02)).abs() < 1e-6, "{w:?}");
        assert!((w[1] - (-2.0 + 0.15 - 0.165)).abs() < 1e-6, "{w:?}");
        // nesterov: w1 = w0 - 0.1 (g1 + 0.9 g1); w2 = w1 - 0.1 (g2 + 0.9 m2)
        let w = two_steps(sgd(true, 0.0), [true; 2]);
        assert!((w[0] - (1.0 - 0.095 + 0.025 - 0.018)).abs() < 1e-6, "{w:?}");
        // decay reaches only the first
        let w = two_steps(sgd(false, 0.1), [true, false]);
        assert!((w[1] - (-2.0 + 0.15 - 0.165)).abs() < 1e-6, "{w:?}");
        assert!(w[0] < 0.93);
    }

    #[test]
    fn adam_first_step_is_the_rate() {
        let adam = Optimiser::Adam {
            rate: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-7,
            decay: 0.0,
            decay_all: false,
            clip: 0.0,
        };
        let mut state = OptimiserState::new(&adam, 2);
        let mut w = [1.0, -2.0];
        state.step(&adam, 1.0, &mut w, &[0.5, -1.5], &[true; 2]);
        assert!((w[0] - 0.9).abs() < 1e-5 && (w[1] + 1.9).abs() < 1e-5, "{w:?}");
        // second step by hand: m = 0.1 (0.9 * 0.5 - 0.25), v = 0.001 (0.999 * 0.25 + 0.0625)
        state.step(&adam, 1.0, &mut w, &[-0.25, 3.0], &[true; 2]);
        let m = 0.1 * (0.9 * 0.5 - 0.25) / (1.0 - 0.81);
        let v: f64 = 0.001 * (0.999 * 0.25 + 0.0625) / (1.0 - 0.998_001);
        assert!((f64::from(w[0]) - (0.9 - 0.1 * m / v.sqrt())).abs() < 1e-4, "{w:?}");
    }

    #[test]
    fn moments_without_gradient_fade_to_nothing() {
        let optimiser = Optimiser::Adam {
            rate: 0.1,
            beta1: 0.9,
            beta2: 0.9,
            epsilon: 1e-7,
            decay: 0.0,
            decay_all: false,
            clip: 0.0,
        };
        let mut state = OptimiserState::new(&optimiser, 2);
        let mut w = [1.0, -2.0];
        state.step(&optimiser, 1.0, &mut w, &[0.5, -1e-3], &[true; 2]);
        for _ in 0..1_000 {
            state.step(&optimiser, 1.0, &mut w, &[0.0; 2], &[true; 2]);
            assert!(state.first.iter().chain(&state.second).all(|m| *m == 0.0 || m.is_normal()));
        }
        assert_eq!((&state.first[..], &state.second[..]), (&[0.0; 2][..], &[0.0; 2][..]));
    }

    #[test]
    fn adamw_decays_without_gradient() {
        let adamw = Optimiser::Adamw {
            rate: 0.1,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-7,
            decay: 0.5,
            decay_all: false,
            clip: 0.0,
        };
        let mut state = OptimiserState::new(&adamw, 2);
        let mut w = [1.0, -2.0];
        state.step(&adamw, 1.0, &mut w, &[0.0; 2], &[true, false]);
        assert!((w[0] - 0.95).abs() < 1e-6 && w[1] == -2.0, "{w:?}");
    }

    #[test]
    fn clipping_shortens_to_the_limit() {
        let sgd = Optimiser::Sgd { rate: 1.0, momentum: 0.0, nesterov: false, decay: 0.0, decay_all: false, clip: 1.0 };
        let mut state = OptimiserState::new(&sgd, 2);
        let mut w = [0.0, 0.0];
        state.step(&sgd, 1.0, &mut w, &[3.0, 4.0], &[true; 2]);
        assert!((w[0] + 0.6).abs() < 1e-6 && (w[1] + 0.8).abs() < 1e-6, "{w:?}");
    }
}
