//! How activations and weights are stored on the device: [`f32`], or [`Bf16`] with half the bytes.

use super::{Buffer, View};
use cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use std::fmt::Debug;

/// The upper half of an `f32`: its sign, its exponent and 7 bits of its fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl From<f32> for Bf16 {
    /// Rounds to nearest, ties to even. NaN stays NaN.
    fn from(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Self((bits >> 16) as u16 | 0x40);
        }
        let tie_to_even = 0x7fff + ((bits >> 16) & 1);
        Self((bits.wrapping_add(tie_to_even) >> 16) as u16)
    }
}

impl From<Bf16> for f32 {
    fn from(value: Bf16) -> Self {
        Self::from_bits(u32::from(value.0) << 16)
    }
}

// SAFETY: two bytes without padding, which the kernels declare as a struct of one `unsigned short`.
unsafe impl DeviceRepr for Bf16 {}
// SAFETY: sixteen zero bits are the number 0.
unsafe impl ValidAsZeroBits for Bf16 {}

/// A number as the kernels store it, their `real`.
pub trait Real:
    DeviceRepr + ValidAsZeroBits + Copy + Debug + Send + Sync + From<f32> + Into<f32> + 'static
{
    /// Its name in messages and in the cache's keys.
    const NAME: &'static str;
    /// What the compiler is told to make `real` this type.
    const DEFINITION: Option<&'static str>;

    /// `f32` numbers as they are, where that is how they are stored.
    fn of_f32(values: &Buffer<f32>) -> Option<View<'_, Self>>;
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    const DEFINITION: Option<&'static str> = None;

    fn of_f32(values: &Buffer<f32>) -> Option<View<'_, Self>> {
        Some(values.as_view())
    }
}

impl Real for Bf16 {
    const NAME: &'static str = "bf16";
    const DEFINITION: Option<&'static str> = Some("-DBF16");

    fn of_f32(_: &Buffer<f32>) -> Option<View<'_, Self>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_nearest_and_ties_go_to_even() {
        // Around 1 neighbours are 2⁻⁷ apart.
        for (value, expected) in [
            (1.0, 1.0),
            (1.0 + 0.003, 1.0),
            (1.0 + 0.005, 1.007_812_5),
            (1.0 + 1.0 / 256.0, 1.0),               // a tie: 1 is even
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0), // a tie: 1 + 2·2⁻⁷ is even
            (-2.5, -2.5),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(f32::from(Bf16::from(value)), expected, "of {value}");
        }
        assert!(f32::from(Bf16::from(f32::NAN)).is_nan());
        assert!(f32::from(Bf16::from(f32::from_bits(0x7f80_0001))).is_nan());
    }
}
