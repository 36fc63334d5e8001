//! Operators on single elements: Relu, Sign, Identity and Dropout.

use super::operands::Operands;
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::Quantizer;

/// An operator on single elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointwise {
    /// `max(x, 0)`
    Relu,
    /// -1, 0 or 1
    Sign,
    /// `x`
    Identity,
    /// `x`: in inference nothing is dropped; the optional second result, the mask, must be unused
    Dropout,
}

impl Pointwise {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Pointwise::Relu => "Relu",
            Pointwise::Sign => "Sign",
            Pointwise::Identity => "Identity",
            Pointwise::Dropout => "Dropout",
        }
    }
}

impl Operator for Pointwise {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        if *self == Pointwise::Dropout {
            if let Some(training) = operands.optional(2) {
                let constant = training.constant.as_ref();
                if !matches!(constant, Some(ConstantData::Int(values)) if values.iter().all(|&v| v == 0)) {
                    return Err(
                        operands.error("training_mode is not constantly false", "export the model in evaluation mode")
                    );
                }
            }
        }
        Ok(vec![operands.result(data.shape.clone(), data.element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        if matches!(self, Pointwise::Identity | Pointwise::Dropout) {
            self.infer(operands)?;
            return Ok(vec![Tensor { name: String::new(), ..data.clone() }]);
        }
        let f = |v: f32| match self {
            Pointwise::Sign if v == 0.0 => 0.0,
            Pointwise::Sign => v.signum(),
            _ => v.max(0.0),
        };
        let g = |v: i64| if *self == Pointwise::Sign { v.signum() } else { v.max(0) };
        let (constant, element) = match (&data.constant, &data.quantization) {
            (Some(ConstantData::Int(values)), None) => (ConstantData::Int(values.mapv(g)), data.element),
            _ => (ConstantData::Float(operands.floats(0, "input")?.mapv(f)), ElementType::Float32),
        };
        Ok(vec![Tensor { constant: Some(constant), ..operands.result(data.shape.clone(), element)? }])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        match self {
            Pointwise::Relu => lowering.lower_relu(node),
            Pointwise::Sign => lowering.close_with(node, Quantizer::Sign),
            Pointwise::Identity | Pointwise::Dropout => lowering.pass_through(node),
        }
    }
}
