//! Blocks of 32 x 32 sums of products of bfloat16 numbers: the inner loop of convolutions in training, and of networks of
//! pictures on matrix tiles.
//!
//! Products are summed in `f32`. Where the processor has matrix tiles they are used; everywhere else both factors are
//! widened, step by step, and multiplied in `f32`.

use super::Isa;
use super::bf16::Bf16;
use super::vector::{LANES, Simd, SimdOp};

/// Rows and columns of a block.
pub const BLOCK: usize = 32;

/// Products that one step of a block sums.
pub const STEP: usize = 32;

/// The left factor: 32 rows of [`STEP`] numbers at each step.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// What holds the rows.
    pub data: &'a [Bf16],
    /// Where the first row lies, to which each step adds.
    pub start: usize,
    /// Numbers between rows.
    pub row: usize,
    /// What is added to `start` at each step, in numbers.
    pub steps: &'a [isize],
}

/// The right factor: at each step 16 rows of 32 pairs; a pair holds two numbers that follow each other along the sum.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// What holds the pairs.
    pub data: &'a [Bf16],
    /// Where the first pair of the first step lies.
    pub start: usize,
    /// Numbers between rows of pairs.
    pub row: usize,
    /// Numbers between steps.
    pub step: usize,
    /// Numbers between column 0 and column 16.
    pub second: usize,
}

impl Left<'_> {
    /// Whether all rows of all steps lie in the data.
    fn fits(&self) -> bool {
        let (low, high) = self.steps.iter().fold((isize::MAX, isize::MIN), |(low, high), &s| (low.min(s), high.max(s)));
        if self.steps.is_empty() {
            return true;
        }
        let end = (BLOCK - 1).checked_mul(self.row).and_then(|rows| rows.checked_add(STEP));
        let first = self.start.checked_add_signed(low);
        let last = self.start.checked_add_signed(high).zip(end).and_then(|(start, end)| start.checked_add(end));
        first.is_some() && last.is_some_and(|last| last <= self.data.len())
    }
}

impl Right<'_> {
    /// Whether all rows of so many steps lie in the data.
    fn fits(&self, steps: usize) -> bool {
        let Some(last) = steps.checked_sub(1) else { return true };
        let rows = (STEP / 2 - 1).checked_mul(self.row);
        let before = last.checked_mul(self.step).and_then(|steps| steps.checked_add(self.start));
        let end = before.zip(rows).and_then(|(before, rows)| before.checked_add(rows)?.checked_add(self.second));
        end.and_then(|end| end.checked_add(BLOCK)).is_some_and(|end| end <= self.data.len())
    }
}

/// What multiplies blocks, for as long as a convolution takes: matrix tiles are configured when it begins and released when
/// it ends.
#[derive(Debug)]
pub struct Blocks {
    isa: Isa,
    widened: Widened,
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    tiles: Option<super::arch::amx::Tiles>,
}

impl Blocks {
    /// Begins with this instruction set.
    pub fn begin(isa: Isa) -> Self {
        Blocks {
            isa,
            widened: Widened { left: [[0.0; STEP]; BLOCK], right: [[0.0; BLOCK]; STEP] },
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            tiles: (isa == Isa::Amx).then(super::arch::amx::Tiles::configure).flatten(),
        }
    }

    /// `c[i][j] (+)= sum over steps and k of left[i][k] * right[k][j]`, 32 x 32; rows of `c` lie `c_row` apart.
    ///
    /// # Panics
    /// When a row of a factor or of `c` does not lie in its slice.
    #[inline]
    pub fn multiply(&mut self, left: Left<'_>, right: Right<'_>, c: &mut [f32], c_row: usize, add: bool) {
        assert!(left.fits() && right.fits(left.steps.len()), "a factor of a block lies beyond its numbers");
        assert!(c_row >= BLOCK && c.len() >= (BLOCK - 1) * c_row + BLOCK, "a block of sums lies beyond its numbers");
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if let Some(tiles) = &self.tiles {
            // SAFETY: just checked.
            unsafe { tiles.multiply(left, right, c.as_mut_ptr(), c_row, add) };
            return;
        }
        self.isa.dispatch(Multiply { widened: &mut self.widened, left, right, c, c_row, add });
    }
}

/// Both factors of a step, widened: rows of the left one, numbers in the order 0, 2, 4 ... 1, 3, 5 ...; the same order down
/// the right one.
#[derive(Debug)]
#[repr(C, align(64))]
struct Widened {
    left: [[f32; STEP]; BLOCK],
    right: [[f32; BLOCK]; STEP],
}

/// One block; bounds have been checked.
struct Multiply<'a> {
    widened: &'a mut Widened,
    left: Left<'a>,
    right: Right<'a>,
    c: &'a mut [f32],
    c_row: usize,
    add: bool,
}

impl SimdOp for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Multiply { widened, left, right, c, c_row, add } = self;
        if !add {
            c.chunks_mut(c_row).take(BLOCK).for_each(|row| row[..BLOCK].fill(0.0));
        }
        for (step, &offset) in left.steps.iter().enumerate() {
            // SAFETY: `Blocks::multiply` has checked that all rows lie in the slices.
            unsafe {
                let from = left.data.as_ptr().add(left.start).offset(offset);
                for (i, row) in widened.left.iter_mut().enumerate() {
                    let [even, odd] = simd.read_bf16_pairs(from.add(i * left.row));
                    simd.write(row.as_mut_ptr(), even);
                    simd.write(row.as_mut_ptr().add(LANES), odd);
                }
                let from = right.data.as_ptr().add(right.start + step * right.step);
                let (evens, odds) = widened.right.split_at_mut(STEP / 2);
                for (pair, (evens, odds)) in evens.iter_mut().zip(odds).enumerate() {
                    for half in 0..2 {
                        let [even, odd] = simd.read_bf16_pairs(from.add(pair * right.row + half * right.second));
                        simd.write(evens.as_mut_ptr().add(half * LANES), even);
                        simd.write(odds.as_mut_ptr().add(half * LANES), odd);
                    }
                }
                let c = c.as_mut_ptr();
                if const { S::BLOCKS >= 20 } {
                    products::<S, 8, 2>(simd, widened, c, c_row);
                } else if const { S::BLOCKS >= 6 } {
                    products::<S, 4, 1>(simd, widened, c, c_row);
                } else {
                    products::<S, 2, 1>(simd, widened, c, c_row);
                }
            }
        }
    }
}

/// Adds the products of a step to the sums, `R` rows and `V` blocks of columns at a time.
///
/// # Safety
/// `c` must have 32 rows of 32 numbers, `c_row` apart.
#[inline(always)]
unsafe fn products<S: Simd, const R: usize, const V: usize>(simd: S, widened: &Widened, c: *mut f32, c_row: usize) {
    for column in (0..BLOCK).step_by(V * LANES) {
        for first in (0..BLOCK).step_by(R) {
            // SAFETY: `R` divides 32 and `V * LANES` too; the caller's promise.
            unsafe {
                let c = c.add(first * c_row + column);
                let mut sums = [[simd.splat(0.0); V]; R];
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = simd.read(c.add(r * c_row + v * LANES));
                    }
                }
                for k in 0..STEP {
                    let right = widened.right.as_ptr().add(k).cast::<f32>().add(column);
                    let mut factors = [simd.splat(0.0); V];
                    for (v, factor) in factors.iter_mut().enumerate() {
                        *factor = simd.read(right.add(v * LANES));
                    }
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let value = simd.splat(widened.left[first + r][k]);
                        for (v, sum) in sums.iter_mut().enumerate() {
                            *sum = simd.fma(value, factors[v], *sum);
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate() {
                    for (v, &sum) in sums.iter().enumerate() {
                        simd.write(c.add(r * c_row + v * LANES), sum);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::bf16::{from_bf16, to_bf16};

    #[test]
    fn every_instruction_set_gives_the_sums() {
        let number = |i: usize| ((i * 7919 % 255) as f32 - 127.0) / 64.0;
        let steps = [3isize, 100, 64];
        let (row, right_row) = (150, 70);
        let left: Vec<Bf16> = (0..32 * row + 200).map(|i| to_bf16(number(i))).collect();
        let right: Vec<Bf16> = (0..3 * 16 * right_row + 40).map(|i| to_bf16(number(i + 5))).collect();
        let mut expected = vec![1f32; 32 * 40];
        for i in 0..32 {
            for j in 0..32 {
                for (s, &offset) in steps.iter().enumerate() {
                    for k in 0..32 {
                        let a = from_bf16(left[offset as usize + i * row + k]);
                        let b = from_bf16(right[s * 16 * right_row + (k / 2) * right_row + 2 * j + k % 2]);
                        expected[i * 40 + j] += a * b;
                    }
                }
            }
        }
        for isa in Isa::available() {
            let mut blocks = Blocks::begin(isa);
            let mut c = vec![1f32; 32 * 40];
            let left = Left { data: &left, start: 0, row, steps: &steps };
            let right = Right { data: &right, start: 0, row: right_row, step: 16 * right_row, second: 32 };
            blocks.multiply(left, right, &mut c, 40, true);
            for (c, e) in c.iter().zip(&expected) {
                assert!((c - e).abs() < 1e-3, "{isa}: {c} against {e}");
            }
            blocks.multiply(left, right, &mut c, 40, false);
            for (i, (c, e)) in c.iter().zip(&expected).enumerate() {
                let beside = if i % 40 < 32 { 1.0 } else { 0.0 };
                assert!((c - e + beside).abs() < 1e-3, "{isa}: {c} against {e} less {beside}");
            }
        }
    }

    #[test]
    #[cfg_attr(not(panic = "unwind"), ignore = "a panic ends the process on this target")]
    fn what_lies_beyond_a_slice_is_not_read() {
        let (numbers, mut c) = (vec![0; 2048], vec![0.0; 1024]);
        let right = Right { data: &numbers, start: 0, row: 64, step: 1024, second: 32 };
        for (start, steps) in [(1025, &[0isize][..]), (0, &[-1]), (1000, &[25]), (0, &[0, isize::MAX]), (0, &[0, 0, 0])]
        {
            let left = Left { data: &numbers, start, row: 32, steps };
            let multiplied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Blocks::begin(Isa::Portable).multiply(left, right, &mut c, 32, false);
            }));
            assert!(multiplied.is_err(), "{start} {steps:?}");
        }
    }
}
