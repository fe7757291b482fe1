//! What brings a feature map down: pooling, means, maxima, attention; and what scales or adds whole maps.

use crate::error::Result;
use crate::nn::conv::Convolution;
use crate::nn::dense::DenseLayer;
use crate::nn::map::Map;
use crate::simd::{Isa, LANES, Simd, SimdOp};

/// Largest value of each `high x wide` rectangle of `x`, whose channels stand in blocks.
pub(crate) fn pool(x: &Map, y: &mut Map, [high, wide]: [usize; 2]) {
    let (planes, height, width) = (y.geometry.planes(), y.geometry.height, y.width);
    for block in 0..planes {
        for row in 0..height {
            y.row_mut(block, row)[..width * LANES].fill(f32::NEG_INFINITY);
            for dy in 0..high {
                let from = x.row(block, row * high + dy);
                let (from, _) = from.as_chunks::<LANES>();
                let (to, _) = y.row_mut(block, row).as_chunks_mut::<LANES>();
                for (to, from) in to.iter_mut().zip(from.chunks_exact(wide)) {
                    for pixel in from {
                        for (most, value) in to.iter_mut().zip(pixel) {
                            *most = if *value > *most { *value } else { *most };
                        }
                    }
                }
            }
        }
    }
}

/// `y = relu(a + b)`.
pub(crate) fn add_relu(a: &Map, b: &Map, y: &mut Map) {
    for block in 0..y.geometry.planes() {
        for row in 0..y.geometry.height {
            let to = y.row_mut(block, row);
            for ((to, a), b) in to.iter_mut().zip(a.row(block, row)).zip(b.row(block, row)) {
                *to = (a + b).max(0.0);
            }
        }
    }
}

/// The mean of each channel; `means` is padded to whole blocks.
pub(crate) fn average(x: &Map, means: &mut [f32]) {
    let count = (x.geometry.height * x.width) as f32;
    for (block, means) in means.chunks_exact_mut(LANES).enumerate() {
        let mut sums = [0.0; LANES];
        for row in 0..x.geometry.height {
            // row by row, so that long sums lose little
            let mut line = [0.0; LANES];
            for pixel in x.row(block, row).as_chunks::<LANES>().0 {
                for (sum, value) in line.iter_mut().zip(pixel) {
                    *sum += value;
                }
            }
            for (sum, line) in sums.iter_mut().zip(line) {
                *sum += line;
            }
        }
        for (mean, sum) in means.iter_mut().zip(sums) {
            *mean = sum / count;
        }
    }
}

/// Mean and maximum over time: `[mean of all rows, maximum of all rows]`.
pub(crate) fn mean_max(x: &Map, out: &mut [f32]) {
    let (channels, height) = (x.geometry.channels, x.geometry.height);
    let rows = channels * height;
    for block in 0..x.geometry.planes() {
        for y in 0..height {
            let mut sums = [0.0; LANES];
            let mut most = [f32::NEG_INFINITY; LANES];
            for pixel in x.row(block, y).as_chunks::<LANES>().0 {
                for lane in 0..LANES {
                    sums[lane] += pixel[lane];
                    most[lane] = if pixel[lane] > most[lane] { pixel[lane] } else { most[lane] };
                }
            }
            for lane in 0..LANES.min(channels - block * LANES) {
                let row = (block * LANES + lane) * height + y;
                out[row] = sums[lane] / x.width as f32;
                out[rows + row] = most[lane];
            }
        }
    }
}

/// Attention over time and what it weighs.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    isa: Isa,
    /// All hidden units at once: a convolution whose kernel is as high as the input.
    pub(crate) hidden: Convolution,
    /// `[hidden]`, padded to whole blocks.
    score: Vec<f32>,
    bias: f32,
    weights: Vec<f32>,
}

impl Attention {
    /// With the convolution of the hidden units, the weights and the bias of the score, for at most `most` steps.
    pub(crate) fn new(isa: Isa, hidden: Convolution, score: &[f32], bias: f32, most: usize) -> Self {
        let mut padded = score.to_vec();
        padded.resize(crate::simd::padded(score.len()), 0.0);
        Attention { isa, hidden, score: padded, bias, weights: vec![0.0; most] }
    }

    /// `[mean of all rows, deviation of all rows]` of `x`, given the hidden units before their tangent.
    pub(crate) fn run(&mut self, x: &Map, hidden: &mut Map, out: &mut [f32]) {
        let width = x.width;
        let weights = &mut self.weights[..width];
        weights.fill(self.bias);
        for (block, score) in self.score.as_chunks::<LANES>().0.iter().enumerate() {
            self.isa.dispatch(Tangent(hidden.row_mut(block, 0)));
            for (weight, pixel) in weights.iter_mut().zip(hidden.row(block, 0).as_chunks::<LANES>().0) {
                *weight += pixel.iter().zip(score).map(|(h, s)| h * s).sum::<f32>();
            }
        }
        let top = weights.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for weight in weights.iter_mut() {
            *weight = (*weight - top).exp();
            sum += *weight;
        }
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let (channels, height) = (x.geometry.channels, x.geometry.height);
        let rows = channels * height;
        for block in 0..x.geometry.planes() {
            for y in 0..height {
                let (mut first, mut second) = ([0.0; LANES], [0.0; LANES]);
                for (pixel, weight) in x.row(block, y).as_chunks::<LANES>().0.iter().zip(&*weights) {
                    for lane in 0..LANES {
                        let part = weight * pixel[lane];
                        first[lane] += part;
                        second[lane] += part * pixel[lane];
                    }
                }
                for lane in 0..LANES.min(channels - block * LANES) {
                    let row = (block * LANES + lane) * height + y;
                    out[row] = first[lane];
                    out[rows + row] = (second[lane] - first[lane] * first[lane]).max(1e-6).sqrt();
                }
            }
        }
    }
}

/// The tangent of all numbers, whole blocks.
struct Tangent<'a>(&'a mut [f32]);

impl SimdOp for Tangent<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        for block in self.0.as_chunks_mut::<LANES>().0 {
            let x = simd.load(block);
            simd.store(simd.tanh(x), block);
        }
    }
}

/// A squeeze and excitation: the factors of all channels from their means, and their use.
#[derive(Debug, Clone)]
pub(crate) struct Excitation {
    isa: Isa,
    squeeze: DenseLayer,
    expand: DenseLayer,
    means: Vec<f32>,
    hidden: Vec<f32>,
    factors: Vec<f32>,
}

impl Excitation {
    /// With its two dense layers; the first one has the ReLU.
    pub(crate) fn new(isa: Isa, squeeze: DenseLayer, expand: DenseLayer) -> Self {
        Excitation {
            isa,
            means: vec![0.0; squeeze.rows()],
            hidden: vec![0.0; squeeze.padded_units()],
            factors: vec![0.0; expand.padded_units()],
            squeeze,
            expand,
        }
    }

    /// Fills `y` with `x` scaled.
    pub(crate) fn run(&mut self, x: &Map, y: &mut Map) -> Result<()> {
        average(x, &mut self.means);
        self.squeeze.run(&self.means, &mut self.hidden)?;
        self.expand.run(&self.hidden, &mut self.factors)?;
        self.isa.dispatch(Sigmoid(&mut self.factors));
        for (block, factors) in self.factors.as_chunks::<LANES>().0.iter().enumerate() {
            for row in 0..x.geometry.height {
                let (from, _) = x.row(block, row).as_chunks::<LANES>();
                let (to, _) = y.row_mut(block, row).as_chunks_mut::<LANES>();
                for (to, from) in to.iter_mut().zip(from) {
                    for lane in 0..LANES {
                        to[lane] = from[lane] * factors[lane];
                    }
                }
            }
        }
        Ok(())
    }
}

/// The sigmoid of all numbers, whole blocks.
struct Sigmoid<'a>(&'a mut [f32]);

impl SimdOp for Sigmoid<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        for block in self.0.as_chunks_mut::<LANES>().0 {
            let x = simd.load(block);
            simd.store(simd.sigmoid(x), block);
        }
    }
}
