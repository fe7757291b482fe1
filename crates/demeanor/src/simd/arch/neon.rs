//! NEON (ASIMD), which every 64-bit Arm processor has: four numbers a register, thirty-two registers.

use std::arch::aarch64::*;

use crate::simd::scan;
use crate::simd::vector::{RawSimd, Simd, SimdOp};

/// Does the work with NEON instructions, which this target always has.
#[inline]
pub(crate) fn eval<Op: SimdOp>(op: Op) -> Op::Output {
    op.eval(Neon(()))
}

/// The proof that the processor has NEON.
#[derive(Debug, Clone, Copy)]
pub struct Neon(());

/// An operation on the four quarters of a block.
macro_rules! quarters {
    ($name:ident, $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: this target has NEON.
            unsafe { std::array::from_fn(|i| $intrinsic(a[i], b[i])) }
        }
    };
}

impl RawSimd for Neon {
    type F32 = [float32x4_t; 4];
    type Register = float32x4_t;
    type Windows = scan::Sixteen;
    const BLOCKS: usize = 6;
    const WIDE: usize = 4;
    const REGISTERS: usize = 32;
    const HAS_F16: bool = false;

    #[inline(always)]
    fn windows(self) -> scan::Sixteen {
        scan::Sixteen
    }
    #[inline(always)]
    unsafe fn register(self, from: *const f32) -> Self::Register {
        // SAFETY: this target has NEON; a register of numbers is readable.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn put(self, to: *mut f32, value: Self::Register) {
        // SAFETY: this target has NEON; a register of numbers is writable.
        unsafe { vst1q_f32(to, value) }
    }
    #[inline(always)]
    fn all(self, value: f32) -> Self::Register {
        // SAFETY: this target has NEON.
        unsafe { vdupq_n_f32(value) }
    }
    #[inline(always)]
    fn register_fma(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register {
        // SAFETY: this target has NEON.
        unsafe { vfmaq_f32(c, a, b) }
    }
    #[inline(always)]
    fn register_max(self, a: Self::Register, b: Self::Register) -> Self::Register {
        // SAFETY: this target has NEON.
        unsafe { vmaxq_f32(a, b) }
    }
    #[inline(always)]
    fn register_add(self, a: Self::Register, b: Self::Register) -> Self::Register {
        // SAFETY: this target has NEON.
        unsafe { vaddq_f32(a, b) }
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> Self::F32 {
        // SAFETY: 16 numbers are readable.
        unsafe { std::array::from_fn(|i| vld1q_f32(from.add(4 * i))) }
    }
    #[inline(always)]
    unsafe fn read_bf16_pairs(self, from: *const u16) -> [Self::F32; 2] {
        // SAFETY: 32 numbers are readable.
        unsafe {
            let pairs: [uint32x4_t; 4] = std::array::from_fn(|i| vld1q_u32(from.add(8 * i).cast()));
            let high = vdupq_n_u32(0xffff_0000);
            [
                pairs.map(|pair| vreinterpretq_f32_u32(vshlq_n_u32::<16>(pair))),
                pairs.map(|pair| vreinterpretq_f32_u32(vandq_u32(pair, high))),
            ]
        }
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, block: Self::F32) {
        // SAFETY: 16 numbers are writable.
        unsafe { (0..4).for_each(|i| vst1q_f32(to.add(4 * i), block[i])) }
    }
}

impl Simd for Neon {
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        // SAFETY: this target has NEON.
        unsafe { [vdupq_n_f32(value); 4] }
    }
    quarters!(add, vaddq_f32);
    quarters!(mul, vmulq_f32);
    quarters!(div, vdivq_f32);
    quarters!(max, vmaxq_f32);
    quarters!(min, vminq_f32);
    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| self.register_fma(a[i], b[i], c[i]))
    }
}
