//! The host's operations, as this lowering uses them.

use super::close::Quantizer;
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::heads::Head;
use num_rational::BigRational;
use systole_arith::{BorderOp, IntType, Range};

/// Elementwise operation with one constant, or one a channel; `swapped` where the constant is the
/// left operand. Negation is exact, so `c - x` is `-x + c` with one rounding.
pub fn arithmetic(op: Arithmetic, constants: &[f32], swapped: bool) -> Vec<BorderOp> {
    let constants = constants.to_vec();
    match (op, swapped) {
        (Arithmetic::Add, _) => vec![BorderOp::Add(constants)],
        (Arithmetic::Sub, false) => vec![BorderOp::Subtract(constants)],
        (Arithmetic::Sub, true) => vec![BorderOp::Multiply(vec![-1.0]), BorderOp::Add(constants)],
        (Arithmetic::Mul, _) => vec![BorderOp::Multiply(constants)],
        (Arithmetic::Div | Arithmetic::Pow, _) => vec![BorderOp::Divide(constants)],
    }
}

/// `max(x, 0)`.
pub fn relu() -> BorderOp {
    BorderOp::Relu
}

/// The same elements under another shape of one sample.
pub fn reshape(shape: &[usize]) -> BorderOp {
    BorderOp::Reshape(shape.to_vec())
}

/// `a * q + b`, rounded to float once.
pub fn affine(a: Vec<BigRational>, b: Vec<BigRational>) -> BorderOp {
    BorderOp::Affine { a, b }
}

/// Integers as floats.
pub fn to_float() -> BorderOp {
    affine(vec![BigRational::from_integer(1.into())], vec![BigRational::from_integer(0.into())])
}

/// `fixed<bits, integer_bits>`.
pub fn quantize_fixed(bits: u32, integer_bits: i32) -> BorderOp {
    BorderOp::QuantizeFixed { bits, int_bits: integer_bits, signed: true }
}

/// `int<W>` or `uint<W>`.
pub fn quantize_integer(element: IntType) -> BorderOp {
    BorderOp::QuantizeInteger { element }
}

/// A quantizer on the host: the operation, the integers' type, their scale and zero point.
///
/// # Errors
/// If the host has no such operation.
pub fn quantize(node: &Node, quantizer: Quantizer) -> Result<(BorderOp, IntType, BigRational, i64), CompileError> {
    let refused = |what: &str| {
        CompileError::node(&node.name, format!("{what} of the network's input"), "quantize the input with a Quant")
    };
    let rational = |v: f32| BigRational::from_float(v).ok_or_else(|| refused("a scale that is not finite"));
    match quantizer {
        Quantizer::Integer { scale, zero_point, lo, hi, rounding } => Ok((
            BorderOp::Quant { scale, zero_point, lo, hi, rounding },
            IntType::smallest_for(Range::new(lo, hi)),
            rational(scale)?,
            zero_point,
        )),
        Quantizer::Bipolar { scale, zero_point: 0 } => {
            Ok((BorderOp::BipolarQuant { scale }, IntType::Bipolar, rational(scale)?, 0))
        }
        Quantizer::Bipolar { zero_point, .. } => {
            Err(refused(&format!("a one-bit quantizer with zero point {zero_point}")))
        }
        Quantizer::Sign => Err(refused("Sign")),
        Quantizer::Truncation { .. } => Err(refused("Trunc")),
    }
}

/// Softmax, ArgMax or TopK along the innermost dimension of `shape`: the operations for result
/// `position` and the shape they give.
pub fn head(head: Head, position: usize, k: usize, shape: &[usize]) -> (Vec<BorderOp>, Vec<usize>) {
    let with_last = |last: usize| {
        let outer = shape.len().saturating_sub(1);
        shape.iter().take(outer).copied().chain([last]).collect::<Vec<usize>>()
    };
    let negate = || BorderOp::Multiply(vec![-1.0]);
    match head {
        Head::Softmax { .. } => (vec![BorderOp::Softmax], shape.to_vec()),
        Head::ArgMax { .. } => (vec![BorderOp::ArgMax], with_last(1)),
        // The least elements are the greatest of the negated ones, in the same order of ties.
        Head::TopK { largest, .. } => {
            let operations = match (largest, position) {
                (true, 0) => vec![BorderOp::TopKValues { k }],
                (true, _) => vec![BorderOp::TopKIndices { k }],
                (false, 0) => vec![negate(), BorderOp::TopKValues { k }, negate()],
                (false, _) => vec![negate(), BorderOp::TopKIndices { k }],
            };
            (operations, with_last(k))
        }
    }
}
