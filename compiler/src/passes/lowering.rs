//! The context of `lower_to_integers`: what each tensor of the imported network has become so far.
//!
//! Operators consume the [`Value`]s of their operands and define those of their results; most
//! real-valued operators only extend a value, and a quantizer closes it into an integer tensor.

use crate::diagnostic::CompileError;
use crate::graph::{Graph, TensorId as GraphTensor};
use crate::passes::real::PendingReal;
use crate::profile::Profile;
use crate::quant::{Border, QuantNode, QuantTensor, TensorId};
use num_rational::BigRational;
use std::collections::HashMap;
use systole_arith::{BorderOp, IntType};

/// What a tensor of the imported network is while it is lowered.
#[derive(Clone, Debug)]
pub enum Value {
    /// Still on the host, in front of the accelerator: an input and what is done to it.
    Host {
        /// The graph's input.
        input: GraphTensor,
        /// Shape without the batch dimension.
        shape: Vec<usize>,
        /// Float operations so far.
        operations: Vec<BorderOp>,
    },
    /// An integer tensor of the accelerator; the real value is `(q - zero_point) * scale`.
    Integer {
        /// The tensor.
        tensor: TensorId,
        /// Real value of one step (exact: scales are floats, so dyadic rationals).
        scale: BigRational,
        /// Stored value that stands for 0.
        zero_point: i64,
    },
    /// A real function of the accumulators of a matrix product that no quantizer has closed yet.
    Real(Box<PendingReal>),
    /// Behind the accelerator: an integer tensor and the host operations on it.
    Tail {
        /// The accelerator's output tensor.
        tensor: TensorId,
        /// Shape on the host without the batch dimension.
        shape: Vec<usize>,
        /// Host operations so far.
        operations: Vec<BorderOp>,
    },
}

/// State of the lowering.
pub struct Lowering<'g> {
    /// The network that is lowered.
    pub graph: &'g Graph,
    /// Whose results are reproduced.
    pub profile: Profile,
    /// Border types that the caller chose: input name to a fixed-point or integer type.
    pub input_types: HashMap<String, InputType>,
    /// Values of the tensors lowered so far.
    pub values: HashMap<GraphTensor, Value>,
    /// Integer tensors made so far.
    pub tensors: Vec<QuantTensor>,
    /// Integer operators made so far.
    pub nodes: Vec<QuantNode>,
    /// Input borders made so far.
    pub inputs: Vec<Border>,
}

/// A border type chosen by `--input-type NAME=...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    /// `fixed<W,I>`: W bits of which I before the point, sign included.
    Fixed {
        /// All bits.
        bits: u32,
        /// Bits before the point.
        integer_bits: i32,
    },
    /// `int<W>` or `uint<W>`.
    Integer(IntType),
}

impl Lowering<'_> {
    /// The value of an operand.
    ///
    /// # Errors
    /// If the operand has none, which means that the graph's order is broken.
    pub fn value(&self, node: &str, tensor: GraphTensor) -> Result<&Value, CompileError> {
        self.values.get(&tensor).ok_or_else(|| {
            CompileError::node(
                node,
                format!("operand `{}` is computed by nothing", self.graph.tensor(tensor).name),
                "export the model again",
            )
        })
    }
}
