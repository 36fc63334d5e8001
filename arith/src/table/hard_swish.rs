//! HARD_SWISH of TensorFlow Lite in 16-bit fixed point.

use crate::formula::{quantized, FormulaError, OutputStage, TfliteTensorScale};
use crate::rounding::{rounding_divide_by_power_of_two, QuantizedMultiplier};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Bits that the centred operand is shifted left.
const HEADROOM: u32 = 7;
/// The values of a 16-bit register.
const INT16: (i64, i64) = (i16::MIN as i64, i16::MAX as i64);

/// A multiplier `mantissa * 2^(exponent - 15)` for 16-bit operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortMultiplier {
    /// Mantissa in units of 2^-15.
    pub mantissa: i64,
    /// Power of two.
    pub exponent: i32,
}

impl ShortMultiplier {
    fn new(real: f32) -> Result<Self, FormulaError> {
        let QuantizedMultiplier { multiplier, shift } = quantized(real.into())?;
        let mantissa = saturate((i64::from(multiplier) + (1 << 15)) >> 16);
        Ok(ShortMultiplier { mantissa, exponent: shift })
    }
}

/// `x * min(max(x + 3, 0), 6) / 6`, all runtimes alike. With `h = (x - zi) << 7`, `hm` the 16-bit high multiply with
/// rounding, all registers saturating at 16 bits:
///
/// - `y = hm(h, output)`, the operand in output steps but for `2^output.exponent`;
/// - `g = hm(h << (gate.exponent - 1), gate) << 1`, or `hm(h, gate) >> -gate.exponent` with ties away: the gate in -1..1;
/// - `(((g + 2^15) >> 1) * y / 2^15` truncated`) >> -output.exponent` with ties away, zero point, clamp.
///
/// Source: `reference_ops::HardSwish` of TensorFlow Lite, restated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardSwish {
    /// Stored operand that stands for 0.
    pub input_zero_point: i64,
    /// Input scale / 128 over the output scale.
    pub to_output: ShortMultiplier,
    /// Input scale / 128 over 3 / 32768.
    pub gate: ShortMultiplier,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl HardSwish {
    pub(super) fn new(
        input: TfliteTensorScale,
        output: TfliteTensorScale,
        stage: OutputStage,
    ) -> Result<Self, FormulaError> {
        let fine = input.scale * (1.0 / 128.0);
        let to_output = ShortMultiplier::new(fine / output.scale)?;
        if to_output.exponent > 0 {
            let (value, limit) = ((fine / output.scale).into(), 1.0);
            return Err(FormulaError::Multiplier { channel: 0, value, limit });
        }
        let gate = ShortMultiplier::new(fine / (3.0f32 / 32768.0f32))?;
        Ok(HardSwish { input_zero_point: input.zero_point, to_output, gate, output: stage })
    }

    pub(super) fn evaluate(&self, x: i64) -> i64 {
        let fine = saturate((x - self.input_zero_point) << HEADROOM);
        let value = high(fine, self.to_output.mantissa);
        let exponent = self.gate.exponent;
        let gate = match exponent {
            1.. => saturate(high(saturate(fine << (exponent - 1)), self.gate.mantissa) << 1),
            _ => divide(high(fine, self.gate.mantissa), exponent),
        };
        let product = ((gate + (1 << 15)) >> 1) * value / (1 << 15);
        self.output.finish(divide(product, self.to_output.exponent))
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        for (index, ShortMultiplier { mantissa, exponent }) in [self.to_output, self.gate].into_iter().enumerate() {
            let greatest = if index == 0 { 0 } else { 30 };
            if !(0..=INT16.1).contains(&mantissa) || !(-31..=greatest).contains(&exponent) {
                let multiplier = mantissa.clamp(0, INT16.1) as i32;
                return Err(FormulaError::FixedPoint { index, multiplier, shift: exponent });
            }
        }
        super::check_input_zero_point(self.input_zero_point)?;
        self.output.validate()
    }
}

fn saturate(x: i64) -> i64 {
    x.clamp(INT16.0, INT16.1)
}

/// `a * b / 2^15`, rounded to nearest with ties toward plus infinity, saturated.
fn high(a: i64, b: i64) -> i64 {
    saturate((a * b + (1 << 14)) >> 15)
}

/// `x * 2^exponent` of an exponent of at most 0, ties away from zero.
fn divide(x: i64, exponent: i32) -> i64 {
    rounding_divide_by_power_of_two(x, exponent.unsigned_abs())
}

impl fmt::Display for HardSwish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = |m: ShortMultiplier| m.mantissa as f64 * 2f64.powi(m.exponent - 8);
        let (to_output, gate) = (real(self.to_output), real(self.gate));
        write!(f, "hard swish, 16 bits, x - {}: x {to_output:e}, ", self.input_zero_point)?;
        write!(f, "gate x {gate:e} / 32768, {}", self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formula::{Activation, TfliteProfile};
    use crate::int_type::IntType;

    fn swish(input: f32, output: f32) -> Result<HardSwish, FormulaError> {
        let [input, output] =
            [(input, 4), (output, -9)].map(|(scale, zero_point)| TfliteTensorScale { scale, zero_point });
        let stage = output.stage(TfliteProfile::Tflm, Activation::None, IntType::Signed(8))?;
        HardSwish::new(input, output, stage)
    }

    #[test]
    fn results_stay_within_a_step_of_the_real_function() {
        for (input, output) in [(0.05, 0.04), (0.01, 0.009), (0.3, 0.3), (1.7, 1.5), (0.0009, 0.001)] {
            let swish = swish(input, output).unwrap();
            assert_eq!(swish.validate(), Ok(()));
            for x in -128..128i64 {
                let real = (x - 4) as f64 * f64::from(input);
                let value = (real * (real + 3.0).clamp(0.0, 6.0) / 6.0 / f64::from(output) - 9.0).clamp(-128.0, 127.0);
                assert!((swish.evaluate(x) as f64 - value).abs() < 1.5, "{input}: {x} gives {}", swish.evaluate(x));
            }
        }
    }

    #[test]
    fn output_scales_that_the_runtime_refuses_are_refused() {
        assert!(swish(1.0, 0.001).is_err());
        assert!(swish(1.0, 0.01).is_ok());
    }
}
