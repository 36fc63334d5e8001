//! Evaluates an imported network with the file's own operators.

use super::{ConstantData, ElementType, Graph, TensorId};
use crate::diagnostic::CompileError;
use crate::ops::NodeView;
use crate::profile::Profile;
use std::collections::HashMap;

impl Graph {
    /// Values of every tensor that is computed or fed, as `profile`'s runtime computes them.
    /// `inputs`: one value an input of the graph, in their order and under their shapes.
    ///
    /// # Errors
    /// If the inputs do not fit, or a node cannot be evaluated.
    pub fn interpret(
        &self,
        profile: Profile,
        inputs: &[ConstantData],
    ) -> Result<HashMap<TensorId, ConstantData>, CompileError> {
        if inputs.len() != self.inputs.len() {
            return Err(CompileError::model(
                format!("{} values for {} inputs", inputs.len(), self.inputs.len()),
                "give one value an input",
            ));
        }
        let mut values = HashMap::new();
        for (&id, value) in self.inputs.iter().zip(inputs) {
            let tensor = self.tensor(id);
            let (shape, real) = match value {
                ConstantData::Float(values) => (values.shape(), true),
                ConstantData::Int(values) => (values.shape(), false),
            };
            if shape != tensor.shape || real != (tensor.element == ElementType::Float32) {
                return Err(CompileError::model(
                    format!("a value of shape {shape:?} for input {tensor}"),
                    "give the input's own shape and type",
                ));
            }
            values.insert(id, value.clone());
        }
        for index in self.topological_order()? {
            let node = &self.nodes[index];
            let view = NodeView::new(self, node);
            let operand = |id: &Option<TensorId>| {
                let id = (*id)?;
                values.get(&id).or(self.tensor(id).constant.as_ref())
            };
            let operands: Vec<Option<&ConstantData>> = node.inputs.iter().map(operand).collect();
            let results = node.op.evaluate(&view, &operands, profile)?;
            values.extend(node.outputs.iter().copied().zip(results));
        }
        Ok(values)
    }
}
