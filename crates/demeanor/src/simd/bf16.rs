//! bfloat16: the upper half of an `f32`.

/// A bfloat16 number's bits.
pub type Bf16 = u16;

/// A number rounded to bfloat16 (ties to even).
#[inline(always)]
pub fn to_bf16(value: f32) -> Bf16 {
    let bits = value.to_bits();
    ((bits.wrapping_add(0x7fff + ((bits >> 16) & 1))) >> 16) as Bf16
}

/// The exact `f32` of a bfloat16 number.
#[inline(always)]
pub fn from_bf16(value: Bf16) -> f32 {
    f32::from_bits(u32::from(value) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_to_even() {
        assert_eq!(from_bf16(to_bf16(1.0)), 1.0);
        assert_eq!(from_bf16(to_bf16(-0.0)), 0.0);
        assert_eq!(to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
    }
}
