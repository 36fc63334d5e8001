//! What TFLite's layers with weights share: FULLY_CONNECTED, CONV_2D and DEPTHWISE_CONV_2D.

use super::node_view::NodeView;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Tensor};
use crate::profile::Profile;
use crate::quant::{weight_type, Dense};
use ndarray::{Array2, ArrayD};
use systole_arith::formula::{Activation, TfliteOperator, TfliteProfile, TfliteScales};
use systole_arith::{Formula, IntType, Range};

/// Most outputs of a layer: each takes a requantization of its own.
const OUTPUT_LIMIT: usize = 1 << 16;

/// The operands of a layer, checked as far as they do not depend on its geometry.
pub(super) struct Layer<'g> {
    /// int8, one scale.
    pub input: &'g Tensor,
    /// Scale of the input.
    pub input_scale: f32,
    /// Zero point of the input.
    pub input_zero_point: i64,
    /// Symmetric int8 constants, under the shape that the file gives them.
    pub weights: &'g ArrayD<i64>,
    /// One, or one an output.
    pub weight_scales: &'g [f32],
    /// One an output; zeros where the layer has none.
    pub bias: Vec<i64>,
    /// int8, one scale.
    pub output: &'g Tensor,
    /// Scale of the output.
    pub output_scale: f32,
    /// Zero point of the output.
    pub output_zero_point: i64,
}

impl<'g> Layer<'g> {
    /// Reads a layer whose weights have the dimensions `layout`, of which number `axis` counts outputs.
    ///
    /// # Errors
    /// If a type, the weights' rank, a quantization or the bias does not fit.
    pub fn read(view: &NodeView<'g>, layout: &[&str], axis: usize) -> Result<Layer<'g>, CompileError> {
        view.at_most(3)?;
        let (input, weights, output) = (view.input(0, "input")?, view.input(1, "weights")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        view.expect_type(weights, "weights", ElementType::Int8)?;
        view.expect_type(output, "output", ElementType::Int8)?;
        let (input_scale, input_zero_point) = view.per_tensor(input, "input")?;
        let (output_scale, output_zero_point) = view.per_tensor(output, "output")?;
        let weight_scales = weight_scales(view, weights, axis)?;
        let values = weight_values(view, weights, layout)?;
        let outputs = values.shape().get(axis).copied().unwrap_or(0);
        if outputs > OUTPUT_LIMIT {
            return Err(view.error(format!("it has {outputs} outputs"), format!("use at most {OUTPUT_LIMIT} a layer")));
        }
        Ok(Layer {
            input,
            input_scale,
            input_zero_point,
            weights: values,
            weight_scales,
            bias: bias(view, outputs)?,
            output,
            output_scale,
            output_zero_point,
        })
    }

    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// What the runtime computes from an accumulator.
    ///
    /// # Errors
    /// If the runtime refuses the scales, or does not run TFLite operators.
    pub fn formula(
        &self,
        view: &NodeView,
        operator: TfliteOperator,
        activation: Activation,
        profile: Profile,
    ) -> Result<Formula, CompileError> {
        let scales = TfliteScales {
            input: self.input_scale,
            weights: self.weight_scales,
            output: self.output_scale,
            output_zero_point: self.output_zero_point,
        };
        let profile = tflite_profile(view, profile)?;
        let element = IntType::Signed(8);
        Formula::tflite(profile, operator, self.outputs(), &scales, activation, element).map_err(|error| {
            view.error(format!("{} -> {}: {error}", self.input.name, self.output.name), "calibrate the model again")
        })
    }

    /// The product with `weights` `[M, inputs of a pixel or window]`.
    pub fn product(&self, weights: Array2<i64>, formula: Formula) -> Dense {
        Dense {
            weight_type: weight_type(weights.iter().copied(), IntType::Signed(8)),
            weights,
            input_zero_point: self.input_zero_point,
            bias: self.bias.clone(),
            formula,
            map: None,
        }
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

/// The runtimes accumulate in 32 bits: beyond, their results are accidents of wrapping.
///
/// # Errors
/// If an accumulator of stored inputs in `input` can leave them.
pub(super) fn check_accumulators(view: &NodeView, dense: &Dense, input: Range) -> Result<(), CompileError> {
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

/// Scales of symmetric weights: one, or one an output, counted by dimension `axis`.
fn weight_scales<'g>(view: &NodeView<'g>, weights: &'g Tensor, axis: usize) -> Result<&'g [f32], CompileError> {
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
    if quantization.scales.len() > 1 && quantization.axis != axis {
        return Err(view.error(
            format!("weights `{}` have scales along dimension {}", weights.name, quantization.axis),
            format!("quantize along the outputs (dimension {axis})"),
        ));
    }
    Ok(&quantization.scales)
}

/// Constant weights of the dimensions `layout`.
fn weight_values<'g>(
    view: &NodeView<'g>,
    weights: &'g Tensor,
    layout: &[&str],
) -> Result<&'g ArrayD<i64>, CompileError> {
    let Some(ConstantData::Int(values)) = &weights.constant else {
        return Err(view.error(
            format!("weights `{}` are computed at run time", weights.name),
            "only layers with constant weights are compiled",
        ));
    };
    match values.ndim() == layout.len() && !values.is_empty() {
        true => Ok(values),
        false => Err(view.error(
            format!("weights `{}` have shape {:?}", weights.name, weights.shape),
            format!("give them shape [{}]", layout.join(", ")),
        )),
    }
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
