//! Conv, QLinearConv and ConvInteger: convolutions with constant weights.
//!
//! `y[m] = sum over taps and channels of x * w[m] + b[m]` on every window of an image `[1, C, H, W]` or a
//! sequence `[1, C, L]`; weights are `[M, C / group, taps...]`. QLinearConv has int8 or uint8 tensors
//! with their scales, and weights with one scale or one an output; its result is that of
//! [`Formula::ort`](systole_arith::Formula::ort). Source: ONNX operator specification.

use super::integer_weights::IntegerWeights;
use super::operands::Operands;
use super::operator::Operator;
use super::quantization;
use super::sliding::Sliding;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::Lowering;
use crate::passes::real::{FloatProduct, FloatSource, Geometry, PendingFloat, ProductScales, Target};
use crate::profile::Profile;
use ndarray::{ArrayD, IxDyn};
use std::ops::{Add, Mul};
use systole_arith::formula::OrtScales;
use systole_arith::{Formula, Window};

/// Which of the operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// Conv: operands x, w, b.
    Real,
    /// QLinearConv: x, its scale and zero point, w, its scale and zero point, scale and zero point of
    /// the result, b.
    Quantized,
    /// ConvInteger: x, w, their zero points; the result is the int32 sums.
    Integer,
}

/// A convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Which of the operators.
    pub kind: ConvKind,
    /// Groups of channels.
    pub groups: i64,
    /// Window.
    pub sliding: Sliding,
}

/// Places of the operands.
struct Places {
    weights: usize,
    bias: Option<usize>,
}

impl Conv {
    /// Name of the operator.
    pub fn name(&self) -> &'static str {
        match self.kind {
            ConvKind::Real => "Conv",
            ConvKind::Quantized => "QLinearConv",
            ConvKind::Integer => "ConvInteger",
        }
    }

    fn places(&self) -> Places {
        match self.kind {
            ConvKind::Real => Places { weights: 1, bias: Some(2) },
            ConvKind::Quantized => Places { weights: 3, bias: Some(8) },
            ConvKind::Integer => Places { weights: 1, bias: None },
        }
    }

    /// The window, and the number of groups, checked against input and weights.
    fn window(&self, operands: &Operands) -> Result<(Window, usize), CompileError> {
        let (x, w) = (operands.required(0, "input")?, operands.required(self.places().weights, "weights")?);
        let ([_, channels, spatial @ ..], [outputs, inputs, kernel @ ..]) = (x.shape.as_slice(), w.shape.as_slice())
        else {
            return Err(operands.error(
                format!("input {:?} and weights {:?} are no convolution", x.shape, w.shape),
                "give an input [1, C, ...] and weights [M, C / group, ...]",
            ));
        };
        let groups = usize::try_from(self.groups).ok().filter(|&g| g > 0 && g <= *channels);
        let groups = groups.filter(|g| channels.is_multiple_of(*g) && outputs.is_multiple_of(*g)).ok_or_else(|| {
            operands.error(
                format!("{} groups of {channels} channels and {outputs} outputs", self.groups),
                "use a number of groups that divides both",
            )
        })?;
        let stated = self.sliding.kernel.as_deref();
        let agrees = stated.is_none_or(|stated| {
            stated.len() == kernel.len() && stated.iter().zip(kernel).all(|(&a, &b)| usize::try_from(a) == Ok(b))
        });
        if inputs * groups != *channels || *outputs == 0 || !agrees {
            return Err(operands.error(
                format!(
                    "weights {:?} in {groups} group(s), kernel_shape {stated:?}, do not fit the input {:?}",
                    w.shape, x.shape
                ),
                "give weights [M, C / group, kernel...]",
            ));
        }
        Ok((self.sliding.window(operands, spatial, kernel)?, groups))
    }

    fn shape(&self, operands: &Operands) -> Result<Vec<usize>, CompileError> {
        let (window, _) = self.window(operands)?;
        let outputs = operands.required(self.places().weights, "weights")?.shape.first().copied().unwrap_or(0);
        let rank = operands.required(0, "input")?.shape.len();
        let spatial = window.output();
        Ok([1, outputs].into_iter().chain(spatial.into_iter().skip(4 - rank.min(4))).collect())
    }

    fn element(&self, operands: &Operands) -> Result<ElementType, CompileError> {
        match self.kind {
            ConvKind::Real => Ok(ElementType::Float32),
            ConvKind::Quantized => quantization::element(operands, 7),
            ConvKind::Integer => Ok(ElementType::Int32),
        }
    }

    /// Integer weights as the file has them with their scales, and the bias.
    fn parameters(
        &self,
        operands: &Operands,
        input: f32,
    ) -> Result<(quantization::QuantizedConstant, Vec<i64>), CompileError> {
        let Places { weights: place, bias } = self.places();
        let tensor = operands.required(place, "weights")?;
        let weights = match self.kind {
            ConvKind::Real => quantization::dequantized(operands, tensor, 0)?,
            ConvKind::Quantized => {
                let zeros = quantization::zero_points(operands, 5, "weight")?;
                quantization::centred(operands, place, quantization::scales(operands, 4, "weight")?, &zeros, 0)?
            }
            ConvKind::Integer => {
                let zeros = quantization::zero_points(operands, 3, "weight")?;
                quantization::centred(operands, place, vec![1.0], &zeros, 0)?
            }
        };
        let outputs = tensor.shape.first().copied().unwrap_or(0);
        let bias = match bias {
            Some(place) => quantization::bias(operands, place, outputs, input, &weights.scales)?,
            None => vec![0; outputs],
        };
        Ok((weights, bias))
    }

    /// The one zero point of ConvInteger's input.
    fn integer_zero(&self, operands: &Operands) -> Result<i64, CompileError> {
        match quantization::zero_points(operands, 2, "input")?.as_slice() {
            [zero] => Ok(*zero),
            zeros => Err(operands.error(format!("the input has {} zero points", zeros.len()), "give one")),
        }
    }
}

/// The bias of a real convolution: one value an output.
fn real_bias(operands: &Operands, outputs: usize) -> Result<Vec<f32>, CompileError> {
    let bias: Vec<f32> = operands.floats(2, "bias")?.iter().copied().collect();
    match bias.len() == outputs {
        true => Ok(bias),
        false => Err(operands
            .error(format!("the bias has {} values for {outputs} outputs", bias.len()), "give one value an output")),
    }
}

/// Products of windows, straight from the definition: `x` is `[1, C, ...]`, `w` is `[M, C / groups, ...]`.
fn convolve<T>(x: &ArrayD<T>, w: &ArrayD<T>, window: &Window, groups: usize, shape: &[usize]) -> Option<ArrayD<T>>
where
    T: Copy + Default + Add<Output = T> + Mul<Output = T>,
{
    let (outputs, inputs) = (*w.shape().first()?, *w.shape().get(1)?);
    let (pixels, taps) = (window.input_pixels(), window.taps());
    let x: Vec<T> = x.iter().copied().collect();
    let w: Vec<T> = w.iter().copied().collect();
    let mut result = Vec::with_capacity(outputs * window.output_pixels());
    for m in 0..outputs {
        let first = m / (outputs / groups) * inputs;
        for pixel in 0..window.output_pixels() {
            let mut sum = T::default();
            for channel in 0..inputs {
                for tap in 0..taps {
                    if let Some(source) = window.source(pixel, tap) {
                        let value = *x.get((first + channel) * pixels + source)?;
                        sum = sum + value * *w.get((m * inputs + channel) * taps + tap)?;
                    }
                }
            }
            result.push(sum);
        }
    }
    ArrayD::from_shape_vec(IxDyn(shape), result).ok()
}

impl Operator for Conv {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        Ok(vec![operands.result(self.shape(operands)?, self.element(operands)?)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let (window, groups) = self.window(operands)?;
        let shape = self.shape(operands)?;
        let misfit = || operands.error("its operands do not fit each other", "export the model again");
        let constant = match self.kind {
            ConvKind::Real => {
                let (x, w) = (operands.floats(0, "input")?, operands.floats(1, "weights")?);
                let mut y = convolve(&x, &w, &window, groups, &shape).ok_or_else(misfit)?;
                if operands.optional(2).is_some() {
                    let bias = operands.floats(2, "bias")?;
                    for (mut channel, b) in y.axis_iter_mut(ndarray::Axis(1)).zip(bias.iter()) {
                        channel.mapv_inplace(|v| v + b);
                    }
                }
                ConstantData::Float(y)
            }
            ConvKind::Integer => {
                let zero = self.integer_zero(operands)?;
                let x = operands.integers(0, "input")?.mapv(|x| x - zero);
                let (weights, _) = self.parameters(operands, 1.0)?;
                ConstantData::Int(convolve(&x, &weights.values, &window, groups, &shape).ok_or_else(misfit)?)
            }
            ConvKind::Quantized => {
                let (sx, sy) =
                    (quantization::single(operands, 1, 2, "input")?, quantization::single(operands, 6, 7, "output")?);
                let x = operands.integers(0, "input")?.mapv(|x| x - sx.zero_point);
                let (weights, bias) = self.parameters(operands, sx.scale)?;
                let mut y = convolve(&x, &weights.values, &window, groups, &shape).ok_or_else(misfit)?;
                let scales = OrtScales {
                    input: sx.scale,
                    weights: &weights.scales,
                    output: sy.scale,
                    output_zero_point: sy.zero_point,
                    alpha: 1.0,
                };
                let element = quantization::int_type(operands, self.element(operands)?)?;
                let formula = Formula::ort(bias.len(), &scales, element)
                    .map_err(|e| operands.error(e.to_string(), "quantize the model again"))?;
                for (m, (mut channel, b)) in y.axis_iter_mut(ndarray::Axis(1)).zip(&bias).enumerate() {
                    channel.mapv_inplace(|v| formula.evaluate(m, v + b));
                }
                ConstantData::Int(y)
            }
        };
        results.iter_mut().for_each(|result| result.constant = Some(constant.clone()));
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let (window, groups) = self.window(&operands)?;
        let channels = operands.required(0, "input")?.shape.get(1).copied().unwrap_or(0);
        if self.kind == ConvKind::Real && lowering.profile == Profile::Qonnx {
            let weights = IntegerWeights::filters(&operands, operands.required(1, "weights")?)?;
            let geometry = Geometry::of(window, channels, weights.values.shape().first().copied().unwrap_or(0), groups);
            let values = geometry.matrix(&operands, &weights.values)?;
            let bias = match operands.optional(2) {
                Some(_) => Some(real_bias(&operands, values.nrows())?),
                None => None,
            };
            lowering.open_convolution(node, geometry, IntegerWeights { values, scales: weights.scales })?;
            return match bias {
                Some(bias) => lowering.scale_and_add(node, 1.0, 1.0, Some(&bias)),
                None => Ok(()),
            };
        }
        let (tensor, input, zero_point) = match self.kind {
            ConvKind::Real => {
                let operand = lowering.dequantized_operand(node, 0)?;
                (operand.tensor, operand.quantization.scale, operand.quantization.zero_point)
            }
            ConvKind::Quantized => {
                let quantization = quantization::single(&operands, 1, 2, "input")?;
                (lowering.stored_operand(node, 0)?, quantization.scale, quantization.zero_point)
            }
            ConvKind::Integer => (lowering.stored_operand(node, 0)?, 1.0, self.integer_zero(&operands)?),
        };
        let tensor = lowering.held_as_image(&node.name, tensor, lowering.operand_id(node, 0)?)?;
        let (weights, bias) = self.parameters(&operands, input)?;
        let geometry = Geometry::of(window, channels, bias.len(), groups);
        let file = sample_shape(&self.shape(&operands)?);
        let layout = Layout::channels_last(&file);
        let scales = ProductScales { input, weights: weights.scales, alpha: 1.0 };
        let pending = PendingFloat {
            node: node.name.clone(),
            shape: layout.shape().to_vec(),
            layout,
            functions: Vec::new(),
            source: FloatSource::Product(FloatProduct {
                geometry,
                input: tensor,
                input_zero_point: zero_point,
                weights: geometry.matrix(&operands, &weights.values)?,
                bias,
                scales: (self.kind != ConvKind::Integer).then_some(scales),
            }),
        };
        match self.kind {
            ConvKind::Quantized => {
                let target = Target {
                    quantization: quantization::single(&operands, 6, 7, "output")?,
                    element: quantization::int_type(&operands, self.element(&operands)?)?,
                };
                let value = lowering.quantize(node, pending, target)?;
                lowering.define(node, value)
            }
            _ => lowering.define_float(node, pending),
        }
    }
}
