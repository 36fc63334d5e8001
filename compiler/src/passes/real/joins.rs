//! Float operators of several dequantized tensors.

use super::floating::{Dequantized, FloatSource, PendingFloat};
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::Lowering;
use systole_arith::join::OrtOperation;

impl Lowering<'_> {
    /// A sum, difference or product of two operands, given with their places in the node.
    ///
    /// # Errors
    /// If they have different shapes, or are held in different orders.
    pub fn float_join(
        &mut self,
        node: &Node,
        operation: OrtOperation,
        operands: &[(usize, Dequantized)],
    ) -> Result<PendingFloat, CompileError> {
        let [(first, left), (second, right)] = operands else {
            return Err(CompileError::node(&node.name, "it joins other than two tensors", "export the model again"));
        };
        let shape = |lowering: &Self, place| -> Result<Vec<usize>, CompileError> {
            Ok(sample_shape(&lowering.graph.tensor(lowering.operand_id(node, place)?).shape))
        };
        let (a, b) = (shape(self, *first)?, shape(self, *second)?);
        if a != b {
            return Err(CompileError::node(
                &node.name,
                format!("it joins tensors of shapes {a:?} and {b:?} by broadcasting"),
                "join computed tensors of one shape only",
            ));
        }
        // Both under the shape of the first.
        let layout = self.held(&node.name, left.tensor)?;
        let shape = self.tensor(&node.name, left.tensor)?.shape.clone();
        let held = self.held_as(&node.name, right.tensor, &layout)?;
        let under = match shape == layout.shape() {
            true => left.tensor,
            false => self.held_as(&node.name, left.tensor, &layout)?,
        };
        Ok(PendingFloat {
            node: node.name.clone(),
            source: FloatSource::Join {
                operation,
                left: Dequantized { tensor: under, ..*left },
                right: Dequantized { tensor: held, ..*right },
            },
            functions: Vec::new(),
            shape: layout.shape().to_vec(),
            layout,
        })
    }

    /// Shape of a concatenation's result in the file, without the batch, and the order in which it and its
    /// operands are held: `axis` of the file's tensors, the batch included, is innermost.
    ///
    /// # Errors
    /// If there is no result, or `axis` is the batch.
    pub(super) fn concat_order(&self, node: &Node, axis: usize) -> Result<(Vec<usize>, Vec<usize>), CompileError> {
        let result = node
            .outputs
            .first()
            .copied()
            .ok_or_else(|| CompileError::node(&node.name, "it has no result", "remove the node"))?;
        let file = sample_shape(&self.graph.tensor(result).shape);
        let channel = axis.checked_sub(1).filter(|&channel| channel < file.len()).ok_or_else(|| {
            CompileError::node(&node.name, "it concatenates samples", "concatenate channels: dimension 1 of images")
        })?;
        let carried = self.orders.get(&result).filter(|order| order.last() == Some(&channel)).cloned();
        let order = carried.unwrap_or_else(|| (0..file.len()).filter(|&i| i != channel).chain([channel]).collect());
        Ok((file, order))
    }

    /// The channels of several operands behind each other: `axis` of the file's tensors, the batch
    /// included, must be innermost in the accelerator.
    ///
    /// # Errors
    /// If it is another dimension.
    pub fn float_concat(
        &mut self,
        node: &Node,
        axis: usize,
        operands: &[(usize, Dequantized)],
    ) -> Result<PendingFloat, CompileError> {
        let (file, order) = self.concat_order(node, axis)?;
        let mut parts = Vec::with_capacity(operands.len());
        for (place, part) in operands {
            let id = self.operand_id(node, *place)?;
            let wanted = Layout::ordered(&sample_shape(&self.graph.tensor(id).shape), &order);
            let tensor = self.held_as(&node.name, part.tensor, &wanted)?;
            parts.push(Dequantized { tensor, ..*part });
        }
        let layout = Layout::ordered(&file, &order);
        Ok(PendingFloat {
            node: node.name.clone(),
            source: FloatSource::Concat(parts),
            functions: Vec::new(),
            shape: layout.shape().to_vec(),
            layout,
        })
    }
}
