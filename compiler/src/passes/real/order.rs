//! Operators that change shape and order of a tensor, and what readers ask of its order.

use super::border;
use crate::diagnostic::CompileError;
use crate::graph::{Node, TensorId as GraphTensor};
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::TensorId;
use systole_arith::BorderOp;

impl Lowering<'_> {
    /// The layout in which the accelerator holds the file's tensor `id`, whose samples have `shape`
    /// in the file.
    pub fn layout_for(&self, id: GraphTensor, shape: &[usize]) -> Layout {
        match self.orders.get(&id) {
            Some(order) => Layout::ordered(shape, order),
            None => Layout::in_order(shape),
        }
    }

    /// The layout of a tensor of the accelerator.
    ///
    /// # Errors
    /// If it is none of the lowering's.
    pub fn layout(&self, node: &str, tensor: TensorId) -> Result<Layout, CompileError> {
        match self.layouts.get(&tensor) {
            Some(layout) => Ok(layout.clone()),
            None => Ok(Layout::in_order(&self.tensor(node, tensor)?.shape)),
        }
    }

    /// `tensor` under the shape of `wanted`, if it is held in that order; a node that gives it this
    /// shape is added where it has another.
    ///
    /// # Errors
    /// If its elements are in another order.
    pub fn held_as(&mut self, node: &str, tensor: TensorId, wanted: &Layout) -> Result<TensorId, CompileError> {
        let held = self.layout(node, tensor)?;
        let source = self.tensor(node, tensor)?;
        if !held.same_order(wanted) {
            return Err(CompileError::node(
                node,
                format!(
                    "it needs `{}` as {:?}, which the accelerator holds as {:?} in another order",
                    source.name,
                    wanted.shape(),
                    held.shape()
                ),
                "a tensor is transposed at the network's borders only: keep images as [1, channels, ...] between \
                 convolutions, and reshape them for a matrix product only",
            ));
        }
        if source.shape == wanted.shape() {
            return Ok(tensor);
        }
        let shaped = self.reshape(node, tensor, wanted.shape().to_vec())?;
        self.layouts.insert(shaped, wanted.clone());
        Ok(shaped)
    }

    /// How a tensor is held, under the shape that it has: reshapes may have left it under another than its layout's.
    ///
    /// # Errors
    /// If there is no such tensor.
    pub fn held(&self, node: &str, tensor: TensorId) -> Result<Layout, CompileError> {
        let (layout, shape) = (self.layout(node, tensor)?, &self.tensor(node, tensor)?.shape);
        match layout.is_in_order() && layout.shape() != shape {
            true => Ok(Layout::in_order(shape)),
            false => Ok(layout),
        }
    }

    /// An image `[1, C, ...]` of the file as the accelerator holds it, `[..., C]`: `tensor` stands for
    /// the file's tensor `id`.
    ///
    /// # Errors
    /// If it is held in another order.
    pub fn held_as_image(&mut self, node: &str, tensor: TensorId, id: GraphTensor) -> Result<TensorId, CompileError> {
        let file = sample_shape(&self.graph.tensor(id).shape);
        self.held_as(node, tensor, &Layout::channels_last(&file))
    }

    /// The operand of a matrix product: rows of features, innermost, and the accelerator's place
    /// of each of the file's features where that is another order. `tensor` stands for the file's
    /// tensor `id`. An image that was flattened keeps the accelerator's order: the product permutes
    /// its weights.
    ///
    /// # Errors
    /// If there are several rows in another order than the file's.
    pub fn held_as_rows(
        &mut self,
        node: &str,
        tensor: TensorId,
        id: GraphTensor,
    ) -> Result<(TensorId, Option<Vec<usize>>), CompileError> {
        let file = sample_shape(&self.graph.tensor(id).shape);
        let held = self.layout(node, tensor)?;
        let pixels: usize = file.iter().rev().skip(1).product();
        if held.is_in_order() || pixels != 1 {
            return Ok((self.held_as(node, tensor, &Layout::in_order(&file))?, None));
        }
        let places = held.places().ok_or_else(|| {
            CompileError::node(node, "it flattens an image of more than 2^24 elements", "use a smaller image")
        })?;
        let flat = match self.tensor(node, tensor)?.shape == file {
            true => tensor,
            false => self.reshape(node, tensor, file)?,
        };
        self.layouts.insert(flat, held);
        Ok((flat, Some(places)))
    }

    /// The same elements in the file's order under the result's shape.
    ///
    /// # Errors
    /// If the operand has no value.
    pub fn lower_view(&mut self, node: &Node) -> Result<(), CompileError> {
        let to = self.result_shape(node)?;
        let id = node.inputs.first().copied().flatten();
        // An input keeps its own value: a type that the caller chose is applied where it is used.
        let value = match id {
            Some(id) => self.value(&node.name, id)?.clone(),
            None => self.operand(node, 0)?,
        };
        let value = match value {
            Value::Host { input, mut operations, .. } => {
                operations.push(border::reshape(&to));
                Value::Host { input, shape: to, operations }
            }
            Value::Integer { tensor, scale, zero_point } => {
                let from = self.tensor(&node.name, tensor)?.clone();
                // Readers of another order than the file's reshape for themselves.
                if from.shape == to || !self.layout(&node.name, tensor)?.is_in_order() {
                    return self.define(node, Value::Integer { tensor, scale, zero_point });
                }
                let layout = match node.outputs.first() {
                    Some(&result) => self.layout_for(result, &to),
                    None => Layout::in_order(&to),
                };
                // One pixel or one channel lies in every order.
                let layout = if layout.is_in_order() { layout } else { Layout::in_order(&to) };
                let name = self.result_name(node);
                let shape = layout.shape().to_vec();
                let output = self.add_tensor(name, shape, from.element, from.range, Some((&scale, zero_point)))?;
                self.layouts.insert(output, layout);
                self.add_node(&node.name, crate::quant::QuantOp::Reshape, vec![tensor], output);
                Value::Integer { tensor: output, scale, zero_point }
            }
            Value::Real(mut real) if real.layout.is_in_order() && to.last() == real.shape.last() => {
                real.layout = Layout::in_order(&to);
                real.shape = to;
                Value::Real(real)
            }
            Value::Real(real) if !real.layout.is_in_order() => Value::Real(real),
            // Readers reshape the integers that a quantizer makes of it.
            Value::Float(pending) => Value::Float(pending),
            Value::Real(_) | Value::Tail { .. } => {
                let (tensor, _, mut operations) = self.tail(node, 0)?;
                operations.push(border::reshape(&to));
                Value::Tail { tensor, shape: to, operations }
            }
        };
        self.define(node, value)
    }

    /// Dimension i of the result's samples is dimension `axes[i]` of the operand's.
    ///
    /// # Errors
    /// If the operand was reshaped out of the accelerator's order before.
    pub fn lower_transpose(&mut self, node: &Node, axes: &[usize]) -> Result<(), CompileError> {
        let to = self.result_shape(node)?;
        let id = self.operand_id(node, 0)?;
        let file = self.sample_shape(&node.name, id)?;
        let transpose = || BorderOp::Transpose { permutation: axes.to_vec() };
        let moved = |layout: Layout| {
            layout.is_aligned(&file).then(|| layout.transposed(axes)).flatten().ok_or_else(|| {
                CompileError::node(
                    &node.name,
                    format!("it transposes a tensor that was reshaped to {file:?} and is held as {:?}", layout.shape()),
                    "transpose in front of the Reshape, or move the transposition onto the weights",
                )
            })
        };
        let value = match self.value(&node.name, id)?.clone() {
            Value::Host { input, mut operations, .. } => {
                operations.push(transpose());
                Value::Host { input, shape: to, operations }
            }
            Value::Tail { tensor, mut operations, .. } => {
                operations.push(transpose());
                Value::Tail { tensor, shape: to, operations }
            }
            Value::Integer { tensor, scale, zero_point } => {
                let layout = moved(self.layout(&node.name, tensor)?)?;
                // The same elements under another layout are another tensor.
                let alias = self.reshape(&node.name, tensor, layout.shape().to_vec())?;
                self.layouts.insert(alias, layout);
                Value::Integer { tensor: alias, scale, zero_point }
            }
            Value::Real(mut real) => {
                real.layout = moved(real.layout)?;
                Value::Real(real)
            }
            Value::Float(mut pending) => {
                pending.layout = moved(pending.layout)?;
                Value::Float(pending)
            }
        };
        self.define(node, value)
    }
}
