//! Operators of quantized networks and of images: QOperator and QDQ files, with those of domain
//! `com.microsoft` that ONNX Runtime's quantizer writes.

use super::attributes::Attributes;
use super::operators::Imported;
use crate::diagnostic::CompileError;
use crate::ops::onnx::activation::{Activation, Function};
use crate::ops::onnx::conv::{Conv, ConvKind};
use crate::ops::onnx::pooling::{PoolFunction, PoolWindow, Pooling};
use crate::ops::onnx::quantize_linear::Linear;
use crate::ops::onnx::quantized_join::QuantizedJoin;
use crate::ops::onnx::quantized_matmul::QuantizedMatMul;
use crate::ops::onnx::quantized_softmax::QuantizedSoftmax;
use crate::ops::onnx::resize::{Coordinates, Nearest, Resize, ResizeSize};
use crate::ops::onnx::sliding::{AutoPad, Sliding};
use crate::ops::onnx::OnnxOp;
use systole_arith::join::OrtOperation;

/// Domain of ONNX Runtime's own operators.
pub const MICROSOFT_DOMAIN: &str = "com.microsoft";

/// ONNX codes of the element types that a quantizer without a zero point may give: undefined and uint8. With
/// one, it gives the zero point's type.
const QUANTIZED_TYPES: [i64; 2] = [0, 2];

/// Reads an operator of the standard domain; none where it is not one of these.
///
/// # Errors
/// If an attribute is damaged.
pub fn import_image(operator: &str, attributes: &Attributes, version: i64) -> Result<Option<Imported>, CompileError> {
    let conv = |kind| -> Result<OnnxOp, CompileError> {
        Ok(OnnxOp::Conv(Conv { kind, groups: attributes.int("group", 1)?, sliding: sliding(attributes)? }))
    };
    let global = |function| OnnxOp::Pooling(Pooling { window: PoolWindow::Global, function });
    let function = |function| OnnxOp::Activation(Activation { function, quantized: false });
    let average = |include_pad| PoolFunction::Average { include_pad, quantized: false };
    let op = match operator {
        "Conv" => conv(ConvKind::Real)?,
        "QLinearConv" => conv(ConvKind::Quantized)?,
        "ConvInteger" => conv(ConvKind::Integer)?,
        "QLinearMatMul" => OnnxOp::QuantizedMatMul(QuantizedMatMul::Quantized),
        "MatMulInteger" => OnnxOp::QuantizedMatMul(QuantizedMatMul::Integer),
        "QuantizeLinear" | "DequantizeLinear" => return import_linear(operator, attributes).map(Some),
        "MaxPool" => {
            let window = PoolWindow::Sliding(sliding(attributes)?);
            OnnxOp::Pooling(Pooling { window, function: PoolFunction::Max })
        }
        "AveragePool" => {
            let window = PoolWindow::Sliding(sliding(attributes)?);
            OnnxOp::Pooling(Pooling { window, function: average(attributes.flag("count_include_pad", false)?) })
        }
        "GlobalMaxPool" => global(PoolFunction::Max),
        "GlobalAveragePool" => global(average(false)),
        "Clip" if version < 11 => {
            let bounds = (attributes.float("min", f32::MIN)?, attributes.float("max", f32::MAX)?);
            function(Function::Clip { bounds: Some(bounds) })
        }
        "Clip" => function(Function::Clip { bounds: None }),
        "Sigmoid" => function(Function::Sigmoid),
        "Tanh" => function(Function::Tanh),
        "HardSigmoid" => function(Function::HardSigmoid {
            alpha: attributes.float("alpha", 0.2)?,
            beta: attributes.float("beta", 0.5)?,
        }),
        "HardSwish" => function(Function::HardSwish),
        "LeakyRelu" => function(Function::LeakyRelu { alpha: attributes.float("alpha", 0.01)? }),
        "PRelu" => function(Function::PRelu),
        "Resize" | "Upsample" => return import_resize(operator, attributes, version).map(Some),
        _ => return Ok(None),
    };
    Ok(Some(Imported::Op(op)))
}

/// Reads an operator of domain `com.microsoft`.
///
/// # Errors
/// If an attribute is damaged.
pub fn import_microsoft(operator: &str, attributes: &Attributes) -> Result<Imported, CompileError> {
    if attributes.int("channels_last", 0)? != 0 {
        return Ok(Imported::Unsupported(format!(
            "{operator} with channels_last = 1; save the model before the runtime's layout optimization"
        )));
    }
    let join = |operation| OnnxOp::QuantizedJoin(QuantizedJoin::Elementwise(operation));
    let op = match operator {
        "QuantizeLinear" | "DequantizeLinear" => return import_linear(operator, attributes),
        "QLinearAdd" => join(OrtOperation::Add),
        "QLinearMul" => join(OrtOperation::Multiply),
        "QLinearConcat" => OnnxOp::QuantizedJoin(QuantizedJoin::Concat { axis: attributes.int("axis", 0)? }),
        "QLinearConv" => OnnxOp::Conv(Conv {
            kind: ConvKind::Quantized,
            groups: attributes.int("group", 1)?,
            sliding: sliding(attributes)?,
        }),
        "QLinearGlobalAveragePool" => OnnxOp::Pooling(Pooling {
            window: PoolWindow::Global,
            function: PoolFunction::Average { include_pad: false, quantized: true },
        }),
        "QLinearAveragePool" => OnnxOp::Pooling(Pooling {
            window: PoolWindow::Sliding(sliding(attributes)?),
            function: PoolFunction::Average {
                include_pad: attributes.flag("count_include_pad", false)?,
                quantized: true,
            },
        }),
        "QLinearSigmoid" => OnnxOp::Activation(Activation { function: Function::Sigmoid, quantized: true }),
        "QLinearLeakyRelu" => OnnxOp::Activation(Activation {
            function: Function::LeakyRelu { alpha: attributes.float("alpha", 0.01)? },
            quantized: true,
        }),
        "QLinearSoftmax" => OnnxOp::QuantizedSoftmax(QuantizedSoftmax {
            axis: attributes.int("axis", -1)?,
            flatten: attributes.int("opset", 13)? < 13,
        }),
        "QGemm" => match attributes.flag("transA", false)? {
            false => OnnxOp::QuantizedMatMul(QuantizedMatMul::Gemm {
                alpha: attributes.float("alpha", 1.0)?,
                transpose_b: attributes.flag("transB", false)?,
            }),
            true => return Ok(Imported::Unsupported("QGemm with transA = 1; transpose its weights instead".into())),
        },
        other => {
            let rewrite = match other {
                "FusedConv" | "FusedGemm" | "FusedMatMul" | "NhwcMaxPool" | "BiasGelu" | "FastGelu" => {
                    "; save the model before the runtime optimizes it"
                }
                "DynamicQuantizeMatMul" | "MatMulIntegerToFloat" | "DynamicQuantizeLSTM" => {
                    "; quantize statically (onnxruntime.quantization.quantize_static)"
                }
                _ => "",
            };
            return Ok(Imported::Unsupported(format!(
                "operator {other} of domain `{MICROSOFT_DOMAIN}` is not compiled{rewrite}"
            )));
        }
    };
    Ok(Imported::Op(op))
}

/// Reads a Resize or Upsample.
fn import_resize(operator: &str, attributes: &Attributes, version: i64) -> Result<Imported, CompileError> {
    let unsupported = |what: String| Ok(Imported::Unsupported(format!("{operator} with {what}")));
    let mode = attributes.text("mode", "nearest")?;
    if mode != "nearest" {
        return unsupported(format!("mode `{mode}`; use nearest, or a transposed convolution in training"));
    }
    let upsample = operator == "Upsample";
    let size = match version {
        ..=8 => ResizeSize::Attribute(attributes.floats("scales")?.unwrap_or_default()),
        9..=10 => ResizeSize::Factors,
        _ => ResizeSize::FactorsOrSizes { axes: attributes.ints("axes")? },
    };
    if upsample || version <= 10 {
        let (coordinates, nearest) = (Coordinates::Asymmetric, Nearest::Floor);
        return Ok(Imported::Op(OnnxOp::Resize(Resize { upsample, size, coordinates, nearest })));
    }
    let policy = attributes.text("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return unsupported(format!("keep_aspect_ratio_policy `{policy}`; use stretch"));
    }
    let coordinates = match attributes.text("coordinate_transformation_mode", "half_pixel")?.as_str() {
        // They differ where sizes are no multiples of each other.
        "half_pixel" | "half_pixel_symmetric" => Coordinates::HalfPixel,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "tf_half_pixel_for_nn" => Coordinates::TfHalfPixel,
        "asymmetric" => Coordinates::Asymmetric,
        "align_corners" => Coordinates::AlignCorners,
        other => return unsupported(format!("coordinate_transformation_mode `{other}`; use half_pixel or asymmetric")),
    };
    let nearest = match attributes.text("nearest_mode", "round_prefer_floor")?.as_str() {
        "round_prefer_floor" | "" => Nearest::RoundPreferFloor,
        "round_prefer_ceil" => Nearest::RoundPreferCeil,
        "floor" => Nearest::Floor,
        "ceil" => Nearest::Ceil,
        other => return unsupported(format!("nearest_mode `{other}`; use floor or round_prefer_floor")),
    };
    Ok(Imported::Op(OnnxOp::Resize(Resize { upsample, size, coordinates, nearest })))
}

fn import_linear(operator: &str, attributes: &Attributes) -> Result<Imported, CompileError> {
    let unsupported = |what: &str| Ok(Imported::Unsupported(format!("{operator} {what}")));
    if attributes.int("block_size", 0)? != 0 {
        return unsupported("in blocks; quantize per tensor, or weights per channel");
    }
    let quantizes = operator == "QuantizeLinear";
    let by_zero_point = attributes.operands() > 2;
    if quantizes && !by_zero_point && !QUANTIZED_TYPES.contains(&attributes.int("output_dtype", 0)?) {
        return unsupported("with output_dtype and no zero point; give it a zero point of type int8 or uint8");
    }
    let axis = attributes.int("axis", 1)?;
    Ok(Imported::Op(OnnxOp::Linear(match quantizes {
        true => Linear::Quantize { axis },
        false => Linear::Dequantize { axis },
    })))
}

/// The attributes that convolutions and poolings share.
fn sliding(attributes: &Attributes) -> Result<Sliding, CompileError> {
    let auto_pad = match attributes.text("auto_pad", "NOTSET")?.as_str() {
        "NOTSET" | "" => AutoPad::Explicit,
        "VALID" => AutoPad::Valid,
        "SAME_UPPER" => AutoPad::SameUpper,
        "SAME_LOWER" => AutoPad::SameLower,
        other => return Err(attributes.error(format!("auto_pad is `{other}`"), "use NOTSET with explicit pads")),
    };
    Ok(Sliding {
        auto_pad,
        kernel: attributes.ints("kernel_shape")?,
        strides: attributes.ints("strides")?,
        dilations: attributes.ints("dilations")?,
        pads: attributes.ints("pads")?,
        ceil: attributes.flag("ceil_mode", false)?,
    })
}
