//! The two number types: f32 for work, f64 for checks. One code for both; only the exponential here and
//! the [products](crate::kernels::Products) with the rows are written twice, once for speed.

use num_traits::{Float, NumAssign};
use std::fmt::Debug;
use std::iter::Sum;

/// f32 or f64.
pub trait Real: Float + NumAssign + Sum + Default + Debug + Send + Sync + 'static {
    /// Whether this is f32.
    const IS_SINGLE: bool;

    /// The nearest value.
    fn of(value: f64) -> Self;

    /// A byte's value, exact.
    fn of_byte(value: u8) -> Self;

    /// The value in f64, exact.
    fn wide(self) -> f64;

    /// These values if they are f32.
    fn singles(values: &[Self]) -> Option<&[f32]>;

    /// These values if they are f32.
    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]>;

    /// e to the power of each value, in its place. For f32 the values must not be above 0; the
    /// result is within 2 units in the last place, and 0 below -87.
    fn exp_all(values: &mut [Self]);
}

impl Real for f64 {
    const IS_SINGLE: bool = false;

    fn of(value: f64) -> Self {
        value
    }

    fn of_byte(value: u8) -> Self {
        f64::from(value)
    }

    fn wide(self) -> f64 {
        self
    }

    fn singles(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn singles_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    fn exp_all(values: &mut [Self]) {
        for value in values {
            *value = value.exp();
        }
    }
}

impl Real for f32 {
    const IS_SINGLE: bool = true;

    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn of_byte(value: u8) -> Self {
        f32::from(value)
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn singles(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }

    #[inline(always)]
    fn exp_all(values: &mut [Self]) {
        for value in values {
            *value = exp_below_zero(*value);
        }
    }
}

/// e^x for x <= 0, without a branch so that loops of it vectorise: x = n ln 2 + r, a polynomial in
/// r, and n put into the exponent.
#[inline(always)]
fn exp_below_zero(x: f32) -> f32 {
    // Adding this rounds to an integer that then lies in the lowest bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    // ln 2 in two parts, the first short enough for n times it to be exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let kept = if x < -87.0 { -87.0 } else { x };
    let shifted = kept * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = kept - n * LN2_HIGH - n * LN2_LOW;
    // Minimax on |r| <= ln 2 / 2 (Cephes).
    let mut y = 1.987_569_1e-4;
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_6e-1,
        0.5,
    ] {
        y = y * r + c;
    }
    let y = y * r * r + r + 1.0;
    let exponent = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    if x < -87.0 {
        0.0
    } else {
        y * f32::from_bits(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_within_two_units_in_the_last_place() {
        let mut worst = 0.0f64;
        for i in 0..=870_000 {
            let x = -1e-4 * i as f32;
            let mut y = [x];
            f32::exp_all(&mut y);
            let exact = f64::from(x).exp();
            let unit = f64::from(f32::EPSILON) * 2f64.powf(exact.log2().floor());
            worst = worst.max((f64::from(y[0]) - exact).abs() / unit);
        }
        assert!(worst < 2.0, "{worst}");
        let mut far = [-88.0, f32::NEG_INFINITY, f32::NAN, -0.0];
        f32::exp_all(&mut far);
        assert_eq!(far[..2], [0.0, 0.0]);
        assert!(far[2].is_nan());
        assert_eq!(far[3], 1.0);
    }
}
