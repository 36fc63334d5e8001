//! Pad (ONNX operator specification) with a constant, around images `[1, C, ...]`.
//!
//! In the accelerator the constant must be a value of the padded tensor: real zeros always are, except
//! in front of a quantizer to two values.

use super::operands::Operands;
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::{self, QuantOp};
use ndarray::{ArrayD, IxDyn, Slice};
use num_rational::BigRational;
use num_traits::ToPrimitive;
use systole_arith::{Range, Window};

/// A padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// Pixels in front of each dimension, then behind each; an operand from version 11 on.
    pub pads: Option<Vec<i64>>,
    /// The constant; an operand from version 11 on.
    pub value: f32,
}

impl Pad {
    /// Pixels in front of and behind each dimension.
    fn amounts(&self, operands: &Operands) -> Result<Vec<(usize, usize)>, CompileError> {
        let rank = operands.required(0, "data")?.shape.len();
        let pads = match &self.pads {
            Some(pads) => pads.clone(),
            None => operands.integer_list(1, "pads")?,
        };
        let axes = match operands.optional_integer_list(3, "axes")? {
            Some(axes) => axes.iter().map(|&axis| operands.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).collect(),
        };
        let number = |&v: &i64| usize::try_from(v).ok().filter(|&v| v <= Window::LIMIT);
        let numbers: Option<Vec<usize>> = pads.iter().map(number).collect();
        let numbers = numbers.filter(|numbers| numbers.len() == 2 * axes.len()).ok_or_else(|| {
            operands.error(
                format!("its pads are {:?}", pads.get(..8).unwrap_or(&pads)),
                format!("give {} numbers from 0 to {}", 2 * axes.len(), Window::LIMIT),
            )
        })?;
        let (before, after) = numbers.split_at(axes.len());
        let mut amounts = vec![(0, 0); rank];
        for ((&axis, &before), &after) in axes.iter().zip(before).zip(after) {
            if let Some(slot) = amounts.get_mut(axis) {
                *slot = (before, after);
            }
        }
        Ok(amounts)
    }

    fn value(&self, operands: &Operands) -> Result<f64, CompileError> {
        match operands.optional(2) {
            Some(_) => operands.number(2, "constant value"),
            None => Ok(f64::from(self.value)),
        }
    }
}

fn padded<T: Copy>(data: &ArrayD<T>, amounts: &[(usize, usize)], shape: &[usize], value: T) -> ArrayD<T> {
    let mut result = ArrayD::from_elem(IxDyn(shape), value);
    let mut inner = result.slice_each_axis_mut(|axis| {
        let (before, _) = amounts.get(axis.axis.index()).copied().unwrap_or((0, 0));
        let size = data.shape().get(axis.axis.index()).copied().unwrap_or(0);
        Slice::from(before..before + size)
    });
    inner.assign(data);
    result
}

impl Operator for Pad {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "data")?;
        let amounts = self.amounts(operands)?;
        let shape = data.shape.iter().zip(&amounts).map(|(&dim, &(before, after))| {
            dim.checked_add(before + after)
                .ok_or_else(|| operands.error(format!("a dimension of {dim} is padded"), "export the model again"))
        });
        let element = if data.quantization.is_some() { ElementType::Float32 } else { data.element };
        Ok(vec![operands.result(shape.collect::<Result<_, _>>()?, element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let (amounts, value) = (self.amounts(operands)?, self.value(operands)?);
        let data = operands.required(0, "data")?;
        for result in &mut results {
            result.constant = Some(match (&data.constant, &data.quantization) {
                (Some(ConstantData::Int(values)), None) => {
                    ConstantData::Int(padded(values, &amounts, &result.shape, value as i64))
                }
                _ => ConstantData::Float(padded(&operands.floats(0, "data")?, &amounts, &result.shape, value as f32)),
            });
        }
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let (amounts, value) = (self.amounts(&operands)?, self.value(&operands)?);
        let data = operands.required(0, "data")?;
        let ((0, 0), (0, 0), Some(spatial @ ([_] | [_, _]))) = (
            amounts.first().copied().unwrap_or_default(),
            amounts.get(1).copied().unwrap_or_default(),
            amounts.get(2..),
        ) else {
            return Err(operands.error(
                format!("it pads {:?} with {amounts:?} pixels in front of and behind each dimension", data.shape),
                "pad rows and columns of images [1, C, ...] only",
            ));
        };
        let (quantized, input) = lowering.quantized_image(node)?;
        let from = lowering.tensor(&node.name, input)?.clone();
        let stored = BigRational::from_float(value).map(|value| value / &quantized.scale).filter(|q| q.is_integer());
        let stored = stored.and_then(|q| q.to_integer().to_i64()?.checked_add(quantized.zero_point));
        let Some(stored) = stored.filter(|&q| from.element.contains(q)) else {
            return Err(operands.error(
                format!("it pads with {value}, which is no value of `{}`, a tensor of {}", from.name, from.element),
                "put the padding in front of the quantizer of the input, or quantize to two bits or more",
            ));
        };
        let misfit = || operands.error(format!("`{}` is no image", from.name), "pad images [1, C, ...]");
        let mut window = Window::pointwise(quant::image(&from).ok_or_else(misfit)?);
        let skipped = 2 - spatial.len();
        for (axis, &(before, after)) in spatial.iter().enumerate() {
            window.pad_before[axis + skipped] = before;
            window.pad_after[axis + skipped] = after;
        }
        window.validate().map_err(|e| operands.error(e.to_string(), "export the model again"))?;
        let shape = self.infer(&operands)?.first().map(|result| sample_shape(&result.shape)).ok_or_else(misfit)?;
        let layout = Layout::channels_last(&shape);
        let range = from.range.hull(Range::point(stored));
        let real = (&quantized.scale, quantized.zero_point);
        let name = lowering.result_name(node);
        let output = lowering.add_tensor(name, layout.shape().to_vec(), from.element, range, Some(real))?;
        lowering.layouts.insert(output, layout);
        lowering.add_node(&node.name, QuantOp::Pad(quant::Pad { window, value: stored }), vec![input], output);
        let (scale, zero_point) = (quantized.scale, quantized.zero_point);
        lowering.define(node, Value::Integer { tensor: output, scale, zero_point })
    }
}
