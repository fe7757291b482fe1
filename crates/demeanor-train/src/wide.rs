//! Loops that the compiler turns into vectors as wide as the processor has.

/// Makes a function that is compiled for AVX-512, for AVX2 and for any processor, and picks one when it is called.
macro_rules! wide {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn body($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma")]
                fn wide512($($arg: $type),*) {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn wide256($($arg: $type),*) {
                    body($($arg),*)
                }
                if demeanor::simd::Isa::active() >= demeanor::simd::Isa::Avx512 {
                    // SAFETY: the processor has what the function needs, as just checked.
                    return unsafe { wide512($($arg),*) };
                }
                if demeanor::simd::Isa::active() >= demeanor::simd::Isa::Avx2 {
                    // SAFETY: as above.
                    return unsafe { wide256($($arg),*) };
                }
            }
            body($($arg),*)
        }
    };
}

pub(crate) use wide;
