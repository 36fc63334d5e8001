//! Formulas of ONNX Runtime from a layer's scales.

use super::ort_chain::{quantize, FloatOp};
use super::{check_length, Float32, Formula, FormulaError, OutputStage};
use crate::int_type::IntType;
use crate::real::text;
use serde::{Deserialize, Serialize};

/// Scale and zero point of a tensor: a stored q stands for `(q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrtQuantization {
    /// Real value of one step.
    #[serde(with = "text::single")]
    pub scale: f32,
    /// Stored value that stands for 0.
    pub zero_point: i64,
}

impl OrtQuantization {
    /// Checks the scale, and that the zero point fits an int32, which keeps all arithmetic in range.
    pub(crate) fn check(self, what: &'static str) -> Result<(), FormulaError> {
        check_scale(what, 0, self.scale)?;
        match i32::try_from(self.zero_point) {
            Ok(_) => Ok(()),
            Err(_) => Err(FormulaError::ZeroPoint { zero_point: self.zero_point, element: IntType::Signed(32) }),
        }
    }

    /// The output stage of a tensor of type `element`: its zero point and the type's own bounds.
    ///
    /// # Errors
    /// If the zero point is no value of `element`.
    pub fn stage(self, element: IntType) -> Result<OutputStage, FormulaError> {
        let range = element.checked_range().ok_or(FormulaError::OutputType(element))?;
        OutputStage::new(element, self.zero_point, range.lo, range.hi)
    }

    /// The same with a Relu or Clip in front of the quantizer: quantization is monotone, so clipping the
    /// real value to `[lo, hi]` is clipping the stored one to the quantized bounds. A Relu is
    /// `lo = Some(0.0)`.
    ///
    /// # Errors
    /// If the zero point is no value of `element`, the scale is not positive and finite, or the bounds are
    /// empty or NaN.
    pub fn clipped_stage(
        self,
        element: IntType,
        lo: Option<f32>,
        hi: Option<f32>,
    ) -> Result<OutputStage, FormulaError> {
        self.check("output")?;
        let stage = self.stage(element)?;
        let (low, high) = (lo.unwrap_or(f32::MIN), hi.unwrap_or(f32::MAX));
        FloatOp::Clip { lo: low, hi: high }.validate(1)?;
        let quantized = |bound: f32| quantize(bound, self.scale, stage);
        OutputStage::new(element, self.zero_point, quantized(low), quantized(high))
    }
}

/// Checks that a scale is positive and finite.
pub(crate) fn check_scale(what: &'static str, index: usize, value: f32) -> Result<(), FormulaError> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(FormulaError::Scale { what, index, value: value.into() })
    }
}

/// Scales of a quantized ONNX layer, as the file has them.
#[derive(Clone, Copy, Debug)]
pub struct OrtScales<'a> {
    /// Of the input.
    pub input: f32,
    /// Of the weights: one, or one an output channel.
    pub weights: &'a [f32],
    /// Of the output.
    pub output: f32,
    /// Zero point of the output.
    pub output_zero_point: i64,
    /// Factor of `QGemm`; 1 for other operators.
    pub alpha: f32,
}

impl Formula {
    /// `clip(rint_half_even(f32(f32(acc) * s)) + zero_point)`, s = f32(f32(f32(alpha*sx)*sw)/sy): what ONNX Runtime's
    /// `QLinearConv`, `QLinearMatMul` and `QGemm` compute, one float32 rounding an operation.
    ///
    /// # Errors
    /// If a scale is not positive and finite, there are neither one weight scale nor one a channel,
    /// the zero point is no value of `element`, or the combined scale overflows.
    pub fn ort(channels: usize, scales: &OrtScales<'_>, element: IntType) -> Result<Formula, FormulaError> {
        if channels == 0 {
            return Err(FormulaError::NoChannels);
        }
        check_length("weight scales", scales.weights.len(), channels)?;
        let named = [("input", scales.input), ("output", scales.output), ("alpha", scales.alpha)];
        let singles = named.into_iter().map(|(what, value)| (what, 0, value));
        let weights = scales.weights.iter().enumerate().map(|(index, &value)| ("weight", index, value));
        for (what, index, value) in singles.chain(weights) {
            check_scale(what, index, value)?;
        }
        let combined: Vec<f32> =
            scales.weights.iter().map(|weight| scales.alpha * scales.input * weight / scales.output).collect();
        if let Some(channel) = combined.iter().position(|value| !value.is_finite()) {
            let (value, limit) = (combined[channel].into(), f32::MAX.into());
            return Err(FormulaError::Multiplier { channel, value, limit });
        }
        let range = element.checked_range().ok_or(FormulaError::OutputType(element))?;
        let output = OutputStage::new(element, scales.output_zero_point, range.lo, range.hi)?;
        Ok(Formula::Float32(Float32 { channels, scales: combined, output }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_combine_left_to_right_in_float32() {
        let scales = OrtScales { input: 0.1, weights: &[0.3, 0.7], output: 0.9, output_zero_point: 128, alpha: 1.0 };
        let formula = Formula::ort(2, &scales, IntType::Unsigned(8)).unwrap();
        let Formula::Float32(Float32 { scales, .. }) = &formula else { panic!("{formula}") };
        assert_eq!(scales[1].to_bits(), (0.1f32 * 0.7f32 / 0.9f32).to_bits());
        assert_eq!(
            (formula.evaluate(0, -100_000), formula.evaluate(0, 0), formula.evaluate(0, 100_000)),
            (0, 128, 255)
        );
    }

    #[test]
    fn a_relu_raises_the_lower_bound_to_the_zero_point_and_a_clip_quantizes_its_bounds() {
        let output = OrtQuantization { scale: 0.5, zero_point: -3 };
        let bounds = |lo, hi| output.clipped_stage(IntType::Signed(8), lo, hi).map(|stage| (stage.lo, stage.hi));
        assert_eq!(bounds(Some(0.0), None), Ok((-3, 127)));
        assert_eq!(bounds(Some(0.0), Some(6.0)), Ok((-3, 9)));
        assert_eq!(bounds(None, Some(-1.25)), Ok((-128, -5)));
        assert!(bounds(Some(1.0), Some(0.0)).is_err());
        assert!(bounds(Some(f32::NAN), None).is_err());
    }

    #[test]
    fn a_zero_alpha_is_refused() {
        let scales = OrtScales { input: 0.1, weights: &[0.3], output: 0.9, output_zero_point: 0, alpha: 0.0 };
        assert!(Formula::ort(1, &scales, IntType::Signed(8)).unwrap_err().to_string().contains("alpha"));
    }
}
