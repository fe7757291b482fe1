//! Instruction sets, and the choice of the one that every kernel uses.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// An instruction set that kernels are compiled for. Each one holds all that stands before it for its kind of processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// What the compiler makes of arrays, for every processor.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// x86-64 with AVX-512 and matrix tiles for bfloat16 (AMX), where the system lets a process use them.
    Amx,
}

impl Isa {
    /// All instruction sets, whether or not this processor has them.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Amx];

    /// The name that `--isa` and `DEMEANOR_ISA` take.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Amx => "amx",
        }
    }

    /// Whether this processor and system can run it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            Isa::Amx => Isa::Avx512.is_available() && crate::nn::tile::has_tiles(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
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
        let isa = Isa::from_environment().ok().flatten().unwrap_or_else(Isa::best);
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

    /// What the environment variable `DEMEANOR_ISA` names; none where it is not set or empty.
    ///
    /// # Errors
    /// [`ErrorKind::Setting`] when it names no instruction set, or one that cannot run here.
    pub fn from_environment() -> Result<Option<Isa>> {
        let Ok(name) = std::env::var("DEMEANOR_ISA") else { return Ok(None) };
        if name.is_empty() {
            return Ok(None);
        }
        let isa: Isa = name.parse()?;
        if isa.is_available() {
            return Ok(Some(isa));
        }
        let names: Vec<&str> = Isa::available().map(Isa::name).collect();
        Err(Error::new(
            ErrorKind::Setting,
            format!("DEMEANOR_ISA: this processor or system has no {isa}; it has {}", names.join(", ")),
        ))
    }
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
