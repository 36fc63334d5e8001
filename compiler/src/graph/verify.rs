//! The guarantees of an imported network.

use super::{ConstantData, Graph, Tensor, TensorId};
use crate::diagnostic::CompileError;
use crate::ops::NodeView;
use petgraph::Direction;
use std::collections::HashSet;

impl Graph {
    /// Checks every guarantee: ids in range, unique names, acyclic, every operand with a source,
    /// constants that fit their shapes, operands that fit their operators.
    ///
    /// # Errors
    /// The first guarantee that does not hold, with the node's or tensor's name.
    pub fn check(&self) -> Result<(), CompileError> {
        self.check_ids()?;
        let mut names = HashSet::new();
        for tensor in &self.tensors {
            if !names.insert(tensor.name.as_str()) {
                return Err(damaged(format!("two tensors are called `{}`", tensor.name)));
            }
            check_tensor(tensor)?;
        }
        let mut names = HashSet::new();
        for node in self.nodes.node_weights() {
            if !names.insert(node.name.as_str()) {
                return Err(CompileError::node(&node.name, "two nodes have this name", "export the model again"));
            }
        }
        self.topological_order()?;
        self.nodes.node_weights().try_for_each(|node| node.op.check(&NodeView::new(self, node)))?;
        self.check_sources()
    }

    /// [`Graph::check`] with the error as text.
    ///
    /// # Errors
    /// As there.
    pub fn verify(&self) -> Result<(), String> {
        self.check().map_err(|error| error.to_string())
    }

    fn check_ids(&self) -> Result<(), CompileError> {
        let known = |id: &TensorId| (id.0 as usize) < self.tensors.len();
        if !self.inputs.iter().chain(&self.outputs).all(known) {
            return Err(damaged("an input or output is no tensor of the network".into()));
        }
        for index in self.nodes.node_indices() {
            let node = &self.nodes[index];
            if !node.inputs.iter().flatten().chain(&node.outputs).all(known) {
                let cause = "an operand or result is no tensor of the network";
                return Err(CompileError::node(&node.name, cause, "export the model again"));
            }
            let carried = self.nodes.edges_directed(index, Direction::Incoming).map(|edge| *edge.weight());
            if let Some(id) = carried.into_iter().find(|&id| !node.inputs.contains(&Some(id))) {
                let cause = format!("an edge carries `{}`, which is no operand", self.tensor(id).name);
                return Err(CompileError::node(&node.name, cause, "export the model again"));
            }
        }
        Ok(())
    }

    /// Every operand and output is an input, a constant or a result.
    fn check_sources(&self) -> Result<(), CompileError> {
        let mut sources: HashSet<TensorId> = self.inputs.iter().copied().collect();
        sources.extend(self.nodes.node_weights().flat_map(|node| node.outputs.iter().copied()));
        let missing = |id: &TensorId| !sources.contains(id) && self.tensor(*id).constant.is_none();
        for node in self.nodes.node_weights() {
            if let Some(id) = node.inputs.iter().flatten().find(|id| missing(id)) {
                return Err(CompileError::node(
                    &node.name,
                    format!("operand `{}` is computed by nothing", self.tensor(*id).name),
                    "export the model again",
                ));
            }
        }
        match self.outputs.iter().find(|id| missing(id)) {
            Some(id) => Err(damaged(format!("output `{}` is computed by nothing", self.tensor(*id).name))),
            None => Ok(()),
        }
    }
}

fn damaged(cause: String) -> CompileError {
    CompileError::model(cause, "export the model again")
}

fn check_tensor(tensor: &Tensor) -> Result<(), CompileError> {
    let held = match &tensor.constant {
        Some(ConstantData::Float(values)) => values.shape(),
        Some(ConstantData::Int(values)) => values.shape(),
        None => &tensor.shape,
    };
    if held != tensor.shape {
        return Err(damaged(format!("tensor `{}` has shape {:?}, its values {held:?}", tensor.name, tensor.shape)));
    }
    let Some(quantization) = &tensor.quantization else { return Ok(()) };
    let (scales, zero_points) = (quantization.scales.len(), quantization.zero_points.len());
    let along_axis = scales == 1 || tensor.shape.get(quantization.axis) == Some(&scales);
    if scales == 0 || scales != zero_points || !along_axis {
        return Err(damaged(format!(
            "tensor `{}` of shape {:?} has {scales} scales and {zero_points} zero points along dimension {}",
            tensor.name, tensor.shape, quantization.axis
        )));
    }
    Ok(())
}
