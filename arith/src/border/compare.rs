//! Exact comparison with a float expectation.

use super::{AffineTail, BorderOp};
use crate::real::rational_from_integer;
use num_traits::One;
use thiserror::Error;

/// Greatest distance from an integer at which a float expectation still names it. Not an option: the
/// comparison stays exact, this only says which integer the float means.
pub const EXPECTATION_TOLERANCE: f64 = 1.0 / 64.0;

/// An expectation that no integer explains.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum OffGrid {
    /// It lies between two integers.
    #[error("expected {y} lies at step {step}, which is no integer within 1/64; it cannot come from this network")]
    Between {
        /// The expectation.
        y: f32,
        /// (y - b) / a.
        step: f64,
    },
    /// The tail does not depend on the integer, or its numbers leave the normal range.
    #[error("expected {y} cannot be traced back: channel {channel} is scaled by zero or by a number out of range")]
    NotInvertible {
        /// The expectation.
        y: f32,
        /// Output channel.
        channel: usize,
    },
}

/// The stream's integer that a float expectation `y` stands for under the exact tail `y = a * q + b`:
/// the integer nearest to `(y - b) / a`, if it is within [`EXPECTATION_TOLERANCE`].
///
/// The quotient is taken in float64; its error is below 2^-20 for |q| < 2^28.
///
/// # Errors
/// If no integer is near enough, or the channel's tail cannot be inverted.
pub fn expected_integer(tail: &AffineTail, channel: usize, y: f32) -> Result<i64, OffGrid> {
    let (a, b) = tail.approximate(channel).ok_or(OffGrid::NotInvertible { y, channel })?;
    if a == 0.0 {
        return Err(OffGrid::NotInvertible { y, channel });
    }
    let step = (f64::from(y) - b) / a;
    let nearest = step.round_ties_even();
    // Negated, so that NaN is refused too.
    if (step - nearest).abs() <= EXPECTATION_TOLERANCE && nearest.abs() < 2f64.powi(53) {
        Ok(nearest as i64)
    } else {
        Err(OffGrid::Between { y, step })
    }
}

/// The exact tail of a border's operations: that of one affine or dequantizing operation, reshapes and
/// transpositions behind it aside. None where something else (a softmax, a selection) follows, so that the network's own
/// outputs do not determine the stream.
pub fn exact_tail(operations: &[BorderOp]) -> Option<AffineTail> {
    let mut tail = None;
    for operation in operations {
        let next = match operation {
            BorderOp::Reshape { .. } => continue,
            // Channels are innermost in front of it alone.
            BorderOp::Transpose { .. } if tail.is_some() => continue,
            BorderOp::Affine(affine) => affine.clone(),
            BorderOp::TfliteDequantize(dequantize) => AffineTail::dequantize(dequantize.scale, dequantize.zero_point)?,
            BorderOp::ToFloat => {
                AffineTail::new(vec![num_rational::BigRational::one()], vec![rational_from_integer(0)])
            }
            _ => return None,
        };
        if tail.replace(next).is_some() {
            return None;
        }
    }
    tail
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_rational::BigRational;
    use proptest::prelude::*;

    fn tail(n: i64, d: i64, offset: i64) -> AffineTail {
        AffineTail::new(vec![BigRational::new(n.into(), d.into())], vec![rational_from_integer(offset)])
    }

    #[test]
    fn an_expectation_between_integers_is_a_mismatch_and_not_rounded() {
        assert_eq!(expected_integer(&tail(1, 4, 1), 0, 3.25), Ok(9));
        assert_eq!(expected_integer(&tail(1, 4, 1), 0, 3.25 + 1.0 / 256.0), Ok(9));
        let error = expected_integer(&tail(1, 4, 1), 0, 3.25 + 1.1 / 256.0).unwrap_err();
        assert!(matches!(error, OffGrid::Between { .. }));
        assert!(expected_integer(&tail(1, 4, 1), 0, f32::NAN).is_err());
        assert!(expected_integer(&tail(1, 4, 1), 0, f32::INFINITY).is_err());
        assert!(matches!(expected_integer(&tail(0, 1, 1), 0, 1.0), Err(OffGrid::NotInvertible { .. })));
    }

    #[test]
    fn only_one_affine_operation_makes_an_exact_tail() {
        let affine = || BorderOp::Affine(tail(1, 4, 1));
        let reshape = || BorderOp::Reshape { shape: vec![3] };
        assert_eq!(exact_tail(&[reshape(), affine()]), Some(tail(1, 4, 1)));
        assert_eq!(exact_tail(&[affine(), affine()]), None);
        assert_eq!(exact_tail(&[affine(), BorderOp::Softmax]), None);
        assert_eq!(exact_tail(&[reshape()]), None);
        let transpose = || BorderOp::Transpose { permutation: vec![1, 0] };
        assert_eq!(exact_tail(&[affine(), transpose(), reshape()]), Some(tail(1, 4, 1)));
        assert_eq!(exact_tail(&[transpose(), affine()]), None);
        let dequantize = super::super::TfliteDequantize { scale: 0.25, zero_point: -4, early_product: false };
        assert_eq!(exact_tail(&[BorderOp::TfliteDequantize(dequantize)]), Some(tail(1, 4, 1)));
    }

    proptest! {
        #[test]
        fn the_integer_behind_a_rounded_float_is_found(n in 1i64..99_999, d in 1i64..99_999, offset in -3i64..3, q in -100_000i64..100_000) {
            let tail = tail(n, d, offset);
            let y = crate::real::nearest_f32(&tail.exact(0, q).unwrap());
            // The float itself must determine the integer: its rounding error below the tolerance.
            prop_assume!(f64::from(y.abs()) * 2f64.powi(-24) * (d as f64 / n as f64) < EXPECTATION_TOLERANCE / 2.0);
            prop_assert_eq!(expected_integer(&tail, 0, y), Ok(q));
        }
    }
}
