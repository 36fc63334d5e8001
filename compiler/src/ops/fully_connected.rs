//! TFLite's FULLY_CONNECTED on int8: `y[r, m] = requantize(sum over c of (x[r, c] - zx) * w[m, c] + b[m])`.
//!
//! Rows are the pixels of a sample: the input's elements in order, C at a time. The fused activation
//! is part of the requantization's clamp.

use super::node_view::{sample_shape, NodeView};
use super::random::{activation, constant, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Format, Graph, Node, Tensor, TensorId};
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use crate::quant::{weight_type, Dense, QuantOp};
use ndarray::{Array2, ArrayD, IxDyn};
use systole_arith::formula::{TfliteOperator, TfliteProfile, TfliteScales};
use systole_arith::{Formula, IntType, Range};

pub use systole_arith::formula::Activation;

/// Most outputs of a layer: each takes a requantization of its own.
const OUTPUT_LIMIT: usize = 1 << 16;

/// Attributes of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullyConnected {
    /// Fused activation.
    pub activation: Activation,
    /// Whether the result keeps the input's leading dimensions; else it is `[rows, M]`.
    pub keep_num_dims: bool,
}

/// The operands, checked.
struct Parts<'g> {
    input: &'g Tensor,
    input_scale: f32,
    input_zero_point: i64,
    /// `[M, C]`.
    weights: Array2<i64>,
    weight_scales: &'g [f32],
    /// `[M]`.
    bias: Vec<i64>,
    output: &'g Tensor,
    output_scale: f32,
    output_zero_point: i64,
    rows: usize,
}

impl FullyConnected {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If a type, shape or quantization does not fit.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.parts(view).map(drop)
    }

    /// The result `[rows, M]`, or under the leading dimensions of the input.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(
        &self,
        view: &NodeView,
        values: &[Option<&ConstantData>],
        profile: Profile,
    ) -> Result<ConstantData, CompileError> {
        let parts = self.parts(view)?;
        let formula = self.formula(view, &parts, profile)?;
        let input = view.int_value(values, 0)?;
        let misfit = || view.error("the input's values do not fit its shape", "export the model again");
        let rows: Vec<i64> = input.iter().map(|x| x - parts.input_zero_point).collect();
        let rows = Array2::from_shape_vec((parts.rows, parts.weights.ncols()), rows).map_err(|_| misfit())?;
        let mut result = rows.dot(&parts.weights.t());
        for mut row in result.outer_iter_mut() {
            for (channel, (acc, bias)) in row.iter_mut().zip(&parts.bias).enumerate() {
                *acc = formula.evaluate(channel, *acc + bias);
            }
        }
        let values = result.into_iter().collect();
        let result = ArrayD::from_shape_vec(IxDyn(&parts.output.shape), values).map_err(|_| misfit())?;
        Ok(ConstantData::Int(result))
    }

    /// Becomes one dense node, behind a reshape where the rows are not the input's pixels.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator, or an accumulator can leave the
    /// runtime's 32 bits.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let parts = self.parts(&view)?;
        let formula = self.formula(&view, &parts, lowering.profile)?;
        let (mut input, _, _) = lowering.integer_operand(node, 0)?;
        let columns = parts.weights.ncols();
        if lowering.tensor(&node.name, input)?.channels() != columns {
            input = lowering.reshape(&format!("{}_rows", node.name), input, vec![parts.rows, columns])?;
        }
        let scale = lowering.rational(&node.name, parts.output_scale)?;
        let zero_point = parts.output_zero_point;
        let int8 = IntType::Signed(8);
        let shape = sample_shape(&parts.output.shape);
        let dense = Dense {
            weight_type: weight_type(parts.weights.iter().copied(), int8),
            weights: parts.weights,
            input_zero_point: parts.input_zero_point,
            bias: parts.bias,
            formula,
            map: None,
        };
        check_accumulators(&view, &dense, lowering.tensor(&node.name, input)?.range)?;
        let name = parts.output.name.clone();
        let tensor = lowering.add_tensor(name, shape, int8, int8.range(), Some((&scale, zero_point)))?;
        lowering.add_node(&node.name, QuantOp::Dense(dense), vec![input], tensor);
        lowering.define(node, Value::Integer { tensor, scale, zero_point })
    }

    fn parts<'g>(&self, view: &NodeView<'g>) -> Result<Parts<'g>, CompileError> {
        view.at_most(3)?;
        let (input, weights, output) = (view.input(0, "input")?, view.input(1, "weights")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        view.expect_type(weights, "weights", ElementType::Int8)?;
        view.expect_type(output, "output", ElementType::Int8)?;
        let (input_scale, input_zero_point) = view.per_tensor(input, "input")?;
        let (output_scale, output_zero_point) = view.per_tensor(output, "output")?;
        let weight_scales = weight_scales(view, weights)?;
        let weights = weight_matrix(view, weights)?;
        let (outputs, columns) = weights.dim();
        if outputs > OUTPUT_LIMIT {
            return Err(view.error(format!("it has {outputs} outputs"), format!("use at most {OUTPUT_LIMIT} a layer")));
        }
        let elements: usize = input.shape.iter().product();
        if !elements.is_multiple_of(columns) {
            return Err(view.error(
                format!("input shape {:?} is no whole number of rows of {columns} weights", input.shape),
                "export the model again",
            ));
        }
        let rows = elements / columns;
        let expected = match (self.keep_num_dims, input.shape.split_last()) {
            (true, Some((last, leading))) if *last == columns => [leading, &[outputs]].concat(),
            (true, _) => {
                return Err(view.error(
                    format!("dimensions are kept, but the last of {:?} is not {columns}", input.shape),
                    "export the model again",
                ))
            }
            (false, _) => vec![rows, outputs],
        };
        // Older converters keep dimensions without saying so: the elements are the same.
        let same_elements =
            output.shape.last() == Some(&outputs) && output.shape.iter().product::<usize>() == rows * outputs;
        if output.shape != expected && !same_elements {
            return Err(view.error(
                format!(
                    "output shape is {:?}, input {:?} and weights [{outputs}, {columns}] give {expected:?}",
                    output.shape, input.shape
                ),
                "export the model again",
            ));
        }
        let bias = bias(view, outputs)?;
        Ok(Parts {
            input,
            input_scale,
            input_zero_point,
            weights,
            weight_scales,
            bias,
            output,
            output_scale,
            output_zero_point,
            rows,
        })
    }

    fn formula(&self, view: &NodeView, parts: &Parts, profile: Profile) -> Result<Formula, CompileError> {
        let scales = TfliteScales {
            input: parts.input_scale,
            weights: parts.weight_scales,
            output: parts.output_scale,
            output_zero_point: parts.output_zero_point,
        };
        Formula::tflite(
            tflite_profile(view, profile)?,
            TfliteOperator::FullyConnected,
            parts.weights.nrows(),
            &scales,
            self.activation,
            IntType::Signed(8),
        )
        .map_err(|error| {
            view.error(format!("{} -> {}: {error}", parts.input.name, parts.output.name), "calibrate the model again")
        })
    }

    /// A network of one such layer: 1 to 3 rows, 1 to 40 inputs, 1 to 12 outputs, any zero points,
    /// scales, bias and activation.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (rows, columns, outputs) = (random.size(1, 3), random.size(1, 40), random.size(1, 12));
        let op = FullyConnected {
            activation: random.pick(&[Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1]),
            keep_num_dims: random.pick(&[true, false]),
        };
        let input_shape = match (op.keep_num_dims, random.size(0, 1)) {
            (false, 1) => vec![1, rows * columns],
            _ => vec![1, rows, columns],
        };
        let output_shape = if op.keep_num_dims { vec![1, rows, outputs] } else { vec![rows, outputs] };
        let input_scale = random.scale(-8, 2);
        let weight_scale = random.scale(-12, 0);
        let count = random.pick(&[1, outputs]);
        let scales = (0..count).map(|_| weight_scale * random.scale(-1, 1)).collect();
        // Outputs of about half the type's width.
        let output_scale = input_scale * weight_scale * (columns as f32).sqrt() * 64.0 * random.scale(-1, 2);
        let limit = random.pick(&[1, 3, 127]);
        let bias_limit = random.pick(&[0, 1 << 10, 1 << 16]);
        let tensors = vec![
            activation("input", &input_shape, input_scale, random.within(-128, 127)),
            constant("weights", ElementType::Int8, random.integers(&[outputs, columns], -limit, limit), scales),
            constant("bias", ElementType::Int32, random.integers(&[outputs], -bias_limit, bias_limit), vec![]),
            activation("output", &output_shape, output_scale, random.within(-128, 127)),
        ];
        let bias = random.pick(&[Some(TensorId(2)), None]);
        let node = Node {
            name: "layer".into(),
            op: super::Op::FullyConnected(op),
            inputs: vec![Some(TensorId(0)), Some(TensorId(1)), bias],
            outputs: vec![TensorId(3)],
        };
        Graph::new("random".into(), Format::Tflite, tensors, vec![node], vec![TensorId(0)], vec![TensorId(3)])
    }
}

/// Arithmetic's name of a profile.
///
/// # Errors
/// If the profile is not one of TFLite's.
pub fn tflite_profile(view: &NodeView, profile: Profile) -> Result<TfliteProfile, CompileError> {
    match profile {
        Profile::Tflm => Ok(TfliteProfile::Tflm),
        Profile::LitertRef => Ok(TfliteProfile::LitertRef),
        Profile::LitertOpt => Ok(TfliteProfile::LitertOpt),
        Profile::Xnnpack => Ok(TfliteProfile::Xnnpack),
        Profile::Ort | Profile::Qonnx => Err(view.error(
            format!("profile {profile} does not run TFLite operators"),
            "use tflm, litert-ref, litert-opt or xnnpack",
        )),
    }
}

/// Scales of symmetric weights: one, or one an output.
fn weight_scales<'g>(view: &NodeView<'g>, weights: &'g Tensor) -> Result<&'g [f32], CompileError> {
    let Some(quantization) = &weights.quantization else {
        return Err(view.error(
            format!("weights `{}` have no scale", weights.name),
            "quantize the model to int8 (full integer quantization)",
        ));
    };
    if let Some(zero_point) = quantization.zero_points.iter().find(|z| **z != 0) {
        return Err(view.error(
            format!("weights `{}` have zero point {zero_point}", weights.name),
            "quantize weights symmetrically (zero point 0)",
        ));
    }
    if quantization.scales.len() > 1 && quantization.axis != 0 {
        return Err(view.error(
            format!("weights `{}` have scales along dimension {}", weights.name, quantization.axis),
            "quantize along the outputs (dimension 0)",
        ));
    }
    Ok(&quantization.scales)
}

/// Constant weights `[M, C]`.
fn weight_matrix(view: &NodeView, weights: &Tensor) -> Result<Array2<i64>, CompileError> {
    let Some(ConstantData::Int(values)) = &weights.constant else {
        return Err(view.error(
            format!("weights `{}` are computed at run time", weights.name),
            "only layers with constant weights are compiled",
        ));
    };
    let matrix = values.view().into_dimensionality::<ndarray::Ix2>().ok().filter(|m| !m.is_empty());
    matrix.map(|m| m.to_owned()).ok_or_else(|| {
        view.error(
            format!("weights `{}` have shape {:?}", weights.name, weights.shape),
            "give them shape [outputs, inputs]",
        )
    })
}

/// The bias `[M]`: zeros where there is none.
fn bias(view: &NodeView, outputs: usize) -> Result<Vec<i64>, CompileError> {
    let Some(bias) = view.optional(2) else { return Ok(vec![0; outputs]) };
    view.expect_type(bias, "bias", ElementType::Int32)?;
    match &bias.constant {
        Some(ConstantData::Int(values)) if values.len() == outputs => Ok(values.iter().copied().collect()),
        Some(_) => Err(view.error(
            format!("bias `{}` of shape {:?} is not one value for each of {outputs} outputs", bias.name, bias.shape),
            "export the model again",
        )),
        None => Err(view.error(
            format!("bias `{}` is computed at run time", bias.name),
            "only layers with a constant bias are compiled",
        )),
    }
}

/// The runtimes accumulate in 32 bits: beyond, their results are accidents of wrapping.
fn check_accumulators(view: &NodeView, dense: &Dense, input: Range) -> Result<(), CompileError> {
    let int32 = Range::new(i64::from(i32::MIN), i64::from(i32::MAX));
    for channel in 0..dense.weights.nrows() {
        let range = dense
            .accumulator_range(channel, input)
            .map_err(|error| view.error(error.to_string(), "reduce the layer's inputs"))?;
        if !int32.contains_range(range) {
            return Err(view.error(
                format!("the accumulator of output {channel} reaches {range}, beyond the runtime's 32 bits"),
                "split the layer, or quantize its weights with a larger scale",
            ));
        }
    }
    Ok(())
}
