//! A picture made smaller, as integral images, a few rows at a time.
//!
//! Rows are made as they are needed and thrown away when no window needs them any more, so a picture of any size takes
//! little memory and stays in the cache.

use super::cascade::Layout;
use crate::simd::scan::{self, SPARE};

/// How many rows of sums are held at once, more than any window is high.
const ROWS: usize = 96;
/// Fraction bits of the weights of linear interpolation (OpenCV's `INTER_LINEAR_EXACT` for 8-bit pictures).
const BITS: u32 = 8;

/// A grey picture: rows without gaps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picture<'a> {
    pub grey: &'a [u8],
    pub width: usize,
    pub height: usize,
}

/// Where a row or column of the smaller picture comes from: `1 - weight / 256` of pixel `first`, the rest of the next.
#[derive(Debug, Clone, Copy)]
struct Tap {
    first: u32,
    weight: u16,
}

impl Tap {
    /// The tap of place `at` when `from` pixels become `to`.
    fn new(at: usize, from: usize, to: usize) -> Self {
        let scale = 1.0 / (to as f64 / from as f64);
        let place = scale * (at as f64 + 0.5) - 0.5;
        let first = place.floor();
        if first < 0.0 {
            Tap { first: 0, weight: 0 }
        } else if first >= from as f64 - 1.0 {
            Tap { first: from as u32 - 1, weight: 0 }
        } else {
            let weight = ((place - first) * f64::from(1 << BITS)).round_ties_even();
            Tap { first: first as u32, weight: weight as u16 }
        }
    }
}

/// Makes the rows of integral images of a smaller picture; keeps its buffers from one to the next.
#[derive(Debug, Default)]
pub(super) struct Level {
    width: usize,
    height: usize,
    layout: Option<Layout>,
    columns: Vec<Tap>,
    /// The two rows of the picture that were last made narrower, and which they are.
    narrowed: [Vec<u16>; 2],
    which: [Option<usize>; 2],
    row: Vec<u8>,
    values: Vec<i32>,
    squares: Vec<i32>,
    /// Rows of sums held, and the first of them.
    held: usize,
    first: usize,
}

impl Level {
    /// Begins with a picture of `width` x `height` pixels to be made.
    pub fn begin(&mut self, picture: Picture<'_>, width: usize, height: usize, layout: Layout) {
        self.width = width;
        self.height = height;
        self.layout = Some(layout);
        self.columns.clear();
        self.columns.extend((0..width).map(|x| Tap::new(x, picture.width, width)));
        for narrowed in &mut self.narrowed {
            narrowed.resize(width, 0);
        }
        self.which = [None; 2];
        self.row.resize(width, 0);
        // at the size the largest level needs, zeros or not: rows are written before they are read
        let len = ROWS * layout.stride + layout.stride + SPARE;
        if self.values.len() < len {
            self.values.resize(len, 0);
            self.squares.resize(len, 0);
        }
        // above the first row of pixels everything sums to 0
        self.values[..layout.stride].fill(0);
        self.squares[..layout.stride].fill(0);
        self.held = 1;
        self.first = 0;
    }

    /// Sums, rows from `y` to `y + rows` of which are held (at most as many as there are); where row `y` begins.
    pub fn rows(&mut self, picture: Picture<'_>, y: usize, rows: usize) -> usize {
        let Some(layout) = self.layout else { return 0 };
        if y + rows > self.first + self.held {
            let drop = y.saturating_sub(self.first).min(self.held - 1);
            if self.held + rows > ROWS && drop > 0 {
                let keep = drop * layout.stride..self.held * layout.stride;
                self.values.copy_within(keep.clone(), 0);
                self.squares.copy_within(keep, 0);
                self.first += drop;
                self.held -= drop;
            }
            while self.held < ROWS && self.first + self.held <= self.height {
                self.resize_row(picture, self.first + self.held - 1);
                self.sum_row(layout);
                self.held += 1;
            }
        }
        (y - self.first) * layout.stride
    }

    /// The integral images of values and of squared values.
    pub fn sums(&self) -> scan::Sums<'_> {
        scan::Sums { values: &self.values, squares: &self.squares }
    }

    /// Makes row `y` of the smaller picture.
    fn resize_row(&mut self, picture: Picture<'_>, y: usize) {
        let tap = Tap::new(y, picture.height, self.height);
        let first = tap.first as usize;
        let upper = self.narrow(picture, first, usize::MAX);
        let weight = u32::from(tap.weight);
        if weight == 0 {
            for (out, &a) in self.row.iter_mut().zip(&self.narrowed[upper]) {
                *out = ((u32::from(a) + (1 << (BITS - 1))) >> BITS) as u8;
            }
            return;
        }
        let lower = self.narrow(picture, first + 1, upper);
        let rest = (1 << BITS) - weight;
        for ((out, &a), &b) in self.row.iter_mut().zip(&self.narrowed[upper]).zip(&self.narrowed[lower]) {
            let sum = u32::from(a) * rest + u32::from(b) * weight;
            *out = ((sum + (1 << (2 * BITS - 1))) >> (2 * BITS)) as u8;
        }
    }

    /// Makes row `y` of the picture narrower; in which buffer, but not in buffer `spare`.
    fn narrow(&mut self, picture: Picture<'_>, y: usize, spare: usize) -> usize {
        if let Some(i) = self.which.iter().position(|&which| which == Some(y)) {
            return i;
        }
        // the row needed next is the later of the two, so the earlier one goes
        let i = match spare {
            0 => 1,
            1 => 0,
            _ => usize::from(self.which[0] > self.which[1]),
        };
        let row = &picture.grey[y * picture.width..][..picture.width];
        for (out, tap) in self.narrowed[i].iter_mut().zip(&self.columns) {
            let first = tap.first as usize;
            let a = u16::from(row[first]);
            let b = u16::from(row[(first + 1).min(picture.width - 1)]);
            *out = a * ((1 << BITS) - tap.weight) + b * tap.weight;
        }
        self.which[i] = Some(y);
        i
    }

    /// Adds a row of sums below those that are held.
    fn sum_row(&mut self, layout: Layout) {
        let at = self.held * layout.stride;
        let half = if layout.halved { layout.stride / 2 } else { 0 };
        for (sums, squared) in [(&mut self.values, false), (&mut self.squares, true)] {
            let (above, below) = sums.split_at_mut(at);
            let above = &above[at - layout.stride..];
            let below = &mut below[..layout.stride];
            let mut sum = 0i32;
            let value = |p: u8| if squared { i32::from(p) * i32::from(p) } else { i32::from(p) };
            if layout.halved {
                let (above_even, above_odd) = above.split_at(half);
                let (below_even, below_odd) = below.split_at_mut(half);
                below_even[0] = 0;
                // pixel x adds to column x + 1
                let (pairs, last) = self.row.as_chunks::<2>();
                let odd = below_odd.iter_mut().zip(above_odd);
                let even = below_even[1..].iter_mut().zip(&above_even[1..]);
                for ((&[a, b], odd), even) in pairs.iter().zip(odd).zip(even) {
                    sum = sum.wrapping_add(value(a));
                    *odd.0 = odd.1.wrapping_add(sum);
                    sum = sum.wrapping_add(value(b));
                    *even.0 = even.1.wrapping_add(sum);
                }
                if let [last] = last {
                    sum = sum.wrapping_add(value(*last));
                    below_odd[pairs.len()] = above_odd[pairs.len()].wrapping_add(sum);
                }
            } else {
                below[0] = 0;
                for ((out, above), &p) in below[1..].iter_mut().zip(&above[1..]).zip(&self.row) {
                    sum = sum.wrapping_add(value(p));
                    *out = above.wrapping_add(sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_a_very_wide_picture_wrap_around() {
        let (width, height) = (40_000, 30);
        let grey = vec![255; width * height];
        let picture = Picture { grey: &grey, width, height };
        for halved in [false, true] {
            let layout = Layout { stride: 40_048, halved };
            let mut level = Level::default();
            level.begin(picture, width, height, layout);
            let top = level.rows(picture, 3, 25);
            let sums = level.sums();
            // over the last 24 columns and 24 rows
            let over = |of: &[i32]| {
                let at = |x, y| of[top + y * layout.stride + layout.column(x)];
                at(width, 24)
                    .wrapping_sub(at(width - 24, 24))
                    .wrapping_sub(at(width, 0))
                    .wrapping_add(at(width - 24, 0))
            };
            assert_eq!(over(sums.values), 24 * 24 * 255);
            assert_eq!(over(sums.squares), 24 * 24 * 255 * 255);
        }
    }

    #[test]
    fn smaller_pictures_are_those_of_opencv() {
        // cv2.resize(..., interpolation=cv2.INTER_LINEAR_EXACT) of OpenCV 4.14
        let grey: Vec<u8> = (0..7 * 5).map(|i| (i * i * 37 % 256) as u8).collect();
        let picture = Picture { grey: &grey, width: 7, height: 5 };
        let mut level = Level::default();
        level.begin(picture, 5, 3, Layout { stride: 16, halved: false });
        let rows: Vec<_> = (0..3)
            .map(|y| {
                level.resize_row(picture, y);
                level.row.clone()
            })
            .collect();
        assert_eq!(rows, [[15, 114, 90, 126, 91], [94, 53, 197, 145, 176], [128, 101, 174, 68, 61]]);
    }
}
