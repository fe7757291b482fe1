//! Buffers that begin on a cache line: no block of 16 numbers crosses two lines, and a row of a matrix tile is one.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// 64 bytes that begin a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

mod number {
    /// Every pattern of bits is a value, and the size divides 64.
    pub trait Number: Copy {}
    impl Number for f32 {}
    impl Number for i32 {}
    impl Number for u32 {}
    impl Number for u16 {}
    impl Number for u8 {}
    impl Number for i8 {}
}
pub(crate) use number::Number;

/// A buffer of numbers that begins a cache line. It begins as zeros.
#[derive(Clone)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    length: usize,
    of: PhantomData<T>,
}

impl<T> Default for Aligned<T> {
    fn default() -> Self {
        Aligned { lines: Vec::new(), length: 0, of: PhantomData }
    }
}

impl<T> std::fmt::Debug for Aligned<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} numbers", self.length)
    }
}

impl<T: Number> Aligned<T> {
    /// That many zeros.
    pub fn zeros(length: usize) -> Self {
        Aligned { lines: vec![Line([0; 64]); Self::lines(length)], length, of: PhantomData }
    }

    fn lines(length: usize) -> usize {
        length.saturating_mul(size_of::<T>()).div_ceil(size_of::<Line>())
    }

    /// Makes the buffer this long; what is there keeps its values, what is new holds zeros or older values.
    pub fn set_len(&mut self, length: usize) {
        let lines = Self::lines(length);
        if lines > self.lines.len() {
            self.lines.resize(lines, Line([0; 64]));
        }
        self.length = length;
    }

    /// Makes the buffer this long and all zeros.
    pub fn clear_to(&mut self, length: usize) {
        self.lines.clear();
        self.lines.resize(Self::lines(length), Line([0; 64]));
        self.length = length;
    }
}

impl Aligned<u32> {
    /// The halves of each number, the lower one first: what was written as `low | high << 16`.
    pub fn as_halves(&self) -> &[u16] {
        // every kind of processor that this crate is compiled for stores the lower half first
        const { assert!(cfg!(target_endian = "little")) };
        // SAFETY: twice as many numbers of half the size in the same memory; any bits are a number.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), 2 * self.len()) }
    }
}

impl<T: Number> Deref for Aligned<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold at least `length` numbers, all bits of which are set and valid, at a stronger alignment.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T: Number> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; the buffer is borrowed for as long as the slice.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_line_and_clear() {
        let mut buffer = Aligned::<u16>::default();
        buffer.clear_to(37);
        assert_eq!(buffer.as_ptr() as usize % 64, 0);
        buffer.fill(7);
        buffer.set_len(100);
        assert_eq!((buffer.len(), buffer[36]), (100, 7));
        buffer.clear_to(100);
        assert!(buffer.iter().all(|&v| v == 0));
    }
}
