//! The product of a row with a packed matrix.

use super::vector::{Simd, SimdOp};
use super::{LANES, padded};
use crate::nn::dense::{Matrix, Weights};

/// Rows whose indices are gathered at a time.
pub(crate) const PART: usize = 1024;

/// Weights of more bytes than this are asked for ahead of their use, because rows that are skipped hide the pattern.
const FAR: usize = 1 << 20;

/// Adds `x` times the matrix to `y`, which is padded to whole blocks.
///
/// # Panics
/// When `x` has not one number for each row, or `y` not one for each padded unit.
pub(crate) fn add_product(matrix: &Matrix, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == matrix.rows && y.len() == padded(matrix.units));
    matrix.isa.dispatch(Product { matrix, x, y });
}

struct Product<'a> {
    matrix: &'a Matrix,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl SimdOp for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let matrix = self.matrix;
        let mut places = [0u32; PART];
        let bytes = matrix.rows * padded(matrix.units) * 4;
        for (part, x) in self.x.chunks(PART).enumerate() {
            let mut count = 0;
            for (i, value) in x.iter().enumerate() {
                // without a branch: which numbers are 0 is too irregular to be predicted
                places[count] = i as u32;
                count += usize::from(*value != 0.0);
            }
            let places = &places[..count];
            let (mut first, mut start) = (0, 0);
            for &blocks in &matrix.groups {
                let wide = blocks * LANES;
                let y = &mut self.y[first..first + wide];
                let from = start + part * PART * wide;
                let length = x.len() * wide;
                match &matrix.weights {
                    Weights::F32(weights) => {
                        let weights = &weights[from..from + length];
                        group::<S, f32>(simd, blocks, x, places, weights, y, bytes > FAR);
                    }
                    Weights::F16(weights) => {
                        let weights = &weights[from..from + length];
                        group::<S, u16>(simd, blocks, x, places, weights, y, bytes > FAR);
                    }
                }
                first += wide;
                start += matrix.rows * wide;
            }
        }
    }
}

/// A number as it is stored among weights.
trait Stored: Copy {
    /// Reads 16 of them.
    ///
    /// # Safety
    /// 16 numbers must be readable at `from`.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F32;
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const f32) -> S::F32 {
        // SAFETY: the caller's promise.
        unsafe { simd.read(from) }
    }
}

impl Stored for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const u16) -> S::F32 {
        // SAFETY: the caller's promise.
        unsafe { simd.read_f16(from) }
    }
}

#[inline(always)]
fn group<S: Simd, T: Stored>(
    simd: S,
    blocks: usize,
    x: &[f32],
    places: &[u32],
    weights: &[T],
    y: &mut [f32],
    far: bool,
) {
    match blocks {
        16 if const { S::BLOCKS >= 16 } => product::<S, T, 16, 1>(simd, x, places, weights, y, far),
        8 if const { S::BLOCKS >= 8 } => product::<S, T, 8, 1>(simd, x, places, weights, y, far),
        6 if const { S::BLOCKS >= 6 } => product::<S, T, 6, 1>(simd, x, places, weights, y, far),
        4 => product::<S, T, 4, 1>(simd, x, places, weights, y, far),
        2 => product::<S, T, 2, 2>(simd, x, places, weights, y, far),
        _ => product::<S, T, 1, 4>(simd, x, places, weights, y, far),
    }
}

/// `V` blocks of units; `U` rows at a time with sums of their own, so that few blocks do not wait for each other.
#[inline(always)]
fn product<S: Simd, T: Stored, const V: usize, const U: usize>(
    simd: S,
    x: &[f32],
    places: &[u32],
    weights: &[T],
    y: &mut [f32],
    far: bool,
) {
    let wide = V * LANES;
    if y.len() != wide || weights.len() != x.len() * wide {
        return;
    }
    let zero = simd.splat(0.0);
    let mut sums = [[zero; V]; U];
    // SAFETY: each place is the index of a number of `x`, and `weights` holds `wide` numbers for each of them; `y` holds
    // `wide` numbers. Only prefetches reach further, and they read nothing.
    unsafe {
        for (v, sum) in sums[0].iter_mut().enumerate() {
            *sum = simd.read(y.as_ptr().add(v * LANES));
        }
        let mut n = 0;
        while n + U <= places.len() {
            for (u, sums) in sums.iter_mut().enumerate() {
                let place = *places.get_unchecked(n + u) as usize;
                let value = simd.splat(*x.get_unchecked(place));
                let from = weights.as_ptr().add(place * wide);
                if far {
                    // far enough to hide the way to memory: a few kilobytes
                    let ahead = *places.get_unchecked((n + u + 12).min(places.len() - 1)) as usize;
                    let ahead = weights.as_ptr().add(ahead * wide);
                    let line = 64 / size_of::<T>();
                    for l in 0..wide / line {
                        simd.prefetch(ahead.add(l * line));
                    }
                }
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.fma(value, T::load(simd, from.add(v * LANES)), *sum);
                }
            }
            n += U;
        }
        for &place in &places[n..] {
            let place = place as usize;
            let value = simd.splat(*x.get_unchecked(place));
            let from = weights.as_ptr().add(place * wide);
            for (v, sum) in sums[0].iter_mut().enumerate() {
                *sum = simd.fma(value, T::load(simd, from.add(v * LANES)), *sum);
            }
        }
        for v in 0..V {
            let mut sum = sums[0][v];
            for others in &sums[1..] {
                sum = simd.add(sum, others[v]);
            }
            simd.write(y.as_mut_ptr().add(v * LANES), sum);
        }
    }
}
