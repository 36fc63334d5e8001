//! Chains of float32 operations between an integer and a quantizer, as ONNX Runtime executes them.

use super::ort::{check_scale, OrtQuantization};
use super::{check_length, pick, Formula, FormulaError, OutputStage};
use crate::int_type::IntType;
use crate::real::text;
use crate::step::Direction;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A monotone float32 operation, one rounding. Lists have one entry for all channels or one for each.
///
/// `x - c` is `Add(-c)`; `c - x` is `Multiply(-1)` and `Add(c)`: negation is exact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum FloatOp {
    /// `x * c`
    Multiply {
        /// Finite.
        #[serde(with = "text::singles")]
        constant: Vec<f32>,
    },
    /// `x / c`
    Divide {
        /// Finite, not 0.
        #[serde(with = "text::singles")]
        constant: Vec<f32>,
    },
    /// `x + c`
    Add {
        /// Finite.
        #[serde(with = "text::singles")]
        constant: Vec<f32>,
    },
    /// `min(max(x, lo), hi)`: Relu with 0 and the greatest float32, Clip with its bounds.
    Clip {
        /// Least value.
        #[serde(with = "text::single")]
        lo: f32,
        /// Greatest value.
        #[serde(with = "text::single")]
        hi: f32,
    },
}

impl FloatOp {
    /// `max(x, 0)`
    pub const RELU: FloatOp = FloatOp::Clip { lo: 0.0, hi: f32::MAX };

    /// The result of one channel.
    #[inline]
    pub(crate) fn apply(&self, channel: usize, x: f32) -> f32 {
        match self {
            FloatOp::Multiply { constant } => x * pick(constant, channel),
            FloatOp::Divide { constant } => x / pick(constant, channel),
            FloatOp::Add { constant } => x + pick(constant, channel),
            FloatOp::Clip { lo, hi } => x.max(*lo).min(*hi),
        }
    }

    /// Checks lengths and numbers.
    pub(crate) fn validate(&self, channels: usize) -> Result<(), FormulaError> {
        let (what, constants) = match self {
            FloatOp::Multiply { constant } => ("factor", constant),
            FloatOp::Divide { constant } => ("divisor", constant),
            FloatOp::Add { constant } => ("summand", constant),
            FloatOp::Clip { lo, hi } if lo <= hi => return Ok(()),
            FloatOp::Clip { lo, .. } => {
                return Err(FormulaError::Scale { what: "lower clip bound", index: 0, value: f64::from(*lo) })
            }
        };
        check_length("constants of a float operation", constants.len(), channels)?;
        let zero_allowed = !matches!(self, FloatOp::Divide { .. });
        match constants.iter().position(|c| !c.is_finite() || (*c == 0.0 && !zero_allowed)) {
            Some(index) => Err(FormulaError::Scale { what, index, value: constants[index].into() }),
            None => Ok(()),
        }
    }

    /// Derivative where nothing clips: sign exact, magnitude a hint.
    fn slope(&self, channel: usize) -> f64 {
        match self {
            FloatOp::Multiply { constant } => f64::from(*pick(constant, channel)),
            FloatOp::Divide { constant } => 1.0 / f64::from(*pick(constant, channel)),
            FloatOp::Add { .. } | FloatOp::Clip { .. } => 1.0,
        }
    }
}

impl fmt::Display for FloatOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread = |values: &[f32]| super::spread(values.iter().map(|&value| f64::from(value)));
        match self {
            FloatOp::Multiply { constant } => write!(f, "x {}", spread(constant)),
            FloatOp::Divide { constant } => write!(f, "/ {}", spread(constant)),
            FloatOp::Add { constant } => write!(f, "+ {}", spread(constant)),
            FloatOp::Clip { lo: 0.0, hi: f32::MAX } => write!(f, "relu"),
            FloatOp::Clip { lo, hi } => write!(f, "clip [{lo:e}, {hi:e}]"),
        }
    }
}

/// QuantizeLinear: `clamp(rint_half_even(f32(x / scale)) + zero_point)`.
#[inline]
pub(crate) fn quantize(x: f32, scale: f32, output: OutputStage) -> i64 {
    output.finish((x / scale).round_ties_even() as i64)
}

/// `QuantizeLinear(ops(f32(acc)))`: what stands behind ConvInteger and MatMulInteger, operation by
/// operation in float32, with the same result at every optimization level of the runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloatChain {
    /// Output channels.
    pub channels: usize,
    /// First to last.
    pub ops: Vec<FloatOp>,
    /// Scale of the quantizer.
    #[serde(with = "text::single")]
    pub scale: f32,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl Formula {
    /// A [`FloatChain`] from the file's constants.
    ///
    /// # Errors
    /// If a list has neither one entry nor one a channel, a number is not finite, a divisor is 0, clip
    /// bounds are empty, the scale is not positive, or the zero point is no value of `element`.
    pub fn ort_chain(
        channels: usize,
        ops: Vec<FloatOp>,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<Formula, FormulaError> {
        if channels == 0 {
            return Err(FormulaError::NoChannels);
        }
        let chain = FloatChain { channels, ops, scale: output.scale, output: output.stage(element)? };
        chain.validate().map(|()| Formula::FloatChain(chain))
    }
}

impl FloatChain {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        self.ops.iter().try_for_each(|op| op.validate(self.channels))?;
        check_scale("output", 0, self.scale)?;
        self.output.validate()
    }

    pub(super) fn direction(&self, channel: usize) -> Direction {
        match self.slope(channel) {
            slope if slope < 0.0 => Direction::Falling,
            _ => Direction::Rising,
        }
    }

    fn slope(&self, channel: usize) -> f64 {
        self.ops.iter().map(|op| op.slope(channel)).product::<f64>() / f64::from(self.scale)
    }

    pub(super) fn channel(&self, channel: usize) -> FloatChainChannel {
        let one = |constant: &[f32]| vec![*pick(constant, channel)];
        let ops = self.ops.iter().map(|op| match op {
            FloatOp::Multiply { constant } => FloatOp::Multiply { constant: one(constant) },
            FloatOp::Divide { constant } => FloatOp::Divide { constant: one(constant) },
            FloatOp::Add { constant } => FloatOp::Add { constant: one(constant) },
            FloatOp::Clip { lo, hi } => FloatOp::Clip { lo: *lo, hi: *hi },
        });
        FloatChainChannel { ops: ops.collect(), scale: self.scale, output: self.output, slope: self.slope(channel) }
    }
}

/// One channel of a [`FloatChain`].
#[derive(Clone, Debug)]
pub struct FloatChainChannel {
    ops: Vec<FloatOp>,
    scale: f32,
    output: OutputStage,
    slope: f64,
}

impl FloatChainChannel {
    pub(super) fn evaluate(&self, acc: i64) -> i64 {
        let real = self.ops.iter().fold(acc as f32, |x, op| op.apply(0, x));
        quantize(real, self.scale, self.output)
    }

    pub(super) fn slope(&self) -> f64 {
        self.slope
    }
}

impl fmt::Display for FloatChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "float32 chain, {} channels", self.channels)?;
        self.ops.iter().try_for_each(|op| write!(f, ", {op}"))?;
        write!(f, ", / {:e}, half even, {}", self.scale, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Range, Step};

    const OUTPUT: OrtQuantization = OrtQuantization { scale: 0.25, zero_point: 1 };

    fn chain(ops: Vec<FloatOp>) -> Result<Formula, FormulaError> {
        Formula::ort_chain(2, ops, OUTPUT, IntType::Signed(8))
    }

    #[test]
    fn a_chain_is_executed_operation_by_operation_and_falls_with_a_negative_factor() {
        let ops = vec![
            FloatOp::Multiply { constant: vec![0.1, -0.3] },
            FloatOp::Add { constant: vec![0.7] },
            FloatOp::Divide { constant: vec![3.0] },
        ];
        let formula = chain(ops).unwrap();
        for acc in -900..900i16 {
            let real = (f32::from(acc) * -0.3 + 0.7) / 3.0;
            let expected = ((real / 0.25).round_ties_even() as i64 + 1).clamp(-128, 127);
            assert_eq!(formula.evaluate(1, acc.into()), expected);
        }
        let step = Step::derive(&formula, &[Range::new(-10_000, 10_000); 2]).unwrap();
        assert_eq!([0, 1].map(|c| step.channels[c].direction), [Direction::Rising, Direction::Falling]);
        step.agrees_with(|channel, acc| formula.evaluate(channel, acc)).unwrap();
    }

    #[test]
    fn broken_chains_are_refused() {
        let refused = [
            FloatOp::Divide { constant: vec![0.0] },
            FloatOp::Multiply { constant: vec![f32::NAN] },
            FloatOp::Add { constant: vec![1.0; 3] },
            FloatOp::Clip { lo: 1.0, hi: 0.0 },
            FloatOp::Clip { lo: f32::NAN, hi: 0.0 },
        ];
        for op in refused {
            assert!(chain(vec![op.clone()]).is_err(), "{op}");
        }
        assert!(chain(vec![FloatOp::RELU]).is_ok());
    }
}
