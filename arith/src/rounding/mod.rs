//! Rounding primitives: what the runtimes do to a number, as plain functions.

mod exponential;
mod fixed_point;
mod mode;

pub(crate) use exponential::{exp_negative, newton, ONE};
pub use fixed_point::{
    frexp, rounding_divide_by_power_of_two, saturating_rounding_doubling_high_mul, shift_ties_up, MultiplierError,
    QuantizedMultiplier,
};
pub use mode::{Fraction, RoundingMode};

/// The least and the greatest value of a 32-bit register of the runtimes.
pub const INT32: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// `value` saturated to 32 bits.
pub fn saturate_int32(value: i128) -> i64 {
    value.clamp(i128::from(INT32.0), i128::from(INT32.1)) as i64
}
