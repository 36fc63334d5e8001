//! Operators of imported networks: a closed set, one file an operator.
//!
//! An operator's file holds its attributes, shape checks, reference evaluation, its lowering to
//! integers, and a generator of random cases for the tests.

pub mod arg_max;
pub mod arithmetic;
pub mod average_pool_2d;
mod clamp;
pub mod concatenation;
pub mod conv_2d;
pub mod depthwise_conv_2d;
pub mod dequantize;
pub mod fully_connected;
pub mod image;
mod layer;
pub mod max_pool_2d;
pub mod mean;
pub mod nearest;
pub mod node_view;
pub mod onnx;
pub mod pad;
pub mod quantize;
pub mod random;
pub mod reduce_max;
pub mod reshape;
pub mod resize_nearest;
pub mod softmax;
pub mod tile;
pub mod unary;

pub use node_view::{sample_shape, NodeView};

use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Node, Tensor};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use systole_arith::border::BorderValue;
use systole_arith::BorderOp;

/// An operator with its attributes.
#[derive(Clone, Debug)]
pub enum Op {
    /// TFLite: matrix product on each row, bias, requantization.
    FullyConnected(fully_connected::FullyConnected),
    /// TFLite: the same elements under another shape.
    Reshape(reshape::Reshape),
    /// TFLite: softmax over the innermost dimension.
    Softmax(softmax::Softmax),
    /// TFLite: real numbers, or integers of another quantization, to integers.
    Quantize(quantize::Quantize),
    /// TFLite: integers to real numbers.
    Dequantize(dequantize::Dequantize),
    /// TFLite: index of the greatest element along the innermost dimension.
    ArgMax(arg_max::ArgMax),
    /// TFLite: sum, difference or product of two tensors.
    Arithmetic(arithmetic::Arithmetic),
    /// TFLite: mean of each channel on each window.
    AveragePool2d(average_pool_2d::AveragePool2d),
    /// TFLite: the channels of several tensors behind each other.
    Concatenation(concatenation::Concatenation),
    /// TFLite: matrix product on each window, bias, requantization.
    Conv2d(conv_2d::Conv2d),
    /// TFLite: product of each channel alone on each window, bias, requantization.
    DepthwiseConv2d(depthwise_conv_2d::DepthwiseConv2d),
    /// TFLite: greatest element of each channel on each window.
    MaxPool2d(max_pool_2d::MaxPool2d),
    /// TFLite: mean over rows and columns, with rescaling.
    Mean(mean::Mean),
    /// TFLite: rows and columns of one value around an image.
    Pad(pad::Pad),
    /// TFLite: an image enlarged by whole factors.
    ResizeNearest(resize_nearest::ResizeNearest),
    /// TFLite: greatest element over rows and columns.
    ReduceMax(reduce_max::ReduceMax),
    /// TFLite: a tensor several times along dimensions of size 1.
    Tile(tile::Tile),
    /// TFLite: a function of one element.
    Unary(unary::Unary),
    /// ONNX and QONNX.
    Onnx(onnx::OnnxOp),
}

impl Op {
    /// Name in the file format's specification.
    pub fn name(&self) -> &'static str {
        match self {
            Op::FullyConnected(_) => "FULLY_CONNECTED",
            Op::Reshape(op) => op.name(),
            Op::Softmax(_) => "SOFTMAX",
            Op::Quantize(_) => "QUANTIZE",
            Op::Dequantize(_) => "DEQUANTIZE",
            Op::ArgMax(_) => "ARG_MAX",
            Op::Arithmetic(op) => op.name(),
            Op::AveragePool2d(_) => "AVERAGE_POOL_2D",
            Op::Concatenation(_) => "CONCATENATION",
            Op::Conv2d(_) => "CONV_2D",
            Op::DepthwiseConv2d(_) => "DEPTHWISE_CONV_2D",
            Op::MaxPool2d(_) => "MAX_POOL_2D",
            Op::Mean(_) => "MEAN",
            Op::Pad(_) => "PAD",
            Op::ReduceMax(_) => "REDUCE_MAX",
            Op::Tile(op) => op.name(),
            Op::ResizeNearest(_) => "RESIZE_NEAREST_NEIGHBOR",
            Op::Unary(op) => op.name(),
            Op::Onnx(op) => op.name(),
        }
    }

    /// Whether operands and results fit the operator: counts, element types, shapes, quantization.
    ///
    /// # Errors
    /// If they do not, with the numbers and a remedy.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        match self {
            Op::FullyConnected(op) => op.check(view),
            Op::Reshape(op) => op.check(view),
            Op::Softmax(op) => op.check(view),
            Op::Quantize(op) => op.check(view),
            Op::Dequantize(op) => op.check(view),
            Op::ArgMax(op) => op.check(view),
            Op::Arithmetic(op) => op.check(view),
            Op::AveragePool2d(op) => op.check(view),
            Op::Concatenation(op) => op.check(view),
            Op::Conv2d(op) => op.check(view),
            Op::DepthwiseConv2d(op) => op.check(view),
            Op::MaxPool2d(op) => op.check(view),
            Op::Mean(op) => op.check(view),
            Op::Pad(op) => op.check(view),
            Op::ReduceMax(op) => op.check(view),
            Op::Tile(op) => op.check(view),
            Op::ResizeNearest(op) => op.check(view),
            Op::Unary(op) => op.check(view),
            Op::Onnx(op) => check_onnx(op, view),
        }
    }

    /// Values of the results from the values of the operands, as `profile`'s runtime computes them.
    ///
    /// # Errors
    /// If the operands do not fit the operator.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<Vec<ConstantData>, CompileError> {
        match self {
            Op::FullyConnected(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::Reshape(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::Softmax(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::Quantize(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::Dequantize(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::ArgMax(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::Arithmetic(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::AveragePool2d(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::Concatenation(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::Conv2d(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::DepthwiseConv2d(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::MaxPool2d(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::Mean(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::Pad(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::ReduceMax(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::Tile(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::ResizeNearest(op) => op.evaluate(view, values).map(|value| vec![value]),
            Op::Unary(op) => op.evaluate(view, values, profile).map(|value| vec![value]),
            Op::Onnx(op) => evaluate_onnx(op, view, values),
        }
    }

    /// Consumes the values of the node's operands and defines those of its results.
    ///
    /// # Errors
    /// If the operands have values that the operator does not take.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        match self {
            Op::FullyConnected(op) => op.lower(node, lowering),
            Op::Reshape(op) => op.lower(node, lowering),
            Op::Softmax(op) => op.lower(node, lowering),
            Op::Quantize(op) => op.lower(node, lowering),
            Op::Dequantize(op) => op.lower(node, lowering),
            Op::ArgMax(op) => op.lower(node, lowering),
            Op::Arithmetic(op) => op.lower(node, lowering),
            Op::AveragePool2d(op) => op.lower(node, lowering),
            Op::Concatenation(op) => op.lower(node, lowering),
            Op::Conv2d(op) => op.lower(node, lowering),
            Op::DepthwiseConv2d(op) => op.lower(node, lowering),
            Op::MaxPool2d(op) => op.lower(node, lowering),
            Op::Mean(op) => op.lower(node, lowering),
            Op::Pad(op) => op.lower(node, lowering),
            Op::ReduceMax(op) => op.lower(node, lowering),
            Op::Tile(op) => op.lower(node, lowering),
            Op::ResizeNearest(op) => op.lower(node, lowering),
            Op::Unary(op) => op.lower(node, lowering),
            Op::Onnx(op) => op.behaviour().lower(node, lowering),
        }
    }
}

/// Executes a border operation as a node of the imported network.
fn apply_border(view: &NodeView, operation: &BorderOp, value: BorderValue) -> Result<ConstantData, CompileError> {
    match operation.apply(value) {
        Ok(BorderValue::Int(values)) => Ok(ConstantData::Int(values)),
        Ok(BorderValue::Float(values)) => Ok(ConstantData::Float(values)),
        Err(error) => Err(view.error(error.to_string(), "give other inputs")),
    }
}

fn check_onnx(op: &onnx::OnnxOp, view: &NodeView) -> Result<(), CompileError> {
    let operands = onnx::Operands::new(view.name, view.inputs.clone());
    for (inferred, result) in op.behaviour().infer(&operands)?.iter().zip(&view.outputs) {
        if inferred.shape != result.shape {
            return Err(view.error(
                format!(
                    "result `{}` has shape {:?}, the operands give {:?}",
                    result.name, result.shape, inferred.shape
                ),
                "export the model again",
            ));
        }
    }
    Ok(())
}

fn evaluate_onnx(
    op: &onnx::OnnxOp,
    view: &NodeView,
    values: &[Option<&ConstantData>],
) -> Result<Vec<ConstantData>, CompileError> {
    let tensors: Vec<Option<Tensor>> = view
        .inputs
        .iter()
        .zip(values)
        .map(|(tensor, value)| Some(Tensor { constant: Some((*value)?.clone()), ..(*tensor)?.clone() }))
        .collect();
    let operands = onnx::Operands::new(view.name, tensors.iter().map(Option::as_ref).collect());
    let results = op.behaviour().evaluate(&operands)?;
    results
        .into_iter()
        .map(|tensor| {
            let values = onnx::operands::real_values(&tensor).map(ConstantData::Float);
            values.or(tensor.constant).ok_or_else(|| view.error("it gives no value", "export the model again"))
        })
        .collect()
}
