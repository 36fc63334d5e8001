//! QLinearAdd, QLinearMul and QLinearConcat (com.microsoft): several quantized tensors become one.

use super::operands::{broadcast_shape, Operands};
use super::operator::Operator;
use super::quantization;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Node, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::{Dequantized, Target};
use ndarray::{concatenate, Axis, IxDyn, Zip};
use systole_arith::formula::OrtQuantization;
use systole_arith::join::{OrtJoin, OrtOperation};
use systole_arith::{JoinFormula, TableFormula};

/// Which of the operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizedJoin {
    /// QLinearAdd or QLinearMul: a and b, each with scale and zero point, then those of the result.
    Elementwise(OrtOperation),
    /// QLinearConcat: scale and zero point of the result, then every operand with its own.
    Concat {
        /// Dimension along which.
        axis: i64,
    },
}

impl QuantizedJoin {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            QuantizedJoin::Elementwise(OrtOperation::Add) => "QLinearAdd",
            QuantizedJoin::Elementwise(OrtOperation::Multiply) => "QLinearMul",
            QuantizedJoin::Elementwise(OrtOperation::Subtract) => "QLinearSub",
            QuantizedJoin::Concat { .. } => "QLinearConcat",
        }
    }

    /// Places of scale and zero point of the result.
    fn output(self) -> (usize, usize) {
        match self {
            QuantizedJoin::Elementwise(_) => (6, 7),
            QuantizedJoin::Concat { .. } => (0, 1),
        }
    }

    /// Places of the tensors that are joined.
    fn tensors(self, operands: &Operands) -> Vec<usize> {
        match self {
            QuantizedJoin::Elementwise(_) => vec![0, 3],
            QuantizedJoin::Concat { .. } => (2..).step_by(3).take_while(|&i| operands.optional(i).is_some()).collect(),
        }
    }

    fn target(self, operands: &Operands) -> Result<Target, CompileError> {
        let (scale, zero) = self.output();
        Ok(Target {
            quantization: quantization::single(operands, scale, zero, "output")?,
            element: quantization::int_type(operands, quantization::element(operands, zero)?)?,
        })
    }
}

impl Operator for QuantizedJoin {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let element = quantization::element(operands, self.output().1)?;
        let places = self.tensors(operands);
        let tensors = places.iter().map(|&i| operands.required(i, "operand")).collect::<Result<Vec<_>, _>>()?;
        let first = tensors.first().ok_or_else(|| operands.error("it has no operands", "export the model again"))?;
        let shape = match *self {
            QuantizedJoin::Elementwise(_) => tensors
                .iter()
                .skip(1)
                .try_fold(first.shape.clone(), |shape, tensor| broadcast_shape(&shape, &tensor.shape)),
            QuantizedJoin::Concat { axis } => {
                let axis = operands.axis(axis, first.shape.len())?;
                concatenated_shape(&tensors, axis)
            }
        };
        let shape = shape.ok_or_else(|| {
            let shapes: Vec<&[usize]> = tensors.iter().map(|tensor| tensor.shape.as_slice()).collect();
            operands.error(format!("shapes {shapes:?} do not fit each other"), "make the other dimensions equal")
        })?;
        Ok(vec![operands.result(shape, element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let Target { quantization: output, element } = self.target(operands)?;
        let failed =
            |e: systole_arith::formula::FormulaError| operands.error(e.to_string(), "quantize the model again");
        let misfit = || operands.error("its operands do not fit each other", "export the model again");
        let shape = results.first().map(|result| result.shape.clone()).unwrap_or_default();
        let values = match *self {
            QuantizedJoin::Elementwise(operation) => {
                let left = quantization::single(operands, 1, 2, "first")?;
                let right = quantization::single(operands, 4, 5, "second")?;
                let formula = JoinFormula::Ort(OrtJoin::new(operation, left, right, output, element).map_err(failed)?);
                let (a, b) = (operands.integers(0, "a")?, operands.integers(3, "b")?);
                let (a, b) = (a.broadcast(IxDyn(&shape)), b.broadcast(IxDyn(&shape)));
                let (a, b) = (a.ok_or_else(misfit)?, b.ok_or_else(misfit)?);
                Zip::from(a).and(b).map_collect(|&a, &b| formula.evaluate(a, b))
            }
            QuantizedJoin::Concat { axis } => {
                let axis = operands.axis(axis, shape.len())?;
                let mut parts = Vec::new();
                for place in self.tensors(operands) {
                    let input = quantization::single(operands, place + 1, place + 2, "operand's")?;
                    let values = operands.integers(place, "operand")?;
                    let formula = TableFormula::ort(1, Vec::new(), input, output, element).map_err(failed)?;
                    parts.push(match input == output {
                        true => values.clone(),
                        false => values.mapv(|q| formula.evaluate(0, q)),
                    });
                }
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                concatenate(Axis(axis), &views).map_err(|_| misfit())?
            }
        };
        results.iter_mut().for_each(|result| result.constant = Some(ConstantData::Int(values.clone())));
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let target = self.target(&operands)?;
        let mut parts = Vec::new();
        let is_constant = |place: usize| operands.optional(place).is_some_and(|tensor| tensor.constant.is_some());
        let places = self.tensors(&operands);
        if let (QuantizedJoin::Elementwise(operation), &[first, second]) = (*self, places.as_slice()) {
            let sides = match (is_constant(first), is_constant(second)) {
                (true, false) => Some((second, first)),
                (false, true) => Some((first, second)),
                _ => None,
            };
            if let Some((variable, constant)) = sides {
                let numbers = |place: usize| quantization::single(&operands, place + 1, place + 2, "operand's");
                let tensor = lowering.stored_operand(node, variable)?;
                let input = Dequantized { tensor, quantization: numbers(variable)? };
                let fixed = (constant, numbers(constant)?, operands.integers(constant, "constant")?);
                let value = lowering.join_constant(node, operation, (variable, input), fixed, target)?;
                return lowering.define(node, value);
            }
        }
        for place in places {
            if let Some(constant) = operands.optional(place).filter(|_| is_constant(place)) {
                return Err(operands.error(
                    format!("its operand `{}` is a constant", constant.name),
                    "concatenate computed tensors only",
                ));
            }
            let role = "operand's";
            let quantization: OrtQuantization = quantization::single(&operands, place + 1, place + 2, role)?;
            let tensor = lowering.stored_operand(node, place)?;
            parts.push((place, Dequantized { tensor, quantization }));
        }
        let pending = match *self {
            QuantizedJoin::Elementwise(operation) => lowering.float_join(node, operation, &parts)?,
            QuantizedJoin::Concat { axis } => {
                let rank = operands.required(2, "operand")?.shape.len();
                lowering.float_concat(node, operands.axis(axis, rank)?, &parts)?
            }
        };
        let value = lowering.quantize(node, pending, target)?;
        lowering.define(node, value)
    }
}

/// Shape of tensors behind each other; none where other dimensions differ.
pub fn concatenated_shape(tensors: &[&Tensor], axis: usize) -> Option<Vec<usize>> {
    let mut shape = tensors.first()?.shape.clone();
    let others =
        |shape: &[usize]| shape.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &d)| d).collect::<Vec<_>>();
    if tensors.iter().any(|tensor| tensor.shape.len() != shape.len() || others(&tensor.shape) != others(&shape)) {
        return None;
    }
    let total = tensors.iter().try_fold(0usize, |sum, tensor| sum.checked_add(*tensor.shape.get(axis)?))?;
    *shape.get_mut(axis)? = total;
    Some(shape)
}
