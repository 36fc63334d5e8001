//! The host's operations, as this lowering uses them.

use super::close::Quantizer;
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::heads::Head;
use num_rational::BigRational;
use systole_arith::border::{AffineTail, ElementwiseOp, FixedType, FloatConstant, HostQuant, TopKOutput};
use systole_arith::rounding::RoundingMode;
use systole_arith::{BorderOp, IntType, Range};

/// Elementwise operation with a constant; `swapped` where the constant is the left operand.
pub fn arithmetic(op: Arithmetic, constant: FloatConstant, swapped: bool) -> BorderOp {
    let operation = match (op, swapped) {
        (Arithmetic::Add, _) => ElementwiseOp::Add,
        (Arithmetic::Sub, false) => ElementwiseOp::Subtract,
        (Arithmetic::Sub, true) => ElementwiseOp::SubtractFrom,
        (Arithmetic::Mul, _) => ElementwiseOp::Multiply,
        (Arithmetic::Div | Arithmetic::Pow, false) => ElementwiseOp::Divide,
        (Arithmetic::Div | Arithmetic::Pow, true) => ElementwiseOp::DivideInto,
    };
    BorderOp::Elementwise { operation, constant }
}

/// The same elements under another shape of one sample.
pub fn reshape(shape: &[usize]) -> BorderOp {
    BorderOp::Reshape { shape: shape.to_vec() }
}

/// `a * q + b`, rounded to float once.
pub fn affine(a: Vec<BigRational>, b: Vec<BigRational>) -> BorderOp {
    BorderOp::Affine(AffineTail::new(a, b))
}

/// `fixed<bits, integer_bits>`.
pub fn quantize_fixed(bits: u32, integer_bits: i32) -> BorderOp {
    BorderOp::QuantizeFixed(FixedType { bits, integer_bits, signed: true })
}

/// A quantizer on the host.
pub struct HostQuantizer {
    /// Its operations on a float tensor.
    pub operations: Vec<BorderOp>,
    /// Type of the integers.
    pub element: IntType,
    /// Values that occur.
    pub range: Range,
    /// Real value of one step.
    pub scale: BigRational,
    /// Stored value that stands for 0.
    pub zero_point: i64,
}

/// A quantizer on the host.
///
/// # Errors
/// If the host has no such operation.
pub fn quantize(node: &Node, quantizer: Quantizer) -> Result<HostQuantizer, CompileError> {
    let rational = |v: f32| {
        BigRational::from_float(v)
            .ok_or_else(|| CompileError::node(&node.name, format!("the scale is {v}"), "quantize the model again"))
    };
    let quant = |scale: f32, zero_point: i64, (lo, hi): (i64, i64), rounding| -> Result<HostQuantizer, CompileError> {
        let range = Range::new(lo, hi);
        let operation = BorderOp::Quant(HostQuant {
            scale: FloatConstant::scalar(scale),
            zero_point: FloatConstant::scalar(zero_point as f32),
            lo,
            hi,
            rounding,
        });
        let element = IntType::smallest_for(range);
        Ok(HostQuantizer { operations: vec![operation], element, range, scale: rational(scale)?, zero_point })
    };
    match quantizer {
        Quantizer::Integer { scale, zero_point, lo, hi, rounding } => quant(scale, zero_point, (lo, hi), rounding),
        // Clipped to [-1, 1] and rounded away from 0.
        Quantizer::Sign => quant(1.0, 0, (-1, 1), RoundingMode::AwayFromZero),
        Quantizer::Bipolar { scale, zero_point } => {
            let mut operations = Vec::new();
            if zero_point != 0 {
                operations.push(arithmetic(Arithmetic::Div, FloatConstant::scalar(scale), false));
                operations.push(arithmetic(Arithmetic::Add, FloatConstant::scalar(zero_point as f32), false));
            }
            operations.push(BorderOp::BipolarQuant);
            let element = IntType::Bipolar;
            Ok(HostQuantizer { operations, element, range: element.range(), scale: rational(scale)?, zero_point })
        }
        Quantizer::Truncation { .. } => Err(CompileError::node(
            &node.name,
            "Trunc of the network's input",
            "quantize the input with a Quant of the final width",
        )),
    }
}

/// Softmax, ArgMax or TopK along the innermost dimension of `shape`: the operations for result
/// `position` and the shape they give.
pub fn head(head: Head, position: usize, k: usize, shape: &[usize]) -> (Vec<BorderOp>, Vec<usize>) {
    let with_last = |last: usize| {
        let outer = shape.len().saturating_sub(1);
        shape.iter().take(outer).copied().chain([last]).collect::<Vec<usize>>()
    };
    let negate = || arithmetic(Arithmetic::Mul, FloatConstant::scalar(-1.0), false);
    match head {
        Head::Softmax { .. } => (vec![BorderOp::Softmax], shape.to_vec()),
        Head::ArgMax { .. } => (vec![BorderOp::ArgMax { keep_axis: true }], with_last(1)),
        // The least elements are the greatest of the negated ones, in the same order of ties.
        Head::TopK { largest, .. } => {
            let top = |output| BorderOp::TopK { count: k, output };
            let operations = match (largest, position) {
                (true, 0) => vec![top(TopKOutput::Values)],
                (true, _) => vec![top(TopKOutput::Indices)],
                (false, 0) => vec![negate(), top(TopKOutput::Values), negate()],
                (false, _) => vec![negate(), top(TopKOutput::Indices)],
            };
            (operations, with_last(k))
        }
    }
}
