//! Requantization by exact real operations and a quantizer, as the QONNX operators define it.

use super::{check_length, pick, FormulaError};
use crate::int_type::IntType;
use crate::real::{rational_sqrt, text};
use crate::rounding::RoundingMode;
use crate::step::Direction;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A real operation a channel. Lists have one entry for all channels or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum RealOp {
    /// `scale * x + offset`
    Affine {
        /// Factor.
        #[serde(with = "text::rationals")]
        scale: Vec<BigRational>,
        /// Summand.
        #[serde(with = "text::rationals")]
        offset: Vec<BigRational>,
    },
    /// `x / sqrt(radicand)`: batch normalisation, radicand = variance + epsilon.
    DivideBySqrt {
        /// Positive.
        #[serde(with = "text::rationals")]
        radicand: Vec<BigRational>,
    },
    /// `max(x, 0)`
    Relu,
}

/// What turns the real number into the stored integer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "quantizer", rename_all = "snake_case")]
pub enum Quantizer {
    /// `round(clip(y / scale + zero_point, lo, hi))`: clip first, then round. The stored integer q is
    /// this rounded value, the zero point included; its real value is `(q - zero_point) * scale`.
    Quant {
        /// Real value of one step, positive; one for all channels or one for each.
        #[serde(with = "text::rationals")]
        scale: Vec<BigRational>,
        /// Stored value that stands for 0.
        zero_point: i64,
        /// Least stored value.
        lo: i64,
        /// Greatest stored value.
        hi: i64,
        /// Rounding.
        rounding: RoundingMode,
    },
    /// `y >= 0 ? +1 : -1`; the real value is the stored one times a scale that no decision needs.
    Bipolar,
}

impl Quantizer {
    /// Least and greatest stored value `(lo, hi)` of a QONNX `Quant` of 1 to 32 bits; none for other widths.
    ///
    /// lo = -2^(bits-1) + narrow if signed else 0; hi = 2^(bits-1) - 1 if signed else 2^bits - 1 - narrow.
    pub fn bounds(bits: u32, signed: bool, narrow: bool) -> Option<(i64, i64)> {
        if !(1..=32).contains(&bits) {
            return None;
        }
        let narrow = i64::from(narrow);
        Some(if signed {
            (-(1i64 << (bits - 1)) + narrow, (1i64 << (bits - 1)) - 1)
        } else {
            (0, (1i64 << bits) - 1 - narrow)
        })
    }
}

/// Real operations on the accumulator, then a quantizer. Every decision is exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Qonnx {
    /// Output channels.
    pub channels: usize,
    /// In order; the first takes the integer accumulator.
    pub ops: Vec<RealOp>,
    /// What closes the chain.
    pub quantizer: Quantizer,
    /// Type of the stored integer.
    pub output: IntType,
}

impl Qonnx {
    /// A valid formula.
    ///
    /// # Errors
    /// If a list has neither one entry nor one a channel, a quantizer's scale or a radicand is not
    /// positive, the bounds leave the output type, or a channel divides by two roots that do not merge.
    pub fn new(channels: usize, ops: Vec<RealOp>, quantizer: Quantizer, output: IntType) -> Result<Self, FormulaError> {
        if channels == 0 {
            return Err(FormulaError::NoChannels);
        }
        let formula = Qonnx { channels, ops, quantizer, output };
        formula.validate().map(|()| formula)
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        for op in &self.ops {
            match op {
                RealOp::Affine { scale, offset } => {
                    check_length("factors", scale.len(), self.channels)?;
                    check_length("summands", offset.len(), self.channels)?;
                }
                RealOp::DivideBySqrt { radicand } => {
                    check_length("radicands", radicand.len(), self.channels)?;
                    if let Some(channel) = radicand.iter().position(|value| !value.is_positive()) {
                        return Err(FormulaError::Radicand { channel, value: radicand[channel].to_string() });
                    }
                }
                RealOp::Relu => {}
            }
        }
        let element = self.output.checked_range().filter(|_| self.output.bits() <= 32);
        let element = element.ok_or(FormulaError::OutputType(self.output))?;
        if let Quantizer::Quant { scale, zero_point, lo, hi, .. } = &self.quantizer {
            check_length("quantizer scales", scale.len(), self.channels)?;
            if let Some(index) = scale.iter().position(|value| !value.is_positive()) {
                let value = num_traits::ToPrimitive::to_f64(&scale[index]).unwrap_or(f64::NAN);
                return Err(FormulaError::Scale { what: "quantizer", index, value });
            }
            let bounds_fit = lo <= hi && element.contains(*lo) && element.contains(*hi);
            if self.output == IntType::Bipolar || !bounds_fit {
                return Err(FormulaError::Clamp { lo: *lo, hi: *hi, element: self.output });
            }
            if zero_point.unsigned_abs() > 1 << 32 {
                return Err(FormulaError::ZeroPoint { zero_point: *zero_point, element: self.output });
            }
        } else if self.output != IntType::Bipolar {
            return Err(FormulaError::Clamp { lo: -1, hi: 1, element: self.output });
        }
        self.check_roots()
    }

    /// All radicands of a channel must be the first one times squares of rationals.
    fn check_roots(&self) -> Result<(), FormulaError> {
        let roots: Vec<_> = self.ops.iter().filter_map(RealOp::radicand).collect();
        if roots.len() < 2 {
            return Ok(());
        }
        for channel in 0..self.channels {
            let mut irrational = roots.iter().map(|list| pick(list, channel)).filter(|v| rational_sqrt(v).is_none());
            let Some(first) = irrational.next() else { continue };
            if let Some(second) = irrational.find(|second| rational_sqrt(&(*second / first)).is_none()) {
                let (first, second) = (first.to_string(), second.to_string());
                return Err(FormulaError::TwoRoots { channel, first, second });
            }
        }
        Ok(())
    }

    pub(super) fn direction(&self, channel: usize) -> Direction {
        let falling = self.ops.iter().fold(false, |falling, op| match op {
            RealOp::Affine { scale, .. } => falling ^ pick(scale, channel).is_negative(),
            _ => falling,
        });
        let constant =
            self.ops.iter().any(|op| matches!(op, RealOp::Affine { scale, .. } if pick(scale, channel).is_zero()));
        if falling && !constant {
            Direction::Falling
        } else {
            Direction::Rising
        }
    }
}

impl RealOp {
    fn radicand(&self) -> Option<&[BigRational]> {
        match self {
            RealOp::DivideBySqrt { radicand } => Some(radicand),
            _ => None,
        }
    }
}

impl fmt::Display for Qonnx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exact, {} channels", self.channels)?;
        for op in &self.ops {
            f.write_str(match op {
                RealOp::Affine { .. } => ", affine",
                RealOp::DivideBySqrt { .. } => ", / sqrt",
                RealOp::Relu => ", relu",
            })?;
        }
        match &self.quantizer {
            Quantizer::Quant { zero_point, lo, hi, rounding, .. } => {
                write!(f, ", quantize {rounding}, zero point {zero_point}, clamp [{lo}, {hi}] -> {}", self.output)
            }
            Quantizer::Bipolar => write!(f, ", sign -> {}", self.output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Formula;
    use super::*;

    fn ratio(n: i64, d: i64) -> BigRational {
        BigRational::new(n.into(), d.into())
    }

    fn affine(scale: BigRational, offset: BigRational) -> RealOp {
        RealOp::Affine { scale: vec![scale], offset: vec![offset] }
    }

    fn quant(scale: BigRational, rounding: RoundingMode) -> Quantizer {
        Quantizer::Quant { scale: vec![scale], zero_point: 0, lo: -4, hi: 3, rounding }
    }

    fn formula(ops: Vec<RealOp>, quantizer: Quantizer, output: IntType) -> Formula {
        Formula::Qonnx(Qonnx::new(1, ops, quantizer, output).unwrap())
    }

    #[test]
    fn a_tie_keeps_the_even_level() {
        let half = formula(
            vec![affine(ratio(1, 2), ratio(0, 1))],
            quant(ratio(1, 1), RoundingMode::HalfEven),
            IntType::Signed(3),
        );
        let values: Vec<_> = (-9..=8).map(|acc| half.evaluate(0, acc)).collect();
        assert_eq!(values, [-4, -4, -4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn a_batch_normalisation_is_decided_beside_its_irrational_edge() {
        // (acc - 3) / sqrt(2) >= 0.5 <=> acc >= 3.707; falling: -(acc) / sqrt(2) >= -1.5 <=> acc <= 2.12.
        let ops = |scale, offset| vec![affine(scale, offset), RealOp::DivideBySqrt { radicand: vec![ratio(2, 1)] }];
        let rising =
            formula(ops(ratio(1, 1), ratio(-3, 1)), quant(ratio(1, 1), RoundingMode::HalfEven), IntType::Signed(3));
        assert_eq!((rising.evaluate(0, 3), rising.evaluate(0, 4)), (0, 1));
        let falling =
            formula(ops(ratio(-1, 1), ratio(0, 1)), quant(ratio(1, 1), RoundingMode::HalfEven), IntType::Signed(3));
        assert_eq!((falling.evaluate(0, 2), falling.evaluate(0, 3)), (-1, -2));
        assert_eq!(falling.direction(0), Direction::Falling);
    }

    #[test]
    fn zero_is_plus_one_for_a_bipolar_output() {
        let sign = formula(vec![affine(ratio(1, 3), ratio(-2, 3))], Quantizer::Bipolar, IntType::Bipolar);
        assert_eq!([1, 2, 3].map(|acc| sign.evaluate(0, acc)), [-1, 1, 1]);
    }

    #[test]
    fn roots_that_merge_are_accepted_and_others_refused_with_a_remedy() {
        let root = |n, d| RealOp::DivideBySqrt { radicand: vec![ratio(n, d)] };
        let quantizer = || quant(ratio(1, 1), RoundingMode::HalfEven);
        // sqrt(2) and sqrt(8) = 2 sqrt(2): together a division by 4; sqrt(9) is rational.
        let merged = formula(vec![root(2, 1), root(9, 1), root(8, 1)], quantizer(), IntType::Signed(3));
        assert_eq!([17, 18, 19].map(|acc| merged.evaluate(0, acc)), [1, 2, 2]);
        let error = Qonnx::new(1, vec![root(2, 1), root(3, 1)], quantizer(), IntType::Signed(3)).unwrap_err();
        assert!(error.to_string().contains("sqrt(2)") && error.to_string().contains("quantize between"), "{error}");
    }

    #[test]
    fn clipping_precedes_rounding_and_the_zero_point_stays_in_the_stored_value() {
        let quantizer =
            Quantizer::Quant { scale: vec![ratio(1, 2)], zero_point: 3, lo: 0, hi: 7, rounding: RoundingMode::Ceil };
        let formula = formula(vec![affine(ratio(1, 8), ratio(0, 1))], quantizer, IntType::Unsigned(3));
        // y/s + z = acc/4 + 3.
        assert_eq!([-100, -12, -11, 0, 1, 16, 17].map(|acc| formula.evaluate(0, acc)), [0, 0, 1, 3, 4, 7, 7]);
    }

    #[test]
    fn bounds_of_widths_follow_the_operator_set() {
        assert_eq!(Quantizer::bounds(2, true, true), Some((-1, 1)));
        assert_eq!(Quantizer::bounds(4, false, true), Some((0, 14)));
        assert_eq!(Quantizer::bounds(8, true, false), Some((-128, 127)));
        assert_eq!(Quantizer::bounds(0, true, false), None);
        assert_eq!(Quantizer::bounds(33, false, false), None);
    }

    #[test]
    fn formulas_survive_their_text_form_exactly() {
        let before = formula(
            vec![
                affine(ratio(1, 3), ratio(-2, 7)),
                RealOp::Relu,
                RealOp::DivideBySqrt { radicand: vec![ratio(5, 11)] },
            ],
            quant(ratio(1, 1024), RoundingMode::HalfAway),
            IntType::Signed(3),
        );
        let text = serde_json::to_string(&before).unwrap();
        assert!(text.contains("\"-2/7\""), "{text}");
        assert_eq!(serde_json::from_str::<Formula>(&text).unwrap(), before);
    }
}
