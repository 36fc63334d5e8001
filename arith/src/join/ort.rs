//! ONNX Runtime's quantized operators of two tensors.

use super::ort_separate::Separation;
use super::{Combine, JoinFormula};
use crate::formula::{check_scale, quantize, FormulaError, OrtQuantization, OutputStage};
use crate::int_type::{IntType, Range};
use crate::real::text;
use crate::step::StepError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is done with the two real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrtOperation {
    /// `QLinearAdd`.
    Add,
    /// Sub between DequantizeLinear and QuantizeLinear; there is no quantized kernel.
    Subtract,
    /// `QLinearMul`.
    Multiply,
}

/// An operator of two quantized tensors, in float32 as the kernel evaluates it. With ra = f32(sa/sc) and
/// rb = f32(sb/sc), each operation rounding once and `fma` rounding only its sum:
///
/// - Add: `clamp(rint_half_even(fma(a, ra, fma(b, rb, f32(zc - fma(ra, za, f32(rb*zb)))))))`; the roles of a and b are
///   exchanged where the first operand has a single element along the innermost broadcast dimension.
/// - Multiply: `clamp(rint_half_even(f32(f32((a-za)*(b-zb)) * f32(f32(sa*sb)/sc) + zc)))`, sum and product rounded apart.
/// - Subtract: `clamp(rint_half_even(f32(f32(f32((a-za)*sa) - f32((b-zb)*sb)) / sc)) + zc)`.
///
/// Add and Multiply add the zero point before they round: ties go to the even *stored* value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrtJoin {
    /// The operation.
    pub operation: OrtOperation,
    /// Of the first operand.
    pub left: OrtQuantization,
    /// Of the second operand.
    pub right: OrtQuantization,
    /// Scale of the result.
    #[serde(with = "text::single")]
    pub output_scale: f32,
    /// Zero point and clamp of the result.
    pub output: OutputStage,
    /// The first operand is broadcast as a single element: the kernel exchanges the operands.
    pub scalar_left: bool,
}

impl JoinFormula {
    /// `QLinearAdd`, see [`OrtJoin`].
    ///
    /// # Errors
    /// If a scale or a ratio of scales is not positive and finite, or a zero point out of range.
    pub fn ort_add(
        left: OrtQuantization,
        right: OrtQuantization,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<JoinFormula, FormulaError> {
        OrtJoin::new(OrtOperation::Add, left, right, output, element).map(JoinFormula::Ort)
    }

    /// `DequantizeLinear, Sub, QuantizeLinear`, see [`OrtJoin`].
    ///
    /// # Errors
    /// As [`JoinFormula::ort_add`].
    pub fn ort_subtract(
        left: OrtQuantization,
        right: OrtQuantization,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<JoinFormula, FormulaError> {
        OrtJoin::new(OrtOperation::Subtract, left, right, output, element).map(JoinFormula::Ort)
    }

    /// `QLinearMul`, see [`OrtJoin`].
    ///
    /// # Errors
    /// As [`JoinFormula::ort_add`].
    pub fn ort_multiply(
        left: OrtQuantization,
        right: OrtQuantization,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<JoinFormula, FormulaError> {
        OrtJoin::new(OrtOperation::Multiply, left, right, output, element).map(JoinFormula::Ort)
    }
}

impl OrtJoin {
    /// The operator with the bounds of `element` as its clamp and no broadcast. A fused Relu replaces
    /// [`OrtJoin::output`], see [`OrtQuantization::clipped_stage`].
    ///
    /// # Errors
    /// If a scale or a ratio of scales is not positive and finite, or a zero point out of range.
    pub fn new(
        operation: OrtOperation,
        left: OrtQuantization,
        right: OrtQuantization,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<OrtJoin, FormulaError> {
        let (output_scale, output) = (output.scale, output.stage(element)?);
        let join = OrtJoin { operation, left, right, output_scale, output, scalar_left: false };
        join.validate().map(|()| join)
    }

    /// Scales of the two operands in output steps.
    fn ratios(&self) -> [f32; 2] {
        [self.left.scale / self.output_scale, self.right.scale / self.output_scale]
    }

    fn product_ratio(&self) -> f32 {
        self.left.scale * self.right.scale / self.output_scale
    }

    pub(super) fn evaluate(&self, left: i64, right: i64) -> i64 {
        match self.operation {
            OrtOperation::Add => {
                let [(x, rx), (y, ry)] = self.kernel_order((left, right));
                self.add(x as f32, rx, (y as f32).mul_add(ry, self.fixed()))
            }
            OrtOperation::Multiply => {
                let product = ((left - self.left.zero_point) * (right - self.right.zero_point)) as f32;
                let sum = product * self.product_ratio() + self.output.zero_point as f32;
                self.output.saturate(sum.round_ties_even() as i64)
            }
            OrtOperation::Subtract => {
                let difference = dequantize(self.left, left) - dequantize(self.right, right);
                quantize(difference, self.output_scale, self.output)
            }
        }
    }

    /// Both operands with their ratios, the one that the kernel adds last in front.
    fn kernel_order(&self, (left, right): (i64, i64)) -> [(i64, f32); 2] {
        let [ra, rb] = self.ratios();
        match self.scalar_left {
            false => [(left, ra), (right, rb)],
            true => [(right, rb), (left, ra)],
        }
    }

    /// What the kernel computes once a tensor: the zero points in output steps.
    fn fixed(&self) -> f32 {
        let [(zx, rx), (zy, ry)] = self.kernel_order((self.left.zero_point, self.right.zero_point));
        self.output.zero_point as f32 - (zx as f32).mul_add(rx, zy as f32 * ry)
    }

    fn add(&self, x: f32, rx: f32, inner: f32) -> i64 {
        self.output.saturate(x.mul_add(rx, inner).round_ties_even() as i64)
    }

    pub(super) fn combine(&self, left: Range, right: Range) -> Result<Combine, StepError> {
        if self.operation == OrtOperation::Multiply {
            return Ok(Combine::Product { left_zero: self.left.zero_point, right_zero: self.right.zero_point });
        }
        // What each operand contributes, exact in float64: the last rounding is of their exact sum.
        let [ra, rb] = self.ratios();
        let contributions = |which: usize, x: i64| match (self.operation, which == usize::from(self.scalar_left)) {
            (OrtOperation::Add, true) => f64::from([ra, rb][which]) * f64::from(x as f32),
            (OrtOperation::Add, false) => f64::from((x as f32).mul_add([ra, rb][which], self.fixed())),
            _ if which == 0 => f64::from(dequantize(self.left, x)),
            _ => -f64::from(dequantize(self.right, x)),
        };
        let sign = if self.operation == OrtOperation::Add { 1.0 } else { -1.0 };
        let separation = Separation {
            ranges: [left, right],
            slopes: [f64::from(ra), sign * f64::from(rb)],
            values: [0, 1].map(|which| {
                let range = [left, right][which];
                (range.lo..=range.hi).map(|x| contributions(which, x)).collect()
            }),
            results: (left.lo..=left.hi)
                .flat_map(|a| (right.lo..=right.hi).map(move |b| self.evaluate(a, b)))
                .collect(),
        };
        Ok(separation.narrowest())
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        self.left.check("first operand's")?;
        self.right.check("second operand's")?;
        check_scale("output", 0, self.output_scale)?;
        let ratios = match self.operation {
            OrtOperation::Multiply => vec![self.product_ratio()],
            OrtOperation::Add | OrtOperation::Subtract => self.ratios().to_vec(),
        };
        for (index, ratio) in ratios.into_iter().enumerate() {
            check_scale("ratio of input and output", index, ratio)?;
        }
        self.output.validate()
    }
}

/// DequantizeLinear.
fn dequantize(quantization: OrtQuantization, x: i64) -> f32 {
    (x - quantization.zero_point) as f32 * quantization.scale
}

impl fmt::Display for OrtJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.operation {
            OrtOperation::Add => "+",
            OrtOperation::Subtract => "-",
            OrtOperation::Multiply => "*",
        };
        let (a, b, sc) = (&self.left, &self.right, self.output_scale);
        write!(f, "float32 (a - {}) {:e} {sign} (b - {}) {:e}, ", a.zero_point, a.scale, b.zero_point, b.scale)?;
        let swapped = if self.scalar_left { ", operands exchanged" } else { "" };
        write!(f, "/ {sc:e}, half even{swapped}, {}", self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JoinMap, OperandMap};
    use super::*;

    fn quantization(scale: f32, zero_point: i64) -> OrtQuantization {
        OrtQuantization { scale, zero_point }
    }

    #[test]
    fn ties_go_to_the_even_stored_value_except_behind_a_subtraction() {
        let (half, unit) = (quantization(0.5, 0), quantization(1.0, 3));
        let int8 = IntType::Signed(8);
        let add = JoinFormula::ort_add(half, half, unit, int8).unwrap();
        assert_eq!([1, 3].map(|a| add.evaluate(a, 0)), [4, 4]);
        let subtract = JoinFormula::ort_subtract(half, half, unit, int8).unwrap();
        assert_eq!([1, 3].map(|a| subtract.evaluate(a, 0)), [3, 5]);
        let multiply = JoinFormula::ort_multiply(half, quantization(1.0, 0), unit, int8).unwrap();
        assert_eq!([1, 3].map(|a| multiply.evaluate(a, 1)), [4, 4]);
    }

    #[test]
    fn a_sum_of_dyadic_scales_needs_two_narrow_factors() {
        let add = JoinFormula::ort_add(
            quantization(0.5, 7),
            quantization(0.25, -9),
            quantization(1.0, 1),
            IntType::Signed(8),
        )
        .unwrap();
        let domain = IntType::Signed(8).range();
        let map = JoinMap::derive(&add, domain, domain).unwrap();
        let linear = |factor| OperandMap::Linear { factor };
        assert_eq!(map.combine, Combine::Sum { left: linear(2), right: linear(1) });
    }

    #[test]
    fn scales_whose_ratio_overflows_are_refused() {
        let tiny = quantization(1e-30, 0);
        let error = JoinFormula::ort_add(quantization(1e30, 0), tiny, tiny, IntType::Signed(8)).unwrap_err();
        assert!(error.to_string().contains("ratio"), "{error}");
    }
}
