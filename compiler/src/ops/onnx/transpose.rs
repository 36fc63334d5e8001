//! Transpose: permutes dimensions. Constants (weights) are transposed, and what the host holds; in
//! the accelerator a transposition only changes the layout.

use super::operands::Operands;
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use ndarray::{ArrayD, IxDyn};

/// Permutation of dimensions; reversal where it is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// `permutation[i]` is the operand's dimension that becomes dimension `i`.
    pub permutation: Option<Vec<i64>>,
}

impl Transpose {
    fn axes(&self, operands: &Operands, rank: usize) -> Result<Vec<usize>, CompileError> {
        let Some(permutation) = &self.permutation else { return Ok((0..rank).rev().collect()) };
        let axes: Vec<usize> = permutation.iter().filter_map(|&p| usize::try_from(p).ok()).collect();
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        match sorted.iter().copied().eq(0..rank) && axes.len() == permutation.len() {
            true => Ok(axes),
            false => Err(operands
                .error(format!("perm {permutation:?} is no order of {rank} dimensions"), "name every dimension once")),
        }
    }

    /// The permutation of one sample's dimensions, of `rank` with the batch; none where the batch moves
    /// or the permutation names other dimensions.
    pub fn sample_axes(&self, rank: usize) -> Option<Vec<usize>> {
        let axes: Vec<usize> = match &self.permutation {
            Some(permutation) => permutation.iter().map(|&p| usize::try_from(p).ok()).collect::<Option<_>>()?,
            None => (0..rank).rev().collect(),
        };
        match axes.as_slice() {
            [0, rest @ ..] if rest.len() + 1 == rank => rest.iter().map(|axis| axis.checked_sub(1)).collect(),
            _ => None,
        }
    }

    /// Whether elements of the given shape keep their order in memory.
    pub fn keeps_order(&self, operands: &Operands, shape: &[usize]) -> Result<bool, CompileError> {
        let axes = self.axes(operands, shape.len())?;
        let long: Vec<usize> = axes.into_iter().filter(|&a| shape.get(a).is_some_and(|&dim| dim != 1)).collect();
        Ok(long.is_sorted())
    }
}

fn permuted<T: Clone>(values: &ArrayD<T>, axes: &[usize]) -> ArrayD<T> {
    values.view().permuted_axes(IxDyn(axes)).as_standard_layout().into_owned()
}

impl Operator for Transpose {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "data")?;
        let axes = self.axes(operands, data.shape.len())?;
        let shape = axes.iter().filter_map(|&a| data.shape.get(a).copied()).collect();
        Ok(vec![operands.result(shape, data.element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "data")?;
        let axes = self.axes(operands, data.shape.len())?;
        let mut results = self.infer(operands)?;
        for result in &mut results {
            result.constant = Some(match &data.constant {
                Some(ConstantData::Int(values)) => ConstantData::Int(permuted(values, &axes)),
                Some(ConstantData::Float(values)) => ConstantData::Float(permuted(values, &axes)),
                None => return Err(operands.error("data is not constant", "fold it")),
            });
            result.quantization = data
                .quantization
                .clone()
                .map(|q| Quantization { axis: axes.iter().position(|&a| a == q.axis).unwrap_or(0), ..q });
        }
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let data = operands.required(0, "data")?;
        if self.keeps_order(&operands, &data.shape)? {
            return lowering.lower_view(node);
        }
        match self.sample_axes(data.shape.len()) {
            Some(axes) => lowering.lower_transpose(node, &axes),
            None => Err(operands.error(
                format!("it moves the batch of a tensor of shape {:?}", data.shape),
                "transpose the other dimensions only",
            )),
        }
    }
}
