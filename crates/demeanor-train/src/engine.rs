//! What a trainer needs of a network: outputs, and the gradient of a loss in them.
//!
//! All trainable numbers of a network are one flat vector, laid out by [`Layout`](crate::layout::Layout); an optimiser, an average over
//! steps and a checkpoint work on that vector and need not know the layers. Losses live outside too: they are functions
//! of the outputs, so an engine only carries a gradient of its outputs back to its parameters.

/// Prepared inputs of one step.
#[derive(Debug, Clone)]
pub struct Batch {
    /// How many inputs.
    pub count: usize,
    /// Height of each input: the picture's, or the rows (bands, coefficients) of a stretch of speech.
    pub height: usize,
    /// Width of each input: the picture's, or the frames of the longest stretch of speech.
    pub width: usize,
    /// `[count, height, width]`; what lies beyond the end of a shorter stretch is 0.
    pub values: Vec<f32>,
    /// The true width of each input, at most `width`; empty when all are whole.
    pub widths: Vec<usize>,
}

/// A network in training. The parameters belong to the trainer; running means and variances of the norms to the engine.
pub trait Engine {
    /// Outputs `[count, labels]`. In training, norms use the batch's own statistics and dropout draws from `seed`; what
    /// [`Engine::backward`] needs is kept.
    fn forward(&mut self, parameters: &[f32], batch: &Batch, mode: Mode) -> Vec<f32>;

    /// Adds to `gradient` (as long as the parameters) the gradient of the last training forward pass, given the loss's
    /// gradient in its outputs `[count, labels]`.
    fn backward(&mut self, parameters: &[f32], outputs: &[f32], gradient: &mut [f32]);

    /// Running statistics of the norms, in the order of the layout; a part of every checkpoint.
    fn statistics(&self) -> &[f32];

    /// Replaces the running statistics.
    fn set_statistics(&mut self, statistics: &[f32]);
}

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A training step; dropout draws from this seed.
    Train {
        /// Seed of the step's dropout.
        seed: u64,
    },
    /// Evaluation: running statistics, no dropout.
    Evaluate,
}
