//! Depthwise-separable convolutions: a 3x3 filter for each channel by itself, then a product over the channels of each pixel.
//!
//! What the filter gives for one row stays in the cache until the product has used it, so that a block of a network reads
//! its input and writes its output once. Pixels stand one after the other, each with its channels side by side, padded with
//! zeros to whole blocks of 16. Edges are treated as TFLite's `SAME` does it: at stride 1 one row and column of zeros on each
//! side, at stride 2 and an even size one below and one to the right.

use super::isa::Registers;
use super::vector::{Simd, SimdOp};
use super::{Aligned, Isa, padded};
use crate::error::{Error, ErrorKind, Result};

/// A feature map `[1 + height + 1][1 + width + 1][channels, padded]` with a border of zeros.
#[derive(Debug, Clone, Default)]
pub(crate) struct PixelMap {
    height: usize,
    width: usize,
    /// Channels of a pixel, padded to whole blocks.
    padded: usize,
    data: Aligned<f32>,
}

impl PixelMap {
    /// Makes the map this large; what it held is lost. Allocates only when it has never been so large.
    pub(crate) fn shape(&mut self, height: usize, width: usize, channels: usize) {
        let padded = padded(channels);
        if [self.height, self.width, self.padded] == [height, width, padded] {
            return;
        }
        (self.height, self.width, self.padded) = (height, width, padded);
        let size = (height + 2) * (width + 2) * padded;
        if self.data.len() < size {
            self.data = Aligned::zeros(size);
            return;
        }
        let pitch = self.pitch();
        self.data[..pitch].fill(0.0);
        self.data[(height + 1) * pitch..(height + 2) * pitch].fill(0.0);
        for row in self.data[pitch..(height + 1) * pitch].chunks_exact_mut(pitch) {
            row[..padded].fill(0.0);
            row[pitch - padded..].fill(0.0);
        }
    }

    /// Rows, without the border.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// Pixels of a row, without the border.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The channels of pixel `[y, x]`, padded to whole blocks.
    pub(crate) fn pixel(&self, y: usize, x: usize) -> &[f32] {
        &self.data[self.at(y, x)..][..self.padded]
    }

    /// Numbers from one row to the next.
    fn pitch(&self) -> usize {
        (self.width + 2) * self.padded
    }

    /// Where pixel `[y, x]` begins.
    fn at(&self, y: usize, x: usize) -> usize {
        (1 + y) * self.pitch() + (1 + x) * self.padded
    }
}

/// Weights of a product over channels: `[groups][channels][registers of the group][numbers of a register]`.
#[derive(Debug, Clone)]
pub(crate) struct Pointwise {
    isa: Isa,
    channels: usize,
    out: usize,
    /// Registers of output channels of each group.
    groups: Vec<usize>,
    weights: Aligned<f32>,
    bias: Aligned<f32>,
}

impl Pointwise {
    /// Weights `[out, channels]` and a bias `[out]`.
    pub(crate) fn new(isa: Isa, channels: usize, out: usize, weight: &[f32], bias: &[f32]) -> Self {
        let Registers { wide, count, .. } = isa.registers();
        let mut groups = Vec::new();
        let mut left = out.div_ceil(wide);
        while left > 0 {
            // sums of three times eight pixels need 24 registers, and two groups of two are better than three and one
            let most = if count >= 32 && left != 4 { 3 } else { 2 };
            let registers = left.min(most);
            groups.push(registers);
            left -= registers;
        }
        let mut weights = Aligned::zeros(out.div_ceil(wide) * wide * channels);
        let mut padded_bias = Aligned::zeros(padded(out));
        padded_bias[..bias.len()].copy_from_slice(bias);
        let (mut to, mut first) = (0, 0);
        for &registers in &groups {
            let numbers = registers * wide;
            for c in 0..channels {
                for o in first..out.min(first + numbers) {
                    weights[to + o - first] = weight[o * channels + c];
                }
                to += numbers;
            }
            first += numbers;
        }
        Pointwise { isa, channels, out, groups, weights, bias: padded_bias }
    }

    /// Output channels, padded to whole blocks.
    pub(crate) fn padded(&self) -> usize {
        padded(self.out)
    }

    /// The products for each pixel of a row of `x`, into `y`: `[width][out, padded]`.
    pub(crate) fn run_row(&self, x: &PixelMap, row: usize, y: &mut [f32]) -> Result<()> {
        let fits = x.padded == padded(self.channels) && row < x.height && y.len() == x.width * self.padded();
        if !fits {
            return Err(Error::new(ErrorKind::Shape, "a product over channels does not fit its feature map"));
        }
        self.isa.dispatch(RowProduct { product: self, x, row, y });
        Ok(())
    }
}

/// One row of products, without residual or ReLU.
struct RowProduct<'a> {
    product: &'a Pointwise,
    x: &'a PixelMap,
    row: usize,
    y: &'a mut [f32],
}

impl SimdOp for RowProduct<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let RowProduct { product, x, row, y } = self;
        let from = &x.data[x.at(row, 0)..][..x.width * x.padded];
        // SAFETY: `run_row` has checked that `y` holds `width` pixels of padded outputs and `x` those of the product's
        // channels; there is no residual, so nothing else is read.
        unsafe { product_row(simd, product, from.as_ptr(), x.width, y.as_mut_ptr(), None, false) };
    }
}

/// What is added to the products of a row: the input of the block, or the largest of each 2 x 2 pixels of it.
#[derive(Clone, Copy)]
struct Residual {
    /// The input at the first pixel of the row (of the upper of two rows).
    from: *const f32,
    /// Numbers from one row of the input to the next.
    pitch: usize,
    /// Channels of the input, padded; the others are not added to.
    padded: usize,
    stride: usize,
}

/// Fills a row of `width` output pixels at `y` from as many input pixels at `x`.
///
/// # Safety
/// `x` holds `width` pixels of the product's channels, padded; `y` room for as many of its outputs, padded; the residual
/// reads `stride * width` pixels in `stride` rows.
#[inline(always)]
unsafe fn product_row<S: Simd>(
    simd: S,
    product: &Pointwise,
    x: *const f32,
    width: usize,
    y: *mut f32,
    residual: Option<Residual>,
    relu: bool,
) {
    let (mut first, mut offset) = (0, 0);
    for &registers in &product.groups {
        macro_rules! tile {
            ($registers:literal x $pixels:literal) => {
                if width >= $pixels {
                    sweep::<S, $registers, $pixels>(simd, product, first, offset, x, width, y, residual, relu)
                } else {
                    sweep::<S, $registers, 1>(simd, product, first, offset, x, width, y, residual, relu)
                }
            };
        }
        // SAFETY: the caller's promise; a tile is no wider than the row.
        unsafe {
            match registers {
                3 => tile!(3 x 8),
                2 if const { S::REGISTERS >= 32 } => tile!(2 x 8),
                2 => tile!(2 x 4),
                _ => tile!(1 x 8),
            }
        }
        first += registers * S::WIDE;
        offset += registers * S::WIDE * product.channels;
    }
    // SAFETY: the caller's promise: `y` holds padded outputs.
    unsafe { clear(simd, y, width, first, padded(product.out)) };
}

/// Clears the channels `first..padded` of each pixel of a row: those of a block that no register holds.
///
/// # Safety
/// `y` has room for `width` pixels of `padded` channels, and whole registers fill what is cleared.
#[inline(always)]
unsafe fn clear<S: Simd>(simd: S, y: *mut f32, width: usize, first: usize, padded: usize) {
    let zero = simd.all(0.0);
    for channel in (first..padded).step_by(S::WIDE) {
        for pixel in 0..width {
            // SAFETY: the caller's promise.
            unsafe { simd.put(y.add(pixel * padded + channel), zero) };
        }
    }
}

/// Adds to the sums of `P` pixels, `step` numbers apart, the products of `count` numbers of each with the weights of `V`
/// registers of outputs, and moves on behind these weights.
///
/// # Safety
/// `count` numbers are readable at each pixel, and `count * V` registers of weights.
#[inline(always)]
unsafe fn accumulate<S: Simd, const V: usize, const P: usize>(
    simd: S,
    sums: &mut [[S::Register; V]; P],
    from: *const f32,
    step: usize,
    count: usize,
    weight: &mut *const f32,
) {
    for i in 0..count {
        // the values first: a register of weights is then needed for a moment only, and all sums stay in registers
        let mut values = [simd.all(0.0); P];
        // SAFETY: the caller's promise.
        unsafe {
            for p in 0..P {
                values[p] = simd.all(*from.add(p * step + i));
            }
            for v in 0..V {
                let w = simd.register(weight.add(v * S::WIDE));
                for p in 0..P {
                    sums[p][v] = simd.register_fma(values[p], w, sums[p][v]);
                }
            }
            *weight = weight.add(V * S::WIDE);
        }
    }
}

/// `V` registers of outputs for a whole row, `P` pixels at a time.
///
/// # Safety
/// As for [`product_row`]; `first` and `offset` are where the group begins in the bias and in the weights, `width >= P`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn sweep<S: Simd, const V: usize, const P: usize>(
    simd: S,
    product: &Pointwise,
    first: usize,
    offset: usize,
    x: *const f32,
    width: usize,
    y: *mut f32,
    residual: Option<Residual>,
    relu: bool,
) {
    let (into, out) = (padded(product.channels), padded(product.out));
    let zero = simd.all(0.0);
    // SAFETY: the caller's promise: pixels `at..at + P` lie in the row; the weights hold `channels x V` registers from `offset`.
    unsafe {
        let mut bias = [zero; V];
        for (v, bias) in bias.iter_mut().enumerate() {
            *bias = simd.register(product.bias.as_ptr().add(first + v * S::WIDE));
        }
        let mut column = 0;
        while column < width {
            let at = column.min(width - P);
            let mut sums = [bias; P];
            let mut weight = product.weights.as_ptr().add(offset);
            accumulate(simd, &mut sums, x.add(at * into), into, product.channels, &mut weight);
            for p in 0..P {
                for v in 0..V {
                    let sum = &mut sums[p][v];
                    let channel = first + v * S::WIDE;
                    if let Some(residual) = residual
                        && channel < residual.padded
                    {
                        let pixel = residual.padded;
                        let from = residual.from.add((at + p) * residual.stride * pixel + channel);
                        let mut short = simd.register(from);
                        if residual.stride == 2 {
                            let below = from.add(residual.pitch);
                            let upper = simd.register_max(short, simd.register(from.add(pixel)));
                            let lower = simd.register_max(simd.register(below), simd.register(below.add(pixel)));
                            short = simd.register_max(upper, lower);
                        }
                        *sum = simd.register_add(*sum, short);
                    }
                    if relu {
                        *sum = simd.register_max(*sum, zero);
                    }
                    simd.put(y.add((at + p) * out + channel), *sum);
                }
            }
            column += P;
        }
    }
}

/// A depthwise 3x3 filter, a product over the channels, the input added (padded with channels of zeros, at stride 2 the
/// largest of each 2 x 2 pixels), a ReLU.
#[derive(Debug, Clone)]
pub(crate) struct Separable {
    isa: Isa,
    channels: usize,
    stride: usize,
    residual: bool,
    /// `[registers][3][3][numbers of a register]`
    filter: Aligned<f32>,
    bias: Aligned<f32>,
    product: Pointwise,
}

impl Separable {
    /// A block of a filter `[channels, 3, 3]` with a bias `[channels]`, at stride 1 or 2, and a product.
    pub(crate) fn new(
        isa: Isa,
        stride: usize,
        residual: bool,
        filter: &[f32],
        bias: &[f32],
        product: Pointwise,
    ) -> Self {
        let (channels, wide) = (bias.len(), isa.registers().wide);
        let mut packed = Aligned::zeros(padded(channels) * 9);
        for c in 0..channels {
            for tap in 0..9 {
                packed[(c / wide * 9 + tap) * wide + c % wide] = filter[c * 9 + tap];
            }
        }
        let mut padded_bias = Aligned::zeros(padded(channels));
        padded_bias[..channels].copy_from_slice(bias);
        Separable { isa, channels, stride, residual, filter: packed, bias: padded_bias, product }
    }

    /// Fills `y`, which it gives its size, from `x`. `line` is room for a row between filter and product.
    pub(crate) fn run(&self, x: &PixelMap, y: &mut PixelMap, line: &mut Aligned<f32>) -> Result<()> {
        let fits = x.padded == padded(self.channels)
            && x.height > 0
            && x.width > 0
            && x.height.is_multiple_of(self.stride)
            && x.width.is_multiple_of(self.stride)
            && self.product.channels == self.channels
            && (!self.residual || self.product.out >= self.channels);
        if !fits {
            return Err(Error::new(ErrorKind::Shape, "a depthwise-separable block does not fit its feature map"));
        }
        y.shape(x.height / self.stride, x.width / self.stride, self.product.out);
        let room = y.width * x.padded;
        if line.len() < room {
            *line = Aligned::zeros(room);
        }
        self.isa.dispatch(Rows { block: self, x, y, line });
        Ok(())
    }
}

/// All rows of a block.
struct Rows<'a> {
    block: &'a Separable,
    x: &'a PixelMap,
    y: &'a mut PixelMap,
    line: &'a mut Aligned<f32>,
}

impl SimdOp for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Rows { block, x, y, line } = self;
        let (stride, pitch) = (block.stride, x.pitch());
        // at stride 1 the window begins one pixel before, in the border
        let before = if stride == 1 { 1 } else { 0 };
        for row in 0..y.height {
            // SAFETY: `Separable::run` has given `y` and `line` their sizes. A window reaches from `before` pixels before to
            // 2 - `before` pixels after `stride` times its place, and the map has a border of one pixel; the residual's
            // `stride` rows and `stride * width` pixels are those of the input, whose sides are multiples of the stride.
            unsafe {
                let from = x.data.as_ptr().add(x.at(row * stride, 0));
                let corner = from.sub(before * (pitch + x.padded));
                let to = line.as_mut_ptr();
                match (stride, y.width) {
                    (1, 8..) => filter_row::<S, 4, 1>(simd, block, corner, pitch, y.width, to),
                    (1, 4..) => filter_row::<S, 4, 1>(simd, block, corner, pitch, y.width, to),
                    (1, _) => filter_row::<S, 1, 1>(simd, block, corner, pitch, y.width, to),
                    (_, 8..) => filter_row::<S, 4, 2>(simd, block, corner, pitch, y.width, to),
                    (_, 4..) => filter_row::<S, 4, 2>(simd, block, corner, pitch, y.width, to),
                    (_, _) => filter_row::<S, 1, 2>(simd, block, corner, pitch, y.width, to),
                }
                let residual = block.residual.then_some(Residual { from, pitch, padded: x.padded, stride });
                let out = y.at(row, 0);
                let out = y.data.as_mut_ptr().add(out);
                product_row(simd, &block.product, line.as_ptr(), y.width, out, residual, true);
            }
        }
    }
}

/// The filter over a row of `width` output pixels, `P` at a time, `STEP` apart in the input.
///
/// # Safety
/// `corner` is where the first pixel's window begins in a map of that pitch, which has the windows of all pixels; `to` has
/// room for the row; `width >= P`.
#[inline(always)]
unsafe fn filter_row<S: Simd, const P: usize, const STEP: usize>(
    simd: S,
    block: &Separable,
    corner: *const f32,
    pitch: usize,
    width: usize,
    to: *mut f32,
) {
    let pixel = padded(block.channels);
    // SAFETY: the caller's promise; filter and bias are padded to whole blocks.
    unsafe {
        let mut column = 0;
        while column < width {
            let at = column.min(width - P);
            for register in 0..block.channels.div_ceil(S::WIDE) {
                let channel = register * S::WIDE;
                let filter = block.filter.as_ptr().add(channel * 9);
                let from = corner.add(at * STEP * pixel + channel);
                let mut sums = [simd.register(block.bias.as_ptr().add(channel)); P];
                for ky in 0..3 {
                    // each pixel is read once, for all windows that it lies in
                    let mut values = [[simd.all(0.0); STEP]; P];
                    let from = from.add(ky * pitch);
                    for p in 0..P {
                        for i in 0..STEP {
                            values[p][i] = simd.register(from.add((p * STEP + i) * pixel));
                        }
                    }
                    let mut rest = [simd.all(0.0); 3];
                    for (i, value) in rest.iter_mut().enumerate().take(3 - STEP) {
                        *value = simd.register(from.add((P * STEP + i) * pixel));
                    }
                    for kx in 0..3 {
                        let weight = simd.register(filter.add((ky * 3 + kx) * S::WIDE));
                        for p in 0..P {
                            let next = p + kx / STEP;
                            let value =
                                if next < P { values[next][kx % STEP] } else { rest[(next - P) * STEP + kx % STEP] };
                            sums[p] = simd.register_fma(value, weight, sums[p]);
                        }
                    }
                }
                for p in 0..P {
                    simd.put(to.add((at + p) * pixel + channel), sums[p]);
                }
            }
            column += P;
        }
    }
}

/// A picture as the first convolution reads it: `[1 + height + 2][1 + width + 2][3]`, with a border of zeros.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    height: usize,
    width: usize,
    data: Vec<f32>,
}

impl Picture {
    /// Makes the picture this large, both sides even; what it held is lost.
    pub(crate) fn shape(&mut self, height: usize, width: usize) {
        if [self.height, self.width] == [height, width] {
            return;
        }
        (self.height, self.width) = (height, width);
        self.data.clear();
        self.data.resize((height + 3) * (width + 3) * 3, 0.0);
    }

    /// Rows, without the border.
    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// Pixels of a row, without the border.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Row `y`, without the border: `width` pixels of three numbers.
    pub(crate) fn row_mut(&mut self, y: usize) -> &mut [f32] {
        let from = ((1 + y) * (self.width + 3) + 1) * 3;
        &mut self.data[from..from + self.width * 3]
    }
}

/// The first convolution: 5x5 over three channels at stride 2, and a ReLU.
#[derive(Debug, Clone)]
pub(crate) struct Stem {
    isa: Isa,
    out: usize,
    /// Registers of output channels of each group.
    groups: Vec<usize>,
    /// `[groups][5][15][registers of the group][numbers of a register]`
    weights: Aligned<f32>,
    bias: Aligned<f32>,
}

/// Numbers under one row of the first convolution's window: five pixels of three.
const STEM_ROW: usize = 15;

impl Stem {
    /// Weights `[out, 3, 5, 5]` and a bias `[out]`.
    pub(crate) fn new(isa: Isa, out: usize, weight: &[f32], bias: &[f32]) -> Self {
        // as a product over the 75 numbers of a window, rows first
        let window = 5 * STEM_ROW;
        let mut flat = vec![0.0; out * window];
        for o in 0..out {
            for (i, value) in flat[o * window..][..window].iter_mut().enumerate() {
                let (ky, kx, c) = (i / STEM_ROW, i % STEM_ROW / 3, i % 3);
                *value = weight[((o * 3 + c) * 5 + ky) * 5 + kx];
            }
        }
        let Pointwise { groups, weights, bias, .. } = Pointwise::new(isa, window, out, &flat, bias);
        Stem { isa, out, groups, weights, bias }
    }

    /// Fills `y`, which it gives its size, from a picture.
    pub(crate) fn run(&self, x: &Picture, y: &mut PixelMap) -> Result<()> {
        let fits = x.height >= 16 && x.width >= 16 && x.height.is_multiple_of(2) && x.width.is_multiple_of(2);
        if !fits {
            return Err(Error::new(ErrorKind::Shape, "the first convolution does not fit its picture"));
        }
        y.shape(x.height / 2, x.width / 2, self.out);
        self.isa.dispatch(StemRows { stem: self, x, y });
        Ok(())
    }
}

/// All rows of the first convolution.
struct StemRows<'a> {
    stem: &'a Stem,
    x: &'a Picture,
    y: &'a mut PixelMap,
}

impl SimdOp for StemRows<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let StemRows { stem, x, y } = self;
        for row in 0..y.height {
            let (mut first, mut offset) = (0, 0);
            for &registers in &stem.groups {
                // SAFETY: `Stem::run` has checked that the picture is at least 16 pixels wide, so a row of the output has 8
                // at least; weights and bias hold whole groups.
                unsafe {
                    match registers {
                        3 => stem_row::<S, 3, 8>(simd, stem, first, offset, x, y, row),
                        2 if const { S::REGISTERS >= 32 } => stem_row::<S, 2, 8>(simd, stem, first, offset, x, y, row),
                        2 => stem_row::<S, 2, 4>(simd, stem, first, offset, x, y, row),
                        _ => stem_row::<S, 1, 8>(simd, stem, first, offset, x, y, row),
                    }
                }
                first += registers * S::WIDE;
                offset += registers * S::WIDE * 5 * STEM_ROW;
            }
            let at = y.at(row, 0);
            // SAFETY: `y` has a row of `width` pixels of padded channels there.
            unsafe { clear(simd, y.data.as_mut_ptr().add(at), y.width, first, y.padded) };
        }
    }
}

/// `V` registers of outputs of the first convolution for a whole row, `P` pixels at a time.
///
/// # Safety
/// `y` has half the sides of `x` and rows of `P` pixels or more; `first` and `offset` are where the group begins in the bias
/// and in the weights.
#[inline(always)]
unsafe fn stem_row<S: Simd, const V: usize, const P: usize>(
    simd: S,
    stem: &Stem,
    first: usize,
    offset: usize,
    x: &Picture,
    y: &mut PixelMap,
    row: usize,
) {
    let pitch = (x.width + 3) * 3;
    let zero = simd.all(0.0);
    let mut column = 0;
    while column < y.width {
        let at = column.min(y.width - P);
        // SAFETY: a window of 5 pixels at twice an output's place lies in the picture with its border of one before and two
        // after; the rest is the caller's promise.
        unsafe {
            let mut bias = [zero; V];
            for (v, bias) in bias.iter_mut().enumerate() {
                *bias = simd.register(stem.bias.as_ptr().add(first + v * S::WIDE));
            }
            let mut sums = [bias; P];
            let mut weight = stem.weights.as_ptr().add(offset);
            for ky in 0..5 {
                let from = x.data.as_ptr().add((row * 2 + ky) * pitch + at * 6);
                accumulate(simd, &mut sums, from, 6, STEM_ROW, &mut weight);
            }
            let to = y.at(row, at) + first;
            let to = y.data.as_mut_ptr().add(to);
            for (p, sums) in sums.into_iter().enumerate() {
                for (v, sum) in sums.into_iter().enumerate() {
                    simd.put(to.add(p * y.padded + v * S::WIDE), simd.register_max(sum, zero));
                }
            }
        }
        column += P;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without pattern, -1 to 1.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn map(height: usize, width: usize, channels: usize, values: &[f32]) -> PixelMap {
        let mut map = PixelMap::default();
        map.shape(height, width, channels);
        for (i, value) in values.iter().enumerate() {
            let (pixel, c) = (i / channels, i % channels);
            let at = map.at(pixel / width, pixel % width) + c;
            map.data[at] = *value;
        }
        map
    }

    /// The block written as plainly as possible.
    fn plain(x: &[f32], [h, w, c]: [usize; 3], out: usize, stride: usize, parts: [&[f32]; 4], add: bool) -> Vec<f32> {
        let [filter, bias, weight, point_bias] = parts;
        let (before, get) =
            (
                if stride == 1 { 1 } else { 0 },
                |y: usize, z: usize, i: usize| {
                    if y < h && z < w { x[(y * w + z) * c + i] } else { 0.0 }
                },
            );
        let mut result = Vec::new();
        for y in 0..h / stride {
            for z in 0..w / stride {
                let middle: Vec<f32> = (0..c)
                    .map(|i| {
                        let tap = |t: usize| {
                            let (row, column) =
                                ((y * stride + t / 3).wrapping_sub(before), (z * stride + t % 3).wrapping_sub(before));
                            filter[i * 9 + t] * get(row, column, i)
                        };
                        bias[i] + (0..9).map(tap).sum::<f32>()
                    })
                    .collect();
                for o in 0..out {
                    let mut sum = point_bias[o] + (0..c).map(|i| weight[o * c + i] * middle[i]).sum::<f32>();
                    if add && o < c {
                        let near =
                            (0..stride * stride).map(|t| get(y * stride + t / stride, z * stride + t % stride, o));
                        sum += near.fold(f32::NEG_INFINITY, f32::max);
                    }
                    result.push(sum.max(0.0));
                }
            }
        }
        result
    }

    #[test]
    fn blocks_of_all_sets_are_as_the_plain_one() {
        for (h, w, c, out, stride, add) in [
            (8, 8, 24, 24, 1, true),
            (6, 10, 24, 28, 1, true),
            (4, 6, 28, 32, 2, true),
            (2, 2, 42, 48, 2, true),
            (5, 3, 36, 42, 1, true),
            (1, 1, 16, 16, 1, true),
            (16, 24, 88, 96, 2, true),
            (8, 12, 96, 96, 2, false),
            (3, 13, 56, 64, 1, true),
            (3, 9, 72, 80, 1, false),
        ] {
            let x = numbers(h * w * c, 1);
            let [filter, bias] = [numbers(c * 9, 2), numbers(c, 3)];
            let [weight, point_bias] = [numbers(out * c, 4), numbers(out, 5)];
            let expected = plain(&x, [h, w, c], out, stride, [&filter, &bias, &weight, &point_bias], add);
            for isa in Isa::available() {
                let product = Pointwise::new(isa, c, out, &weight, &point_bias);
                let block = Separable::new(isa, stride, add, &filter, &bias, product);
                let (mut y, mut line) = (PixelMap::default(), Aligned::default());
                // of another size before, so that nothing of it may be left
                y.shape(h + 3, w, out + 40);
                y.data.fill(7.0);
                block.run(&map(h, w, c, &x), &mut y, &mut line).unwrap();
                assert_eq!([y.height(), y.width()], [h / stride, w / stride]);
                for (i, expected) in expected.iter().enumerate() {
                    let (pixel, o) = (i / out, i % out);
                    let found = y.pixel(pixel / y.width(), pixel % y.width())[o];
                    assert!((found - expected).abs() < 1e-4, "{isa} {h}x{w} {c}->{out}: {found} {expected}");
                }
                for row in 0..y.height() {
                    for column in 0..y.width() {
                        assert!(y.pixel(row, column)[out..].iter().all(|v| *v == 0.0), "padding must stay zero");
                    }
                }
                let border = y.data[..y.pitch()].iter().chain(&y.data[(y.height + 1) * y.pitch()..][..y.pitch()]);
                assert!(border.copied().all(|v| v == 0.0), "{isa}");
            }
        }
    }

    #[test]
    fn products_of_rows_of_all_sets() {
        for (w, c, out) in [(8, 88, 2), (3, 96, 6), (16, 17, 34), (1, 5, 102)] {
            let (x, weight, bias) = (numbers(w * c, 1), numbers(out * c, 2), numbers(out, 3));
            for isa in Isa::available() {
                let product = Pointwise::new(isa, c, out, &weight, &bias);
                let mut y = vec![0.0; w * product.padded()];
                product.run_row(&map(1, w, c, &x), 0, &mut y).unwrap();
                for p in 0..w {
                    for o in 0..out {
                        let expected = bias[o] + (0..c).map(|i| weight[o * c + i] * x[p * c + i]).sum::<f32>();
                        assert!((y[p * product.padded() + o] - expected).abs() < 1e-4);
                    }
                }
                assert!(product.run_row(&map(1, w, c, &x), 1, &mut y).is_err());
                assert!(product.run_row(&map(1, w, c + 40, &[]), 0, &mut y).is_err());
            }
        }
    }

    #[test]
    fn the_first_convolution_of_all_sets() {
        for (h, w, out) in [(16, 16, 24), (18, 22, 32), (32, 20, 40)] {
            let (x, weight, bias) = (numbers(h * w * 3, 1), numbers(out * 75, 2), numbers(out, 3));
            let mut picture = Picture::default();
            picture.shape(h, w);
            for y in 0..h {
                picture.row_mut(y).copy_from_slice(&x[y * w * 3..][..w * 3]);
            }
            for isa in Isa::available() {
                let stem = Stem::new(isa, out, &weight, &bias);
                let mut y = PixelMap::default();
                stem.run(&picture, &mut y).unwrap();
                for row in 0..h / 2 {
                    for column in 0..w / 2 {
                        for o in 0..out {
                            let mut expected = bias[o];
                            for t in 0..25 {
                                let (r, c) = ((row * 2 + t / 5).wrapping_sub(1), (column * 2 + t % 5).wrapping_sub(1));
                                if r < h && c < w {
                                    for i in 0..3 {
                                        expected += weight[(o * 3 + i) * 25 + t] * x[(r * w + c) * 3 + i];
                                    }
                                }
                            }
                            let found = y.pixel(row, column)[o];
                            assert!((found - expected.max(0.0)).abs() < 1e-4, "{isa}: {found} {expected}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let isa = Isa::active();
        let product = Pointwise::new(isa, 8, 8, &[0.0; 64], &[0.0; 8]);
        let block = Separable::new(isa, 2, true, &[0.0; 72], &[0.0; 8], product);
        let (mut y, mut line) = (PixelMap::default(), Aligned::default());
        for (h, w, c) in [(3, 4, 8), (4, 3, 8), (0, 4, 8), (4, 4, 40)] {
            assert!(block.run(&map(h, w, c, &[]), &mut y, &mut line).is_err());
        }
    }
}
