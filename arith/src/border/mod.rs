//! Operations at the border of the accelerator, executed by the host: what turns a network's own
//! inputs into the accelerator's integers, and its integers into the network's own outputs.
//!
//! Each takes one sample without its batch dimension and is executed identically by the reference,
//! by verification and by the driver.

mod compare;
mod constant;
mod elementwise;
mod error;
mod quantize;
mod select;
mod shape;
mod softmax;
mod tail;
mod tflite_quantize;
mod tflite_requantize;
mod tflite_softmax;
mod value;

pub use compare::{exact_tail, expected_integer, OffGrid, EXPECTATION_TOLERANCE};
pub use constant::FloatConstant;
pub use elementwise::ElementwiseOp;
pub use error::BorderError;
pub use quantize::{FixedType, HostQuant};
pub use select::TopKOutput;
pub use tail::AffineTail;
pub use tflite_quantize::{TfliteDequantize, TfliteQuantize};
pub use tflite_requantize::{IntegerScale, TfliteRequantize};
pub use tflite_softmax::TfliteSoftmax;
pub use value::BorderValue;

use crate::int_type::IntType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An operation on one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum BorderOp {
    /// Float with a constant, one float32 rounding; shapes broadcast as in NumPy.
    Elementwise {
        /// Operation.
        operation: ElementwiseOp,
        /// The other operand.
        constant: FloatConstant,
    },
    /// Float: max(x, 0).
    Relu,
    /// Integers to float32, to nearest.
    ToFloat,
    /// Float to fixed point: to nearest even, saturated.
    QuantizeFixed(FixedType),
    /// Float or integers to an integer type: to nearest even, saturated.
    QuantizeInteger {
        /// Type of the result.
        element: IntType,
    },
    /// Float to integers by a QONNX `Quant` as the QONNX executor computes it in float32.
    Quant(HostQuant),
    /// Float to -1 and +1: x >= 0 gives +1.
    BipolarQuant,
    /// Float to integers as TensorFlow Lite's `QUANTIZE`.
    TfliteQuantize(TfliteQuantize),
    /// Integers to integers of another scale as TensorFlow Lite's `QUANTIZE`.
    TfliteRequantize(TfliteRequantize),
    /// Integers to float as TensorFlow Lite's `DEQUANTIZE`.
    TfliteDequantize(TfliteDequantize),
    /// Integers to float by an exact affine function a channel, rounded once.
    Affine(AffineTail),
    /// int8 `SOFTMAX` of TensorFlow Lite over the last axis, in fixed point.
    TfliteSoftmax(TfliteSoftmax),
    /// Softmax over the last axis in float32. Exponentials differ between libraries in the last
    /// place, so its results are for use and not for exact comparison.
    Softmax,
    /// Index of the first maximum along the last axis, which becomes 1 or goes.
    ArgMax {
        /// Whether the axis stays, with one entry.
        keep_axis: bool,
    },
    /// The `count` greatest along the last axis in descending order, of equal ones the first first.
    TopK {
        /// How many.
        count: usize,
        /// What is returned.
        output: TopKOutput,
    },
    /// The same elements in the same order under another shape of one sample.
    Reshape {
        /// New shape without the batch dimension.
        shape: Vec<usize>,
    },
    /// Axis i of the result is axis `permutation[i]` of the operand (such as [1, 2, 0] for CHW to HWC).
    Transpose {
        /// Axes of one sample.
        permutation: Vec<usize>,
    },
}

impl BorderOp {
    /// The operation's name, for messages and listings.
    pub fn name(&self) -> &'static str {
        match self {
            BorderOp::Elementwise { operation, .. } => operation.name(),
            BorderOp::Relu => "relu",
            BorderOp::ToFloat => "to-float",
            BorderOp::QuantizeFixed(_) => "quantize-fixed",
            BorderOp::QuantizeInteger { .. } => "quantize-integer",
            BorderOp::Quant(_) => "quant",
            BorderOp::BipolarQuant => "bipolar-quant",
            BorderOp::TfliteQuantize(_) => "tflite-quantize",
            BorderOp::TfliteRequantize(_) => "tflite-requantize",
            BorderOp::TfliteDequantize(_) => "tflite-dequantize",
            BorderOp::Affine(_) => "affine",
            BorderOp::TfliteSoftmax(_) => "tflite-softmax",
            BorderOp::Softmax => "softmax",
            BorderOp::ArgMax { .. } => "argmax",
            BorderOp::TopK { .. } => "top-k",
            BorderOp::Reshape { .. } => "reshape",
            BorderOp::Transpose { .. } => "transpose",
        }
    }

    /// Executes the operation on one sample.
    ///
    /// # Errors
    /// If the value is of the wrong kind or shape, a number that is quantized is NaN, or the
    /// operation's own parameters are out of range.
    pub fn apply(&self, value: BorderValue) -> Result<BorderValue, BorderError> {
        let name = self.name();
        match self {
            BorderOp::Elementwise { operation, constant } => {
                elementwise::apply(name, *operation, constant, value.float(name)?).map(BorderValue::Float)
            }
            BorderOp::Relu => Ok(BorderValue::Float(value.float(name)?.mapv(|x| x.max(0.0)))),
            BorderOp::ToFloat => Ok(BorderValue::Float(value.int(name)?.mapv(|q| q as f32))),
            BorderOp::QuantizeFixed(fixed) => fixed.apply(name, &value.float(name)?).map(BorderValue::Int),
            BorderOp::QuantizeInteger { element } => quantize::to_integer(name, *element, value).map(BorderValue::Int),
            BorderOp::Quant(quant) => quant.apply(name, value.float(name)?).map(BorderValue::Int),
            BorderOp::BipolarQuant => quantize::bipolar(name, &value.float(name)?).map(BorderValue::Int),
            BorderOp::TfliteQuantize(quantize) => quantize.apply(name, &value.float(name)?).map(BorderValue::Int),
            BorderOp::TfliteRequantize(rescale) => rescale.apply(name, &value.int(name)?).map(BorderValue::Int),
            BorderOp::TfliteDequantize(dequantize) => Ok(BorderValue::Float(dequantize.apply(&value.int(name)?))),
            BorderOp::Affine(tail) => tail.apply(name, &value.int(name)?).map(BorderValue::Float),
            BorderOp::TfliteSoftmax(softmax) => softmax.apply(name, value.int(name)?).map(BorderValue::Int),
            BorderOp::Softmax => softmax::apply(name, value.float(name)?).map(BorderValue::Float),
            BorderOp::ArgMax { keep_axis } => select::arg_max(name, &value, *keep_axis).map(BorderValue::Int),
            BorderOp::TopK { count, output } => select::top_k(name, &value, *count, *output),
            BorderOp::Reshape { shape } => shape::reshape(name, value, shape),
            BorderOp::Transpose { permutation } => shape::transpose(name, value, permutation),
        }
    }

    /// Executes operations in order on one sample.
    ///
    /// # Errors
    /// The first operation's that fails.
    pub fn run(operations: &[BorderOp], value: BorderValue) -> Result<BorderValue, BorderError> {
        operations.iter().try_fold(value, |value, operation| operation.apply(value))
    }
}

impl fmt::Display for BorderOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            BorderOp::Elementwise { constant, .. } => write!(f, " {constant}"),
            BorderOp::QuantizeFixed(fixed) => write!(f, " {fixed}"),
            BorderOp::QuantizeInteger { element } => write!(f, " {element}"),
            BorderOp::Quant(quant) => write!(f, " {quant}"),
            BorderOp::TfliteQuantize(quantize) => write!(f, " {quantize}"),
            BorderOp::TfliteRequantize(rescale) => write!(f, " {rescale}"),
            BorderOp::TfliteDequantize(dequantize) => write!(f, " {dequantize}"),
            BorderOp::TfliteSoftmax(softmax) => write!(f, " {softmax}"),
            BorderOp::Affine(tail) => write!(f, " {tail}"),
            BorderOp::TopK { count, output } => write!(f, " {count} {output}"),
            BorderOp::Reshape { shape } => write!(f, " {shape:?}"),
            BorderOp::Transpose { permutation } => write!(f, " {permutation:?}"),
            BorderOp::Relu
            | BorderOp::ToFloat
            | BorderOp::BipolarQuant
            | BorderOp::Softmax
            | BorderOp::ArgMax { .. } => Ok(()),
        }
    }
}
