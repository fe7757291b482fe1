//! Convolution, with what usually follows it done while the numbers are still in registers.
//!
//! The weights stand in the order in which [`simd::conv`] uses them.

use std::sync::Arc;

use crate::error::Result;
use crate::nn::map::Map;
use crate::simd::{self, Aligned, Isa, LANES, padded};

/// What a convolution is made of.
pub(crate) struct Parts<'a> {
    /// Output channels.
    pub(crate) out: usize,
    /// Input channels.
    pub(crate) channels: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows and columns of zeros before the first ones; the map must have them.
    pub(crate) before: [usize; 2],
    /// `[out, channels, kernel height, kernel width]`.
    pub(crate) weight: &'a [f32],
    /// `[out]`.
    pub(crate) bias: &'a [f32],
    /// `[out]` each: what follows the ReLU.
    pub(crate) affine: Option<(&'a [f32], &'a [f32])>,
    pub(crate) relu: bool,
    /// Whether the largest of each 2 x 2 pixels is kept.
    pub(crate) pool: bool,
    /// Channels that stand side by side in the input map.
    pub(crate) lanes: usize,
}

/// A convolution ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub(crate) isa: Isa,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) before: [usize; 2],
    pub(crate) relu: bool,
    pub(crate) pool: bool,
    pub(crate) lanes: usize,
    pub(crate) channels: usize,
    pub(crate) out: usize,
    /// Blocks of output channels in each group but the last.
    pub(crate) together: usize,
    /// `[groups][planes][kernel height][kernel width][channels of the plane][blocks of the group][16]`
    pub(crate) weights: Arc<Aligned<f32>>,
    pub(crate) bias: Arc<Aligned<f32>>,
    pub(crate) affine: Option<[Arc<Aligned<f32>>; 2]>,
}

impl Convolution {
    pub(crate) fn new(isa: Isa, parts: &Parts<'_>) -> Self {
        let [kh, kw] = parts.kernel;
        let blocks = parts.out.div_ceil(LANES);
        let together = if isa.blocks() > 8 { 2 } else { 1 };
        let taps = kh * kw * parts.channels;
        let mut weights = Aligned::zeros(blocks * LANES * taps);
        let mut to = 0;
        for first in (0..blocks).step_by(together) {
            let wide = together.min(blocks - first) * LANES;
            for plane in (0..parts.channels).step_by(parts.lanes) {
                for ky in 0..kh {
                    for kx in 0..kw {
                        for c in plane..parts.channels.min(plane + parts.lanes) {
                            for o in 0..wide.min(parts.out - first * LANES) {
                                let from = (((first * LANES + o) * parts.channels + c) * kh + ky) * kw + kx;
                                weights[to + o] = parts.weight[from];
                            }
                            to += wide;
                        }
                    }
                }
            }
        }
        Convolution {
            isa,
            kernel: parts.kernel,
            stride: parts.stride,
            before: parts.before,
            relu: parts.relu,
            pool: parts.pool,
            lanes: parts.lanes,
            channels: parts.channels,
            out: parts.out,
            together,
            weights: Arc::new(weights),
            bias: filled(parts.bias),
            affine: parts.affine.map(|(scale, shift)| [filled(scale), filled(shift)]),
        }
    }

    /// Whether the largest of each 2 x 2 pixels is kept.
    pub(crate) fn pools(&self) -> bool {
        self.pool
    }

    /// Fills `y` from `x`; adds `add` and a ReLU when it is given. The border of `x` must hold zeros.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when a map has another shape.
    pub(crate) fn run(&self, x: &Map, y: &mut Map, add: Option<&Map>) -> Result<()> {
        simd::conv::convolve(self, x, y, add)
    }

    /// Numbers of weights before the group that begins with this block.
    pub(crate) fn offset(&self, first: usize) -> usize {
        first * LANES * self.kernel[0] * self.kernel[1] * self.channels
    }
}

fn filled(values: &[f32]) -> Arc<Aligned<f32>> {
    let mut buffer = Aligned::zeros(padded(values.len()));
    buffer[..values.len()].copy_from_slice(values);
    Arc::new(buffer)
}
