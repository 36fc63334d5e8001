//! Float operators of several dequantized tensors.

use super::close::formula_error;
use super::floating::{Dequantized, FloatSource, PendingFloat};
use super::requantize::{stored, Target};
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::onnx::operands::broadcast_shape;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::{Map, QuantOp, TensorId};
use ndarray::ArrayD;
use systole_arith::formula::OrtQuantization;
use systole_arith::join::{OrtJoin, OrtOperation};
use systole_arith::table::JoinConstant;
use systole_arith::{JoinFormula, TableFormula};

impl Lowering<'_> {
    /// A sum, difference or product of two operands, given with their places in the node.
    ///
    /// # Errors
    /// If their shapes do not broadcast, or they are held in different orders.
    pub fn float_join(
        &mut self,
        node: &Node,
        operation: OrtOperation,
        operands: &[(usize, Dequantized)],
    ) -> Result<PendingFloat, CompileError> {
        let [(first_place, left), (second_place, right)] = operands else {
            return Err(CompileError::node(&node.name, "it joins other than two tensors", "export the model again"));
        };
        let sides = [(*first_place, left.tensor), (*second_place, right.tensor)];
        let ([first, second], layout) = self.under_one_shape(node, sides)?;
        let (mut left, mut right) = (Dequantized { tensor: first, ..*left }, Dequantized { tensor: second, ..*right });
        if operation == OrtOperation::Add && self.exchanges(node, [*first_place, *second_place]) {
            std::mem::swap(&mut left, &mut right);
        }
        Ok(PendingFloat {
            node: node.name.clone(),
            source: FloatSource::Join { operation, left, right },
            functions: Vec::new(),
            shape: layout.shape().to_vec(),
            layout,
        })
    }

    /// A sum or product of `variable` and the constant integers `values` of the quantization `constant`, each given with
    /// its place in the node: a function of each element, by the formula of two tensors.
    ///
    /// # Errors
    /// If the constant varies along another dimension than the one that the accelerator holds innermost.
    pub fn join_constant(
        &mut self,
        node: &Node,
        operation: OrtOperation,
        (place, variable): (usize, Dequantized),
        (constant_place, constant, values): (usize, OrtQuantization, &ArrayD<i64>),
        target: Target,
    ) -> Result<Value, CompileError> {
        let file = sample_shape(&self.graph.tensor(self.operand_id(node, place)?).shape);
        let layout = self.layout(&node.name, variable.tensor)?;
        let own = sample_shape(values.shape());
        // Which dimension of the file, counted from the last, the constant varies along.
        let long: Vec<usize> = (1..=own.len()).filter(|&back| own[own.len() - back] != 1).collect();
        let innermost = layout.innermost().filter(|_| layout.is_aligned(&file)).map(|axis| file.len() - axis);
        let fits = match long.as_slice() {
            [] => true,
            [back] => innermost == Some(*back) && file.get(file.len() - back) == own.get(own.len() - back),
            _ => false,
        };
        if !fits {
            return Err(CompileError::node(
                &node.name,
                format!("a constant of shape {:?} on samples of shape {file:?}", values.shape()),
                "use one constant, or one a channel",
            ));
        }
        let constant_first =
            (constant_place < place) != (operation == OrtOperation::Add && self.exchanges(node, [0, 3]));
        let (left, right) = match constant_first {
            true => (constant, variable.quantization),
            false => (variable.quantization, constant),
        };
        let failed = |error: systole_arith::formula::FormulaError| formula_error(&node.name, &error.to_string());
        let join = OrtJoin::new(operation, left, right, target.quantization, target.element).map_err(failed)?;
        let constants = values.iter().copied().collect();
        let formula = JoinConstant { join: Box::new(JoinFormula::Ort(join)), constants, constant_first };
        let map = Map { formula: TableFormula::JoinConstant(formula), table: None };
        let input = if long.is_empty() { variable.tensor } else { self.held_as(&node.name, variable.tensor, &layout)? };
        let shape = self.tensor(&node.name, input)?.shape.clone();
        let output = self.add_quantized(self.result_name(node), shape, target)?;
        self.layouts.insert(output, layout);
        self.add_node(&node.name, QuantOp::Map(map), vec![input], output);
        Ok(stored(output))
    }

    /// Two operands, given with their places in the node, repeated to one shape of the accelerator, and how the
    /// file holds that.
    ///
    /// # Errors
    /// If their shapes do not broadcast, or they are held in different orders.
    pub(super) fn under_one_shape(
        &mut self,
        node: &Node,
        sides: [(usize, TensorId); 2],
    ) -> Result<([TensorId; 2], Layout), CompileError> {
        let mut files = [Vec::new(), Vec::new()];
        for (file, (place, _)) in files.iter_mut().zip(sides) {
            *file = sample_shape(&self.graph.tensor(self.operand_id(node, place)?).shape);
        }
        let [a, b] = &files;
        if a == b {
            let layout = self.layout(&node.name, sides[0].1)?;
            // Both under the shape of the first.
            let layout = match layout.is_in_order() {
                true => Layout::in_order(&self.tensor(&node.name, sides[0].1)?.shape),
                false => layout,
            };
            let held = [self.held_as(&node.name, sides[0].1, &layout)?, self.held_as(&node.name, sides[1].1, &layout)?];
            return Ok((held, layout));
        }
        let file = broadcast_shape(a, b).ok_or_else(|| {
            CompileError::node(
                &node.name,
                format!("it joins tensors of shapes {a:?} and {b:?}"),
                "give both operands one shape, or dimensions of 1",
            )
        })?;
        let order = node.outputs.first().and_then(|id| self.orders.get(id)).filter(|order| order.len() == file.len());
        let order = order.cloned().unwrap_or_else(|| (0..file.len()).collect());
        let layout = Layout::ordered(&file, &order);
        let mut held = [sides[0].1, sides[1].1];
        for (tensor, own) in held.iter_mut().zip(&files) {
            let padded: Vec<usize> =
                std::iter::repeat_n(1, file.len() - own.len()).chain(own.iter().copied()).collect();
            let own = Layout::ordered(&padded, &order);
            let source = self.held_as(&node.name, *tensor, &own)?;
            *tensor = self.broadcast(&node.name, source, own.shape(), layout.shape())?;
        }
        Ok((held, layout))
    }

    /// Whether ONNX Runtime exchanges the operands of a sum: it does where the first is a single element for each
    /// run of equal elements, which are those of the innermost dimensions along which it repeats.
    fn exchanges(&self, node: &Node, places: [usize; 2]) -> bool {
        let shape = |place: usize| {
            let id = node.inputs.get(place).copied().flatten();
            id.map_or(&[][..], |id| self.graph.tensor(id).shape.as_slice())
        };
        let (a, b) = (shape(places[0]), shape(places[1]));
        let dim = |shape: &[usize], back: usize| {
            shape.len().checked_sub(back).and_then(|at| shape.get(at)).copied().unwrap_or(1)
        };
        let innermost = (1..=a.len().max(b.len())).find(|&back| dim(a, back).max(dim(b, back)) > 1);
        innermost.is_some_and(|back| dim(a, back) == 1)
    }

    /// Shape of a concatenation's result in the file, without the batch, the order in which it and its operands are
    /// held, and which of its dimensions `axis` of the file's tensors, the batch included, is there.
    ///
    /// # Errors
    /// If there is no result, or `axis` is the batch.
    pub(super) fn concat_order(
        &self,
        node: &Node,
        axis: usize,
    ) -> Result<(Vec<usize>, Vec<usize>, usize), CompileError> {
        let result = node
            .outputs
            .first()
            .copied()
            .ok_or_else(|| CompileError::node(&node.name, "it has no result", "remove the node"))?;
        let file = sample_shape(&self.graph.tensor(result).shape);
        let along = axis.checked_sub(1).filter(|&along| along < file.len()).ok_or_else(|| {
            CompileError::node(&node.name, "it concatenates samples", "concatenate channels: dimension 1 of images")
        })?;
        let carried = self.orders.get(&result).filter(|order| order.len() == file.len()).cloned();
        let order = carried.unwrap_or_else(|| (0..file.len()).filter(|&i| i != along).chain([along]).collect());
        let place = order.iter().position(|&dim| dim == along).unwrap_or(order.len().saturating_sub(1));
        Ok((file, order, place))
    }

    /// Several operands behind each other along `axis` of the file's tensors, the batch included.
    ///
    /// # Errors
    /// If they are held in different orders.
    pub fn float_concat(
        &mut self,
        node: &Node,
        axis: usize,
        operands: &[(usize, Dequantized)],
    ) -> Result<PendingFloat, CompileError> {
        let (file, order, place) = self.concat_order(node, axis)?;
        let mut parts = Vec::with_capacity(operands.len());
        for (operand, part) in operands {
            let id = self.operand_id(node, *operand)?;
            let wanted = Layout::ordered(&sample_shape(&self.graph.tensor(id).shape), &order);
            let tensor = self.held_as(&node.name, part.tensor, &wanted)?;
            parts.push(Dequantized { tensor, ..*part });
        }
        let layout = Layout::ordered(&file, &order);
        Ok(PendingFloat {
            node: node.name.clone(),
            source: FloatSource::Concat { parts, axis: place },
            functions: Vec::new(),
            shape: layout.shape().to_vec(),
            layout,
        })
    }
}
