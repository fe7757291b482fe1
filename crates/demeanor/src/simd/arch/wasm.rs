//! WebAssembly's SIMD: four numbers a vector. With the relaxed instructions, where the build has them, products
//! are fused where the processor does that.

use std::arch::wasm32::*;

use crate::simd::scan;
use crate::simd::vector::{RawSimd, Simd, SimdOp};

/// Does the work with SIMD instructions, which this build is made for.
#[inline]
pub(crate) fn eval<Op: SimdOp>(op: Op) -> Op::Output {
    op.eval(Wasm(()))
}

/// The proof that the build has SIMD instructions.
#[derive(Debug, Clone, Copy)]
pub struct Wasm(());

/// An operation on the four quarters of a block.
macro_rules! quarters {
    ($name:ident, $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            std::array::from_fn(|i| $intrinsic(a[i], b[i]))
        }
    };
}

impl RawSimd for Wasm {
    type F32 = [v128; 4];
    type Register = v128;
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
    unsafe fn register(self, from: *const f32) -> v128 {
        // SAFETY: 4 numbers are readable.
        unsafe { v128_load(from.cast()) }
    }
    #[inline(always)]
    unsafe fn put(self, to: *mut f32, value: v128) {
        // SAFETY: 4 numbers are writable.
        unsafe { v128_store(to.cast(), value) }
    }
    #[inline(always)]
    fn all(self, value: f32) -> v128 {
        f32x4_splat(value)
    }
    #[inline(always)]
    fn register_fma(self, a: v128, b: v128, c: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        return f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        f32x4_add(f32x4_mul(a, b), c)
    }
    #[inline(always)]
    fn register_max(self, a: v128, b: v128) -> v128 {
        f32x4_pmax(a, b)
    }
    #[inline(always)]
    fn register_add(self, a: v128, b: v128) -> v128 {
        f32x4_add(a, b)
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> Self::F32 {
        // SAFETY: 16 numbers are readable.
        unsafe { std::array::from_fn(|i| v128_load(from.add(4 * i).cast())) }
    }
    #[inline(always)]
    unsafe fn read_bf16_pairs(self, from: *const u16) -> [Self::F32; 2] {
        // SAFETY: 32 numbers are readable.
        unsafe {
            let pairs: [v128; 4] = std::array::from_fn(|i| v128_load(from.add(8 * i).cast()));
            let high = u32x4_splat(0xffff_0000);
            [pairs.map(|pair| u32x4_shl(pair, 16)), pairs.map(|pair| v128_and(pair, high))]
        }
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, block: Self::F32) {
        // SAFETY: 16 numbers are writable.
        unsafe { (0..4).for_each(|i| v128_store(to.add(4 * i).cast(), block[i])) }
    }
}

impl Simd for Wasm {
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        [f32x4_splat(value); 4]
    }
    quarters!(add, f32x4_add);
    quarters!(mul, f32x4_mul);
    quarters!(div, f32x4_div);
    quarters!(max, f32x4_pmax);
    quarters!(min, f32x4_pmin);
    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| self.register_fma(a[i], b[i], c[i]))
    }
}
