//! Instruction sets, and the choice of the one that every kernel uses.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::arch::{self, portable::Portable};
use super::vector::{Simd, SimdOp};
use crate::error::{Error, ErrorKind, Result};

/// An instruction set that kernels are compiled for. Each one holds all that stands before it for its kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// What the compiler makes of arrays, for every processor.
    Portable,
    /// WebAssembly's SIMD; with relaxed instructions where the build has them.
    Wasm,
    /// 64-bit Arm.
    Neon,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// x86-64 with AVX-512 and matrix tiles for bfloat16 (AMX), where the system lets a process use them.
    Amx,
}

impl Isa {
    /// All instruction sets, whether or not this processor has them.
    pub const ALL: [Isa; 6] = [Isa::Portable, Isa::Wasm, Isa::Neon, Isa::Avx2, Isa::Avx512, Isa::Amx];

    /// The name that `--isa` and `DEMEANOR_ISA` take.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Wasm => "wasm",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }

    /// Whether this processor and system can run it.
    pub fn is_available(self) -> bool {
        available() & self.bit() != 0
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Does a piece of work with these instructions; with portable ones where this processor does not have them.
    #[inline]
    pub fn dispatch<Op: SimdOp>(self, op: Op) -> Op::Output {
        if !self.is_available() {
            return op.eval(Portable);
        }
        match self {
            // SAFETY: just checked; so is that below.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { arch::avx2::eval(op) },
            // SAFETY: see above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Amx => unsafe { arch::avx512::eval(op) },
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Isa::Neon => arch::neon::eval(op),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Isa::Wasm => arch::wasm::eval(op),
            _ => op.eval(Portable),
        }
    }

    /// How many blocks of sums kernels of this set keep in registers.
    pub(crate) fn blocks(self) -> usize {
        self.dispatch(Ask).blocks
    }

    /// Whether half precision is widened fast enough to keep weights in it.
    pub(crate) fn has_f16(self) -> bool {
        self.dispatch(Ask).has_f16
    }

    /// What registers there are.
    pub(crate) fn registers(self) -> Registers {
        self.dispatch(Ask)
    }

    /// The instruction sets that can run here, the fastest last.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The fastest one that can run here.
    pub fn best() -> Isa {
        Isa::available().last().unwrap_or(Isa::Portable)
    }

    /// The one that kernels use: what [`Isa::choose`] chose last; before that, what the environment variable
    /// `DEMEANOR_ISA` names, where it can run here; else the fastest.
    pub fn active() -> Isa {
        let at = ACTIVE.load(Ordering::Relaxed);
        if let Some(isa) = Isa::ALL.get(usize::from(at)) {
            return *isa;
        }
        let named = std::env::var("DEMEANOR_ISA")
            .ok()
            .and_then(|name| name.parse().ok())
            .filter(|isa: &Isa| isa.is_available());
        let isa = named.unwrap_or_else(Isa::best);
        ACTIVE.store(isa as u8, Ordering::Relaxed);
        isa
    }

    /// Makes all kernels that are made from now on use this one.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when it cannot run here.
    pub fn choose(self) -> Result<()> {
        if !self.is_available() {
            let names: Vec<&str> = Isa::available().map(Isa::name).collect();
            return Err(Error::new(
                ErrorKind::Setting,
                format!("this processor or system has no {self}; it has {}", names.join(", ")),
            ));
        }
        ACTIVE.store(self as u8, Ordering::Relaxed);
        Ok(())
    }
}

/// What `RawSimd` says of registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers {
    /// See `RawSimd::BLOCKS`.
    blocks: usize,
    /// See `RawSimd::HAS_F16`.
    has_f16: bool,
    /// Numbers of a register.
    pub wide: usize,
    /// How many registers there are.
    pub count: usize,
}

struct Ask;

impl SimdOp for Ask {
    type Output = Registers;
    #[inline(always)]
    fn eval<S: Simd>(self, _: S) -> Registers {
        Registers { blocks: S::BLOCKS, has_f16: S::HAS_F16, wide: S::WIDE, count: S::REGISTERS }
    }
}

/// A bit for each instruction set: whether this processor and system can run it.
fn available() -> u32 {
    static AVAILABLE: AtomicU32 = AtomicU32::new(0);
    let bits = AVAILABLE.load(Ordering::Relaxed);
    if bits != 0 {
        return bits;
    }
    let bits = detect().iter().fold(0, |bits, isa| bits | isa.bit());
    AVAILABLE.store(bits, Ordering::Relaxed);
    bits
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Vec<Isa> {
    let mut found = vec![Isa::Portable];
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
        found.push(Isa::Avx2);
        let foundation = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if foundation {
            found.push(Isa::Avx512);
            #[cfg(target_os = "linux")]
            if arch::amx::is_allowed() {
                found.push(Isa::Amx);
            }
        }
    }
    found
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Vec<Isa> {
    vec![Isa::Portable, Isa::Neon]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Vec<Isa> {
    let mut found = vec![Isa::Portable];
    if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) {
        found.push(Isa::Wasm);
    }
    found
}

/// The number of the active one in [`Isa::ALL`]; beyond it before the first choice.
static ACTIVE: AtomicU8 = AtomicU8::new(u8::MAX);

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Isa {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Isa::ALL.into_iter().find(|isa| isa.name() == word).ok_or_else(|| {
            let names = Isa::ALL.map(Isa::name).join(", ");
            Error::new(ErrorKind::Setting, format!("\"{word}\" is no instruction set; expected one of {names}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse::<Isa>().unwrap(), isa);
        }
        assert!("sse9".parse::<Isa>().is_err());
        assert!(Isa::available().any(|isa| isa == Isa::best()));
    }
}
