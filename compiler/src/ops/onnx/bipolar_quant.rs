//! BipolarQuant (QONNX): `y = x >= 0 ? +scale : -scale`.
//!
//! Source: `binary_quant` of the QONNX executor.

use super::operands::Operands;
use super::operator::Operator;
use super::quant::map_channels;
use super::quantizer::ScaleAndZero;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::Quantizer;

/// The operator has no attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BipolarQuant;

impl Operator for BipolarQuant {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        operands.required(1, "scale")?;
        Ok(vec![operands.result(data.shape.clone(), ElementType::Float32)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let values = operands.floats(0, "input")?;
        let ScaleAndZero { scales, zero_points, axis } = ScaleAndZero::read(operands, 1, None)?;
        let integers = map_channels(&values.as_standard_layout().into_owned(), axis, |value, _| match value >= 0.0 {
            true => 1,
            false => -1,
        });
        Ok(vec![Tensor {
            element: ElementType::Int8,
            quantization: Some(Quantization { scales, zero_points, axis }),
            constant: Some(ConstantData::Int(integers)),
            ..operands.result(values.shape().to_vec(), ElementType::Float32)?
        }])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let (scale, zero_point) = ScaleAndZero::read(&operands, 1, None)?.single(&operands)?;
        lowering.close_with(node, Quantizer::Bipolar { scale, zero_point })
    }
}
