//! Rows to columns.

use super::Isa;
use super::vector::{Simd, SimdOp};

/// Pairs `[pairs][channels]` to `[channels][pairs]`; both are multiples of 16.
///
/// # Panics
/// When they are not, or `to` is shorter than `from`.
pub fn transpose(isa: Isa, from: &[u32], channels: usize, to: &mut [u32]) {
    let pairs = from.len() / channels;
    assert!(channels.is_multiple_of(16) && pairs.is_multiple_of(16) && to.len() >= from.len());
    isa.dispatch(Transpose { from, channels, pairs, to });
}

struct Transpose<'a> {
    from: &'a [u32],
    channels: usize,
    pairs: usize,
    to: &'a mut [u32],
}

impl SimdOp for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<S: Simd>(self, simd: S) {
        let Transpose { from, channels, pairs, to } = self;
        for p in (0..pairs).step_by(16) {
            for c in (0..channels).step_by(16) {
                // SAFETY: both 16 x 16 squares lie within their slices, as `transpose` has checked.
                unsafe {
                    let from = from.as_ptr().add(p * channels + c);
                    simd.transpose(from, channels, to.as_mut_ptr().add(c * pairs + p), pairs);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_moves() {
        let (pairs, channels) = (48, 32);
        let from: Vec<u32> = (0..pairs * channels).map(|i| i as u32).collect();
        for isa in Isa::available() {
            let mut to = vec![0; from.len()];
            transpose(isa, &from, channels, &mut to);
            for p in 0..pairs {
                for c in 0..channels {
                    assert_eq!(to[c * pairs + p], from[p * channels + c], "{isa}");
                }
            }
        }
    }
}
