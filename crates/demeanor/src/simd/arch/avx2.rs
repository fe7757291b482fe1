//! AVX2 with FMA and F16C: eight numbers a register, sixteen registers.

use std::arch::x86_64::*;

use crate::simd::scan;
use crate::simd::vector::{RawSimd, Simd, SimdOp};

/// Does the work with AVX2 instructions.
///
/// # Safety
/// The processor must have AVX2, FMA and F16C.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn eval<Op: SimdOp>(op: Op) -> Op::Output {
    op.eval(Avx2(()))
}

/// The proof that the processor has AVX2, FMA and F16C: made in [`eval`] alone.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

/// An operation on both halves of a block.
macro_rules! halves {
    ($name:ident, $intrinsic:ident) => {
        #[inline(always)]
        fn $name(self, a: Self::F32, b: Self::F32) -> Self::F32 {
            // SAFETY: `self` proves that the processor has AVX2.
            unsafe { [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1])] }
        }
    };
}

impl RawSimd for Avx2 {
    type F32 = [__m256; 2];
    type Register = __m256;
    type Windows = scan::x86::Eight;
    const BLOCKS: usize = 6;
    const WIDE: usize = 8;
    const REGISTERS: usize = 16;
    const HAS_F16: bool = true;

    #[inline(always)]
    fn windows(self) -> scan::x86::Eight {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { scan::x86::Eight::new() }
    }
    #[inline(always)]
    unsafe fn register(self, from: *const f32) -> Self::Register {
        // SAFETY: `self` proves AVX2 and FMA; a register of numbers is readable.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn put(self, to: *mut f32, value: Self::Register) {
        // SAFETY: `self` proves AVX2 and FMA; a register of numbers is writable.
        unsafe { _mm256_storeu_ps(to, value) }
    }
    #[inline(always)]
    fn all(self, value: f32) -> Self::Register {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    fn register_fma(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn register_max(self, a: Self::Register, b: Self::Register) -> Self::Register {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn register_add(self, a: Self::Register, b: Self::Register) -> Self::Register {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn read(self, from: *const f32) -> Self::F32 {
        // SAFETY: `self` proves AVX2; 16 numbers are readable.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn read_f16(self, from: *const u16) -> Self::F32 {
        // SAFETY: `self` proves F16C; 16 numbers are readable.
        unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(from.cast())), _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast()))] }
    }
    #[inline(always)]
    unsafe fn read_bf16_pairs(self, from: *const u16) -> [Self::F32; 2] {
        // SAFETY: `self` proves AVX2; 32 numbers are readable.
        unsafe {
            let high = _mm256_set1_epi32(0xffff_0000u32.cast_signed());
            let pairs = [_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(16).cast())];
            [
                pairs.map(|pair| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pair))),
                pairs.map(|pair| _mm256_castsi256_ps(_mm256_and_si256(pair, high))),
            ]
        }
    }
    #[inline(always)]
    unsafe fn write(self, to: *mut f32, block: Self::F32) {
        // SAFETY: `self` proves AVX2; 16 numbers are writable.
        unsafe {
            _mm256_storeu_ps(to, block[0]);
            _mm256_storeu_ps(to.add(8), block[1]);
        }
    }
    #[inline(always)]
    fn prefetch<T>(self, at: *const T) {
        // SAFETY: a prefetch reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    unsafe fn transpose(self, from: *const u32, from_row: usize, to: *mut u32, to_row: usize) {
        // SAFETY: `self` proves AVX2; the caller's promise.
        unsafe {
            for (i, j) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                let from = from.add(i * from_row + j);
                // rows k and k + 4 of a column of four, so that the halves come out in order
                let row = |k: usize, part: usize| {
                    let upper = _mm_loadu_si128(from.add(k * from_row + part).cast());
                    let lower = _mm_loadu_si128(from.add((k + 4) * from_row + part).cast());
                    _mm256_set_m128i(lower, upper)
                };
                for part in [0, 4] {
                    let [r0, r1, r2, r3] = [row(0, part), row(1, part), row(2, part), row(3, part)];
                    let (t0, t1) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
                    let (t2, t3) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
                    let columns = [
                        _mm256_unpacklo_epi64(t0, t2),
                        _mm256_unpackhi_epi64(t0, t2),
                        _mm256_unpacklo_epi64(t1, t3),
                        _mm256_unpackhi_epi64(t1, t3),
                    ];
                    for (k, column) in columns.into_iter().enumerate() {
                        _mm256_storeu_si256(to.add((j + part + k) * to_row + i).cast(), column);
                    }
                }
            }
        }
    }
}

impl Simd for Avx2 {
    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { [_mm256_set1_ps(value); 2] }
    }
    halves!(add, _mm256_add_ps);
    halves!(mul, _mm256_mul_ps);
    halves!(div, _mm256_div_ps);
    halves!(max, _mm256_max_ps);
    halves!(min, _mm256_min_ps);
    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        [self.register_fma(a[0], b[0], c[0]), self.register_fma(a[1], b[1], c[1])]
    }
}
