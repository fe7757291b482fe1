//! Products of a row with a matrix of weights.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{Tensor, Values};
use crate::simd::{self, Aligned, Isa, LANES, padded};

/// Rows that are packed at a time.
const PART: usize = simd::dense::PART;

/// A matrix `[rows][units]` packed for products: in groups of as many blocks of units as an instruction set has registers for, row
/// after row.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    pub(crate) isa: Isa,
    pub(crate) rows: usize,
    pub(crate) units: usize,
    /// Blocks of each group.
    pub(crate) groups: Vec<usize>,
    pub(crate) weights: Weights,
}

#[derive(Debug, Clone)]
pub(crate) enum Weights {
    F32(Arc<Aligned<f32>>),
    F16(Arc<Aligned<u16>>),
}

impl Matrix {
    /// Packs weights `[units, columns]`: row `r` of the matrix is column `column(r)`, or zeros for none. Half precision
    /// stays so where the instruction set is fast at it.
    pub(crate) fn new(isa: Isa, tensor: &Tensor, rows: usize, column: impl Fn(usize) -> Option<usize>) -> Self {
        let sides = [tensor.shape().first().copied().unwrap_or(0), tensor.shape().get(1).copied().unwrap_or(1)];
        match tensor.values() {
            Values::F16(values) if isa.has_f16() => {
                Self::pack(isa, sides, rows, column, Weights::F16, |i| values[i].to_bits())
            }
            Values::F16(values) => Self::pack(isa, sides, rows, column, Weights::F32, |i| values[i].to_f32()),
            Values::F32(values) => Self::pack(isa, sides, rows, column, Weights::F32, |i| values[i]),
        }
    }

    fn pack<T: simd::Number>(
        isa: Isa,
        [units, columns]: [usize; 2],
        rows: usize,
        column: impl Fn(usize) -> Option<usize>,
        kind: impl Fn(Arc<Aligned<T>>) -> Weights,
        value: impl Fn(usize) -> T,
    ) -> Self {
        let mut groups = Vec::new();
        let mut left = units.div_ceil(LANES);
        while left > 0 {
            let blocks = widest(isa, left);
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
        Matrix { isa, rows, units, groups, weights: kind(Arc::new(weights)) }
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
        simd::dense::add_product(self, x, y);
        Ok(())
    }
}

/// How many blocks of units an instruction set does at once, of this many.
fn widest(isa: Isa, blocks: usize) -> usize {
    let most = match isa.blocks() {
        0..=4 => 4,
        5..=8 => 6,
        _ => 16,
    };
    [16, 8, 6, 4, 2, 1].into_iter().find(|&n| n <= most && n <= blocks).unwrap_or(1)
}

/// A dense layer ready to run.
#[derive(Debug, Clone)]
pub(crate) struct DenseLayer {
    matrix: Matrix,
    /// Padded to whole blocks.
    bias: Arc<Aligned<f32>>,
    relu: bool,
}

impl DenseLayer {
    /// A layer of a packed matrix and a bias `[units]`.
    pub(crate) fn new(matrix: Matrix, bias: &[f32], relu: bool) -> Self {
        let mut padded = Aligned::zeros(matrix.padded_units());
        padded[..bias.len()].copy_from_slice(bias);
        DenseLayer { matrix, bias: Arc::new(padded), relu }
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
