//! From `NodeProto` to an operator, by domain, name and version.

use super::attributes::Attributes;
use super::constant::element_type;
use super::proto::NodeProto;
use super::quantized::{import_image, import_microsoft, MICROSOFT_DOMAIN};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Tensor};
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::batch_normalization::BatchNormalization;
use crate::ops::onnx::bipolar_quant::BipolarQuant;
use crate::ops::onnx::heads::Head;
use crate::ops::onnx::matmul::MatMul;
use crate::ops::onnx::pad::Pad;
use crate::ops::onnx::pointwise::Pointwise;
use crate::ops::onnx::quant::Quant;
use crate::ops::onnx::reduce_mean::ReduceMean;
use crate::ops::onnx::shape_arithmetic::{ShapeArithmetic, SliceBounds};
use crate::ops::onnx::transpose::Transpose;
use crate::ops::onnx::trunc::Trunc;
use crate::ops::onnx::view::View;
use crate::ops::onnx::OnnxOp;
use ndarray::{arr0, Array1};
use systole_arith::rounding::RoundingMode;

/// Domains whose Quant, BipolarQuant and Trunc are QONNX's.
pub const QONNX_DOMAINS: [&str; 3] = ["qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"];

/// Rounding modes that are read.
const ROUNDING_MODES: &str = "ROUND, HALF_EVEN, HALF_UP, HALF_DOWN, CEIL, FLOOR, UP, DOWN or ROUND_TO_ZERO";

/// What a node turned out to be.
pub enum Imported {
    /// An operator.
    Op(OnnxOp),
    /// A constant in the graph.
    Constant(Tensor),
    /// An operator that is not compiled: why, and the rewrite that would help.
    Unsupported(String),
}

/// Reads the operator of a node. `version` is that of the node's domain.
///
/// # Errors
/// If an attribute is damaged.
pub fn import_operator(node: &str, proto: &NodeProto, version: i64) -> Result<Imported, CompileError> {
    let attributes = Attributes::new(node, proto);
    let operator = proto.op_type.as_deref().unwrap_or_default();
    match proto.domain.as_deref().unwrap_or_default() {
        "" | "ai.onnx" => import_standard(operator, &attributes, version),
        MICROSOFT_DOMAIN => import_microsoft(operator, &attributes),
        domain if QONNX_DOMAINS.contains(&domain) => import_qonnx(operator, domain, &attributes, version),
        domain => Ok(Imported::Unsupported(format!("operator {operator} of domain `{domain}` is not known"))),
    }
}

fn import_standard(operator: &str, attributes: &Attributes, version: i64) -> Result<Imported, CompileError> {
    if let Some(imported) = import_image(operator, attributes, version)? {
        return Ok(imported);
    }
    let arithmetic = |op| Imported::Op(OnnxOp::Arithmetic(op));
    let pointwise = |op| Imported::Op(OnnxOp::Pointwise(op));
    let shape = |op| Imported::Op(OnnxOp::ShapeArithmetic(op));
    let view = |op| Imported::Op(OnnxOp::View(op));
    let head = |op| Imported::Op(OnnxOp::Head(op));
    Ok(match operator {
        "MatMul" => Imported::Op(OnnxOp::MatMul(MatMul::Plain)),
        "Gemm" => Imported::Op(OnnxOp::MatMul(MatMul::Gemm {
            alpha: attributes.float("alpha", 1.0)?,
            beta: attributes.float("beta", 1.0)?,
            transpose_a: attributes.flag("transA", false)?,
            transpose_b: attributes.flag("transB", false)?,
        })),
        "Add" => arithmetic(Arithmetic::Add),
        "Sub" => arithmetic(Arithmetic::Sub),
        "Mul" => arithmetic(Arithmetic::Mul),
        "Div" => arithmetic(Arithmetic::Div),
        "Pow" => arithmetic(Arithmetic::Pow),
        "BatchNormalization" => match attributes.int("training_mode", 0)? {
            0 => Imported::Op(OnnxOp::BatchNormalization(BatchNormalization {
                epsilon: attributes.float("epsilon", 1e-5)?,
            })),
            _ => Imported::Unsupported("BatchNormalization in training mode; export in evaluation mode".into()),
        },
        "Relu" => pointwise(Pointwise::Relu),
        "Sign" => pointwise(Pointwise::Sign),
        "Identity" => pointwise(Pointwise::Identity),
        "Dropout" => pointwise(Pointwise::Dropout),
        "Reshape" => {
            view(View::Reshape { allow_zero: attributes.flag("allowzero", false)?, target: attributes.ints("shape")? })
        }
        "Flatten" => view(View::Flatten { axis: attributes.int("axis", 1)? }),
        "Squeeze" => view(View::Squeeze { axes: attributes.ints("axes")? }),
        "Unsqueeze" => view(View::Unsqueeze { axes: attributes.ints("axes")? }),
        "Transpose" => Imported::Op(OnnxOp::Transpose(Transpose { permutation: attributes.ints("perm")? })),
        "Pad" => {
            let mode = attributes.text("mode", "constant")?;
            let value = attributes.float("value", 0.0)?;
            // Before version 2 the attribute was called `paddings`.
            match (mode.as_str(), version) {
                (_, ..=1) => Imported::Unsupported("Pad of version 1; export with opset 2 or later".into()),
                ("constant", _) => Imported::Op(OnnxOp::Pad(Pad { pads: attributes.ints("pads")?, value })),
                (mode, _) => Imported::Unsupported(format!("Pad with mode `{mode}`; pad with a constant")),
            }
        }
        "ReduceMean" => Imported::Op(OnnxOp::ReduceMean(ReduceMean {
            axes: attributes.ints("axes")?,
            keep: attributes.flag("keepdims", true)?,
            none_is_none: attributes.flag("noop_with_empty_axes", false)?,
        })),
        "Softmax" => {
            let flatten = version < 13;
            head(Head::Softmax { axis: attributes.int("axis", if flatten { 1 } else { -1 })?, flatten })
        }
        "ArgMax" => match attributes.flag("select_last_index", false)? {
            false => head(Head::ArgMax { axis: attributes.int("axis", 0)?, keep: attributes.flag("keepdims", true)? }),
            true => Imported::Unsupported("ArgMax with select_last_index = 1; use 0".into()),
        },
        "TopK" => match attributes.flag("sorted", true)? {
            true => {
                let k = if version < 10 { Some(attributes.int("k", 0)?) } else { None };
                head(Head::TopK { axis: attributes.int("axis", -1)?, k, largest: attributes.flag("largest", true)? })
            }
            false => Imported::Unsupported("TopK with sorted = 0; use 1".into()),
        },
        "Shape" => shape(ShapeArithmetic::Shape {
            start: attributes.int("start", 0)?,
            end: match attributes.int("end", i64::MAX)? {
                i64::MAX => None,
                end => Some(end),
            },
        }),
        "Gather" => shape(ShapeArithmetic::Gather { axis: attributes.int("axis", 0)? }),
        "Concat" => shape(ShapeArithmetic::Concat { axis: attributes.int("axis", 0)? }),
        "Slice" => {
            let bounds = match (attributes.ints("starts")?, attributes.ints("ends")?) {
                (Some(starts), Some(ends)) => {
                    Some(SliceBounds { starts, ends, axes: attributes.ints("axes")?, steps: None })
                }
                _ => None,
            };
            shape(ShapeArithmetic::Slice { bounds })
        }
        "Cast" => match element_type(i32::try_from(attributes.int("to", 0)?).unwrap_or(0)) {
            Some(to) => shape(ShapeArithmetic::Cast { to }),
            None => Imported::Unsupported("Cast to an element type that is not read; cast to float or int64".into()),
        },
        "ConstantOfShape" => {
            let zero = || scalar(ConstantData::Float(arr0(0.0).into_dyn()), ElementType::Float32);
            shape(ShapeArithmetic::ConstantOfShape { value: attributes.tensor("value")?.unwrap_or_else(zero) })
        }
        "Sqrt" => shape(ShapeArithmetic::Sqrt),
        "Neg" => shape(ShapeArithmetic::Neg),
        "Constant" => match constant(attributes)? {
            Some(tensor) => Imported::Constant(tensor),
            None => Imported::Unsupported("Constant of texts or of a sparse tensor; use a dense tensor".into()),
        },
        other => Imported::Unsupported(format!("operator {other} is not compiled{}", rewrite(other))),
    })
}

fn import_qonnx(operator: &str, domain: &str, attributes: &Attributes, version: i64) -> Result<Imported, CompileError> {
    let rounding = |default| -> Result<Result<RoundingMode, Imported>, CompileError> {
        let name = attributes.text("rounding_mode", default)?;
        Ok(RoundingMode::from_qonnx(&name).ok_or_else(|| {
            Imported::Unsupported(format!("{operator} with rounding_mode `{name}`; use {ROUNDING_MODES}"))
        }))
    };
    let op = match operator {
        "Quant" | "IntQuant" => match rounding("ROUND")? {
            Ok(rounding) => OnnxOp::Quant(Quant {
                signed: attributes.flag("signed", true)?,
                narrow: attributes.flag("narrow", true)?,
                rounding,
            }),
            Err(unsupported) => return Ok(unsupported),
        },
        "BipolarQuant" => OnnxOp::BipolarQuant(BipolarQuant),
        "Trunc" => match (rounding("FLOOR")?, version) {
            (Err(unsupported), _) => return Ok(unsupported),
            (Ok(rounding), ..=1) => OnnxOp::Trunc(Trunc::V1 { rounding }),
            (Ok(rounding), _) => OnnxOp::Trunc(Trunc::V2 {
                rounding,
                signed: attributes.flag("signed", true)?,
                narrow: attributes.flag("narrow", false)?,
            }),
        },
        "MultiThreshold" => {
            return Ok(Imported::Unsupported(
                "MultiThreshold is not compiled; use the model as exported, before FINN turns its quantizers into \
                 thresholds"
                    .into(),
            ))
        }
        other => return Ok(Imported::Unsupported(format!("operator {other} of domain `{domain}` is not compiled"))),
    };
    Ok(Imported::Op(op))
}

/// The value of a Constant node, none where it is text or sparse.
fn constant(attributes: &Attributes) -> Result<Option<Tensor>, CompileError> {
    if let Some(tensor) = attributes.tensor("value")? {
        return Ok(Some(tensor));
    }
    if let Some(values) = attributes.floats("value_floats")? {
        let shape = vec![values.len()];
        let constant = Some(ConstantData::Float(Array1::from_vec(values).into_dyn()));
        return Ok(Some(Tensor { shape, ..scalar_of(constant, ElementType::Float32) }));
    }
    if let Some(values) = attributes.ints("value_ints")? {
        let shape = vec![values.len()];
        let constant = Some(ConstantData::Int(Array1::from_vec(values).into_dyn()));
        return Ok(Some(Tensor { shape, ..scalar_of(constant, ElementType::Int64) }));
    }
    // A sentinel tells "absent" from any value: the same attribute under two defaults.
    let (a, b) = (attributes.int("value_int", 0)?, attributes.int("value_int", 1)?);
    if a == b {
        return Ok(Some(scalar(ConstantData::Int(arr0(a).into_dyn()), ElementType::Int64)));
    }
    let (a, b) = (attributes.float("value_float", 0.0)?, attributes.float("value_float", 1.0)?);
    Ok((a == b).then(|| scalar(ConstantData::Float(arr0(a).into_dyn()), ElementType::Float32)))
}

fn scalar(constant: ConstantData, element: ElementType) -> Tensor {
    scalar_of(Some(constant), element)
}

fn scalar_of(constant: Option<ConstantData>, element: ElementType) -> Tensor {
    Tensor { name: String::new(), shape: Vec::new(), element, quantization: None, constant }
}

/// What to do about a well-known operator that is not compiled.
fn rewrite(operator: &str) -> &'static str {
    match operator {
        "ConvTranspose" => "; enlarge the image with Resize and convolve, or split it into convolutions",
        "DynamicQuantizeLinear" => "; quantize statically (onnxruntime.quantization.quantize_static)",
        "HardTanh" => "; use Clip",
        "Elu" | "Selu" | "Gelu" | "Softplus" | "Mish" | "Celu" => "; train with Relu, HardSwish or LeakyRelu",
        "If" | "Loop" | "Scan" => "; a network must be free of control flow",
        "LSTM" | "GRU" | "RNN" => "; recurrent networks are not compiled",
        "LogSoftmax" | "Hardmax" => "; end the network with Softmax, ArgMax or TopK",
        "Sum" | "Mean" | "Max" | "Min" => "; use Add for sums of two operands",
        _ => "",
    }
}
