//! A convolution with its norm, ReLU, pooling and residual sum: forward, and back to weights and inputs.

use demeanor::nn::spec::Norm;

use rayon::prelude::*;

use super::map::{
    Geometry, Passage, add_row, add_rows, add_statistics, gradient_sums, pair, pair_columns, pass_row, pool_row,
    raw_gradient, round_rows, unpool_row,
};
use crate::layout::NORM_EPSILON;
use demeanor::simd::block::{BLOCK, Blocks, Left, Right, STEP};
use demeanor::simd::{Aligned, Bf16, Isa, to_bf16, transpose};

/// Pixels that a group of pictures should have at least: long sums keep the tiles busy.
const GROUP: usize = 2048;

/// Numbers of a map that a group should have at most, so that what it works on stays in a core's second cache.
const GROUP_NUMBERS: usize = 1 << 18;

/// Rounds up to a multiple of 32.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(32)
}

/// A convolution of the program.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// What its products and passes are computed with.
    pub isa: Isa,
    /// Map it reads; the first convolution of a network reads its input unfolded (each pixel holding its kernel window).
    pub source: usize,
    /// Whether the source is the unfolded input.
    pub unfolded: bool,
    /// Map it writes.
    pub target: usize,
    /// Map added before the last ReLU.
    pub added: Option<usize>,
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step down and across.
    pub stride: [usize; 2],
    /// Whether it looks only backwards in time.
    pub causal: bool,
    /// Where the norm stands.
    pub norm: Norm,
    /// Whether a ReLU follows.
    pub relu: bool,
    /// Height and width of the pooling.
    pub pool: [usize; 2],
    /// Places of weight, bias, gain and shift in the parameters, and of the running means.
    pub weight: usize,
    /// See `weight`.
    pub bias: Option<usize>,
    /// See `weight`.
    pub gain: Option<usize>,
    /// See `weight`.
    pub shift: Option<usize>,
    /// See `weight`.
    pub statistics: Option<usize>,
}

/// Geometry of a convolution for one size of input.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The source map.
    pub source: Geometry,
    /// The raw sums: as the source, or, with a stride, without zeros around.
    pub raw: Geometry,
    /// The target map.
    pub target: Geometry,
    /// The map that is added, if one is.
    pub added: Geometry,
    /// Steps of the forward product, in numbers.
    forward: Vec<isize>,
    /// Steps of the product back to the source, in numbers.
    backward: Vec<isize>,
    /// Offsets of the taps, in pixels.
    taps: Vec<isize>,
}

/// Weights in the order of the products, and the values that a norm needs, for one step.
#[derive(Debug, Clone, Default)]
pub struct Prepared {
    forward: Aligned<Bf16>,
    backward: Aligned<Bf16>,
    bias: Vec<f32>,
    scale: Vec<f32>,
    offset: Vec<f32>,
    mean: Vec<f32>,
    inverse: Vec<f32>,
    part: Vec<f32>,
    slope: Vec<f32>,
    samples: f64,
}

/// Per-channel sums of a pass over a part of a batch.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    first: Vec<f64>,
    second: Vec<f64>,
    samples: f64,
}

impl Sums {
    fn new(channels: usize) -> Self {
        Sums { first: vec![0.0; channels], second: vec![0.0; channels], samples: 0.0 }
    }

    /// The sums of all parts, added in order.
    pub fn total(parts: &[Sums]) -> Sums {
        let mut total = Sums::new(parts.first().map_or(0, |p| p.first.len()));
        for part in parts {
            total.first.iter_mut().zip(&part.first).for_each(|(t, p)| *t += p);
            total.second.iter_mut().zip(&part.second).for_each(|(t, p)| *t += p);
            total.samples += part.samples;
        }
        total
    }
}

/// What a thread works with; kept from step to step.
#[derive(Debug, Default)]
pub struct Workspace {
    block: Aligned<f32>,
    rows: Aligned<Bf16>,
    sums: Vec<f32>,
    products: Vec<f32>,
    gradient: Aligned<Bf16>,
    unpooled: Aligned<Bf16>,
    pairs: Aligned<u32>,
    gradient_pairs: Aligned<u32>,
    transposed: Aligned<u32>,
    steps: Vec<isize>,
}

impl Convolution {
    /// Channels of the source as stored.
    fn inputs(&self) -> usize {
        if self.unfolded {
            padded(self.kernel[0] * self.kernel[1] * self.channels[0])
        } else {
            padded(self.channels[0])
        }
    }

    fn outputs(&self) -> usize {
        padded(self.channels[1])
    }

    /// Kernel positions that the product visits: one where the input is unfolded.
    fn taps(&self) -> usize {
        if self.unfolded { 1 } else { self.kernel[0] * self.kernel[1] }
    }

    /// Numbers of the gradient that each thread sums.
    pub fn gradient_len(&self) -> usize {
        self.taps() * self.inputs() * self.outputs()
    }

    /// True inputs that an output's row of weights has, each with its taps.
    fn inputs_of_row(&self) -> usize {
        // unfolded input: a stored channel is a tap of the one true channel
        if self.unfolded { self.kernel[0] * self.kernel[1] * self.channels[0] } else { self.channels[0] }
    }

    /// The geometry for a source map and a target map.
    pub fn plan(&self, source: Geometry, target: Geometry, added: Geometry) -> Plan {
        let (inputs, outputs) = (self.inputs() as isize, self.outputs() as isize);
        let strided = !self.unfolded && self.stride != [1, 1];
        let raw = if strided {
            Geometry {
                channels: self.outputs(),
                height: source.height.div_ceil(self.stride[0]),
                width: source.width.div_ceil(self.stride[1]),
                above: 0,
                before: 0,
                pitch: self.stride[0] * source.pitch / self.stride[1],
            }
        } else {
            Geometry { channels: self.outputs(), ..source }
        };
        let mut taps = Vec::new();
        if self.unfolded {
            taps.push(0);
        } else {
            let centre = if self.causal { self.kernel[1] - 1 } else { self.kernel[1] / 2 } as isize;
            for dy in 0..self.kernel[0] as isize {
                for dx in 0..self.kernel[1] as isize {
                    taps.push((dy - self.kernel[0] as isize / 2) * source.pitch as isize + dx - centre);
                }
            }
        }
        let steps = |sign: isize, channels: isize| {
            let blocks = channels / STEP as isize;
            taps.iter()
                .flat_map(|&tap| (0..blocks).map(move |b| sign * tap * channels + b * STEP as isize))
                .collect::<Vec<_>>()
        };
        Plan { source, raw, target, added, forward: steps(1, inputs), backward: steps(-1, outputs), taps }
    }

    /// Rows of zeros above and columns before that the source map needs.
    pub fn reach(&self) -> [usize; 2] {
        [self.kernel[0] / 2, if self.causal { self.kernel[1] - 1 } else { self.kernel[1] / 2 }]
    }

    /// Puts the weights into the order of the products.
    pub fn prepare(&self, parameters: &[f32], train: bool, prepared: &mut Prepared) {
        let (inputs, outputs, taps) = (self.inputs(), self.outputs(), self.taps());
        // what is beyond the true channels is 0 from the start and stays so
        let size = taps * inputs * outputs;
        if prepared.forward.len() != size {
            prepared.forward.clear_to(size);
        }
        let true_inputs = self.inputs_of_row();
        let weights = &parameters[self.weight..][..self.channels[1] * true_inputs * taps];
        for (o, row) in weights.chunks_exact(true_inputs * taps).enumerate() {
            let block = &mut prepared.forward[o / BLOCK * BLOCK * taps * inputs..][..BLOCK * taps * inputs];
            for (i, weights) in row.chunks_exact(taps).enumerate() {
                let at = i / 2 * 2 * BLOCK + 2 * (o % BLOCK) + i % 2;
                for (t, &weight) in weights.iter().enumerate() {
                    block[t * inputs * BLOCK + at] = to_bf16(weight);
                }
            }
        }
        if train && !self.unfolded {
            if prepared.backward.len() != size {
                prepared.backward.clear_to(size);
            }
            for first in (0..true_inputs).step_by(BLOCK) {
                let block = &mut prepared.backward[first * taps * outputs..][..BLOCK * taps * outputs];
                let count = BLOCK.min(true_inputs - first);
                for (o, row) in weights.chunks_exact(true_inputs * taps).enumerate() {
                    for (i, weights) in row[first * taps..][..count * taps].chunks_exact(taps).enumerate() {
                        let at = o / 2 * 2 * BLOCK + 2 * i + o % 2;
                        for (t, &weight) in weights.iter().enumerate() {
                            block[t * outputs * BLOCK + at] = to_bf16(weight);
                        }
                    }
                }
            }
        }
        let channels = |place: Option<usize>, other: f32| {
            let mut values = vec![0.0; outputs];
            match place {
                Some(place) => values[..self.channels[1]].copy_from_slice(&parameters[place..place + self.channels[1]]),
                None => values[..self.channels[1]].fill(other),
            }
            values
        };
        prepared.bias = channels(self.bias, 0.0);
        prepared.scale = channels(self.gain, 1.0);
        prepared.offset = channels(self.shift, 0.0);
        prepared.mean = vec![0.0; outputs];
        prepared.inverse = vec![0.0; outputs];
    }

    /// Sets factor and offset of the norm from means and variances, per channel.
    pub fn set_norm(&self, prepared: &mut Prepared, mean: impl Fn(usize) -> f32, variance: impl Fn(usize) -> f32) {
        for c in 0..self.channels[1] {
            let inverse = 1.0 / (variance(c) + NORM_EPSILON).sqrt();
            prepared.mean[c] = mean(c);
            prepared.inverse[c] = inverse;
            prepared.scale[c] *= inverse;
            prepared.offset[c] -= mean(c) * prepared.scale[c];
        }
    }

    /// Means and variances (of the batch) from sums; sets the norm, and gives `(means, variances, samples)`.
    pub fn set_batch_norm(&self, prepared: &mut Prepared, sums: &Sums) -> (Vec<f32>, Vec<f32>, f64) {
        let n = sums.samples.max(1.0);
        let means: Vec<f32> = sums.first[..self.channels[1]].iter().map(|s| (s / n) as f32).collect();
        let variances: Vec<f32> =
            (0..self.channels[1]).map(|c| (sums.second[c] / n - (sums.first[c] / n).powi(2)).max(0.0) as f32).collect();
        prepared.samples = n;
        self.set_norm(prepared, |c| means[c], |c| variances[c]);
        (means, variances, n)
    }

    fn passage<'a>(&self, prepared: &'a Prepared) -> Passage<'a> {
        let after = self.norm == Norm::AfterRelu;
        Passage {
            bias: &prepared.bias,
            scale: &prepared.scale,
            offset: &prepared.offset,
            first: after && self.relu,
            last: !after && self.relu,
        }
    }

    /// Raw sums of a part's pictures.
    #[allow(clippy::too_many_arguments)]
    pub fn convolve(
        &self,
        plan: &Plan,
        prepared: &Prepared,
        source: &[Bf16],
        raw: &mut [Bf16],
        count: usize,
        workspace: &mut Workspace,
    ) {
        if self.unfolded || self.stride == [1, 1] {
            let first = plan.source.slack() + plan.source.at(0, 0);
            let last = plan.source.slack()
                + (count - 1) * plan.source.picture()
                + plan.source.at(plan.source.height - 1, plan.source.width - 1);
            product(
                self.isa,
                source,
                first,
                1,
                self.inputs(),
                &plan.forward,
                &prepared.forward,
                raw,
                first,
                self.outputs(),
                last + 1 - first,
                false,
                workspace,
            );
        } else {
            for picture in 0..count {
                let from = plan.source.slack() + picture * plan.source.picture() + plan.source.at(0, 0);
                let to = plan.raw.slack() + picture * plan.raw.picture();
                let pixels = (plan.raw.height - 1) * plan.raw.pitch + plan.raw.width;
                product(
                    self.isa,
                    source,
                    from,
                    self.stride[1],
                    self.inputs(),
                    &plan.forward,
                    &prepared.forward,
                    raw,
                    to,
                    self.outputs(),
                    pixels,
                    false,
                    workspace,
                );
            }
        }
    }

    /// Sums of what the norm normalises, over the true pixels of a part.
    pub fn statistics(
        &self,
        plan: &Plan,
        prepared: &Prepared,
        raw: &[Bf16],
        widths: &[usize],
        workspace: &mut Workspace,
    ) -> Sums {
        let channels = self.outputs();
        let mut sums = Sums::new(channels);
        let passage = self.passage(prepared);
        for (picture, &width) in widths.iter().enumerate() {
            reset(&mut workspace.sums, channels);
            reset(&mut workspace.products, channels);
            let numbers = &raw[plan.raw.range(picture)];
            for y in 0..plan.raw.height {
                let row = &numbers[plan.raw.at(y, 0) * channels..][..width * channels];
                add_statistics(
                    self.isa,
                    row,
                    passage.bias,
                    passage.first,
                    &mut workspace.sums,
                    &mut workspace.products,
                );
            }
            add_up(&workspace.sums, &mut sums.first);
            add_up(&workspace.products, &mut sums.second);
            sums.samples += (width * plan.raw.height) as f64;
        }
        sums
    }

    /// Raw sums to the target map; what lies beyond a picture's true width becomes 0.
    #[allow(clippy::too_many_arguments)]
    pub fn pass(
        &self,
        plan: &Plan,
        prepared: &Prepared,
        raw: &[Bf16],
        added: Option<&[Bf16]>,
        target: &mut [Bf16],
        widths: &[usize],
        workspace: &mut Workspace,
    ) {
        let channels = self.outputs();
        let passage = self.passage(prepared);
        let [rows, step] = self.pool;
        workspace.rows.set_len(rows * plan.raw.width * channels);
        for (picture, &width) in widths.iter().enumerate() {
            let from = &raw[plan.raw.range(picture)];
            let to = &mut target[plan.target.range(picture)];
            let added = added.map(|a| &a[plan.added.range(picture)]);
            for y in 0..plan.target.height {
                let row = &mut to[plan.target.at(y, 0) * channels..][..plan.target.width * channels];
                if self.pool == [1, 1] {
                    let (row, rest) = row.split_at_mut(width * channels);
                    let added = added.map_or(&[][..], |a| &a[plan.added.at(y, 0) * channels..][..width * channels]);
                    pass_row(self.isa, &from[plan.raw.at(y, 0) * channels..][..width * channels], &passage, added, row);
                    rest.fill(0);
                } else {
                    let length = width * channels;
                    for dy in 0..rows {
                        let from = &from[plan.raw.at(y * rows + dy, 0) * channels..][..length];
                        pass_row(self.isa, from, &passage, &[], &mut workspace.rows[dy * length..][..length]);
                    }
                    let (row, rest) = row.split_at_mut(width / step * channels);
                    pool_row(self.isa, &workspace.rows[..rows * length], length, rows, step, channels, row);
                    rest.fill(0);
                }
            }
        }
    }

    /// The gradient of the target map to that of `z` in `dz` (laid out as the raw sums), and its sums; the gradient of
    /// the added map is written or added to `added_gradient`.
    #[allow(clippy::too_many_arguments)]
    pub fn gradient_sums(
        &self,
        plan: &Plan,
        prepared: &Prepared,
        raw: &[Bf16],
        added: Option<&[Bf16]>,
        gradient: &[Bf16],
        dz: &mut [Bf16],
        added_gradient: Option<(&mut [Bf16], bool)>,
        widths: &[usize],
        workspace: &mut Workspace,
    ) -> Sums {
        let channels = self.outputs();
        let passage = self.passage(prepared);
        let [rows, step] = self.pool;
        let mut sums = Sums::new(channels);
        let mut added_gradient = added_gradient;
        workspace.rows.set_len(rows * plan.raw.width * channels);
        for (picture, &width) in widths.iter().enumerate() {
            let from = &raw[plan.raw.range(picture)];
            let gradient = &gradient[plan.target.range(picture)];
            let dz = &mut dz[plan.raw.range(picture)];
            let added = added.map(|a| &a[plan.added.range(picture)]);
            let length = width * channels;
            reset(&mut workspace.sums, channels);
            reset(&mut workspace.products, channels);
            if self.pool != [1, 1] {
                for y in 0..plan.raw.height {
                    dz[plan.raw.at(y, 0) * channels..][..length].fill(0);
                }
                for y in 0..plan.target.height {
                    for dy in 0..rows {
                        let from = &from[plan.raw.at(y * rows + dy, 0) * channels..][..length];
                        pass_row(self.isa, from, &passage, &[], &mut workspace.rows[dy * length..][..length]);
                    }
                    let gradient = &gradient[plan.target.at(y, 0) * channels..][..width / step * channels];
                    let start = plan.raw.at(y * rows, 0) * channels;
                    // the rows of `dz` lie `pitch` apart, those of the workspace `length`: unpool beside, then copy
                    let unpooled = &mut workspace.unpooled;
                    unpooled.clear_to(rows * length);
                    unpool_row(
                        self.isa,
                        &workspace.rows[..rows * length],
                        length,
                        rows,
                        step,
                        channels,
                        gradient,
                        unpooled,
                    );
                    for dy in 0..rows {
                        dz[start + dy * plan.raw.pitch * channels..][..length]
                            .copy_from_slice(&unpooled[dy * length..][..length]);
                    }
                }
            } else {
                for y in 0..plan.raw.height {
                    dz[plan.raw.at(y, 0) * channels..][..length]
                        .copy_from_slice(&gradient[plan.target.at(y, 0) * channels..][..length]);
                }
            }
            for y in 0..plan.raw.height {
                let row = &from[plan.raw.at(y, 0) * channels..][..length];
                let dz = &mut dz[plan.raw.at(y, 0) * channels..][..length];
                let added = added.map_or(&[][..], |a| &a[plan.added.at(y, 0) * channels..][..length]);
                gradient_sums(
                    self.isa,
                    row,
                    &passage,
                    added,
                    &prepared.mean,
                    &prepared.inverse,
                    dz,
                    &mut workspace.sums,
                    &mut workspace.products,
                );
                if let Some((to, is_written)) = &mut added_gradient {
                    let start = plan.added.range(picture).start + plan.added.at(y, 0) * channels;
                    let to = &mut to[start..start + length];
                    if *is_written { add_row(self.isa, dz, to) } else { to.copy_from_slice(dz) }
                }
            }
            add_up(&workspace.sums, &mut sums.first);
            add_up(&workspace.products, &mut sums.second);
            sums.samples += (width * plan.raw.height) as f64;
        }
        sums
    }

    /// Gradients of gain and shift from the sums, and what [`Convolution::back`] needs of them.
    pub fn set_gradient(&self, prepared: &mut Prepared, sums: &Sums, gradient: &mut [f32]) {
        let channels = self.outputs();
        prepared.part = vec![0.0; channels];
        prepared.slope = vec![0.0; channels];
        if let (Some(gain), Some(shift)) = (self.gain, self.shift) {
            for c in 0..self.channels[1] {
                gradient[gain + c] += sums.second[c] as f32;
                gradient[shift + c] += sums.first[c] as f32;
                prepared.part[c] = (sums.first[c] / sums.samples) as f32;
                prepared.slope[c] = (sums.second[c] / sums.samples) as f32 * prepared.inverse[c];
            }
        }
    }

    /// Back through norm and convolution: adds to `weights` (this thread's sums, `[taps, inputs, outputs]`) and `biases`,
    /// and writes or adds the source's gradient.
    #[allow(clippy::too_many_arguments)]
    pub fn back(
        &self,
        plan: &Plan,
        prepared: &Prepared,
        source: &[Bf16],
        raw: &[Bf16],
        dz: &[Bf16],
        mut source_gradient: Option<(&mut [Bf16], bool)>,
        weights: &mut [f32],
        biases: &mut [f32],
        widths: &[usize],
        workspace: &mut Workspace,
    ) {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        let passage = self.passage(prepared);
        let geometry = plan.source;
        let stride = if self.unfolded { [1, 1] } else { self.stride };
        let group = GROUP.min(GROUP_NUMBERS / inputs.max(outputs));
        let group = (group / geometry.picture()).clamp(1, widths.len());
        let reach = plan.taps.iter().map(|t| t.unsigned_abs()).max().unwrap_or(0);
        for (g, widths) in widths.chunks(group).enumerate() {
            let pixels = (widths.len() * geometry.picture()).next_multiple_of(32);
            let slack = geometry.slack();
            let mut spread = std::mem::take(&mut workspace.gradient);
            spread.clear_to((pixels + 2 * slack) * outputs);
            for (p, &width) in widths.iter().enumerate() {
                let range = plan.raw.range(g * group + p);
                let (raw, dz) = (&raw[range.clone()], &dz[range]);
                let base = (slack + p * geometry.picture()) * outputs;
                for y in 0..plan.raw.height {
                    let start = plan.raw.at(y, 0) * outputs;
                    let row = start..start + width * outputs;
                    let to = base + geometry.at(y * stride[0], 0) * outputs;
                    let length = ((width - 1) * stride[1] + 1) * outputs;
                    raw_gradient(
                        self.isa,
                        &raw[row.clone()],
                        &passage,
                        &prepared.mean,
                        &prepared.part,
                        &prepared.slope,
                        &dz[row],
                        stride[1],
                        biases,
                        &mut spread[to..to + length],
                    );
                }
            }
            let start = geometry.slack() + g * group * geometry.picture();
            if let Some((to, is_written)) = &mut source_gradient {
                let first = geometry.at(0, 0);
                let last =
                    (widths.len() - 1) * geometry.picture() + geometry.at(geometry.height - 1, geometry.width - 1);
                product(
                    self.isa,
                    &spread,
                    slack + first,
                    1,
                    outputs,
                    &plan.backward,
                    &prepared.backward,
                    to,
                    start + first,
                    inputs,
                    last + 1 - first,
                    *is_written,
                    workspace,
                );
            }
            // sums over pixels: the source's pixels as rows of the left factor, this gradient as pairs of the right one
            let gradient_pixels = &spread[slack * outputs..][..pixels * outputs];
            workspace.gradient_pairs.set_len(pixels / 2 * outputs);
            pair_columns(self.isa, gradient_pixels, outputs, &mut workspace.gradient_pairs);
            let window = (pixels + 2 * reach).next_multiple_of(32);
            // what the window covers beyond the buffer's end is zeros
            let from = (start - reach) * inputs;
            let readable = (source.len() - from).min(window * inputs);
            workspace.pairs.clear_to(window / 2 * inputs);
            let whole = readable / (2 * inputs);
            pair(self.isa, &source[from..][..whole * 2 * inputs], inputs, &mut workspace.pairs[..whole * inputs]);
            workspace.transposed.set_len(window / 2 * inputs);
            transpose(self.isa, &workspace.pairs, inputs, &mut workspace.transposed);
            let strips = pixels / 32;
            let mut blocks = Blocks::begin(self.isa);
            workspace.steps.clear();
            for &tap in &plan.taps {
                workspace.steps.extend((0..strips).map(|k| tap + (32 * k) as isize));
            }
            for i in (0..inputs).step_by(BLOCK) {
                for o in (0..outputs).step_by(BLOCK) {
                    for (t, steps) in workspace.steps.chunks_exact(strips).enumerate() {
                        let left = Left {
                            data: workspace.transposed.as_halves(),
                            start: i * window + reach,
                            row: window,
                            steps,
                        };
                        let right = Right {
                            data: workspace.gradient_pairs.as_halves(),
                            start: o * pixels,
                            row: 2 * BLOCK,
                            step: STEP * BLOCK,
                            second: BLOCK,
                        };
                        let c = &mut weights[(t * inputs + i) * outputs + o..];
                        blocks.multiply(left, right, c, outputs, true);
                    }
                }
            }
            workspace.gradient = spread;
        }
    }

    /// Adds a thread's sums to the gradient.
    pub fn add_gradient(&self, weights: &[f32], biases: &[f32], gradient: &mut [f32]) {
        let (inputs, outputs, taps) = (self.inputs(), self.outputs(), self.taps());
        let row = self.inputs_of_row() * taps;
        let gradient_rows = &mut gradient[self.weight..][..self.channels[1] * row];
        gradient_rows.par_chunks_mut(row).enumerate().for_each(|(o, gradient)| {
            for (i, gradient) in gradient.chunks_exact_mut(taps).enumerate() {
                for (t, gradient) in gradient.iter_mut().enumerate() {
                    *gradient += weights[(t * inputs + i) * outputs + o];
                }
            }
        });
        if let Some(bias) = self.bias {
            gradient[bias..][..self.channels[1]].iter_mut().zip(biases).for_each(|(g, b)| *g += b);
        }
    }
}

fn reset(values: &mut Vec<f32>, length: usize) {
    values.clear();
    values.resize(length, 0.0);
}

fn add_up(from: &[f32], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(t, &f)| *t += f64::from(f));
}

/// `count` output pixels from `to_first` on, each a product of the window at its source pixel; source pixels follow each
/// other `stride` apart from `from_first` on.
#[allow(clippy::too_many_arguments)]
fn product(
    isa: Isa,
    from: &[Bf16],
    from_first: usize,
    stride: usize,
    inputs: usize,
    steps: &[isize],
    weights: &[Bf16],
    to: &mut [Bf16],
    to_first: usize,
    outputs: usize,
    count: usize,
    add: bool,
    workspace: &mut Workspace,
) {
    workspace.block.set_len(BLOCK * BLOCK);
    let lowest = steps.iter().min().copied().unwrap_or(0).min(0);
    let highest = steps.iter().max().copied().unwrap_or(0).max(0) as usize;
    let rounded = count.next_multiple_of(BLOCK);
    assert!((from_first * inputs) as isize + lowest >= 0);
    assert!((from_first + (rounded - 1) * stride) * inputs + highest + STEP <= from.len());
    assert!(weights.len() >= outputs * steps.len() * STEP && to.len() >= (to_first + count) * outputs);
    let mut blocks = Blocks::begin(isa);
    for pixel in (0..count).step_by(BLOCK) {
        let rows = BLOCK.min(count - pixel);
        for o in (0..outputs).step_by(BLOCK) {
            let start = (from_first + pixel * stride) * inputs;
            let left = Left { data: from, start, row: stride * inputs, steps };
            let right = Right {
                data: weights,
                start: o * steps.len() * STEP,
                row: 2 * BLOCK,
                step: STEP * BLOCK,
                second: BLOCK,
            };
            blocks.multiply(left, right, &mut workspace.block, BLOCK, false);
            let to = &mut to[(to_first + pixel) * outputs + o..];
            if add {
                add_rows(isa, &workspace.block, BLOCK, to, outputs, rows);
            } else {
                round_rows(isa, &workspace.block, BLOCK, to, outputs, rows);
            }
        }
    }
}
