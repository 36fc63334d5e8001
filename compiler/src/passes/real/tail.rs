//! The end of the network: accumulators leave the accelerator, the host does the rest.

use super::border;
use super::pending::{inverse_root, zip, AccumulatorKind, PendingReal};
use crate::diagnostic::CompileError;
use crate::graph::{Node, TensorId as GraphTensor};
use crate::ops::onnx::arithmetic::Arithmetic;
use crate::ops::onnx::heads::Head;
use crate::ops::sample_shape;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::TensorId;
use num_rational::BigRational;
use num_traits::{One, Zero};
use systole_arith::border::FloatConstant;
use systole_arith::formula::RealOp;
use systole_arith::real::{nearest_f32, Surd};
use systole_arith::BorderOp;

impl Lowering<'_> {
    /// The value of a graph output as an integer tensor of the accelerator and host operations on it.
    ///
    /// # Errors
    /// If nothing of it is computed by the accelerator.
    pub fn output_tail(&mut self, output: GraphTensor) -> Result<(TensorId, Vec<usize>, Vec<BorderOp>), CompileError> {
        let producer = self.graph.producer(output).and_then(|index| self.graph.nodes.node_weight(index));
        let name = producer.map_or_else(|| self.graph.tensor(output).name.clone(), |node| node.name.clone());
        let value = self.value(&name, output)?.clone();
        self.tail_of(&name, output, value)
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
        let id = self.operand_id(node, position)?;
        self.tail_of(&node.name, id, value)
    }

    /// The value of the file's tensor `id` in the file's order and shape.
    pub(super) fn tail_of(
        &mut self,
        node: &str,
        id: GraphTensor,
        value: Value,
    ) -> Result<(TensorId, Vec<usize>, Vec<BorderOp>), CompileError> {
        let file = sample_shape(&self.graph.tensor(id).shape);
        match value {
            Value::Tail { tensor, shape, operations } => Ok((tensor, shape, operations)),
            Value::Integer { tensor, scale, zero_point } => {
                let offset = -(&scale * BigRational::from_integer(zero_point.into()));
                let mut operations = vec![border::affine(vec![scale], vec![offset])];
                let held = self.tensor(node, tensor)?.shape.clone();
                operations.extend(self.layout(node, tensor)?.to_file(&held, &file));
                Ok((tensor, file, operations))
            }
            Value::Real(real) => {
                let tensor = self.accumulators_of(node, &real)?;
                let mut operations = host_operations(node, &host_chain(&real)?)?;
                operations.extend(real.layout.to_file(&real.source.shape, &file));
                Ok((tensor, file, operations))
            }
            Value::Float(pending) => {
                let (tensor, operations) = self.float_tail(*pending, &file)?;
                Ok((tensor, file, operations))
            }
            Value::Host { input, .. } => Err(CompileError::node(
                node,
                format!("it computes with input `{}` and no matrix product", self.graph.tensor(input).name),
                "a network needs at least one layer with weights and a quantized input",
            )),
        }
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

/// The function that the host computes from the tensor that leaves the accelerator.
///
/// # Errors
/// If it is not a function of single elements, the same on every pixel.
fn host_chain(real: &PendingReal) -> Result<Vec<RealOp>, CompileError> {
    let source = &real.source;
    let what = match &source.kind {
        _ if !real.maxima.is_empty() => "the maximum over windows of numbers",
        AccumulatorKind::Taps { by_count: true, .. } => "an average whose divisor varies at the border",
        AccumulatorKind::Elements { .. } => {
            let zero = BigRational::from_integer((-source.input_zero_point).into());
            let centre = RealOp::Affine { scale: vec![BigRational::one()], offset: vec![zero] };
            return Ok([centre].into_iter().chain(real.chain.iter().cloned()).collect());
        }
        _ => return Ok(real.chain.clone()),
    };
    Err(CompileError::node(
        &source.node,
        format!("{what} leaves the network without a quantizer"),
        "put a Quant behind it",
    ))
}

fn trim(shape: &[usize]) -> Vec<usize> {
    let kept = shape.iter().rposition(|&dim| dim != 1).map_or(1.min(shape.len()), |last| last + 1);
    shape.iter().take(kept).copied().collect()
}

/// A chain of real operations as host operations: one exact affine operation on the integers up to
/// the first Relu, float32 factors and summands behind it. A quotient by an irrational root becomes
/// a factor that is exact to 100 bits.
///
/// # Errors
/// If a number behind a Relu is out of float32's range.
fn host_operations(node: &str, chain: &[RealOp]) -> Result<Vec<BorderOp>, CompileError> {
    let mut operations = Vec::new();
    let mut parts = chain.split(|op| matches!(op, RealOp::Relu));
    let (scale, offset) = composed(parts.next().unwrap_or_default());
    operations.push(border::affine(scale, offset));
    for part in parts {
        operations.push(BorderOp::Relu);
        let (scale, offset) = composed(part);
        if scale.iter().any(|s| !s.is_one()) {
            operations.push(border::arithmetic(Arithmetic::Mul, float_constant(node, &scale)?, false));
        }
        if offset.iter().any(|o| !o.is_zero()) {
            operations.push(border::arithmetic(Arithmetic::Add, float_constant(node, &offset)?, false));
        }
    }
    Ok(operations)
}

/// Factor and summand of operations without a Relu.
fn composed(chain: &[RealOp]) -> (Vec<BigRational>, Vec<BigRational>) {
    let mut scale = vec![BigRational::one()];
    let mut offset = vec![BigRational::zero()];
    for op in chain {
        let (factors, summands) = match op {
            RealOp::Affine { scale, offset } => (scale.clone(), offset.clone()),
            RealOp::DivideBySqrt { radicand } => {
                (radicand.iter().map(inverse_root).collect(), vec![BigRational::zero()])
            }
            RealOp::Relu => continue,
        };
        offset = zip(&zip(&offset, &factors, |a, b| a * b), &summands, |a, b| a + b);
        scale = zip(&scale, &factors, |a, b| a * b);
    }
    (scale, offset)
}

/// The nearest float32 numbers, one or one a channel.
fn float_constant(node: &str, values: &[BigRational]) -> Result<FloatConstant, CompileError> {
    let floats: Vec<f32> = values.iter().map(nearest_f32_of).collect();
    let shape = if floats.len() == 1 { Vec::new() } else { vec![floats.len()] };
    FloatConstant::new(shape, floats).ok_or_else(|| {
        CompileError::node(node, "a constant behind Relu is out of float32's range", "rescale the network's output")
    })
}

fn nearest_f32_of(value: &BigRational) -> f32 {
    nearest_f32(&Surd::rational(value.clone()))
}
