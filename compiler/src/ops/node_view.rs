//! A node with its tensors: what an operator's checks and evaluation look at.

use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, Tensor};
use ndarray::ArrayD;

/// A node with the tensors of its operands and results.
#[derive(Clone, Debug)]
pub struct NodeView<'g> {
    /// Name of the node, for diagnostics.
    pub name: &'g str,
    /// Operands by position, none where an optional one is absent.
    pub inputs: Vec<Option<&'g Tensor>>,
    /// Results by position.
    pub outputs: Vec<&'g Tensor>,
}

/// Shape of one sample: `shape` without a leading batch dimension of 1.
pub fn sample_shape(shape: &[usize]) -> Vec<usize> {
    match shape {
        [1, rest @ ..] => rest.to_vec(),
        _ => shape.to_vec(),
    }
}

impl<'g> NodeView<'g> {
    /// The view of a node of `graph`.
    pub fn new(graph: &'g Graph, node: &'g Node) -> Self {
        NodeView {
            name: &node.name,
            inputs: node.inputs.iter().map(|id| id.map(|id| graph.tensor(id))).collect(),
            outputs: node.outputs.iter().map(|&id| graph.tensor(id)).collect(),
        }
    }

    /// An error on this node.
    pub fn error(&self, cause: impl Into<String>, remedy: impl Into<String>) -> CompileError {
        CompileError::node(self.name, cause, remedy)
    }

    /// Operand `position`, which the operator calls `role`.
    ///
    /// # Errors
    /// If it is absent.
    pub fn input(&self, position: usize, role: &str) -> Result<&'g Tensor, CompileError> {
        self.optional(position)
            .ok_or_else(|| self.error(format!("operand {position} ({role}) is missing"), "export the model again"))
    }

    /// Operand `position`, none where it is absent.
    pub fn optional(&self, position: usize) -> Option<&'g Tensor> {
        self.inputs.get(position).copied().flatten()
    }

    /// The only result.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn output(&self) -> Result<&'g Tensor, CompileError> {
        match self.outputs.as_slice() {
            [output] => Ok(output),
            outputs => Err(self.error(format!("it has {} results, not 1", outputs.len()), "export the model again")),
        }
    }

    /// Fails where there are more than `most` operands.
    ///
    /// # Errors
    /// As said.
    pub fn at_most(&self, most: usize) -> Result<(), CompileError> {
        match self.inputs.len() <= most {
            true => Ok(()),
            false => Err(self.error(
                format!("it has {} operands, at most {most} are expected", self.inputs.len()),
                "export the model again",
            )),
        }
    }

    /// Fails where `tensor` is of another element type.
    ///
    /// # Errors
    /// As said; the remedy is to quantize to int8.
    pub fn expect_type(&self, tensor: &Tensor, role: &str, element: ElementType) -> Result<(), CompileError> {
        match tensor.element == element {
            true => Ok(()),
            false => Err(self.error(
                format!("{role} `{}` is {}, not {}", tensor.name, tensor.element.name(), element.name()),
                "quantize the model to int8 (full integer quantization) with int32 biases",
            )),
        }
    }

    /// Scale and zero point of a tensor that has one of each.
    ///
    /// # Errors
    /// If it has none, or several.
    pub fn per_tensor(&self, tensor: &Tensor, role: &str) -> Result<(f32, i64), CompileError> {
        let lists = tensor.quantization.as_ref().map(|q| (q.scales.as_slice(), q.zero_points.as_slice()));
        match lists {
            Some(([scale], [zero_point])) => Ok((*scale, *zero_point)),
            Some((scales, _)) => Err(self.error(
                format!("{role} `{}` has {} scales", tensor.name, scales.len()),
                "quantize activations with one scale (per tensor)",
            )),
            None => Err(self.error(
                format!("{role} `{}` has no scale and zero point", tensor.name),
                "quantize the model to int8 (full integer quantization)",
            )),
        }
    }

    /// Fails where the two tensors hold different numbers of elements.
    ///
    /// # Errors
    /// As said.
    pub fn expect_equal_counts(&self, from: &Tensor, to: &Tensor) -> Result<(), CompileError> {
        let count = |tensor: &Tensor| tensor.shape.iter().product::<usize>();
        match count(from) == count(to) {
            true => Ok(()),
            false => Err(self.error(
                format!(
                    "`{}` of shape {:?} has {} elements, `{}` of shape {:?} has {}",
                    from.name,
                    from.shape,
                    count(from),
                    to.name,
                    to.shape,
                    count(to)
                ),
                "export the model again",
            )),
        }
    }

    /// Fails where two tensors have other than one scale and zero point each, or not the same.
    ///
    /// # Errors
    /// As said.
    pub fn expect_equal_quantization(&self, from: &Tensor, to: &Tensor) -> Result<(), CompileError> {
        let (from_scale, from_zero) = self.per_tensor(from, "tensor")?;
        let (to_scale, to_zero) = self.per_tensor(to, "tensor")?;
        match (from_scale, from_zero) == (to_scale, to_zero) {
            true => Ok(()),
            false => Err(self.error(
                format!(
                    "`{}` has scale {from_scale} and zero point {from_zero}, `{}` {to_scale} and {to_zero}",
                    from.name, to.name
                ),
                "convert the model again with equal ones: the operator does not rescale",
            )),
        }
    }

    /// Integers of constant operand `position`, which the operator calls `role`, in order.
    ///
    /// # Errors
    /// If it is absent, computed at run time, or real.
    pub fn constant_integers(&self, position: usize, role: &str) -> Result<Vec<i64>, CompileError> {
        let tensor = self.input(position, role)?;
        match &tensor.constant {
            Some(ConstantData::Int(values)) => Ok(values.iter().copied().collect()),
            Some(ConstantData::Float(_)) => {
                Err(self.error(format!("{role} `{}` is real", tensor.name), "export the model again"))
            }
            None => Err(self.error(
                format!("{role} `{}` is computed at run time", tensor.name),
                "export with constant shapes and axes",
            )),
        }
    }

    /// Integer values of operand `position`.
    ///
    /// # Errors
    /// If there are none.
    pub fn int_value<'v>(
        &self,
        values: &[Option<&'v ConstantData>],
        position: usize,
    ) -> Result<&'v ArrayD<i64>, CompileError> {
        match values.get(position).copied().flatten() {
            Some(ConstantData::Int(values)) => Ok(values),
            _ => Err(self.error(format!("operand {position} has no integer values"), "export the model again")),
        }
    }
}
