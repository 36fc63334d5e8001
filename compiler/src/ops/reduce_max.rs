//! TFLite's REDUCE_MAX on int8 over rows, columns or both.

use super::image::result_value;
use super::mean::{reduced, Reduced};
use super::node_view::NodeView;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::quant::{Pool, PoolKind, QuantOp};
use ndarray::arr1;
use systole_arith::Formula;

/// The operator; the dimensions that it reduces are operand 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReduceMax {
    /// Whether the reduced dimensions stay, with one entry.
    pub keep_dims: bool,
}

impl ReduceMax {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit, or other dimensions than rows and columns are reduced.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    fn parts(&self, view: &NodeView) -> Result<Reduced, CompileError> {
        let parts = reduced(view, self.keep_dims)?;
        view.expect_equal_quantization(view.input(0, "input")?, view.output()?)?;
        Ok(parts)
    }

    /// The result, straight from the definition.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        let Reduced { window, channels, .. } = self.parts(view)?;
        let [rows, columns] = [0, 1].map(|axis| if window.kernel[axis] == 1 { window.input[axis] } else { 1 });
        let mut greatest = vec![i64::MIN; rows * columns * channels];
        for (index, &element) in view.int_value(values, 0)?.iter().enumerate() {
            let (pixel, channel) = (index / channels, index % channels);
            let (row, column) = (pixel / window.input[1] % rows, pixel % window.input[1] % columns);
            let place = (row * columns + column) * channels + channel;
            greatest[place] = greatest[place].max(element);
        }
        result_value(view, greatest)
    }

    /// Becomes a pooling over the reduced dimensions.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let Reduced { window, channels, .. } = self.parts(&view)?;
        let [rows, columns] = window.input;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        let pool = Pool {
            window,
            kind: PoolKind::Max,
            input_zero_point: 0,
            counts: Pool::counts(&window),
            formula: Formula::Identity { channels: 1 },
            map: None,
        };
        let [rows, columns] = window.output();
        lowering.define_int8(node, QuantOp::Pool(pool), vec![input], vec![rows, columns, channels])
    }

    /// A network of one such operator on an image of 1 to 6 rows and columns.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let shape = [1, random.size(1, 6), random.size(1, 6), random.size(1, 9)];
        let axes: Vec<i64> = random.pick(&[vec![1, 2], vec![2, 1], vec![-3, -2], vec![1], vec![2]]);
        let keep_dims = random.pick(&[true, false]);
        let is_reduced = |axis: usize| axes.iter().any(|&at| at.rem_euclid(4) == axis as i64);
        let kept = |axis: usize| match (is_reduced(axis), keep_dims) {
            (false, _) => Some(shape[axis]),
            (true, keep) => keep.then_some(1),
        };
        let output: Vec<usize> = (0..4).filter_map(kept).collect();
        let tensors = vec![
            activation("input", &shape, scale, zero_point),
            constant("axes", ElementType::Int32, arr1(&axes).into_dyn(), vec![]),
            activation("output", &output, scale, zero_point),
        ];
        let op = super::Op::ReduceMax(ReduceMax { keep_dims });
        network(tensors, op, vec![Some(TensorId(0)), Some(TensorId(1))], &[0], 2)
    }
}
