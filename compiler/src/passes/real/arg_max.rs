//! The index of the greatest element along a dimension: in the accelerator on request, or on the host along a
//! dimension that the accelerator holds innermost.

use super::pending::{AccumulatorKind, PendingReal};
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{ArgMaxPlace, Lowering, Value};
use crate::quant::{QuantOp, TensorId};
use num_rational::BigRational;
use num_traits::{One, Signed};
use systole_arith::formula::RealOp;
use systole_arith::{BorderOp, IntType, Range};

impl Lowering<'_> {
    /// Whether the index along `axis` of the file's operand, the batch included, is found from the accelerator's
    /// integers: where it is asked of the hardware, or the dimension is innermost in the accelerator alone.
    pub fn searches_integers(&self, node: &Node, axis: usize) -> bool {
        let innermost_in_file = node
            .inputs
            .first()
            .copied()
            .flatten()
            .is_none_or(|id| self.graph.tensor(id).shape.iter().skip(axis + 1).all(|&dim| dim == 1));
        self.arg_max == ArgMaxPlace::Hardware || !innermost_in_file
    }

    /// Defines result `position` as the index of the first greatest element along `axis` of the file's operand, the
    /// batch included, found from the accelerator's integers.
    ///
    /// # Errors
    /// If the operand is no rising function of integers, the same in every channel, or the accelerator holds another
    /// dimension innermost.
    pub fn search_integers(&mut self, node: &Node, position: usize, axis: usize) -> Result<(), CompileError> {
        let (tensor, layout) = self.ordered_integers(node)?;
        let id = self.operand_id(node, 0)?;
        let file = sample_shape(&self.graph.tensor(id).shape);
        let held = self.held_as(&node.name, tensor, &layout)?;
        let is_innermost =
            layout.is_aligned(&file) && axis.checked_sub(1).is_some_and(|axis| layout.innermost() == Some(axis));
        if !is_innermost {
            return Err(CompileError::node(
                &node.name,
                format!("it searches {file:?} (one sample) along dimension {axis}, held as {:?}", layout.shape()),
                "search along the channels of an image, or along the last dimension of features",
            ));
        }
        let indices = layout.with_one_innermost();
        let result = self.result_of(node, position)?;
        let shape = self.sample_shape(&node.name, result)?;
        let value = match self.arg_max {
            ArgMaxPlace::Hardware => {
                let name = self.graph.tensor(result).name.clone();
                let index = self.index_of(node, name, held, &indices)?;
                Value::Integer { tensor: index, scale: BigRational::one(), zero_point: 0 }
            }
            ArgMaxPlace::Host => {
                let mut operations = vec![BorderOp::ArgMax { keep_axis: true }];
                operations.extend(indices.to_file(indices.shape(), &shape));
                Value::Tail { tensor: held, shape, operations }
            }
        };
        self.define_at(node, position, value)
    }

    /// Adds the search for the greatest channel of `tensor`; its result `name` is held with `indices`.
    ///
    /// # Errors
    /// If there are too many tensors.
    pub(crate) fn index_of(
        &mut self,
        node: &Node,
        name: String,
        tensor: TensorId,
        indices: &Layout,
    ) -> Result<TensorId, CompileError> {
        let channels = self.tensor(&node.name, tensor)?.channels();
        let range = Range::new(0, channels.saturating_sub(1) as i64);
        let element = IntType::smallest_for(range);
        let index = self.add_tensor(name, indices.shape().to_vec(), element, range, None)?;
        self.layouts.insert(index, indices.clone());
        self.add_node(&node.name, QuantOp::ArgMax, vec![tensor], index);
        Ok(index)
    }

    fn result_of(&self, node: &Node, position: usize) -> Result<crate::graph::TensorId, CompileError> {
        let missing = || CompileError::node(&node.name, "it has no result", "remove the node");
        node.outputs.get(position).copied().ok_or_else(missing)
    }

    /// Integers of the accelerator in the order of operand 0, and how the file holds them.
    fn ordered_integers(&mut self, node: &Node) -> Result<(TensorId, Layout), CompileError> {
        let id = self.operand_id(node, 0)?;
        let file = sample_shape(&self.graph.tensor(id).shape);
        let refused = |what: &str| {
            Err(CompileError::node(
                &node.name,
                format!("its operand is {what}, whose order is not that of the accelerator's integers"),
                "put a quantizer in front of it, or use --argmax host",
            ))
        };
        match self.operand(node, 0)? {
            Value::Integer { tensor, scale, .. } if scale.is_positive() => {
                let held = self.layout(&node.name, tensor)?;
                let own = Layout::in_order(&file);
                Ok((tensor, if held.is_in_order() && !held.is_aligned(&file) { own } else { held }))
            }
            Value::Real(real) if is_rising(&real) => {
                let tensor = self.accumulators_of(&node.name, &real)?;
                let layout = real.layout.clone();
                if layout.is_aligned(&file) && layout.shape() == real.source.shape {
                    self.layouts.insert(tensor, layout.clone());
                    return Ok((tensor, layout));
                }
                refused("reshaped")
            }
            Value::Integer { .. } | Value::Real(_) => refused("no rising function that all channels share"),
            Value::Float(_) => refused("a float result"),
            Value::Tail { .. } => refused("computed by the host"),
            Value::Host { .. } => refused("an input that is not quantized"),
        }
    }
}

/// Whether a function of accumulators rises strictly, and is the same in every channel.
fn is_rising(real: &PendingReal) -> bool {
    let rises = |op: &RealOp| match op {
        RealOp::Affine { scale, .. } => scale.iter().all(Signed::is_positive),
        RealOp::DivideBySqrt { .. } => true,
        RealOp::Relu => false,
    };
    let of_one_number = matches!(
        real.source.kind,
        AccumulatorKind::Product { .. } | AccumulatorKind::Elements { .. } | AccumulatorKind::Sum { .. }
    );
    of_one_number && real.maxima.is_empty() && real.uniform_chain().is_some_and(|chain| chain.iter().all(rises))
}
