//! LOGISTIC and TANH of the TensorFlow Lite runtimes.

use super::fixed_exp;
use crate::formula::{FormulaError, OutputStage, TfliteProfile, TfliteTensorScale};
use crate::real::text;
use crate::rounding::{
    frexp, rounding_divide_by_power_of_two, saturating_rounding_doubling_high_mul, QuantizedMultiplier,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Integer bits of the fixed-point operand.
const INTEGER_BITS: i32 = 4;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Curve {
    /// `1 / (1 + exp(-x))`
    Logistic,
    /// The hyperbolic tangent.
    Tanh,
}

/// A function of the real operand `(x - zi) * si`.
///
/// - `tflm`: Q4.27 operand, exponential and Newton division in 32-bit fixed point, result in 256ths (LOGISTIC, zero
///   point -128) or 128ths (TANH, zero point 0) whatever the output scale says; operands beyond ±15 saturate, and
///   at a scale of 8 and above that includes 0;
/// - `litert-ref`, `litert-opt`: float32 function, `round_half_away(f32(y * f32(1/so))) + zo`. The logistic function is
///   f32(1 / f32(1 + f32(exp(-x)))), the tangent is formed by expm1;
/// - `xnnpack`: float32 function, `rint_half_even(f32(f32(y * f32(1/so)) + zo))`. The logistic function is the float32
///   nearest to the real one.
///
/// The float functions are evaluated in float64 and rounded to float32, so that no platform's library decides; the
/// runtimes' own differ from that in the last place of some operands, which shows where `y / so` lies within that place
/// of a tie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteCurve {
    /// The function.
    pub curve: Curve,
    /// Whose arithmetic.
    pub profile: TfliteProfile,
    /// Of the operand.
    pub input: TfliteTensorScale,
    /// Scale of the result.
    #[serde(with = "text::single")]
    pub output_scale: f32,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl TfliteCurve {
    pub(super) fn logistic(
        profile: TfliteProfile,
        input: TfliteTensorScale,
        output: TfliteTensorScale,
        stage: OutputStage,
    ) -> Result<Self, FormulaError> {
        let refused = |what, profile| {
            let remedy = "quantize the model again with output scale 1/256 and zero point -128";
            Err(FormulaError::Refused { what, profile, remedy })
        };
        let scaled = output.scale == 1.0 / 256.0;
        match profile {
            TfliteProfile::Tflm if output.zero_point != -128 => refused("LOGISTIC with another zero point", "tflm"),
            TfliteProfile::Tflm if !scaled => refused("LOGISTIC with another output scale", "tflm"),
            TfliteProfile::LitertRef if !scaled => refused("LOGISTIC with another output scale", "litert-ref"),
            TfliteProfile::LitertOpt if !scaled => refused("LOGISTIC with another output scale", "litert-opt"),
            _ => Ok(Self::new(Curve::Logistic, profile, input, output, stage)),
        }
    }

    pub(super) fn tanh(
        profile: TfliteProfile,
        input: TfliteTensorScale,
        output: TfliteTensorScale,
        stage: OutputStage,
    ) -> Result<Self, FormulaError> {
        if profile == TfliteProfile::Tflm && (output.scale != 1.0 / 128.0 || output.zero_point != 0) {
            let remedy = "it takes the output scale for 1/128 and the zero point for 0; quantize the model again so";
            return Err(FormulaError::Refused { what: "TANH with another output scale", profile: "tflm", remedy });
        }
        Ok(Self::new(Curve::Tanh, profile, input, output, stage))
    }

    fn new(
        curve: Curve,
        profile: TfliteProfile,
        input: TfliteTensorScale,
        output: TfliteTensorScale,
        stage: OutputStage,
    ) -> Self {
        TfliteCurve { curve, profile, input, output_scale: output.scale, output: stage }
    }

    pub(super) fn evaluate(&self, x: i64) -> i64 {
        let centred = x - self.input.zero_point;
        if self.profile == TfliteProfile::Tflm {
            return self.output.finish(self.fixed(centred));
        }
        let real = centred as f32 * self.input.scale;
        let scaled = self.float(real) * (1.0 / self.output_scale);
        match self.profile {
            TfliteProfile::Xnnpack => {
                self.output.saturate((scaled + self.output.zero_point as f32).round_ties_even() as i64)
            }
            _ => self.output.finish(scaled.round() as i64),
        }
    }

    /// The float32 function.
    fn float(&self, x: f32) -> f32 {
        match self.curve {
            Curve::Logistic if self.profile == TfliteProfile::Xnnpack => (1.0 / (1.0 + f64::from(-x).exp())) as f32,
            Curve::Logistic => 1.0 / (1.0 + f64::from(-x).exp() as f32),
            Curve::Tanh => {
                let magnitude = x.abs();
                let value = match magnitude {
                    22.0.. => 1.0,
                    1.0.. => 1.0 - 2.0 / (f64::from(2.0 * magnitude).exp_m1() as f32 + 2.0),
                    _ => {
                        let decayed = f64::from(-2.0 * magnitude).exp_m1() as f32;
                        -decayed / (decayed + 2.0)
                    }
                };
                value.copysign(x)
            }
        }
    }

    /// The fixed-point function, less the zero point of the output.
    fn fixed(&self, centred: i64) -> i64 {
        let real = f64::from(self.input.scale) * 2f64.powi(31 - INTEGER_BITS);
        let shift = frexp(real).1;
        // The greatest centred operand whose Q4.27 form fits; the runtime does not saturate this shift.
        let radius = (15.0 * 2f64.powi(31 - INTEGER_BITS - shift)).floor();
        let (least, greatest, fraction_bits) = match self.curve {
            Curve::Logistic => (0, 255, 8),
            Curve::Tanh => (-128, 127, 7),
        };
        if centred as f64 <= -radius {
            return least;
        }
        if centred as f64 >= radius {
            return greatest;
        }
        let Ok(QuantizedMultiplier { multiplier, shift }) = QuantizedMultiplier::new(real) else { return 0 };
        let operand = (centred << shift.max(0)).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        let high = saturating_rounding_doubling_high_mul(operand, multiplier.into());
        let operand = rounding_divide_by_power_of_two(high, (-shift).max(0) as u32);
        let result = match self.curve {
            Curve::Logistic => fixed_exp::logistic(operand),
            Curve::Tanh => fixed_exp::tanh(operand),
        };
        rounding_divide_by_power_of_two(result, 31 - fraction_bits).clamp(least, greatest)
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        crate::formula::check_scale("input", 0, self.input.scale)?;
        crate::formula::check_scale("output", 0, self.output_scale)?;
        super::check_input_zero_point(self.input.zero_point)?;
        self.output.validate()
    }
}

impl fmt::Display for TfliteCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.curve {
            Curve::Logistic => "logistic",
            Curve::Tanh => "tanh",
        };
        let arithmetic = match self.profile {
            TfliteProfile::Tflm => "fixed point",
            TfliteProfile::LitertRef | TfliteProfile::LitertOpt => "float32, half away",
            TfliteProfile::Xnnpack => "float32, half even",
        };
        let (zero, scale, out) = (self.input.zero_point, self.input.scale, self.output_scale);
        write!(f, "{name}((x - {zero}) {scale:e}) / {out:e}, {arithmetic}, {}", self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TableFormula, TfliteTable};
    use super::*;
    use crate::int_type::IntType;
    use TfliteProfile::{LitertOpt, LitertRef, Tflm, Xnnpack};

    fn curve(
        profile: TfliteProfile,
        operator: TfliteTable<'_>,
        input: f32,
        output: (f32, i64),
    ) -> Result<TableFormula, FormulaError> {
        let input = TfliteTensorScale { scale: input, zero_point: -5 };
        let output = TfliteTensorScale { scale: output.0, zero_point: output.1 };
        TableFormula::tflite(profile, operator, input, output, IntType::Signed(8))
    }

    #[test]
    fn every_profile_stays_within_a_step_of_the_real_function() {
        for profile in [Tflm, LitertRef, LitertOpt, Xnnpack] {
            for scale in [0.001, 0.02, 0.1, 0.9, 3.0] {
                let logistic = curve(profile, TfliteTable::Logistic, scale, (1.0 / 256.0, -128)).unwrap();
                let tanh = curve(profile, TfliteTable::Tanh, scale, (1.0 / 128.0, 0)).unwrap();
                for x in -128..128i64 {
                    let real = (x + 5) as f64 * f64::from(scale);
                    let expected = (256.0 / (1.0 + (-real).exp()) - 128.0).min(127.0);
                    assert!((logistic.evaluate(0, x) as f64 - expected).abs() < 0.6, "{logistic} at {x}");
                    let expected = (128.0 * real.tanh()).min(127.0);
                    assert!((tanh.evaluate(0, x) as f64 - expected).abs() < 0.6, "{tanh} at {x}");
                }
            }
        }
    }

    #[test]
    fn a_scale_of_eight_saturates_zero_under_tflm_alone() {
        let at_zero = |profile| {
            let logistic = curve(profile, TfliteTable::Logistic, 8.0, (1.0 / 256.0, -128)).unwrap();
            [-6, -5, -4].map(|x| logistic.evaluate(0, x))
        };
        assert_eq!(at_zero(Tflm), [-128, -128, 127]);
        assert_eq!(at_zero(LitertRef), [-128, 0, 127]);
    }

    #[test]
    fn output_scales_are_refused_where_the_runtime_refuses_or_ignores_them() {
        let logistic = |profile, output| curve(profile, TfliteTable::Logistic, 0.1, output);
        for profile in [Tflm, LitertRef, LitertOpt] {
            assert!(logistic(profile, (0.01, -128)).is_err());
        }
        assert!(logistic(Tflm, (1.0 / 256.0, -127)).is_err());
        assert!(logistic(LitertRef, (1.0 / 256.0, -127)).is_ok());
        assert!(logistic(Xnnpack, (0.01, 3)).is_ok());
        let error = curve(Tflm, TfliteTable::Tanh, 0.1, (0.01, 0)).unwrap_err().to_string();
        assert!(error.contains("TANH") && error.contains("1/128"), "{error}");
        assert!(curve(LitertOpt, TfliteTable::Tanh, 0.1, (0.01, 0)).is_ok());
    }
}
