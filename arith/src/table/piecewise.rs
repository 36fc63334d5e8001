//! Rescalings with one slope from zero on and another below.

use crate::formula::{rescale_fixed_point as rescale, FormulaError, OutputStage, TieRule};
use crate::rounding::{shift_ties_up, QuantizedMultiplier};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A slope `factor * multiplier`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slope {
    /// Multiplies the centred operand.
    pub factor: i64,
    /// Rescales the product.
    pub multiplier: QuantizedMultiplier,
}

/// With `d = x - input_zero_point`: `DBL(d, positive)` from 0 on and `DBL(d * factor, multiplier)` below, then zero
/// point and clamp; DBL is the high multiply and the shift with ties away from zero. LEAKY_RELU and PRELU of TensorFlow
/// Lite.
///
/// Source: `reference_ops::QuantizeLeakyRelu` and `BroadcastPrelu4DSlow`, restated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PiecewiseRescale {
    /// Stored operand that stands for 0.
    pub input_zero_point: i64,
    /// From 0 on.
    pub positive: QuantizedMultiplier,
    /// Below 0: one for all channels or one for each.
    pub negative: Vec<Slope>,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl PiecewiseRescale {
    pub(super) fn evaluate(&self, channel: usize, x: i64) -> i64 {
        let centred = x - self.input_zero_point;
        let Slope { factor, multiplier } = match centred >= 0 {
            true => Slope { factor: 1, multiplier: self.positive },
            false => self.negative[if self.negative.len() == 1 { 0 } else { channel }],
        };
        self.output.finish(rescale(multiplier, TieRule::Away, centred * factor))
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        const LIMIT: i64 = 1 << 16;
        if self.negative.is_empty() {
            return Err(FormulaError::NoChannels);
        }
        let multipliers = self.negative.iter().map(|slope| slope.multiplier).chain([self.positive]);
        for (index, QuantizedMultiplier { multiplier, shift }) in multipliers.enumerate() {
            let normal = multiplier >= 1 << 30 && (-31..=30).contains(&shift);
            if !normal && (multiplier, shift) != (0, 0) {
                return Err(FormulaError::FixedPoint { index, multiplier, shift });
            }
        }
        for (channel, slope) in self.negative.iter().enumerate() {
            if slope.factor.unsigned_abs() > LIMIT.unsigned_abs() {
                let (value, limit) = (slope.factor as f64, LIMIT as f64);
                return Err(FormulaError::Multiplier { channel, value, limit });
            }
        }
        super::check_input_zero_point(self.input_zero_point)?;
        self.output.validate()
    }
}

impl fmt::Display for PiecewiseRescale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = |slope: &Slope| slope.factor as f64 * slope.multiplier.real();
        let least = self.negative.iter().map(real).fold(f64::INFINITY, f64::min);
        let greatest = self.negative.iter().map(real).fold(f64::NEG_INFINITY, f64::max);
        let channels = self.negative.len();
        write!(f, "fixed point, ties away, d = x - {}, d < 0 ? ", self.input_zero_point)?;
        write!(f, "{least:e}..{greatest:e} d ({channels} channels) : {:e} d, {}", self.positive.real(), self.output)
    }
}

/// With `d = x - input_zero_point`: `(d * positive + 128) >> 8` from 0 on and `(d * negative + 128) >> 8` below, then
/// zero point and clamp: LEAKY_RELU of XNNPACK.
///
/// Source: XNNPACK's `qs8-vlrelu` microkernels, restated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakyShift {
    /// Stored operand that stands for 0.
    pub input_zero_point: i64,
    /// Factor from 0 on, in 256ths.
    pub positive: i64,
    /// Factor below 0, in 256ths.
    pub negative: i64,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl LeakyShift {
    pub(super) fn evaluate(&self, x: i64) -> i64 {
        let centred = x - self.input_zero_point;
        let factor = if centred >= 0 { self.positive } else { self.negative };
        self.output.finish(shift_ties_up(centred * factor, 8))
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        const LIMIT: i64 = 1 << 15;
        for (channel, value) in [self.positive, self.negative].into_iter().enumerate() {
            if !(-LIMIT..=LIMIT).contains(&value) {
                let (value, limit) = (value as f64, LIMIT as f64);
                return Err(FormulaError::Multiplier { channel, value, limit });
            }
        }
        super::check_input_zero_point(self.input_zero_point)?;
        self.output.validate()
    }
}

impl fmt::Display for LeakyShift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LeakyShift { input_zero_point, positive, negative, output } = self;
        write!(f, "d = x - {input_zero_point}, (d < 0 ? {negative} d : {positive} d) >> 8, ties up, {output}")
    }
}
