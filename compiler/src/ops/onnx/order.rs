//! What each operator says about the order of dimensions in the accelerator.

use super::view::View;
use super::OnnxOp;
use crate::graph::{Graph, Node, TensorId};

/// Two tensors that are held in one order: dimension i of one sample of `to` is dimension `axes[i]`
/// of `from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// One of them.
    pub from: TensorId,
    /// The other.
    pub to: TensorId,
    /// The dimensions of `from` in the order of `to`, without the batch.
    pub axes: Vec<usize>,
}

/// What an operator asks of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayoutRole {
    /// `[1, C, ...]` with the channels innermost.
    Image(TensorId),
    /// The file's order: its last dimension innermost.
    Innermost(TensorId),
    /// The order of another tensor.
    Linked(Link),
}

impl OnnxOp {
    /// What the operator asks of its operands and results.
    pub fn layout_roles(&self, graph: &Graph, node: &Node) -> Vec<LayoutRole> {
        let rank = |id: TensorId| graph.tensor(id).shape.len();
        let computed = |id: &TensorId| graph.tensor(*id).constant.is_none();
        let data = node.inputs.first().copied().flatten().filter(computed);
        let Some(&result) = node.outputs.first() else { return Vec::new() };
        let both = || data.into_iter().chain([result]);
        match self {
            OnnxOp::MatMul(_) => both().filter(|&id| rank(id) >= 3).map(LayoutRole::Innermost).collect(),
            OnnxOp::QuantizedMatMul(_) => both().filter(|&id| rank(id) >= 3).map(LayoutRole::Innermost).collect(),
            OnnxOp::Conv(_) | OnnxOp::Pooling(_) | OnnxOp::Resize(_) => both().map(LayoutRole::Image).collect(),
            OnnxOp::Pad(_) | OnnxOp::ReduceMean(_) => {
                both().filter(|&id| rank(id) >= 3).map(LayoutRole::Image).collect()
            }
            OnnxOp::BatchNormalization(_) => both().filter(|&id| rank(id) >= 3).map(LayoutRole::Image).collect(),
            OnnxOp::Transpose(transpose) => match (data, transpose.sample_axes(rank(result))) {
                (Some(from), Some(axes)) => vec![LayoutRole::Linked(Link { from, to: result, axes })],
                _ => Vec::new(),
            },
            OnnxOp::View(
                View::Reshape { .. } | View::Flatten { .. } | View::Squeeze { .. } | View::Unsqueeze { .. },
            )
            | OnnxOp::Head(_)
            | OnnxOp::QuantizedSoftmax(_) => Vec::new(),
            OnnxOp::Linear(_)
            | OnnxOp::Activation(_)
            | OnnxOp::QuantizedJoin(_)
            | OnnxOp::Arithmetic(_)
            | OnnxOp::Pointwise(_)
            | OnnxOp::Quant(_)
            | OnnxOp::BipolarQuant(_)
            | OnnxOp::Trunc(_)
            | OnnxOp::ShapeArithmetic(_) => {
                let of_rank = |id: &TensorId| computed(id) && rank(*id) == rank(result);
                let axes: Vec<usize> = (0..rank(result).saturating_sub(1)).collect();
                let operands = node.inputs.iter().copied().flatten().filter(of_rank);
                operands.map(|from| LayoutRole::Linked(Link { from, to: result, axes: axes.clone() })).collect()
            }
        }
    }
}
