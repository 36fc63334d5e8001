//! Operators of a TFLite file: a record's number and attributes -> [`Op`].

use super::model::{OperatorRecord, Options};
use super::schema::{self, builtin};
use crate::diagnostic::{CompileError, Unsupported};
use crate::ops::arithmetic::Arithmetic;
use crate::ops::average_pool_2d::AveragePool2d;
use crate::ops::fully_connected::{Activation, FullyConnected};
use crate::ops::image::{Padding, Sliding};
use crate::ops::reduce_max::ReduceMax;
use crate::ops::reshape::Reshape;
use crate::ops::resize_nearest::ResizeNearest;
use crate::ops::tile::Tile;
use crate::ops::unary::Unary;
use crate::ops::{arg_max::ArgMax, concatenation::Concatenation, conv_2d::Conv2d, depthwise_conv_2d::DepthwiseConv2d};
use crate::ops::{
    dequantize::Dequantize, max_pool_2d::MaxPool2d, mean::Mean, pad::Pad, quantize::Quantize, softmax::Softmax, Op,
};
use systole_arith::join::TfliteJoin;

/// TFLite operators have no names: `<operator>_<place in the file>`.
pub fn node_name(index: usize, record: &OperatorRecord) -> String {
    let name = operator_name(record).to_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{name}_{index}")
}

/// Name of an operator in the schema, or of a custom one as the file has it.
fn operator_name(record: &OperatorRecord) -> String {
    match usize::try_from(record.code).ok().and_then(|code| schema::BUILTIN_OPERATORS.get(code)) {
        Some(_) if record.code == builtin::CUSTOM => format!("CUSTOM {}", record.custom),
        Some(name) => (*name).into(),
        None => format!("operator number {}", record.code),
    }
}

/// The operator of a record.
///
/// # Errors
/// [`CompileError::Unsupported`] with the rewrite that would help, where it is none that is compiled;
/// else if an attribute is none of the schema's.
pub fn operator(node: &str, record: &OperatorRecord) -> Result<Op, CompileError> {
    let activation = || activation(node, &record.options);
    Ok(match record.code {
        builtin::FULLY_CONNECTED => {
            let (weights_format, keep_num_dims) = match record.options {
                Options::FullyConnected { weights_format, keep_num_dims, .. } => (weights_format, keep_num_dims),
                _ => (0, false),
            };
            if weights_format != 0 {
                return Err(CompileError::node(
                    node,
                    format!("weights are in format {weights_format}"),
                    "export with weights in the default format (row-major)",
                ));
            }
            Op::FullyConnected(FullyConnected { activation: activation()?, keep_num_dims })
        }
        builtin::CONV_2D => {
            let (sliding, _) = sliding(node, &record.options, false)?;
            Op::Conv2d(Conv2d { sliding, activation: activation()? })
        }
        builtin::DEPTHWISE_CONV_2D => {
            let (sliding, _) = sliding(node, &record.options, false)?;
            Op::DepthwiseConv2d(DepthwiseConv2d { sliding, activation: activation()? })
        }
        builtin::MAX_POOL_2D => {
            let (sliding, kernel) = sliding(node, &record.options, true)?;
            Op::MaxPool2d(MaxPool2d { sliding, kernel, activation: activation()? })
        }
        builtin::AVERAGE_POOL_2D => {
            let (sliding, kernel) = sliding(node, &record.options, true)?;
            Op::AveragePool2d(AveragePool2d { sliding, kernel, activation: activation()? })
        }
        builtin::MEAN => {
            let keep_dims = matches!(record.options, Options::Reducer { keep_dims: true });
            Op::Mean(Mean { keep_dims })
        }
        builtin::REDUCE_MAX => {
            let keep_dims = matches!(record.options, Options::Reducer { keep_dims: true });
            Op::ReduceMax(ReduceMax { keep_dims })
        }
        builtin::TILE => Op::Tile(Tile::Tile),
        builtin::BROADCAST_TO => Op::Tile(Tile::BroadcastTo),
        builtin::ADD => Op::Arithmetic(Arithmetic { operation: TfliteJoin::Add, activation: activation()? }),
        builtin::SUB => Op::Arithmetic(Arithmetic { operation: TfliteJoin::Sub, activation: activation()? }),
        builtin::MUL => Op::Arithmetic(Arithmetic { operation: TfliteJoin::Mul, activation: activation()? }),
        builtin::RELU => Op::Unary(Unary::Relu),
        builtin::RELU6 => Op::Unary(Unary::Relu6),
        builtin::RELU_N1_TO_1 => Op::Unary(Unary::ReluN1To1),
        builtin::LEAKY_RELU => {
            let alpha = match record.options {
                Options::LeakyRelu { alpha } => alpha,
                _ => 0.0,
            };
            Op::Unary(Unary::LeakyRelu { alpha })
        }
        builtin::PRELU => Op::Unary(Unary::Prelu),
        builtin::HARD_SWISH => Op::Unary(Unary::HardSwish),
        builtin::LOGISTIC => Op::Unary(Unary::Logistic),
        builtin::TANH => Op::Unary(Unary::Tanh),
        builtin::CONCATENATION => {
            let axis = match record.options {
                Options::Concatenation { axis, .. } => axis,
                _ => 0,
            };
            if activation()? != Activation::None {
                return Err(CompileError::node(
                    node,
                    "it has a fused activation, which the runtimes do not compute",
                    "put the activation into the layers in front of it",
                ));
            }
            Op::Concatenation(Concatenation { axis })
        }
        builtin::SOFTMAX => {
            let beta = match record.options {
                Options::Softmax { beta } => beta,
                _ => 0.0,
            };
            Op::Softmax(Softmax { beta })
        }
        builtin::PAD | builtin::PADV2 => Op::Pad(Pad),
        builtin::RESIZE_NEAREST_NEIGHBOR => {
            let (align_corners, half_pixel_centers) = match record.options {
                Options::Resize { align_corners, half_pixel_centers } => (align_corners, half_pixel_centers),
                _ => (false, false),
            };
            Op::ResizeNearest(ResizeNearest { align_corners, half_pixel_centers })
        }
        builtin::RESHAPE => Op::Reshape(Reshape::Reshape),
        builtin::SQUEEZE => Op::Reshape(Reshape::Squeeze),
        builtin::EXPAND_DIMS => Op::Reshape(Reshape::ExpandDims),
        builtin::ARG_MAX => Op::ArgMax(ArgMax),
        builtin::QUANTIZE => Op::Quantize(Quantize),
        builtin::DEQUANTIZE => Op::Dequantize(Dequantize),
        _ => return Err(unsupported(node, &operator_name(record))),
    })
}

/// The diagnostic of an operator that is not compiled.
fn unsupported(node: &str, operator: &str) -> CompileError {
    let reason = match rewrite(operator) {
        Some(rewrite) => format!("{operator} is not supported; {rewrite}"),
        None => format!("{operator} is not supported; leave it to the host by cutting the model in front of it"),
    };
    CompileError::Unsupported(vec![Unsupported { node: node.into(), reason }])
}

/// What to use instead of an operator, where something does the same.
fn rewrite(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "BATCH_MATMUL" => "use FULLY_CONNECTED with constant weights",
        "CAST" => "cast on the host",
        "CONV_3D" => "use CONV_2D on each slice and ADD",
        "DIV" => "multiply by the reciprocal, as MUL with a constant",
        "ELU" | "EXP" | "GELU" | "SIN" | "COS" => "use RELU, LEAKY_RELU, HARD_SWISH, LOGISTIC or TANH",
        "GATHER" | "SLICE" | "SPLIT" | "SPLIT_V" | "STRIDED_SLICE" | "UNPACK" => {
            "compute each part by a layer of its own, as CONV_2D with the weights of those channels"
        }
        "L2_POOL_2D" => "use AVERAGE_POOL_2D",
        "LOG_SOFTMAX" => "use SOFTMAX at the end",
        "MAXIMUM" | "MINIMUM" => "use RELU, RELU6 or RELU_N1_TO_1",
        "MIRROR_PAD" => "use PAD",
        "PACK" => "use CONCATENATION along the channels",
        "SHAPE" => "export with static shapes, so that the converter folds it",
        "SUM" => "use MEAN and a larger scale behind it",
        "TRANSPOSE" => "export images with channels last, as TensorFlow has them",
        "TOPK_V2" => "use ARG_MAX at the end, or leave it to the host",
        "LSTM" | "RNN" | "SVDF" | "UNIDIRECTIONAL_SEQUENCE_LSTM" | "UNIDIRECTIONAL_SEQUENCE_RNN" => {
            "use one-dimensional convolutions (CONV_2D on an image of one row): a network may not have state"
        }
        _ => return None,
    })
}

/// How the window of a record slides, and its kernel, which is checked where it is an attribute.
fn sliding(node: &str, options: &Options, has_kernel: bool) -> Result<(Sliding, [usize; 2]), CompileError> {
    let Options::Window { padding, stride, dilation, kernel, .. } = *options else {
        return Err(CompileError::node(node, "its attributes are missing", "export the model again"));
    };
    let padding = match padding {
        0 => Padding::Same,
        1 => Padding::Valid,
        other => {
            return Err(CompileError::node(node, format!("its padding is number {other}"), "use SAME or VALID"));
        }
    };
    let stride = sizes(node, "stride", stride)?;
    let dilation = sizes(node, "dilation", dilation)?;
    let kernel = if has_kernel { sizes(node, "window", kernel)? } else { [0; 2] };
    Ok((Sliding { padding, stride, dilation }, kernel))
}

/// Two sizes of at least 1.
fn sizes(node: &str, what: &str, [vertical, horizontal]: [i32; 2]) -> Result<[usize; 2], CompileError> {
    let size = |value: i32| {
        usize::try_from(value).ok().filter(|&value| value > 0).ok_or_else(|| {
            CompileError::node(node, format!("its {what} is {vertical}x{horizontal}"), "use sizes of 1 or more")
        })
    };
    Ok([size(vertical)?, size(horizontal)?])
}

/// The fused activation of a record's attributes.
fn activation(node: &str, options: &Options) -> Result<Activation, CompileError> {
    let number = match *options {
        Options::FullyConnected { activation, .. }
        | Options::Window { activation, .. }
        | Options::Concatenation { activation, .. }
        | Options::Arithmetic { activation } => activation,
        _ => 0,
    };
    match number {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        _ => {
            let name = usize::try_from(number).ok().and_then(|n| schema::ACTIVATIONS.get(n));
            Err(CompileError::node(
                node,
                format!("fused activation {} is not supported", name.copied().unwrap_or("of an unknown number")),
                "use NONE, RELU, RELU6 or RELU_N1_TO_1",
            ))
        }
    }
}
