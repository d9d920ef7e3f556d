//! Rounding of an exact result to f32 in the four directions of IEEE 754.

use crate::ptx::Mnemonic;

/// A direction of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// `.rn`, the default.
    Nearest,
    /// `.rz`.
    Zero,
    /// `.rm`.
    Down,
    /// `.rp`.
    Up,
}

impl Rounding {
    /// The direction that a mnemonic names.
    pub(crate) fn of(m: &Mnemonic) -> Self {
        m.find(|part| match part {
            "rz" => Some(Self::Zero),
            "rm" => Some(Self::Down),
            "rp" => Some(Self::Up),
            _ => None,
        })
        .unwrap_or(Self::Nearest)
    }
}

/// `value + error`, rounded. `error` is below the last place of `value`.
pub(crate) fn round(value: f64, error: f64, rounding: Rounding) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    let too_high = back > value || back == value && error < 0.0;
    let too_low = back < value || back == value && error > 0.0;
    match rounding {
        Rounding::Down if too_high => nearest.next_down(),
        Rounding::Up if too_low => nearest.next_up(),
        Rounding::Zero if value > 0.0 && too_high => nearest.next_down(),
        Rounding::Zero if value < 0.0 && too_low => nearest.next_up(),
        _ => nearest,
    }
}

/// The sum of two doubles and what rounding it lost (Knuth's TwoSum).
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let virtual_b = sum - a;
    let error = (a - (sum - virtual_b)) + (b - virtual_b);
    (sum, if error.is_nan() { 0.0 } else { error })
}
