//! AVX-512: sixteen numbers a register, thirty-two registers.

use std::arch::x86_64::*;

use crate::simd::scan;
use crate::simd::vector::{RawSimd, Simd, SimdOp};

/// Does the work with AVX-512 instructions.
///
/// # Safety
/// The processor must have AVX-512 F, BW, DQ and VL, AVX2, FMA and F16C.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
pub(crate) unsafe fn eval<Op: SimdOp>(op: Op) -> Op::Output {
    op.eval(Avx512(()))
}

/// The proof that the processor has AVX-512 F, BW, DQ and VL: made in [`eval`] alone.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

/// An operation on a block.
macro_rules! whole {
    ($name:ident, $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: `self` proves that the processor has AVX-512.
            unsafe { $intrinsic(a, b) }
        }
    };
}

impl RawSimd for Avx512 {
    type F32 = __m512;
    type Register = __m512;
    type Windows = scan::x86::Sixteen;
    const BLOCKS: usize = 28;
    const WIDE: usize = 16;
    const REGISTERS: usize = 32;
    const HAS_F16: bool = true;

    #[inline(always)]
    fn windows(self) -> scan::x86::Sixteen {
        // SAFETY: `self` proves that the processor has AVX-512.
        unsafe { scan::x86::Sixteen::new() }
    }
    #[inline(always)]
    unsafe fn register(self, from: *const f32) -> Self::Register {
        // SAFETY: `self` proves AVX-512; a register of numbers is readable.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn put(self, to: *mut f32, value: Self::Register) {
        // SAFETY: `self` proves AVX-512; a register of numbers is writable.
        unsafe { _mm512_storeu_ps(to, value) }
    }
    #[inline(always)]
    fn all(self, value: f32) -> Self::Register {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    fn register_fma(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn register_max(self, a: Self::Register, b: Self::Register) -> Self::Register {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn register_add(self, a: Self::Register, b: Self::Register) -> Self::Register {
        // SAFETY: `self` proves AVX-512.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> Self::F32 {
        // SAFETY: `self` proves AVX-512; 16 numbers are readable.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn read_f16(self, from: *const u16) -> Self::F32 {
        // With the rounding of the moment (which plays no part in widening), the instruction can read memory
        // itself; the form that suppresses exceptions cannot, and costs a third more.
        // SAFETY: `self` proves AVX-512; 16 numbers are readable.
        unsafe { _mm512_cvt_roundph_ps::<_MM_FROUND_CUR_DIRECTION>(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn read_bf16_pairs(self, from: *const u16) -> [Self::F32; 2] {
        // SAFETY: `self` proves AVX-512; 32 numbers are readable.
        unsafe {
            let pairs = _mm512_loadu_si512(from.cast());
            let high = _mm512_set1_epi32(0xffff_0000u32.cast_signed());
            [_mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)), _mm512_castsi512_ps(_mm512_and_si512(pairs, high))]
        }
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, block: Self::F32) {
        // SAFETY: `self` proves AVX-512; 16 numbers are writable.
        unsafe { _mm512_storeu_ps(to, block) }
    }
    #[inline(always)]
    fn prefetch<T>(self, at: *const T) {
        // SAFETY: a prefetch reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    unsafe fn transpose(self, from: *const u32, from_row: usize, to: *mut u32, to_row: usize) {
        // SAFETY: `self` proves AVX-512; the caller's promise.
        unsafe {
            let mut columns = [[_mm512_setzero_si512(); 4]; 4];
            for (g, column) in columns.iter_mut().enumerate() {
                let row = |i: usize| _mm512_loadu_si512(from.add((4 * g + i) * from_row).cast());
                let (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3));
                let (t0, t1) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
                let (t2, t3) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
                column[0] = _mm512_unpacklo_epi64(t0, t2);
                column[1] = _mm512_unpackhi_epi64(t0, t2);
                column[2] = _mm512_unpacklo_epi64(t1, t3);
                column[3] = _mm512_unpackhi_epi64(t1, t3);
            }
            for k in 0..4 {
                let [u0, u1, u2, u3] = columns.map(|column| column[k]);
                let (a, b) = (_mm512_shuffle_i32x4::<0x44>(u0, u1), _mm512_shuffle_i32x4::<0x44>(u2, u3));
                let (c, d) = (_mm512_shuffle_i32x4::<0xee>(u0, u1), _mm512_shuffle_i32x4::<0xee>(u2, u3));
                let lanes = [
                    _mm512_shuffle_i32x4::<0x88>(a, b),
                    _mm512_shuffle_i32x4::<0xdd>(a, b),
                    _mm512_shuffle_i32x4::<0x88>(c, d),
                    _mm512_shuffle_i32x4::<0xdd>(c, d),
                ];
                for (l, lane) in lanes.into_iter().enumerate() {
                    _mm512_storeu_si512(to.add((4 * l + k) * to_row).cast(), lane);
                }
            }
        }
    }
}

impl Simd for Avx512 {
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        // SAFETY: `self` proves that the processor has AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }
    whole!(add, _mm512_add_ps);
    whole!(mul, _mm512_mul_ps);
    whole!(div, _mm512_div_ps);
    whole!(max, _mm512_max_ps);
    whole!(min, _mm512_min_ps);
    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        // SAFETY: `self` proves that the processor has AVX-512.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
}
