//! Products of a row with a matrix of weights.

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Tensor, Values};
use crate::nn::lanes::{Aligned, Form, LANES, Lanes, Work, padded};

/// Rows whose indices are gathered at a time.
const PART: usize = 1024;

/// Weights of more bytes than this are asked for ahead of their use, because rows that are skipped hide the pattern.
const FAR: usize = 1 << 20;

/// A matrix `[rows][units]` packed for products: in groups of as many blocks of units as a form has registers for, row
/// after row.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    form: Form,
    rows: usize,
    units: usize,
    /// Blocks of each group.
    groups: Vec<usize>,
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Whole(Aligned<f32>),
    Half(Aligned<u16>),
}

impl Matrix {
    /// Packs weights `[units, columns]`: row `r` of the matrix is column `column(r)`, or zeros for none. Half precision
    /// stays so where the form is fast at it.
    pub(crate) fn new(form: Form, tensor: &Tensor, rows: usize, column: impl Fn(usize) -> Option<usize>) -> Self {
        let sides = [tensor.shape().first().copied().unwrap_or(0), tensor.shape().get(1).copied().unwrap_or(1)];
        match tensor.values() {
            Values::F16(values) if form.has_half() => {
                Self::pack(form, sides, rows, column, Weights::Half, |i| values[i].to_bits())
            }
            Values::F16(values) => Self::pack(form, sides, rows, column, Weights::Whole, |i| values[i].to_f32()),
            Values::F32(values) => Self::pack(form, sides, rows, column, Weights::Whole, |i| values[i]),
        }
    }

    fn pack<T: crate::nn::lanes::Number>(
        form: Form,
        [units, columns]: [usize; 2],
        rows: usize,
        column: impl Fn(usize) -> Option<usize>,
        kind: impl Fn(Aligned<T>) -> Weights,
        value: impl Fn(usize) -> T,
    ) -> Self {
        let mut groups = Vec::new();
        let mut left = units.div_ceil(LANES);
        while left > 0 {
            let blocks = widest(form, left);
            groups.push(blocks);
            left -= blocks;
        }
        let columns_of: Vec<Option<usize>> = (0..rows).map(column).collect();
        let mut weights = Aligned::zeros(rows * padded(units));
        let (mut first, mut start) = (0, 0);
        for &blocks in &groups {
            let wide = blocks * LANES;
            let real = wide.min(units - first);
            // some rows of all units at a time, so that both what is read and what is written stays in the cache
            for (part, columns_of) in columns_of.chunks(PART).enumerate() {
                let to = &mut weights[start + part * PART * wide..];
                for unit in 0..real {
                    let from = (first + unit) * columns;
                    for (row, column) in columns_of.iter().enumerate() {
                        if let Some(column) = column {
                            to[row * wide + unit] = value(from + column);
                        }
                    }
                }
            }
            first += wide;
            start += rows * wide;
        }
        Matrix { form, rows, units, groups, weights: kind(weights) }
    }

    /// Rows of the matrix.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Units, padded to whole blocks.
    pub(crate) fn padded_units(&self) -> usize {
        padded(self.units)
    }

    /// Adds `x` times the matrix to `y`, which is padded to whole blocks. Rows where `x` is 0 cost almost nothing.
    pub(crate) fn add_product(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        if x.len() != self.rows || y.len() != padded(self.units) {
            return Err(Error::new(
                ErrorKind::Shape,
                format!("{} numbers times a matrix of {} rows do not give {}", x.len(), self.rows, y.len()),
            ));
        }
        self.form.run(Product { matrix: self, x, y });
        Ok(())
    }
}

/// How many blocks of units a form does at once, of this many.
fn widest(form: Form, blocks: usize) -> usize {
    let most = match form.blocks() {
        0..=4 => 4,
        5..=8 => 6,
        _ => 16,
    };
    [16, 8, 6, 4, 2, 1].into_iter().find(|&n| n <= most && n <= blocks).unwrap_or(1)
}

struct Product<'a> {
    matrix: &'a Matrix,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Work for Product<'_> {
    #[inline(always)]
    fn work<L: Lanes>(self, lanes: L) {
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
                    Weights::Whole(weights) => {
                        let weights = &weights[from..from + length];
                        group::<L, f32>(lanes, blocks, x, places, weights, y, bytes > FAR);
                    }
                    Weights::Half(weights) => {
                        let weights = &weights[from..from + length];
                        group::<L, u16>(lanes, blocks, x, places, weights, y, bytes > FAR);
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
    unsafe fn load<L: Lanes>(lanes: L, from: *const Self) -> L::Block;
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(lanes: L, from: *const f32) -> L::Block {
        // SAFETY: the caller's promise.
        unsafe { lanes.load(from) }
    }
}

impl Stored for u16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(lanes: L, from: *const u16) -> L::Block {
        // SAFETY: the caller's promise.
        unsafe { lanes.load_half(from) }
    }
}

#[inline(always)]
fn group<L: Lanes, T: Stored>(
    lanes: L,
    blocks: usize,
    x: &[f32],
    places: &[u32],
    weights: &[T],
    y: &mut [f32],
    far: bool,
) {
    match blocks {
        16 if const { L::BLOCKS >= 16 } => product::<L, T, 16, 1>(lanes, x, places, weights, y, far),
        8 if const { L::BLOCKS >= 8 } => product::<L, T, 8, 1>(lanes, x, places, weights, y, far),
        6 if const { L::BLOCKS >= 6 } => product::<L, T, 6, 1>(lanes, x, places, weights, y, far),
        4 => product::<L, T, 4, 1>(lanes, x, places, weights, y, far),
        2 => product::<L, T, 2, 2>(lanes, x, places, weights, y, far),
        _ => product::<L, T, 1, 4>(lanes, x, places, weights, y, far),
    }
}

/// `V` blocks of units; `U` rows at a time with sums of their own, so that few blocks do not wait for each other.
#[inline(always)]
fn product<L: Lanes, T: Stored, const V: usize, const U: usize>(
    lanes: L,
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
    let zero = lanes.splat(0.0);
    let mut sums = [[zero; V]; U];
    // SAFETY: each place is the index of a number of `x`, and `weights` holds `wide` numbers for each of them; `y` holds
    // `wide` numbers. Only prefetches reach further, and they read nothing.
    unsafe {
        for (v, sum) in sums[0].iter_mut().enumerate() {
            *sum = lanes.load(y.as_ptr().add(v * LANES));
        }
        let mut n = 0;
        while n + U <= places.len() {
            for (u, sums) in sums.iter_mut().enumerate() {
                let place = *places.get_unchecked(n + u) as usize;
                let value = lanes.splat(*x.get_unchecked(place));
                let from = weights.as_ptr().add(place * wide);
                if far {
                    // far enough to hide the way to memory: a few kilobytes
                    let ahead = *places.get_unchecked((n + u + 12).min(places.len() - 1)) as usize;
                    let ahead = weights.as_ptr().add(ahead * wide);
                    let line = 64 / size_of::<T>();
                    for l in 0..wide / line {
                        lanes.prefetch(ahead.add(l * line));
                    }
                }
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = lanes.fma(value, T::load(lanes, from.add(v * LANES)), *sum);
                }
            }
            n += U;
        }
        for &place in &places[n..] {
            let place = place as usize;
            let value = lanes.splat(*x.get_unchecked(place));
            let from = weights.as_ptr().add(place * wide);
            for (v, sum) in sums[0].iter_mut().enumerate() {
                *sum = lanes.fma(value, T::load(lanes, from.add(v * LANES)), *sum);
            }
        }
        for v in 0..V {
            let mut sum = sums[0][v];
            for others in &sums[1..] {
                sum = lanes.add(sum, others[v]);
            }
            lanes.store(y.as_mut_ptr().add(v * LANES), sum);
        }
    }
}

/// A dense layer ready to run.
#[derive(Debug, Clone)]
pub(crate) struct DenseLayer {
    matrix: Matrix,
    /// Padded to whole blocks.
    bias: Aligned<f32>,
    relu: bool,
}

impl DenseLayer {
    /// A layer of a packed matrix and a bias `[units]`.
    pub(crate) fn new(matrix: Matrix, bias: &[f32], relu: bool) -> Self {
        let mut padded = Aligned::zeros(matrix.padded_units());
        padded[..bias.len()].copy_from_slice(bias);
        DenseLayer { matrix, bias: padded, relu }
    }

    /// Units, padded to whole blocks: how many numbers [`DenseLayer::run`] gives, zeros at the end.
    pub(crate) fn padded_units(&self) -> usize {
        self.bias.len()
    }

    /// Input numbers.
    pub(crate) fn rows(&self) -> usize {
        self.matrix.rows()
    }

    /// Fills `y` from `x`.
    pub(crate) fn run(&self, x: &[f32], y: &mut [f32]) -> Result<()> {
        if y.len() != self.bias.len() {
            return Err(Error::new(ErrorKind::Shape, format!("{} units in place of {}", y.len(), self.bias.len())));
        }
        y.copy_from_slice(&self.bias);
        self.matrix.add_product(x, y)?;
        if self.relu {
            y.iter_mut().for_each(|v| *v = v.max(0.0));
        }
        Ok(())
    }
}
