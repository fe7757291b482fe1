//! Buffers that begin on a cache line.
//!
//! A row of a matrix tile is 64 bytes: where buffers begin on a cache line and rows are whole lines apart, each row is
//! read from one line and not from two.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A number that may be any bits.
///
/// # Safety
/// Every pattern of bits is a value, and the size divides 64.
pub unsafe trait Plain: Copy {}
// SAFETY: any bits are a number, of 2 bytes.
unsafe impl Plain for u16 {}
// SAFETY: any bits are a number, of 4 bytes.
unsafe impl Plain for u32 {}
// SAFETY: any bits are a number, of 4 bytes.
unsafe impl Plain for f32 {}

/// A buffer of numbers that begins on a cache line.
#[derive(Clone)]
pub struct Buffer<T> {
    lines: Vec<Line>,
    length: usize,
    of: PhantomData<T>,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer { lines: Vec::new(), length: 0, of: PhantomData }
    }
}

impl<T> std::fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer of {} numbers", self.length)
    }
}

impl<T: Plain> Buffer<T> {
    /// Makes the buffer this long; what is there keeps its values, what is new holds zeros or older values.
    pub fn set_len(&mut self, length: usize) {
        let lines = (length * size_of::<T>()).div_ceil(64);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
        self.length = length;
    }

    /// Makes the buffer this long and all zeros.
    pub fn clear_to(&mut self, length: usize) {
        let lines = (length * size_of::<T>()).div_ceil(64);
        self.lines.clear();
        self.lines.resize(lines, Line([0; 64]));
        self.length = length;
    }
}

impl<T: Plain> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines are at least `length` numbers long and aligned for them; all bits are numbers.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T: Plain> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed for this alone.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_line_and_clear() {
        let mut buffer = Buffer::<u16>::default();
        buffer.clear_to(37);
        assert_eq!(buffer.as_ptr() as usize % 64, 0);
        buffer.fill(7);
        buffer.set_len(100);
        assert_eq!((buffer.len(), buffer[36]), (100, 7));
        buffer.clear_to(100);
        assert!(buffer.iter().all(|&v| v == 0));
    }
}
