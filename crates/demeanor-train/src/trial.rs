//! A training step on made-up inputs, to be timed.

use demeanor::Result;
use demeanor::nn::spec::Layer;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::engine::{Batch, Engine, Mode};
use crate::layout::Layout;
use crate::native::NativeEngine;
use crate::optimise::OptimiserState;
use crate::recipe::Optimiser;

/// A network in training on one batch of chance numbers: what a step costs, without the preparation of its inputs.
pub struct TrialStep {
    engine: NativeEngine,
    batch: Batch,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    decays: Vec<bool>,
    optimiser: Optimiser,
    state: OptimiserState,
}

impl TrialStep {
    /// A step of `count` inputs `[channels, height, width]` of a network.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`](demeanor::ErrorKind::Setting) for a layer that cannot be trained on the processor,
    /// [`ErrorKind::Shape`](demeanor::ErrorKind::Shape) for layers that do not fit each other.
    pub fn new(layers: &[Layer], input: [usize; 3], count: usize) -> Result<Self> {
        let layout = Layout::new(layers, input)?;
        let [channels, height, width] = input;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let values = (0..count * channels * height * width).map(|_| rng.random_range(-1.0..1.0)).collect();
        let optimiser =
            Optimiser::Sgd { rate: 1e-4, momentum: 0.9, nesterov: true, decay: 5e-4, decay_all: false, clip: 0.0 };
        Ok(TrialStep {
            engine: NativeEngine::new(layers, input)?,
            batch: Batch { count, height, width, values, widths: Vec::new() },
            parameters: layout.initial(1),
            gradient: vec![0.0; layout.parameters],
            decays: layout.decays(),
            state: OptimiserState::new(&optimiser, layout.parameters),
            optimiser,
        })
    }

    /// Forward, the gradient of the sum of squared outputs, back, and the optimiser's step. Gives the sum.
    pub fn run(&mut self) -> f32 {
        let outputs = self.engine.forward(&self.parameters, &self.batch, Mode::Train { seed: 1 });
        let loss = outputs.iter().map(|o| o * o).sum();
        let output_gradient: Vec<f32> = outputs.iter().map(|o| o / outputs.len() as f32).collect();
        self.gradient.fill(0.0);
        self.engine.backward(&self.parameters, &output_gradient, &mut self.gradient);
        self.state.step(&self.optimiser, 1.0, &mut self.parameters, &self.gradient, &self.decays);
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use demeanor::nn::spec::{Conv, Dense, Norm};

    #[test]
    fn steps_learn() {
        let conv = Conv {
            out: 8,
            kernel: [3, 3],
            stride: [1, 1],
            norm: Norm::BeforeRelu,
            relu: true,
            pool: None,
            branches: false,
            causal: false,
        };
        let layers = [Layer::Conv(conv), Layer::GlobalAverage, Layer::Dense(Dense { units: 4, relu: false })];
        let mut step = TrialStep::new(&layers, [1, 8, 8], 4).unwrap();
        let first = step.run();
        let last = (0..200).map(|_| step.run()).last().unwrap();
        assert!(first.is_finite() && last < first, "{first} to {last}");
    }
}
