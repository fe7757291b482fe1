//! Products of matrices in single precision, for training.

use super::Isa;
use std::cell::RefCell;

use super::aligned::Aligned;
use super::vector::{LANES, Simd, SimdOp};

/// Rows of the left factor, columns of the right one, and products that are packed at a time: what is packed of the left
/// factor stays in a core's second cache, a strip of the right one in the first.
const ROWS: usize = 96;
/// See [`ROWS`].
const COLUMNS: usize = 256;
/// See [`ROWS`].
const DEPTH: usize = 256;

thread_local! {
    /// What the factors are packed into, kept from product to product.
    static PACKED: RefCell<[Aligned<f32>; 2]> = RefCell::default();
}

/// A matrix in a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// Its numbers.
    pub data: &'a [f32],
    /// Numbers from row to row.
    pub row: usize,
    /// Numbers from column to column.
    pub column: usize,
}

impl Matrix<'_> {
    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = |count: usize, step: usize| count.checked_sub(1).and_then(|count| count.checked_mul(step));
        let end = last(rows, self.row).zip(last(columns, self.column)).and_then(|(r, c)| r.checked_add(c));
        end.is_none_or(|end| end < self.data.len())
    }
}

/// `c (+)= a b`, `[m, n] (+)= [m, k] [k, n]`; `c` stands row by row, rows `n` apart.
///
/// # Panics
/// When a slice is too short.
pub fn multiply(isa: Isa, [m, n, k]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, c: &mut [f32], add: bool) {
    assert!(c.len() >= m * n && a.holds(m, k) && b.holds(k, n), "a matrix is larger than its numbers");
    let c = &mut c[..m * n];
    if !add {
        c.fill(0.0);
    }
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    isa.dispatch(Multiply { size: [m, n, k], a, b, c });
}

struct Multiply<'a> {
    size: [usize; 3],
    a: Matrix<'a>,
    b: Matrix<'a>,
    c: &'a mut [f32],
}

impl SimdOp for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        if const { S::BLOCKS >= 20 } {
            self.packed::<S, 8, 2>(simd);
        } else if const { S::BLOCKS >= 6 } {
            self.packed::<S, 6, 1>(simd);
        } else {
            self.packed::<S, 2, 1>(simd);
        }
    }
}

impl Multiply<'_> {
    /// `R` rows by `V` blocks of columns in registers.
    #[inline(always)]
    fn packed<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        let Multiply { size: [m, n, k], a, b, c } = self;
        let wide = V * LANES;
        let [mut left, mut right] = PACKED.take();
        // all that is read of them is written first
        left.set_len(ROWS.min(m).next_multiple_of(R) * DEPTH.min(k));
        right.set_len(COLUMNS.min(n).next_multiple_of(wide) * DEPTH.min(k));
        let mut part = [[0.0f32; 2 * LANES]; 8];
        for k0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - k0);
            for n0 in (0..n).step_by(COLUMNS) {
                let columns = COLUMNS.min(n - n0);
                // [strips][depth][wide], zeros beyond the last column
                for (strip, to) in right.chunks_exact_mut(depth * wide).take(columns.div_ceil(wide)).enumerate() {
                    let first = n0 + strip * wide;
                    let count = wide.min(n - first);
                    for (kk, to) in to.chunks_exact_mut(wide).enumerate() {
                        let from = (k0 + kk) * b.row + first * b.column;
                        if b.column == 1 {
                            to[..count].copy_from_slice(&b.data[from..from + count]);
                        } else {
                            for (j, to) in to[..count].iter_mut().enumerate() {
                                *to = b.data[from + j * b.column];
                            }
                        }
                        to[count..].fill(0.0);
                    }
                }
                for m0 in (0..m).step_by(ROWS) {
                    let rows = ROWS.min(m - m0);
                    // [groups][depth][R], zeros beyond the last row
                    for (group, to) in left.chunks_exact_mut(depth * R).take(rows.div_ceil(R)).enumerate() {
                        let first = m0 + group * R;
                        for (kk, to) in to.chunks_exact_mut(R).enumerate() {
                            for (i, to) in to.iter_mut().enumerate() {
                                let row = first + i;
                                *to = if row < m { a.data[row * a.row + (k0 + kk) * a.column] } else { 0.0 };
                            }
                        }
                    }
                    for (strip, right) in right.chunks_exact(depth * wide).take(columns.div_ceil(wide)).enumerate() {
                        let column = n0 + strip * wide;
                        let count = wide.min(n - column);
                        for (group, left) in left.chunks_exact(depth * R).take(rows.div_ceil(R)).enumerate() {
                            let row = m0 + group * R;
                            products::<S, R, V>(simd, left, right, &mut part);
                            for (i, part) in part.iter().take(R.min(m - row)).enumerate() {
                                let to = &mut c[(row + i) * n + column..][..count];
                                to.iter_mut().zip(part).for_each(|(to, part)| *to += part);
                            }
                        }
                    }
                }
            }
        }
        PACKED.set([left, right]);
    }
}

/// `R` rows by `V` blocks of sums, of all packed products.
#[inline(always)]
fn products<S: Simd, const R: usize, const V: usize>(
    simd: S,
    left: &[f32],
    right: &[f32],
    part: &mut [[f32; 2 * LANES]; 8],
) {
    let mut sums = [[simd.splat(0.0); V]; R];
    let (left, _) = left.as_chunks::<R>();
    let (right, _) = right.as_chunks::<LANES>();
    for (left, right) in left.iter().zip(right.chunks_exact(V)) {
        let mut factors = [simd.splat(0.0); V];
        for (factor, right) in factors.iter_mut().zip(right) {
            *factor = simd.load(right);
        }
        for (sums, &left) in sums.iter_mut().zip(left) {
            let left = simd.splat(left);
            for (sum, &factor) in sums.iter_mut().zip(&factors) {
                *sum = simd.fma(left, factor, *sum);
            }
        }
    }
    for (part, sums) in part.iter_mut().zip(&sums) {
        for (part, &sum) in part.as_chunks_mut::<LANES>().0.iter_mut().zip(sums) {
            simd.store(sum, part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_gives_the_products() {
        let number = |i: usize| ((i * 7919 % 255) as f32 - 127.0) / 64.0;
        for (m, n, k) in [(1, 1, 1), (7, 35, 3), (100, 33, 300), (13, 600, 20), (5, 4, 0)] {
            for (by_rows, add) in [(true, false), (false, true)] {
                let a: Vec<f32> = (0..m * k).map(number).collect();
                let b: Vec<f32> = (0..k * n).map(|i| number(i + 5)).collect();
                let strides = |rows: usize, columns: usize| if by_rows { (columns, 1) } else { (1, rows) };
                let (ra, ca) = strides(m, k);
                let (rb, cb) = strides(k, n);
                let start = if add { 1.0 } else { 0.0 };
                let expected: Vec<f64> = (0..m * n)
                    .map(|at| {
                        let (i, j) = (at / n, at % n);
                        let term = |kk: usize| f64::from(a[i * ra + kk * ca]) * f64::from(b[kk * rb + j * cb]);
                        start + (0..k).map(term).sum::<f64>()
                    })
                    .collect();
                for isa in Isa::available() {
                    let mut c = vec![1.0; m * n];
                    let left = Matrix { data: &a, row: ra, column: ca };
                    let right = Matrix { data: &b, row: rb, column: cb };
                    multiply(isa, [m, n, k], left, right, &mut c, add);
                    for (c, e) in c.iter().zip(&expected) {
                        assert!((f64::from(*c) - e).abs() < 1e-3, "{isa} {m} {n} {k}: {c} against {e}");
                    }
                }
            }
        }
    }
}
