//! The one room of vector instructions: instruction sets, what each of them does, and the kernels that need raw memory.
//!
//! A kernel is written once, as a [`SimdOp`] over a [`Simd`], and compiled for each instruction set; [`Isa::dispatch`] runs it.
//! Plain loops that the compiler turns into vectors are made by [`vectorized!`](crate::vectorized). No other module holds
//! `unsafe` code.

// loops over lanes and tiles count through several arrays at once, and the compiler unrolls them by their constant ends
#![allow(clippy::needless_range_loop)]

mod aligned;
mod arch;
mod bf16;
pub mod block;
pub(crate) mod conv;
pub(crate) mod dense;
pub(crate) mod depthwise;
mod isa;
pub mod matmul;
pub(crate) mod scan;
mod transpose;
mod vector;

pub use aligned::Aligned;
pub(crate) use aligned::Number;
pub use bf16::{Bf16, from_bf16, to_bf16};
pub use isa::Isa;
pub use transpose::transpose;
pub use vector::{LANES, Simd, SimdOp};

/// A number of things rounded up to whole blocks.
pub(crate) fn padded(count: usize) -> usize {
    count.next_multiple_of(LANES)
}

/// Makes functions of plain loops that are compiled for each instruction set; the first argument, which is added, chooses
/// the one that runs.
///
/// All references need the lifetime that is named after the function.
#[macro_export]
#[doc(hidden)]
macro_rules! vectorized {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<$life:lifetime>($($arg:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$life>(isa: $crate::simd::Isa, $($arg: $type),*) {
            struct Op<$life> {
                of: std::marker::PhantomData<&$life ()>,
                $($arg: $type),*
            }
            impl<$life> $crate::simd::SimdOp for Op<$life> {
                type Output = ();
                #[inline(always)]
                fn eval<S: $crate::simd::Simd>(self, _: S) {
                    let Op { of: _, $($arg),* } = self;
                    $body
                }
            }
            isa.dispatch(Op { of: std::marker::PhantomData, $($arg),* })
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Curve<'a>(&'a [f32; LANES], &'a mut [f32; LANES], &'a mut [f32; LANES]);
    impl SimdOp for Curve<'_> {
        type Output = ();
        #[inline(always)]
        fn eval<S: Simd>(self, simd: S) {
            let x = simd.load(self.0);
            simd.store(simd.tanh(x), self.1);
            simd.store(simd.sigmoid(x), self.2);
        }
    }

    #[test]
    fn tangent_and_sigmoid_are_close_to_the_true_ones() {
        for isa in Isa::available() {
            for step in -1000..1000 {
                let x: [f32; LANES] = std::array::from_fn(|i| (step * 16 + i as i32) as f32 * 1e-3);
                let (mut tanh, mut sigmoid) = ([0.0; LANES], [0.0; LANES]);
                isa.dispatch(Curve(&x, &mut tanh, &mut sigmoid));
                for i in 0..LANES {
                    assert!((f64::from(tanh[i]) - f64::from(x[i]).tanh()).abs() < 4e-7, "{isa} tanh {}", x[i]);
                    let true_sigmoid = 1.0 / (1.0 + (-f64::from(x[i])).exp());
                    assert!((f64::from(sigmoid[i]) - true_sigmoid).abs() < 3e-7, "{isa} sigmoid {}", x[i]);
                    assert!((-1.0..=1.0).contains(&tanh[i]) && (0.0..=1.0).contains(&sigmoid[i]));
                }
            }
        }
    }
}
