//! Sixteen numbers at a time, in the form that the processor does best.
//!
//! Every kernel is written once, over [`Lanes`], and compiled for each [`Form`]. The form is chosen when a network is
//! made.

use std::ops::{Deref, DerefMut};

use crate::simd::Isa;

/// Lanes of a block: the unit in which channels stand side by side.
pub(crate) const LANES: usize = 16;

/// A kind of processor that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// What the compiler makes of arrays, for every processor.
    Portable,
    /// 8 lanes a register, 16 registers; needs AVX2, FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 16 lanes a register, 32 registers; needs AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Form {
    /// The forms that this processor can run, the best one last.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Form> {
        let mut forms = vec![Form::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
                && std::arch::is_x86_feature_detected!("f16c");
            if avx2 {
                forms.push(Form::Avx2);
            }
            if avx2 && std::arch::is_x86_feature_detected!("avx512f") {
                forms.push(Form::Avx512);
            }
        }
        forms
    }

    /// The form of the active instruction set.
    pub(crate) fn best() -> Form {
        match Isa::active() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Form::Avx2,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Amx => Form::Avx512,
            _ => Form::Portable,
        }
    }

    /// Whether the form converts half precision fast enough to keep weights in it.
    pub(crate) fn has_half(self) -> bool {
        self != Form::Portable
    }

    /// How many blocks a kernel may keep in registers beside what it multiplies with.
    pub(crate) fn blocks(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => <x86::Avx2 as Lanes>::BLOCKS,
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => <x86::Avx512 as Lanes>::BLOCKS,
            Form::Portable => Portable::BLOCKS,
        }
    }

    /// Does a piece of work in this form.
    pub(crate) fn run<W: Work>(self, work: W) {
        match self {
            // SAFETY: the forms other than the portable one come from `Form::all` alone, which asked the processor.
            #[cfg(target_arch = "x86_64")]
            Form::Avx2 => unsafe { x86::avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Form::Avx512 => unsafe { x86::avx512(work) },
            Form::Portable => work.work(Portable),
        }
    }
}

/// A piece of work that is compiled for each form. `work` must be `#[inline(always)]`, or its instructions are not those
/// of the form.
pub(crate) trait Work {
    /// Does the work.
    fn work<L: Lanes>(self, lanes: L);
}

/// Arithmetic on blocks of 16 numbers. A value of an implementing type is the proof that the processor can do it.
pub(crate) trait Lanes: Copy {
    /// Sixteen numbers.
    type Block: Copy;
    /// How many blocks a kernel may keep in registers beside what it multiplies with.
    const BLOCKS: usize;

    /// The same number in all lanes.
    fn splat(self, value: f32) -> Self::Block;
    /// Reads 16 numbers.
    ///
    /// # Safety
    /// 16 numbers must be readable at `from`.
    unsafe fn load(self, from: *const f32) -> Self::Block;
    /// Reads 16 numbers in half precision.
    ///
    /// # Safety
    /// 16 numbers must be readable at `from`.
    unsafe fn load_half(self, from: *const u16) -> Self::Block;
    /// Writes 16 numbers.
    ///
    /// # Safety
    /// 16 numbers must be writable at `to`.
    unsafe fn store(self, to: *mut f32, block: Self::Block);
    /// `a + b`.
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a * b`.
    fn mul(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a / b`.
    fn div(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `a * b + c`; rounded once where the processor can.
    fn fma(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block;
    /// The larger one.
    fn max(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// The smaller one.
    fn min(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// Asks for the cache line at `at`, which need not be readable.
    #[inline(always)]
    fn prefetch<T>(self, at: *const T) {
        let _ = at;
    }

    /// The hyperbolic tangent, to 3e-7: the ratio of polynomials of degrees 13 and 6 that Eigen and XLA use, on -7.9 to
    /// 7.9, beyond which f32 gives 1.
    #[inline(always)]
    fn tanh(self, x: Self::Block) -> Self::Block {
        let x = self.min(self.max(x, self.splat(-7.905_311)), self.splat(7.905_311));
        let y = self.mul(x, x);
        let mut p = self.splat(-2.760_768_5e-16);
        for c in [2.000_188e-13, -8.604_672e-11, 5.122_297_1e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3] {
            p = self.fma(p, y, self.splat(c));
        }
        let mut q = self.splat(1.198_258_4e-6);
        for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
            q = self.fma(q, y, self.splat(c));
        }
        self.div(self.mul(x, p), q)
    }

    /// `1 / (1 + exp(-x))`, from the tangent: `tanh(x / 2) / 2 + 1 / 2`.
    #[inline(always)]
    fn sigmoid(self, x: Self::Block) -> Self::Block {
        let half = self.splat(0.5);
        self.fma(self.tanh(self.mul(x, half)), half, half)
    }
}

/// Arrays, which the compiler turns into whatever vectors there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Portable {
    #[inline(always)]
    fn each(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = f(a[i], b[i]);
        }
        out
    }
}

impl Lanes for Portable {
    type Block = [f32; LANES];
    const BLOCKS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 4 };

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Block {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::Block {
        // SAFETY: 16 numbers are readable there; an array of f32 needs no more alignment than an f32.
        unsafe { *from.cast::<[f32; LANES]>() }
    }
    #[inline(always)]
    unsafe fn load_half(self, from: *const u16) -> Self::Block {
        // SAFETY: as for `load`.
        let halves = unsafe { *from.cast::<[u16; LANES]>() };
        halves.map(|half| half::f16::from_bits(half).to_f32())
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, block: Self::Block) {
        // SAFETY: 16 numbers are writable there.
        unsafe { *to.cast::<[f32; LANES]>() = block }
    }
    #[inline(always)]
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
        Self::each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn mul(self, a: Self::Block, b: Self::Block) -> Self::Block {
        Self::each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::Block, b: Self::Block) -> Self::Block {
        Self::each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
        let mut out = c;
        for i in 0..LANES {
            // a fused multiplication that the processor lacks would be a slow call
            out[i] = if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                a[i].mul_add(b[i], out[i])
            } else {
                a[i] * b[i] + out[i]
            };
        }
        out
    }
    #[inline(always)]
    fn max(self, a: Self::Block, b: Self::Block) -> Self::Block {
        Self::each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::Block, b: Self::Block) -> Self::Block {
        Self::each(a, b, |a, b| if a < b { a } else { b })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, Work};

    /// Does the work with AVX2 instructions.
    ///
    /// # Safety
    /// The processor must have AVX2, FMA and F16C.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn avx2<W: Work>(work: W) {
        work.work(Avx2(()));
    }

    /// Does the work with AVX-512 instructions.
    ///
    /// # Safety
    /// The processor must have AVX-512F, AVX2, FMA and F16C.
    #[target_feature(enable = "avx512f,avx2,fma,f16c")]
    pub(super) unsafe fn avx512<W: Work>(work: W) {
        work.work(Avx512(()));
    }

    /// The proof that the processor has AVX2, FMA and F16C: made in [`avx2`] alone.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx2(());

    /// The proof that the processor has AVX-512F: made in [`avx512`] alone.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx512(());

    /// An operation on both halves of a block.
    macro_rules! halves {
        ($name:ident, $intrinsic:ident) => {
            #[inline(always)]
            fn $name(self, a: Self::Block, b: Self::Block) -> Self::Block {
                // SAFETY: `self` proves that the processor has AVX2.
                unsafe { [$intrinsic(a[0], b[0]), $intrinsic(a[1], b[1])] }
            }
        };
    }

    impl Lanes for Avx2 {
        type Block = [__m256; 2];
        const BLOCKS: usize = 6;

        #[inline(always)]
        fn splat(self, value: f32) -> Self::Block {
            // SAFETY: `self` proves that the processor has AVX2.
            unsafe { [_mm256_set1_ps(value); 2] }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::Block {
            // SAFETY: `self` proves AVX2; 16 numbers are readable.
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn load_half(self, from: *const u16) -> Self::Block {
            // SAFETY: `self` proves F16C; 16 numbers are readable.
            unsafe {
                [_mm256_cvtph_ps(_mm_loadu_si128(from.cast())), _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast()))]
            }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, block: Self::Block) {
            // SAFETY: `self` proves AVX2; 16 numbers are writable.
            unsafe {
                _mm256_storeu_ps(to, block[0]);
                _mm256_storeu_ps(to.add(8), block[1]);
            }
        }
        halves!(add, _mm256_add_ps);
        halves!(mul, _mm256_mul_ps);
        halves!(div, _mm256_div_ps);
        halves!(max, _mm256_max_ps);
        halves!(min, _mm256_min_ps);
        #[inline(always)]
        fn fma(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
            // SAFETY: `self` proves that the processor has FMA.
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }
        #[inline(always)]
        fn prefetch<T>(self, at: *const T) {
            // SAFETY: a prefetch reads nothing and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
    }

    /// An operation on a block.
    macro_rules! whole {
        ($name:ident, $intrinsic:ident) => {
            #[inline(always)]
            fn $name(self, a: Self::Block, b: Self::Block) -> Self::Block {
                // SAFETY: `self` proves that the processor has AVX-512F.
                unsafe { $intrinsic(a, b) }
            }
        };
    }

    impl Lanes for Avx512 {
        type Block = __m512;
        const BLOCKS: usize = 28;

        #[inline(always)]
        fn splat(self, value: f32) -> Self::Block {
            // SAFETY: `self` proves that the processor has AVX-512F.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(self, from: *const f32) -> Self::Block {
            // SAFETY: `self` proves AVX-512F; 16 numbers are readable.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_half(self, from: *const u16) -> Self::Block {
            // With the rounding of the moment (which plays no part in widening), the instruction can read memory itself; the
            // form that suppresses exceptions cannot, and costs a third more.
            // SAFETY: `self` proves AVX-512F; 16 numbers are readable.
            unsafe { _mm512_cvt_roundph_ps::<_MM_FROUND_CUR_DIRECTION>(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32, block: Self::Block) {
            // SAFETY: `self` proves AVX-512F; 16 numbers are writable.
            unsafe { _mm512_storeu_ps(to, block) }
        }
        whole!(add, _mm512_add_ps);
        whole!(mul, _mm512_mul_ps);
        whole!(div, _mm512_div_ps);
        whole!(max, _mm512_max_ps);
        whole!(min, _mm512_min_ps);
        #[inline(always)]
        fn fma(self, a: Self::Block, b: Self::Block, c: Self::Block) -> Self::Block {
            // SAFETY: `self` proves that the processor has AVX-512F.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        fn prefetch<T>(self, at: *const T) {
            // SAFETY: a prefetch reads nothing and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
        }
    }
}

/// 64 bytes that begin a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Numbers that may stand in an [`Aligned`] buffer: any bits are one.
pub(crate) trait Number: Copy {}
impl Number for f32 {}
impl Number for u16 {}

/// A buffer of numbers that begins a cache line, so that no block crosses two. It begins as zeros.
#[derive(Debug, Clone)]
pub(crate) struct Aligned<T: Number> {
    lines: Vec<Line>,
    length: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Number> Default for Aligned<T> {
    fn default() -> Self {
        Aligned { lines: Vec::new(), length: 0, kind: std::marker::PhantomData }
    }
}

impl<T: Number> Aligned<T> {
    /// That many zeros.
    pub(crate) fn zeros(length: usize) -> Self {
        let lines = length.saturating_mul(size_of::<T>()).div_ceil(size_of::<Line>());
        Aligned { lines: vec![Line([0; 64]); lines], length, kind: std::marker::PhantomData }
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

/// A number of things rounded up to whole blocks.
pub(crate) fn padded(count: usize) -> usize {
    count.next_multiple_of(LANES)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Curve<'a>(&'a [f32; LANES], &'a mut [f32; LANES], &'a mut [f32; LANES]);
    impl Work for Curve<'_> {
        #[inline(always)]
        fn work<L: Lanes>(self, lanes: L) {
            // SAFETY: arrays of 16 numbers.
            unsafe {
                let x = lanes.load(self.0.as_ptr());
                lanes.store(self.1.as_mut_ptr(), lanes.tanh(x));
                lanes.store(self.2.as_mut_ptr(), lanes.sigmoid(x));
            }
        }
    }

    #[test]
    fn tangent_and_sigmoid_are_close_to_the_true_ones() {
        for form in Form::all() {
            for step in -1000..1000 {
                let x: [f32; LANES] = std::array::from_fn(|i| (step * 16 + i as i32) as f32 * 1e-3);
                let (mut tanh, mut sigmoid) = ([0.0; LANES], [0.0; LANES]);
                form.run(Curve(&x, &mut tanh, &mut sigmoid));
                for i in 0..LANES {
                    assert!((f64::from(tanh[i]) - f64::from(x[i]).tanh()).abs() < 4e-7, "{form:?} tanh {}", x[i]);
                    let true_sigmoid = 1.0 / (1.0 + (-f64::from(x[i])).exp());
                    assert!((f64::from(sigmoid[i]) - true_sigmoid).abs() < 3e-7, "{form:?} sigmoid {}", x[i]);
                    assert!((-1.0..=1.0).contains(&tanh[i]) && (0.0..=1.0).contains(&sigmoid[i]));
                }
            }
        }
    }

    #[test]
    fn a_buffer_begins_a_cache_line_and_is_zero() {
        for length in [0, 1, 16, 17, 1000] {
            let buffer = Aligned::<f32>::zeros(length);
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|v| *v == 0.0));
        }
    }
}
