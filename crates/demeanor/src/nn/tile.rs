//! The inner loop of convolutions in training, and of [`Precision::Fast`](super::Precision) networks of pictures: a block of
//! 32 x 32 sums of products of bfloat16 numbers.
//!
//! Numbers are stored as the upper half of an `f32`; products are summed in `f32`. Where the processor has matrix tiles
//! (AMX) they are used; everywhere else the same sums are formed in plain code that the compiler vectorises.

use crate::simd::Isa;

/// A bfloat16 number's bits.
pub type Half = u16;

/// Rows and columns of a block.
pub const BLOCK: usize = 32;

/// Products that one step of a block sums.
pub const STEP: usize = 32;

/// The `f32` nearest to a number, rounded to bfloat16 (ties to even).
#[inline(always)]
pub fn half(value: f32) -> Half {
    let bits = value.to_bits();
    ((bits.wrapping_add(0x7fff + ((bits >> 16) & 1))) >> 16) as Half
}

/// The exact `f32` of a bfloat16 number.
#[inline(always)]
pub fn full(value: Half) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

/// How blocks are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Matrix tiles of the processor.
    Tiles,
    /// Plain code.
    Plain,
}

impl Form {
    /// The form of the active instruction set.
    pub fn detect() -> Self {
        if Isa::active() == Isa::Amx { Form::Tiles } else { Form::Plain }
    }
}

/// Whether the processor has bfloat16 tiles and the system lets this process use them.
pub(crate) fn has_tiles() -> bool {
    tiles::allowed()
}

/// The left factor: 32 rows of [`STEP`] numbers at each step.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    /// First number of the first row at offset 0.
    pub start: *const Half,
    /// Numbers between rows.
    pub row: usize,
    /// What is added to `start` at each step, in numbers.
    pub steps: &'a [isize],
}

/// The right factor: at each step 16 rows of 32 pairs; a pair holds two numbers that follow each other along the sum.
#[derive(Clone, Copy)]
pub struct Right {
    /// First pair of the first step.
    pub start: *const Half,
    /// Numbers between rows of pairs.
    pub row: usize,
    /// Numbers between steps.
    pub step: usize,
    /// Numbers between column 0 and column 16.
    pub second: usize,
}

/// `c[i][j] (+)= sum over steps and k of left[i][k] * right[k][j]`, 32 x 32.
///
/// # Safety
/// All rows of all steps of both factors and of `c` (32 rows of 32, `c_row` apart) must lie in live memory. With
/// [`Form::Tiles`], the form must have come from [`Form::detect`].
pub unsafe fn block(form: Form, left: Left<'_>, right: Right, c: *mut f32, c_row: usize, add: bool) {
    match form {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        // SAFETY: the caller's promise, passed on.
        Form::Tiles => unsafe { tiles::block(left, right, c, c_row, add) },
        // SAFETY: the caller's promise, passed on.
        _ => unsafe { plain(left, right, c, c_row, add) },
    }
}

/// # Safety
/// As [`block`].
unsafe fn plain(left: Left<'_>, right: Right, c: *mut f32, c_row: usize, add: bool) {
    #[cfg(target_arch = "x86_64")]
    {
        /// # Safety
        /// As [`block`]; the processor has AVX-512.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        unsafe fn wide512(left: Left<'_>, right: Right, c: *mut f32, c_row: usize, add: bool) {
            // SAFETY: the caller's promise, passed on.
            unsafe { plain_body(left, right, c, c_row, add) }
        }
        /// # Safety
        /// As [`block`]; the processor has AVX2 and FMA.
        #[target_feature(enable = "avx2,fma")]
        unsafe fn wide256(left: Left<'_>, right: Right, c: *mut f32, c_row: usize, add: bool) {
            // SAFETY: the caller's promise, passed on.
            unsafe { plain_body(left, right, c, c_row, add) }
        }
        if Isa::active() >= Isa::Avx512 {
            // SAFETY: just checked; the rest is the caller's promise.
            return unsafe { wide512(left, right, c, c_row, add) };
        }
        if Isa::active() >= Isa::Avx2 {
            // SAFETY: just checked; the rest is the caller's promise.
            return unsafe { wide256(left, right, c, c_row, add) };
        }
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { plain_body(left, right, c, c_row, add) }
}

/// # Safety
/// As [`block`].
#[inline(always)]
unsafe fn plain_body(left: Left<'_>, right: Right, c: *mut f32, c_row: usize, add: bool) {
    for i0 in (0..BLOCK).step_by(4) {
        for j0 in [0, 16] {
            let mut sums = [[0f32; 16]; 4];
            if add {
                for (i, sums) in sums.iter_mut().enumerate() {
                    for (j, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: within the 32 x 32 of `c`.
                        *sum = unsafe { *c.add((i0 + i) * c_row + j0 + j) };
                    }
                }
            }
            for (step, &offset) in left.steps.iter().enumerate() {
                for pair in 0..STEP / 2 {
                    let (mut even, mut odd) = ([0f32; 16], [0f32; 16]);
                    for j in 0..16 {
                        // SAFETY: column j0 + j of row `pair` of this step.
                        let at = unsafe {
                            right.start.add(
                                step * right.step + pair * right.row + if j0 == 0 { 0 } else { right.second } + 2 * j,
                            )
                        };
                        // SAFETY: as above.
                        (even[j], odd[j]) = unsafe { (full(*at), full(*at.add(1))) };
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: row i0 + i of this step.
                        let at = unsafe { left.start.offset(offset).add((i0 + i) * left.row + 2 * pair) };
                        // SAFETY: as above.
                        let (a, b) = unsafe { (full(*at), full(*at.add(1))) };
                        for j in 0..16 {
                            sums[j] += a * even[j] + b * odd[j];
                        }
                    }
                }
            }
            for (i, sums) in sums.iter().enumerate() {
                for (j, &sum) in sums.iter().enumerate() {
                    // SAFETY: within the 32 x 32 of `c`.
                    unsafe { *c.add((i0 + i) * c_row + j0 + j) = sum };
                }
            }
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod tiles {
    pub fn allowed() -> bool {
        false
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles {
    use std::arch::asm;
    use std::cell::Cell;
    use std::sync::OnceLock;

    use super::{Left, Right};

    /// Whether the processor has bfloat16 tiles and the system lets this process use them.
    pub fn allowed() -> bool {
        static ALLOWED: OnceLock<bool> = OnceLock::new();
        *ALLOWED.get_or_init(|| {
            if !is_x86_feature_detected!("avx512bw") || !is_x86_feature_detected!("avx512vl") {
                return false;
            }
            let leaves = std::arch::x86_64::__cpuid(0).eax;
            if leaves < 7 {
                return false;
            }
            // Intel's manual, CPUID leaf 7, EDX: bit 22 AMX-BF16, bit 24 AMX-TILE
            let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
            if features & (1 << 22) == 0 || features & (1 << 24) == 0 {
                return false;
            }
            // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA); see the kernel's Documentation/arch/x86/xstate.rst
            let answer: isize;
            // SAFETY: a system call that touches no memory of this process.
            unsafe {
                asm!("syscall", inlateout("rax") 158isize => answer, in("rdi") 0x1023usize, in("rsi") 18usize,
                    out("rcx") _, out("r11") _, options(nostack));
            }
            answer == 0
        })
    }

    thread_local! {
        static CONFIGURED: Cell<bool> = const { Cell::new(false) };
    }

    /// All eight tiles with 16 rows of 64 bytes.
    fn configure() {
        CONFIGURED.with(|configured| {
            if configured.get() {
                return;
            }
            let mut config = [0u8; 64];
            config[0] = 1;
            for tile in 0..8 {
                config[16 + 2 * tile] = 64;
                config[48 + tile] = 16;
            }
            // SAFETY: 64 readable bytes in the layout of palette 1; `allowed` has been true, or `Form::Tiles` would not be.
            unsafe { asm!("ldtilecfg [{}]", in(reg) config.as_ptr(), options(nostack, readonly)) };
            configured.set(true);
        });
    }

    /// # Safety
    /// As [`super::block`].
    pub unsafe fn block(left: Left<'_>, right: Right, c: *mut f32, c_row: usize, add: bool) {
        configure();
        // SAFETY: the caller promises that all rows lie in live memory; tiles 0-7 are used by nothing else.
        unsafe {
            let c_stride = 4 * c_row;
            let below = c.add(16 * c_row);
            if add {
                asm!(
                    "tileloadd tmm0, [{c} + {s}*1]", "tileloadd tmm1, [{c} + {s}*1 + 64]",
                    "tileloadd tmm2, [{d} + {s}*1]", "tileloadd tmm3, [{d} + {s}*1 + 64]",
                    c = in(reg) c, d = in(reg) below, s = in(reg) c_stride, options(nostack, readonly));
            } else {
                asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
            }
            if !left.steps.is_empty() {
                asm!(
                    "2:",
                    "mov {t}, [{steps}]",
                    "lea {t}, [{a} + {t}*2]",
                    "tileloadd tmm4, [{t} + {ar}*1]",
                    "tileloadd tmm6, [{b} + {br}*1]",
                    "add {t}, {a2}",
                    "tileloadd tmm7, [{b2} + {br}*1]",
                    "add {b}, {bs}",
                    "tileloadd tmm5, [{t} + {ar}*1]",
                    "add {b2}, {bs}",
                    "add {steps}, 8",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "dec {n}",
                    "jnz 2b",
                    t = out(reg) _,
                    a = in(reg) left.start,
                    ar = in(reg) 2 * left.row,
                    a2 = in(reg) 32 * left.row,
                    b = inout(reg) right.start => _,
                    b2 = inout(reg) right.start.add(right.second) => _,
                    br = in(reg) 2 * right.row,
                    bs = in(reg) 2 * right.step,
                    steps = inout(reg) left.steps.as_ptr() => _,
                    n = inout(reg) left.steps.len() => _,
                    options(nostack, readonly));
            }
            asm!(
                "tilestored [{c} + {s}*1], tmm0", "tilestored [{c} + {s}*1 + 64], tmm1",
                "tilestored [{d} + {s}*1], tmm2", "tilestored [{d} + {s}*1 + 64], tmm3",
                c = in(reg) c, d = in(reg) below, s = in(reg) c_stride, options(nostack));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_sums() {
        let number = |i: usize| ((i * 7919 % 255) as f32 - 127.0) / 64.0;
        let steps = [3isize, 100, 64];
        let (row, right_row) = (150, 70);
        let left: Vec<Half> = (0..32 * row + 200).map(|i| half(number(i))).collect();
        let right: Vec<Half> = (0..3 * 16 * right_row + 40).map(|i| half(number(i + 5))).collect();
        let mut expected = vec![1f32; 32 * 40];
        for i in 0..32 {
            for j in 0..32 {
                for (s, &offset) in steps.iter().enumerate() {
                    for k in 0..32 {
                        let a = full(left[offset as usize + i * row + k]);
                        let b = full(right[s * 16 * right_row + (k / 2) * right_row + 2 * j + k % 2]);
                        expected[i * 40 + j] += a * b;
                    }
                }
            }
        }
        let mut forms = vec![Form::Plain];
        if Form::detect() == Form::Tiles {
            forms.push(Form::Tiles);
        } else {
            eprintln!("skipped: matrix tiles, because this processor has none");
        }
        for form in forms {
            let mut c = vec![1f32; 32 * 40];
            let left = Left { start: left.as_ptr(), row, steps: &steps };
            let right = Right { start: right.as_ptr(), row: right_row, step: 16 * right_row, second: 32 };
            // SAFETY: the buffers above are long enough.
            unsafe { block(form, left, right, c.as_mut_ptr(), 40, true) };
            for (c, e) in c.iter().zip(&expected) {
                assert!((c - e).abs() < 1e-3, "{form:?}: {c} against {e}");
            }
        }
    }

    #[test]
    fn halves_round_to_even() {
        assert_eq!(full(half(1.0)), 1.0);
        assert_eq!(full(half(-0.0)), 0.0);
        assert_eq!(half(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(half(f32::from_bits(0x3f81_8000)), 0x3f82);
    }
}
