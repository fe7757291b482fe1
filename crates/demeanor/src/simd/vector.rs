//! Sixteen numbers at a time: what every instruction set can do.

pub(crate) use self::raw::RawSimd;

/// Numbers of a block: the unit in which channels stand side by side.
pub const LANES: usize = 16;

/// A piece of work that is compiled for each instruction set. `eval` must be `#[inline(always)]`, or its instructions are
/// not those of the set.
pub trait SimdOp {
    /// What the work gives.
    type Output;

    /// Does the work.
    fn eval<S: Simd>(self, simd: S) -> Self::Output;
}

/// Arithmetic on blocks of 16 numbers. A value of an implementing type is the proof that the processor can do it; only
/// [`Isa::dispatch`](super::Isa::dispatch) makes one.
pub trait Simd: RawSimd {
    /// The same number in all lanes.
    fn splat(self, value: f32) -> Self::F32;
    /// Reads 16 numbers.
    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self::F32 {
        // SAFETY: an array of 16 numbers.
        unsafe { self.read(from.as_ptr()) }
    }
    /// Writes 16 numbers.
    #[inline(always)]
    fn store(self, block: Self::F32, to: &mut [f32; LANES]) {
        // SAFETY: an array of 16 numbers.
        unsafe { self.write(to.as_mut_ptr(), block) }
    }
    /// `a + b`.
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`.
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`.
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`; rounded once where the instruction set has that.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The larger one.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The smaller one.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;

    /// The hyperbolic tangent, to 3e-7: the ratio of polynomials of degrees 13 and 6 that Eigen and XLA use, on -7.9 to
    /// 7.9, beyond which f32 gives 1.
    #[inline(always)]
    fn tanh(self, x: Self::F32) -> Self::F32 {
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
    fn sigmoid(self, x: Self::F32) -> Self::F32 {
        let half = self.splat(0.5);
        self.fma(self.tanh(self.mul(x, half)), half, half)
    }
}

mod raw {
    /// What only kernels in this room use: raw memory and the types. Also seals [`Simd`](super::Simd).
    pub trait RawSimd: Copy {
        /// Sixteen `f32`.
        type F32: Copy;
        /// What one register holds: a block is one, two or four of them.
        type Register: Copy;
        /// How the windows of a cascade are judged.
        type Windows: crate::simd::scan::Windows;
        /// How many blocks a kernel may keep in registers beside what it multiplies with.
        const BLOCKS: usize;
        /// Numbers of a register.
        const WIDE: usize;
        /// How many registers there are.
        const REGISTERS: usize;
        /// Whether half precision is widened fast enough to keep weights in it.
        const HAS_F16: bool;

        /// See `Windows`.
        fn windows(self) -> Self::Windows;
        /// Reads a register of numbers.
        ///
        /// # Safety
        /// [`WIDE`](Self::WIDE) numbers must be readable at `from`.
        unsafe fn register(self, from: *const f32) -> Self::Register;
        /// Writes a register of numbers.
        ///
        /// # Safety
        /// [`WIDE`](Self::WIDE) numbers must be writable at `to`.
        unsafe fn put(self, to: *mut f32, value: Self::Register);
        /// The same number in all lanes of a register.
        fn all(self, value: f32) -> Self::Register;
        /// `a * b + c` of registers, as [`Simd::fma`](super::Simd::fma).
        fn register_fma(self, a: Self::Register, b: Self::Register, c: Self::Register) -> Self::Register;
        /// The larger one of registers.
        fn register_max(self, a: Self::Register, b: Self::Register) -> Self::Register;
        /// The sum of registers.
        fn register_add(self, a: Self::Register, b: Self::Register) -> Self::Register;

        /// Reads 16 numbers.
        ///
        /// # Safety
        /// 16 numbers must be readable at `from`.
        unsafe fn read(self, from: *const f32) -> Self::F32;
        /// Reads 16 numbers in half precision.
        ///
        /// # Safety
        /// 16 numbers must be readable at `from`.
        #[inline(always)]
        unsafe fn read_f16(self, from: *const u16) -> Self::F32 {
            // SAFETY: the caller's promise; an array of u16 needs no more alignment than a u16.
            let numbers = unsafe { *from.cast::<[u16; 16]>() }.map(|half| half::f16::from_bits(half).to_f32());
            // SAFETY: an array of 16 numbers.
            unsafe { self.read(numbers.as_ptr()) }
        }
        /// Reads 16 pairs of bfloat16 numbers: the first of each pair, and the second.
        ///
        /// # Safety
        /// 32 numbers must be readable at `from`.
        unsafe fn read_bf16_pairs(self, from: *const u16) -> [Self::F32; 2];
        /// Writes 16 numbers.
        ///
        /// # Safety
        /// 16 numbers must be writable at `to`.
        unsafe fn write(self, to: *mut f32, block: Self::F32);
        /// Asks for the cache line at `at`, which need not be readable.
        #[inline(always)]
        fn prefetch<T>(self, at: *const T) {
            let _ = at;
        }

        /// 16 x 16 numbers to their transpose; rows lie `from_row` and `to_row` apart.
        ///
        /// # Safety
        /// 16 rows of 16 numbers must be readable and writable.
        #[inline(always)]
        unsafe fn transpose(self, from: *const u32, from_row: usize, to: *mut u32, to_row: usize) {
            for i in 0..16 {
                for j in 0..16 {
                    // SAFETY: the caller's promise.
                    unsafe { *to.add(j * to_row + i) = *from.add(i * from_row + j) };
                }
            }
        }
    }
}
