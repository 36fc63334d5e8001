//! TFLite's MEAN on int8 over rows, columns or both, with rescaling.

use super::image::{result_value, Padding, Sliding};
use super::layer::tflite_profile;
use super::node_view::NodeView;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::profile::Profile;
use crate::quant::{weight_type, Dense, Depthwise, Pool, PoolKind, QuantOp};
use ndarray::{arr1, Array2};
use systole_arith::formula::{TfliteMeanShape, TfliteTensorScale};
use systole_arith::{Formula, IntType, Window};

/// The operator; the dimensions that it reduces are operand 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    /// Whether the reduced dimensions stay, with one entry.
    pub keep_dims: bool,
}

/// The operands of a reduction, checked.
pub(super) struct Reduced {
    /// Covers the reduced dimensions and is 1 along the others.
    pub window: Window,
    /// Channels of the image.
    pub channels: usize,
    /// Rows and columns of an image are reduced, and stay.
    pub rows_and_columns_kept: bool,
}

impl Mean {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit, or other dimensions than rows and columns are reduced.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        reduced(view, self.keep_dims).map(drop)
    }

    /// The result, straight from the definition.
    ///
    /// # Errors
    /// If the operand does not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let parts = reduced(view, self.keep_dims)?;
        let formula = formula(view, &parts, profile)?;
        let Reduced { window, channels, .. } = parts;
        let input: Vec<i64> = view.int_value(values, 0)?.iter().copied().collect();
        let [rows, columns] = [0, 1].map(|axis| if window.kernel[axis] == 1 { window.input[axis] } else { 1 });
        let mut sums = vec![0; rows * columns * channels];
        for (index, element) in input.iter().enumerate() {
            let (pixel, channel) = (index / channels, index % channels);
            let row = pixel / window.input[1] % rows;
            let column = pixel % window.input[1] % columns;
            sums[(row * columns + column) * channels + channel] += element;
        }
        let of_channel = |index: usize| if formula.channels() == 1 { 0 } else { index % channels };
        result_value(view, sums.iter().enumerate().map(|(i, &sum)| formula.evaluate(of_channel(i), sum)).collect())
    }

    /// Becomes a pooling over the reduced dimensions; where the runtime rounds the channels differently, a
    /// depthwise node whose weights are all 1.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let parts = reduced(&view, self.keep_dims)?;
        let formula = formula(&view, &parts, lowering.profile)?;
        let Reduced { window, channels, .. } = parts;
        let [rows, columns] = window.input;
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        let op = match formula.channels() {
            1 => QuantOp::Pool(Pool {
                window,
                kind: PoolKind::Sum,
                input_zero_point: 0,
                counts: vec![window.taps()],
                formula,
                map: None,
            }),
            _ => {
                let weights = Array2::ones((channels, window.taps()));
                let weight_type = weight_type(weights.iter().copied(), IntType::Signed(8));
                let bias = vec![0; channels];
                let product = Dense { weights, weight_type, input_zero_point: 0, bias, formula, map: None };
                QuantOp::Depthwise(Depthwise { window, product })
            }
        };
        let [rows, columns] = window.output();
        lowering.define_int8(node, op, vec![input], vec![rows, columns, channels])
    }

    /// A network of one such operator on an image of 1 to 6 rows and columns.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (rows, columns, channels) = (random.size(1, 6), random.size(1, 6), random.size(1, 20));
        let axes: Vec<i64> = random.pick(&[vec![1, 2], vec![2, 1], vec![-3, -2], vec![1], vec![2]]);
        let op = Mean { keep_dims: random.pick(&[true, false]) };
        let input = [1, rows, columns, channels];
        let output: Vec<usize> = (0..4)
            .filter_map(|axis| match (axes.contains(&axis) || axes.contains(&(axis - 4)), op.keep_dims) {
                (false, _) => Some(input[axis as usize]),
                (true, true) => Some(1),
                (true, false) => None,
            })
            .collect();
        let scale = random.scale(-8, 2);
        let (from, to) = (random.within(-128, 127), random.within(-128, 127));
        let output_scale = random.pick(&[scale, scale / 3.0, scale * random.clone().scale(-2, 1)]);
        let tensors = vec![
            activation("input", &input, scale, from),
            constant("axes", ElementType::Int32, arr1(&axes).into_dyn(), vec![]),
            activation("output", &output, output_scale, random.pick(&[from, to])),
        ];
        network(tensors, super::Op::Mean(op), vec![Some(TensorId(0)), Some(TensorId(1))], &[0], 2)
    }
}

/// The window over the dimensions that a reduction names as operand 1.
///
/// # Errors
/// If types or shapes do not fit, or other dimensions than rows and columns are reduced.
pub(super) fn reduced(view: &NodeView, keep_dims: bool) -> Result<Reduced, CompileError> {
    view.at_most(2)?;
    let (input, output) = (view.input(0, "input")?, view.output()?);
    view.expect_type(input, "input", ElementType::Int8)?;
    view.expect_type(output, "output", ElementType::Int8)?;
    let image = match *input.shape.as_slice() {
        [1, rows, columns, channels] => Some(([rows, columns], channels, 1)),
        [1, columns, channels] => Some(([1, columns], channels, 0)),
        _ => None,
    };
    let axes = view.constant_integers(1, "axes")?;
    let rank = input.shape.len() as i64;
    let positive: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis.saturating_add(rank) } else { axis }).collect();
    let spatial = 1..rank - 1;
    let (Some((size, channels, row_axis)), false, true) =
        (image, axes.is_empty(), positive.iter().all(|axis| spatial.contains(axis)))
    else {
        return Err(view.error(
            format!("it reduces {:?} along dimensions {axes:?}", input.shape),
            "reduce rows and columns of one image [1, rows, columns, channels] only",
        ));
    };
    let reduced = [row_axis == 1 && positive.contains(&1), positive.contains(&(row_axis + 1))];
    let kernel = [0, 1].map(|axis| if reduced[axis] { size[axis] } else { 1 });
    let sliding = Sliding { padding: Padding::Valid, stride: [1; 2], dilation: [1; 2] };
    let window = sliding.window(view, size, kernel)?;
    let kept = |(axis, &dim): (usize, &usize)| match (positive.contains(&(axis as i64)), keep_dims) {
        (false, _) => Some(dim),
        (true, true) => Some(1),
        (true, false) => None,
    };
    let expected: Vec<usize> = input.shape.iter().enumerate().filter_map(kept).collect();
    if output.shape != expected {
        return Err(view.error(
            format!("output `{}` has shape {:?}, the operands give {expected:?}", output.name, output.shape),
            "export the model again",
        ));
    }
    let rows_and_columns_kept = keep_dims && rank == 4 && reduced == [true, true];
    Ok(Reduced { window, channels, rows_and_columns_kept })
}

/// What the runtime computes from a sum of stored values.
fn formula(view: &NodeView, parts: &Reduced, profile: Profile) -> Result<Formula, CompileError> {
    let scale_of = |(scale, zero_point): (f32, i64)| TfliteTensorScale { scale, zero_point };
    let input = scale_of(view.per_tensor(view.input(0, "input")?, "input")?);
    let output = scale_of(view.per_tensor(view.output()?, "output")?);
    let shape = TfliteMeanShape {
        count: u32::try_from(parts.window.taps()).unwrap_or(u32::MAX),
        channels: parts.channels,
        rows_and_columns_kept: parts.rows_and_columns_kept,
    };
    Formula::tflite_mean(tflite_profile(view, profile)?, shape, input, output, IntType::Signed(8))
        .map_err(|error| view.error(error.to_string(), "calibrate the model again"))
}
