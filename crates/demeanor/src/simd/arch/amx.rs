//! Matrix tiles (AMX): eight tiles of 16 rows of 64 bytes.

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::OnceLock;

use crate::simd::block::{Left, Right};

/// Whether the processor has bfloat16 tiles and the system lets this process use them.
pub(crate) fn is_allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    *ALLOWED.get_or_init(|| {
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

/// The tiles of this thread, configured; whoever else uses tiles in the thread finds them released when this is dropped,
/// and a thread without configured tiles is switched to and from without their 8 KB.
#[derive(Debug)]
pub(crate) struct Tiles {
    // tiles belong to a thread
    of: PhantomData<*mut ()>,
}

impl Tiles {
    /// Configures all eight tiles with 16 rows of 64 bytes; none where there are no tiles.
    pub(crate) fn configure() -> Option<Self> {
        if !is_allowed() {
            return None;
        }
        let mut config = [0u8; 64];
        config[0] = 1;
        for tile in 0..8 {
            config[16 + 2 * tile] = 64;
            config[48 + tile] = 16;
        }
        // SAFETY: 64 readable bytes in the layout of palette 1; the processor has tiles.
        unsafe { asm!("ldtilecfg [{}]", in(reg) config.as_ptr(), options(nostack, readonly)) };
        Some(Tiles { of: PhantomData })
    }

    /// See [`Blocks::multiply`](crate::simd::block::Blocks::multiply).
    ///
    /// # Safety
    /// All rows of all steps of both factors, and 32 rows of 32 numbers of `c`, `c_row` apart, must be readable, and those of
    /// `c` writable.
    pub(crate) unsafe fn multiply(&self, left: Left<'_>, right: Right<'_>, c: *mut f32, c_row: usize, add: bool) {
        // SAFETY: the caller promises that all rows lie in live memory; the tiles are configured and are used here alone.
        unsafe {
            let (a, b) = (left.data.as_ptr().add(left.start), right.data.as_ptr().add(right.start));
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
                    a = in(reg) a,
                    ar = in(reg) 2 * left.row,
                    a2 = in(reg) 32 * left.row,
                    b = inout(reg) b => _,
                    b2 = inout(reg) b.add(right.second) => _,
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

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: `configure` has asked the processor; tiles hold nothing that is still needed.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}
