//! The end of the network: accumulators leave the accelerator, the host does the rest.

use super::border;
use super::pending::{inverse_root, PendingReal};
use crate::diagnostic::CompileError;
use crate::graph::{Node, TensorId as GraphTensor};
use crate::ops::onnx::heads::Head;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::{QuantOp, TensorId};
use num_rational::BigRational;
use num_traits::{One, Zero};
use systole_arith::formula::RealOp;
use systole_arith::{BorderOp, Formula, IntType, Range};

impl Lowering<'_> {
    /// The value of a graph output as an integer tensor of the accelerator and host operations on it.
    ///
    /// # Errors
    /// If nothing of it is computed by the accelerator.
    pub fn output_tail(&mut self, output: GraphTensor) -> Result<(TensorId, Vec<usize>, Vec<BorderOp>), CompileError> {
        let producer = self.graph.producer(output).and_then(|index| self.graph.nodes.node_weight(index));
        let name = producer.map_or_else(|| self.graph.tensor(output).name.clone(), |node| node.name.clone());
        let value = self.value(&name, output)?.clone();
        self.tail_of(&name, value)
    }

    /// Operand `position` of a node that the host executes.
    ///
    /// # Errors
    /// If nothing of it is computed by the accelerator.
    pub(super) fn tail(
        &mut self,
        node: &Node,
        position: usize,
    ) -> Result<(TensorId, Vec<usize>, Vec<BorderOp>), CompileError> {
        let value = self.operand(node, position)?;
        self.tail_of(&node.name, value)
    }

    fn tail_of(&mut self, node: &str, value: Value) -> Result<(TensorId, Vec<usize>, Vec<BorderOp>), CompileError> {
        match value {
            Value::Tail { tensor, shape, operations } => Ok((tensor, shape, operations)),
            Value::Integer { tensor, scale, zero_point } => {
                let shape = self.tensor(node, tensor)?.shape.clone();
                let offset = -(&scale * BigRational::from_integer(zero_point.into()));
                Ok((tensor, shape, vec![border::affine(vec![scale], vec![offset])]))
            }
            Value::Real(real) => {
                let tensor = self.accumulators_of(node, &real)?;
                let mut operations = host_operations(&real.chain);
                if real.shape != real.product.shape {
                    operations.push(border::reshape(&real.shape));
                }
                Ok((tensor, real.shape, operations))
            }
            Value::Host { input, .. } => Err(CompileError::node(
                node,
                format!("it computes with input `{}` and no matrix product", self.graph.tensor(input).name),
                "a network needs at least one layer with weights and a quantized input",
            )),
        }
    }

    /// The accumulators of a product as a tensor of the accelerator; made once.
    fn accumulators_of(&mut self, node: &str, real: &PendingReal) -> Result<TensorId, CompileError> {
        let product = &real.product;
        let made = self.nodes.iter().find(|n| {
            n.name == product.node
                && matches!(&n.op, QuantOp::Dense(dense) if matches!(dense.formula, Formula::Identity { .. }))
        });
        if let Some(made) = made {
            return Ok(made.output);
        }
        let ranges = self.accumulators(node, real)?;
        let range = ranges.iter().fold(Range::point(0), |hull, range| hull.hull(*range));
        let element = IntType::Signed(range.signed_bits());
        if element.bits() > 48 {
            return Err(CompileError::node(
                &product.node,
                format!("its sums need {} bits, of 48", element.bits()),
                "quantize inputs or weights to fewer bits",
            ));
        }
        let tensor = self.add_tensor(product.tensor.clone(), product.shape.clone(), element, range, None)?;
        self.add_dense(real, Formula::Identity { channels: real.channels() }, tensor)?;
        Ok(tensor)
    }

    /// Softmax, ArgMax or TopK (of `k` elements) on the host.
    ///
    /// # Errors
    /// If nothing of the operand is computed by the accelerator.
    pub fn lower_head(&mut self, node: &Node, head: Head, k: usize) -> Result<(), CompileError> {
        let (tensor, from, operations) = self.tail(node, 0)?;
        for (position, id) in node.outputs.iter().enumerate() {
            let shape = self.sample_shape(&node.name, *id)?;
            let mut operations = operations.clone();
            // The host's heads work on the innermost dimension; trailing ones of size 1 are dropped.
            let trimmed: Vec<usize> = trim(&from);
            if trimmed != from {
                operations.push(border::reshape(&trimmed));
            }
            let (head, result) = border::head(head, position, k, &trimmed);
            operations.extend(head);
            if result != shape {
                operations.push(border::reshape(&shape));
            }
            self.define_at(node, position, Value::Tail { tensor, shape, operations })?;
        }
        Ok(())
    }
}

fn trim(shape: &[usize]) -> Vec<usize> {
    let kept = shape.iter().rposition(|&dim| dim != 1).map_or(1.min(shape.len()), |last| last + 1);
    shape.iter().take(kept).copied().collect()
}

/// A chain of real operations as host operations; a quotient by an irrational root becomes a factor
/// that is exact to 100 bits.
fn host_operations(chain: &[RealOp]) -> Vec<BorderOp> {
    let mut operations = Vec::new();
    let mut scale = vec![BigRational::one()];
    let mut offset = vec![BigRational::zero()];
    let mut pending = false;
    for op in chain {
        match op {
            RealOp::Affine { scale: s, offset: o } => {
                offset = super::pending::zip(&super::pending::zip(&offset, s, |a, b| a * b), o, |a, b| a + b);
                scale = super::pending::zip(&scale, s, |a, b| a * b);
                pending = true;
            }
            RealOp::DivideBySqrt { radicand } => {
                let factors: Vec<BigRational> = radicand.iter().map(inverse_root).collect();
                offset = super::pending::zip(&offset, &factors, |a, b| a * b);
                scale = super::pending::zip(&scale, &factors, |a, b| a * b);
                pending = true;
            }
            RealOp::Relu => {
                if pending {
                    operations.push(border::affine(scale, offset));
                }
                operations.push(BorderOp::Relu);
                scale = vec![BigRational::one()];
                offset = vec![BigRational::zero()];
                pending = false;
            }
        }
    }
    if pending {
        operations.push(border::affine(scale, offset));
    }
    operations
}
