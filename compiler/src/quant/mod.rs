//! `QuantGraph`: integers only. Every tensor has an exact integer type and range; every rescale
//! is an exact [`Step`](systole_arith::Step) derived from the profile's [`Formula`].
//!
//! `interpret` is **the software reference**: it evaluates each profile's own formula.

mod dense;

pub use dense::Dense;

use crate::profile::Profile;
use petgraph::graph::DiGraph;
use serde::{Deserialize, Serialize};
use systole_arith::{BorderOp, IntType, Range};

/// A tensor of a [`QuantGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// Where a tensor's range comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeOrigin {
    /// Computed from the values of the weights: void once they become writable.
    FromValues,
    /// All that the type can hold.
    FromType,
}

/// An integer tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantTensor {
    /// Unique name, as in the model file.
    pub name: String,
    /// Shape of one sample, channels innermost, no batch dimension: `[C]`, `[H,W,C]` ...
    pub shape: Vec<usize>,
    /// Element type.
    pub element: IntType,
    /// Values that occur.
    pub range: Range,
    /// What the range rests on.
    pub origin: RangeOrigin,
    /// Real value of one step, where the model gives one (for reports only).
    pub scale: Option<f64>,
    /// Stored value that stands for 0 (for reports only).
    pub zero_point: i64,
}

impl QuantTensor {
    /// Channels: the innermost dimension.
    pub fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// Pixels: the product of the other dimensions.
    pub fn pixels(&self) -> usize {
        self.elements() / self.channels().max(1)
    }

    /// Elements of one sample.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// An operator on integers with its operands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuantNode {
    /// Unique name.
    pub name: String,
    /// Operator.
    pub op: QuantOp,
    /// Operands.
    pub inputs: Vec<TensorId>,
    /// Result.
    pub output: TensorId,
}

/// Integer operators: a closed set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QuantOp {
    /// Matrix product on each pixel, bias, requantization.
    Dense(Dense),
    /// The same elements in the same order under another shape.
    Reshape,
}

/// A border of the network: the host's tensor, and what turns it into the accelerator's, or back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Border {
    /// The accelerator's tensor.
    pub tensor: TensorId,
    /// The host's tensor, by its name in the model file.
    pub host_name: String,
    /// Shape of one sample on the host's side (without the batch dimension).
    pub host_shape: Vec<usize>,
    /// NumPy element type on the host's side.
    pub host_type: String,
    /// Operations in order of execution.
    pub operations: Vec<BorderOp>,
}

/// The integer network.
#[derive(Clone, Debug)]
pub struct QuantGraph {
    /// Name of the design.
    pub name: String,
    /// Profile whose results it reproduces.
    pub profile: Profile,
    /// All tensors.
    pub tensors: Vec<QuantTensor>,
    /// Operators; an edge per operand, weighted with the tensor.
    pub nodes: DiGraph<QuantNode, TensorId>,
    /// Tensors fed by the host.
    pub inputs: Vec<Border>,
    /// Tensors read by the host.
    pub outputs: Vec<Border>,
}
