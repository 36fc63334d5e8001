//! QLinearSoftmax (com.microsoft): softmax of a quantized tensor. The host executes it behind the
//! accelerator in float32; its exponentials are not those of the runtime bit for bit.

use super::heads::Head;
use super::operands::Operands;
use super::operator::Operator;
use super::quantization;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::Target;

/// A quantized softmax: x, its scale and zero point, scale and zero point of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantizedSoftmax {
    /// The dimension.
    pub axis: i64,
    /// Whether all dimensions from `axis` on form one (operators before version 13).
    pub flatten: bool,
}

impl QuantizedSoftmax {
    fn head(self) -> Head {
        Head::Softmax { axis: self.axis, flatten: self.flatten }
    }

    fn target(self, operands: &Operands) -> Result<Target, CompileError> {
        Ok(Target {
            quantization: quantization::single(operands, 3, 4, "output")?,
            element: quantization::int_type(operands, quantization::element(operands, 4)?)?,
        })
    }
}

impl Operator for QuantizedSoftmax {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        operands.axis(self.axis, data.shape.len())?;
        Ok(vec![operands.result(data.shape.clone(), quantization::element(operands, 4)?)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let input = quantization::single(operands, 1, 2, "input")?;
        let Target { quantization: output, element } = self.target(operands)?;
        let data = operands.required(0, "input")?;
        let real = Tensor {
            quantization: Some(Quantization {
                scales: vec![input.scale],
                zero_points: vec![input.zero_point],
                axis: 0,
            }),
            ..data.clone()
        };
        let softmax = self.head().evaluate(&Operands::new(operands.node, vec![Some(&real)]))?;
        let range = element.range();
        for (result, probabilities) in results.iter_mut().zip(softmax) {
            if let Some(ConstantData::Float(values)) = probabilities.constant {
                result.constant = Some(ConstantData::Int(values.mapv(|p| {
                    ((p / output.scale).round_ties_even() as i64 + output.zero_point).clamp(range.lo, range.hi)
                })));
            }
        }
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let shape = &operands.required(0, "input")?.shape;
        let axis = operands.axis(self.axis, shape.len())?;
        let behind = shape.iter().skip(axis + 1).all(|&dim| dim == 1);
        let to_the_end = behind || self.flatten && axis == 1;
        if !to_the_end {
            return Err(operands.error(
                format!("softmax along dimension {axis} of shape {shape:?}"),
                "it is compiled along the innermost dimension",
            ));
        }
        let input = quantization::single(&operands, 1, 2, "input")?;
        lowering.quantized_softmax(node, (input, self.target(&operands)?), axis)
    }
}
