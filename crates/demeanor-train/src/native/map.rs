//! Feature maps of a batch, and the passes over their pixels.
//!
//! A map is stored channel-last in bfloat16, with zeros around each picture, so that a convolution at any pixel reads its
//! neighbours at fixed distances, and 16 or 32 pixels in a row are the rows of a matrix as they stand.

use demeanor::simd::{Bf16, from_bf16, to_bf16};
use demeanor::vectorized;

/// Where the pixels of a map lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Geometry {
    /// Channels, rounded up to a multiple of 32; those beyond the true count stay 0.
    pub channels: usize,
    /// Rows of a picture.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Rows of zeros above and below.
    pub above: usize,
    /// Columns of zeros on the left (and at least as many before the next row).
    pub before: usize,
    /// Pixels from row to row.
    pub pitch: usize,
}

impl Geometry {
    /// Pixels from picture to picture.
    pub fn picture(&self) -> usize {
        (self.height + 2 * self.above) * self.pitch
    }

    /// Pixels that must be readable before the first and after the last picture.
    pub fn slack(&self) -> usize {
        (2 * self.above + 1) * self.pitch + 2 * self.before + 96
    }

    /// Place of a pixel of a picture, counted from the picture's first (zero) pixel.
    pub fn at(&self, y: usize, x: usize) -> usize {
        (y + self.above) * self.pitch + self.before + x
    }

    /// Numbers that `count` pictures and the slack take.
    pub fn len(&self, count: usize) -> usize {
        (count * self.picture() + 2 * self.slack()) * self.channels
    }

    /// The numbers of one picture in a buffer of the whole batch.
    pub fn range(&self, picture: usize) -> std::ops::Range<usize> {
        let start = (self.slack() + picture * self.picture()) * self.channels;
        start..start + self.picture() * self.channels
    }
}

/// How a raw sum of a convolution becomes the value that is passed on, channel by channel:
/// `r = first(y + bias)`, `z = r * scale + offset (+ added)`, `a = last(z)`, where `first` is a ReLU if the norm stands
/// after it and `last` a ReLU if one follows.
pub struct Passage<'a> {
    /// Added to the raw sum.
    pub bias: &'a [f32],
    /// The norm's factor (gain over deviation).
    pub scale: &'a [f32],
    /// What the norm adds (shift less mean times factor).
    pub offset: &'a [f32],
    /// Whether a ReLU stands before the norm.
    pub first: bool,
    /// Whether a ReLU stands at the end.
    pub last: bool,
}

/// Channels that the passes take at a time: what belongs to each stays in registers along a row.
const LANES: usize = 32;

/// 32 numbers from a place on.
#[inline(always)]
fn lanes<T>(values: &[T], at: usize) -> &[T; LANES] {
    // channels are a multiple of 32
    &values[at..].as_chunks().0[0]
}

/// 32 numbers from a place on, to write.
#[inline(always)]
fn lanes_mut<T>(values: &mut [T], at: usize) -> &mut [T; LANES] {
    &mut values[at..].as_chunks_mut().0[0]
}

/// A number whose order among integers is that of the bfloat16 number; its own inverse.
#[inline(always)]
fn order(value: i16) -> i16 {
    value ^ ((value >> 15) & 0x7fff)
}

vectorized! {
    /// Adds to `sums` and `squares` the values `first(y + bias)` of a row of pixels.
    pub fn add_statistics<'a>(row: &'a [Bf16], bias: &'a [f32], first: bool, sums: &'a mut [f32], squares: &'a mut [f32]) {
        let channels = bias.len();
        let low = if first { 0.0 } else { f32::NEG_INFINITY };
        for block in (0..channels).step_by(LANES) {
            let bias = *lanes(bias, block);
            let (mut sum, mut square) = ([0f32; LANES], [0f32; LANES]);
            for pixel in row.chunks_exact(channels) {
                let pixel = lanes(pixel, block);
                for c in 0..LANES {
                    let r = (from_bf16(pixel[c]) + bias[c]).max(low);
                    sum[c] += r;
                    square[c] += r * r;
                }
            }
            let (sums, squares) = (lanes_mut(sums, block), lanes_mut(squares, block));
            for c in 0..LANES {
                sums[c] += sum[c];
                squares[c] += square[c];
            }
        }
    }
}

vectorized! {
    /// A row of raw sums to a row of values; `added` is empty or as long as the row.
    pub fn pass_row<'a>(row: &'a [Bf16], passage: &'a Passage<'a>, added: &'a [Bf16], to: &'a mut [Bf16]) {
        let channels = passage.bias.len();
        let (bias, scale, offset) = (&passage.bias[..channels], &passage.scale[..channels], &passage.offset[..channels]);
        let first = if passage.first { 0.0 } else { f32::NEG_INFINITY };
        let last = if passage.last { 0.0 } else { f32::NEG_INFINITY };
        if added.is_empty() {
            for (pixel, to) in row.chunks_exact(channels).zip(to.chunks_exact_mut(channels)) {
                for c in 0..channels {
                    let r = (from_bf16(pixel[c]) + bias[c]).max(first);
                    to[c] = to_bf16((r * scale[c] + offset[c]).max(last));
                }
            }
        } else {
            let pixels = row.chunks_exact(channels).zip(added.chunks_exact(channels));
            for ((pixel, added), to) in pixels.zip(to.chunks_exact_mut(channels)) {
                for c in 0..channels {
                    let r = (from_bf16(pixel[c]) + bias[c]).max(first);
                    to[c] = to_bf16((r * scale[c] + offset[c] + from_bf16(added[c])).max(last));
                }
            }
        }
    }
}

vectorized! {
    /// Largest values of `rows x step` pixels, from values already passed (`rows` rows, each `row` numbers apart).
    pub fn pool_row<'a>(from: &'a [Bf16], row: usize, rows: usize, step: usize, channels: usize, to: &'a mut [Bf16]) {
        for (x, to) in to.chunks_exact_mut(channels).enumerate() {
            for block in (0..channels).step_by(LANES) {
                let mut top = [i16::MIN; LANES];
                for dy in 0..rows {
                    for dx in 0..step {
                        let values = lanes(from, dy * row + (x * step + dx) * channels + block);
                        for c in 0..LANES {
                            top[c] = top[c].max(order(values[c] as i16));
                        }
                    }
                }
                let to = lanes_mut(to, block);
                for c in 0..LANES {
                    to[c] = order(top[c]) as Bf16;
                }
            }
        }
    }
}

vectorized! {
    /// The gradient of pooled values to the first largest of the values they came from; the rest get 0.
    pub fn unpool_row<'a>(from: &'a [Bf16], row: usize, rows: usize, step: usize, channels: usize, gradient: &'a [Bf16], to: &'a mut [Bf16]) {
        for (x, gradient) in gradient.chunks_exact(channels).enumerate() {
            for block in (0..channels).step_by(LANES) {
                let at = |dy: usize, dx: usize| dy * row + (x * step + dx) * channels + block;
                let mut top = [i16::MIN; LANES];
                for dy in 0..rows {
                    for dx in 0..step {
                        let values = lanes(from, at(dy, dx));
                        for c in 0..LANES {
                            top[c] = top[c].max(order(values[c] as i16));
                        }
                    }
                }
                let mut left = *lanes(gradient, block);
                for dy in 0..rows {
                    for dx in 0..step {
                        let values = lanes(from, at(dy, dx));
                        let to = lanes_mut(to, at(dy, dx));
                        for c in 0..LANES {
                            let is_top = if order(values[c] as i16) == top[c] { u16::MAX } else { 0 };
                            to[c] = left[c] & is_top;
                            left[c] &= !is_top;
                        }
                    }
                }
            }
        }
    }
}

vectorized! {
    /// The gradient of a row of values to that of `z` (in place), with `z`'s sums over pixels: `sums += dz`,
    /// `products += dz * (r - mean) * inverse`. `added` as in [`pass_row`].
    pub fn gradient_sums<'a>(
        row: &'a [Bf16],
        passage: &'a Passage<'a>,
        added: &'a [Bf16],
        mean: &'a [f32],
        inverse: &'a [f32],
        gradient: &'a mut [Bf16],
        sums: &'a mut [f32],
        products: &'a mut [f32],
    ) {
        let channels = passage.bias.len();
        let first = if passage.first { 0.0 } else { f32::NEG_INFINITY };
        let last = if passage.last { 0.0 } else { f32::NEG_INFINITY };
        for block in (0..channels).step_by(LANES) {
            let (bias, scale) = (*lanes(passage.bias, block), *lanes(passage.scale, block));
            let (offset, mean) = (*lanes(passage.offset, block), *lanes(mean, block));
            let (mut sum, mut product) = ([0f32; LANES], [0f32; LANES]);
            let pixels = row.chunks_exact(channels).zip(gradient.chunks_exact_mut(channels));
            if added.is_empty() {
                for (pixel, gradient) in pixels {
                    let (pixel, gradient) = (lanes(pixel, block), lanes_mut(gradient, block));
                    for c in 0..LANES {
                        let r = (from_bf16(pixel[c]) + bias[c]).max(first);
                        let z = r * scale[c] + offset[c];
                        let kept = if z > last { gradient[c] } else { 0 };
                        let dz = from_bf16(kept);
                        gradient[c] = kept;
                        sum[c] += dz;
                        product[c] += dz * (r - mean[c]);
                    }
                }
            } else {
                for ((pixel, gradient), added) in pixels.zip(added.chunks_exact(channels)) {
                    let (pixel, gradient) = (lanes(pixel, block), lanes_mut(gradient, block));
                    let added = lanes(added, block);
                    for c in 0..LANES {
                        let r = (from_bf16(pixel[c]) + bias[c]).max(first);
                        let z = r * scale[c] + offset[c] + from_bf16(added[c]);
                        let kept = if z > last { gradient[c] } else { 0 };
                        let dz = from_bf16(kept);
                        gradient[c] = kept;
                        sum[c] += dz;
                        product[c] += dz * (r - mean[c]);
                    }
                }
            }
            let (sums, products, inverse) = (lanes_mut(sums, block), lanes_mut(products, block), lanes(inverse, block));
            for c in 0..LANES {
                sums[c] += sum[c];
                products[c] += product[c] * inverse[c];
            }
        }
    }
}

vectorized! {
    /// The gradient of `z` to that of the raw sum, every pixel of `to` being `stride` pixels after the one before:
    /// `dr = scale * (dz - part - (r - mean) * slope)`, then through `first`; `biases += dy`.
    pub fn raw_gradient<'a>(
        row: &'a [Bf16],
        passage: &'a Passage<'a>,
        mean: &'a [f32],
        part: &'a [f32],
        slope: &'a [f32],
        gradient: &'a [Bf16],
        stride: usize,
        biases: &'a mut [f32],
        to: &'a mut [Bf16],
    ) {
        let channels = passage.bias.len();
        for block in (0..channels).step_by(LANES) {
            let (bias, scale, mean) = (*lanes(passage.bias, block), *lanes(passage.scale, block), *lanes(mean, block));
            let (part, slope) = (*lanes(part, block), *lanes(slope, block));
            let mut sum = [0f32; LANES];
            let pixels = row.chunks_exact(channels).zip(gradient.chunks_exact(channels));
            for ((pixel, gradient), to) in pixels.zip(to.chunks_mut(channels * stride)) {
                let (pixel, gradient, to) = (lanes(pixel, block), lanes(gradient, block), lanes_mut(to, block));
                if passage.first {
                    for c in 0..LANES {
                        let y = from_bf16(pixel[c]) + bias[c];
                        let dr = scale[c] * (from_bf16(gradient[c]) - part[c] - (y.max(0.0) - mean[c]) * slope[c]);
                        let dy = if y > 0.0 { dr } else { 0.0 };
                        sum[c] += dy;
                        to[c] = to_bf16(dy);
                    }
                } else {
                    for c in 0..LANES {
                        let y = from_bf16(pixel[c]) + bias[c];
                        let dy = scale[c] * (from_bf16(gradient[c]) - part[c] - (y - mean[c]) * slope[c]);
                        sum[c] += dy;
                        to[c] = to_bf16(dy);
                    }
                }
            }
            let biases = lanes_mut(biases, block);
            for c in 0..LANES {
                biases[c] += sum[c];
            }
        }
    }
}

vectorized! {
    /// `to += from`, in bfloat16.
    pub fn add_row<'a>(from: &'a [Bf16], to: &'a mut [Bf16]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = to_bf16(from_bf16(*to) + from_bf16(from));
        }
    }
}

vectorized! {
    /// Rounds a block's rows to bfloat16.
    pub fn round_rows<'a>(block: &'a [f32], columns: usize, to: &'a mut [Bf16], to_row: usize, rows: usize) {
        for (block, to) in block.chunks_exact(columns).zip(to.chunks_mut(to_row)).take(rows) {
            let to = &mut to[..columns];
            for c in 0..columns {
                to[c] = to_bf16(block[c]);
            }
        }
    }
}

vectorized! {
    /// Rounds a block's rows to bfloat16 after adding what is there.
    pub fn add_rows<'a>(block: &'a [f32], columns: usize, to: &'a mut [Bf16], to_row: usize, rows: usize) {
        for (block, to) in block.chunks_exact(columns).zip(to.chunks_mut(to_row)).take(rows) {
            let to = &mut to[..columns];
            for c in 0..columns {
                to[c] = to_bf16(block[c] + from_bf16(to[c]));
            }
        }
    }
}

vectorized! {
    /// Pixels `[pixels][channels]` to pairs `[pixels / 2][channels][2]`; `pixels` is even.
    pub fn pair<'a>(from: &'a [Bf16], channels: usize, to: &'a mut [u32]) {
        for (from, to) in from.chunks_exact(2 * channels).zip(to.chunks_exact_mut(channels)) {
            let (even, odd) = from.split_at(channels);
            for c in 0..channels {
                to[c] = u32::from(even[c]) | u32::from(odd[c]) << 16;
            }
        }
    }
}

vectorized! {
    /// Pixels `[pixels][channels]` to pairs `[channels / 32][pixels / 2][32][2]`; `pixels` is even.
    pub fn pair_columns<'a>(from: &'a [Bf16], channels: usize, to: &'a mut [u32]) {
        let pairs = from.len() / channels / 2;
        for (p, from) in from.chunks_exact(2 * channels).enumerate() {
            let (even, odd) = from.split_at(channels);
            for (b, (even, odd)) in even.as_chunks::<32>().0.iter().zip(odd.as_chunks::<32>().0).enumerate() {
                let Some(to) = to[(b * pairs + p) * 32..].first_chunk_mut::<32>() else { continue };
                for c in 0..32 {
                    to[c] = u32::from(even[c]) | u32::from(odd[c]) << 16;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_and_its_gradient() {
        let value = |v: f32| to_bf16(v);
        let from: Vec<Bf16> = [1.0, 5.0, 2.0, 5.0].iter().flat_map(|&v| [value(v); 32]).collect();
        for isa in demeanor::simd::Isa::available() {
            let mut to = vec![0; 32];
            pool_row(isa, &from, 64, 2, 2, 32, &mut to);
            assert!(to.iter().all(|&t| from_bf16(t) == 5.0));
            let mut gradient = vec![1; 128];
            unpool_row(isa, &from, 64, 2, 2, 32, &[value(3.0); 32], &mut gradient);
            for (pixel, expected) in gradient.chunks_exact(32).zip([0.0, 3.0, 0.0, 0.0]) {
                assert!(pixel.iter().all(|&g| from_bf16(g) == expected));
            }
        }
    }
}
