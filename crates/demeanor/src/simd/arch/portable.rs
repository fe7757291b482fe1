//! Arrays, which the compiler turns into whatever vectors there are.

use crate::simd::scan;
use crate::simd::vector::{LANES, RawSimd, Simd};

/// Arrays of 16 numbers.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

#[inline(always)]
fn each<T: Copy, U: Copy + Default>(a: [T; LANES], b: [T; LANES], f: impl Fn(T, T) -> U) -> [U; LANES] {
    let mut out = [U::default(); LANES];
    for i in 0..LANES {
        out[i] = f(a[i], b[i]);
    }
    out
}

impl RawSimd for Portable {
    type F32 = [f32; LANES];
    type Register = [f32; 4];
    type Windows = scan::Sixteen;
    const BLOCKS: usize = 4;
    const WIDE: usize = 4;
    const REGISTERS: usize = 16;
    const HAS_F16: bool = false;

    #[inline(always)]
    fn windows(self) -> scan::Sixteen {
        scan::Sixteen
    }
    #[inline(always)]
    unsafe fn register(self, from: *const f32) -> [f32; 4] {
        // SAFETY: 4 numbers are readable there; an array of f32 needs no more alignment than an f32.
        unsafe { *from.cast::<[f32; 4]>() }
    }
    #[inline(always)]
    unsafe fn put(self, to: *mut f32, value: [f32; 4]) {
        // SAFETY: 4 numbers are writable there.
        unsafe { *to.cast::<[f32; 4]>() = value }
    }
    #[inline(always)]
    fn all(self, value: f32) -> [f32; 4] {
        [value; 4]
    }
    #[inline(always)]
    fn register_fma(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        // rounded twice, as `fma`
        std::array::from_fn(|i| c[i] + a[i] * b[i])
    }
    #[inline(always)]
    fn register_max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn register_add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> Self::F32 {
        // SAFETY: 16 numbers are readable there; an array of f32 needs no more alignment than an f32.
        unsafe { *from.cast::<[f32; LANES]>() }
    }
    #[inline(always)]
    unsafe fn read_bf16_pairs(self, from: *const u16) -> [Self::F32; 2] {
        // SAFETY: 32 numbers are readable there.
        let pairs = unsafe { *from.cast::<[[u16; 2]; LANES]>() };
        [0, 1].map(|i| pairs.map(|pair| f32::from_bits(u32::from(pair[i]) << 16)))
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, block: Self::F32) {
        // SAFETY: 16 numbers are writable there.
        unsafe { *to.cast::<[f32; LANES]>() = block }
    }
}

impl Simd for Portable {
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        [value; LANES]
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        // rounded twice: a fused multiplication that the processor lacks would be a slow call
        let mut out = c;
        for i in 0..LANES {
            out[i] += a[i] * b[i];
        }
        out
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        each(a, b, |a, b| if a < b { a } else { b })
    }
}
