//! QLinearMatMul, MatMulInteger and QGemm (com.microsoft): matrix products of quantized tensors.
//!
//! The left operand is computed, `[1, ..., C]`; the right one is a constant `[C, M]`, or `[M, C]` where a QGemm
//! transposes it. Results are those of [`Formula::ort`](systole_arith::Formula::ort).

use super::matmul::MatMul;
use super::operands::Operands;
use super::operator::Operator;
use super::quantization::{self, QuantizedConstant};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::Lowering;
use crate::passes::real::{placed, FloatProduct, FloatSource, Geometry, PendingFloat, ProductScales, Target};
use crate::quant::TensorId;
use ndarray::{Array2, ArrayD, Ix2, IxDyn};
use systole_arith::formula::{OrtQuantization, OrtScales};
use systole_arith::Formula;

/// A matrix product of quantized tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuantizedMatMul {
    /// QLinearMatMul: a, its scale and zero point, b, its scale and zero point, scale and zero point
    /// of the result.
    Quantized,
    /// QGemm: the same with the bias in front of the result's scale.
    Gemm {
        /// Factor of the product.
        alpha: f32,
        /// Whether B is `[M, C]`.
        transpose_b: bool,
    },
    /// MatMulInteger: a, b, their zero points; the result is the int32 sums.
    Integer,
}

/// Constants of a product.
struct Parameters {
    /// `[M, C]`, zero points subtracted.
    weights: Array2<i64>,
    /// One, or one an output.
    scales: Vec<f32>,
    /// One an output.
    bias: Vec<i64>,
}

/// Places of the operands.
struct Places {
    weights: usize,
    output: Option<(usize, usize)>,
}

impl QuantizedMatMul {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            QuantizedMatMul::Quantized => "QLinearMatMul",
            QuantizedMatMul::Gemm { .. } => "QGemm",
            QuantizedMatMul::Integer => "MatMulInteger",
        }
    }

    fn places(self) -> Places {
        match self {
            QuantizedMatMul::Quantized => Places { weights: 3, output: Some((6, 7)) },
            QuantizedMatMul::Gemm { .. } => Places { weights: 3, output: Some((7, 8)) },
            QuantizedMatMul::Integer => Places { weights: 1, output: None },
        }
    }

    fn transposes(self) -> bool {
        matches!(self, QuantizedMatMul::Gemm { transpose_b: true, .. })
    }

    fn alpha(self) -> f32 {
        match self {
            QuantizedMatMul::Gemm { alpha, .. } => alpha,
            _ => 1.0,
        }
    }

    /// A QGemm without a scale of the result gives float.
    fn output(self, operands: &Operands) -> Option<(usize, usize)> {
        self.places().output.filter(|(scale, _)| operands.optional(*scale).is_some())
    }

    fn input(self, operands: &Operands) -> Result<OrtQuantization, CompileError> {
        match self {
            QuantizedMatMul::Integer => match quantization::zero_points(operands, 2, "left")?.as_slice() {
                [zero_point] => Ok(OrtQuantization { scale: 1.0, zero_point: *zero_point }),
                zeros => Err(operands.error(format!("A has {} zero points", zeros.len()), "give one")),
            },
            _ => quantization::single(operands, 1, 2, "left"),
        }
    }

    fn parameters(self, operands: &Operands, input: f32) -> Result<Parameters, CompileError> {
        let place = self.places().weights;
        let axis = usize::from(!self.transposes());
        let (scales, zeros) = match self {
            QuantizedMatMul::Integer => (vec![1.0], quantization::zero_points(operands, 3, "weight")?),
            _ => (quantization::scales(operands, 4, "weight")?, quantization::zero_points(operands, 5, "weight")?),
        };
        let QuantizedConstant { values, scales } = quantization::centred(operands, place, scales, &zeros, axis)?;
        let weights = oriented(operands, values, self.transposes())?;
        let bias = match self {
            QuantizedMatMul::Gemm { .. } => quantization::bias(operands, 6, weights.nrows(), input, &scales)?,
            _ => vec![0; weights.nrows()],
        };
        Ok(Parameters { weights, scales, bias })
    }
}

/// Weights as `[M, C]`; the file has them as `[C, M]` where they are not `transposed`.
pub fn oriented(operands: &Operands, values: ArrayD<i64>, transposed: bool) -> Result<Array2<i64>, CompileError> {
    let matrix = values
        .into_dimensionality::<Ix2>()
        .map_err(|_| operands.error("the weights have other than two dimensions", "give weights [C, M]"))?;
    Ok(match transposed {
        true => matrix,
        false => matrix.reversed_axes().as_standard_layout().into_owned(),
    })
}

/// A product of rows of features of a tensor of the accelerator, with the weights' columns where it
/// holds the features.
///
/// # Errors
/// If several rows are held in another order than the file's.
pub fn open_rows(
    lowering: &mut Lowering,
    node: &Node,
    tensor: TensorId,
    quantization: OrtQuantization,
    (weights, bias, scales): (Array2<i64>, Vec<i64>, Option<ProductScales>),
) -> Result<PendingFloat, CompileError> {
    let operand = lowering.operand_id(node, 0)?;
    let (input, places) = lowering.held_as_rows(&node.name, tensor, operand)?;
    let weights = match places {
        Some(places) if places.len() == weights.ncols() => placed(&weights, &places),
        _ => weights,
    };
    let shape = match node.outputs.first() {
        Some(&id) => sample_shape(&lowering.graph.tensor(id).shape),
        None => vec![weights.nrows()],
    };
    Ok(PendingFloat {
        node: node.name.clone(),
        layout: Layout::in_order(&shape),
        shape,
        functions: Vec::new(),
        source: FloatSource::Product(FloatProduct {
            geometry: Geometry::Pixels,
            input,
            input_zero_point: quantization.zero_point,
            weights,
            bias,
            scales,
        }),
    })
}

impl Operator for QuantizedMatMul {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let (a, b) = (operands.required(0, "A")?, operands.required(self.places().weights, "B")?);
        let product = match self {
            QuantizedMatMul::Gemm { transpose_b, .. } => {
                MatMul::Gemm { alpha: 1.0, beta: 1.0, transpose_a: false, transpose_b: *transpose_b }
            }
            _ => MatMul::Plain,
        };
        let shapes = Operands::new(operands.node, vec![Some(a), Some(b)]);
        let element = match (self.output(operands), self) {
            (Some((_, zero)), _) => quantization::element(operands, zero)?,
            (None, QuantizedMatMul::Integer) => ElementType::Int32,
            (None, _) => ElementType::Float32,
        };
        let mut results = product.infer(&shapes)?;
        results.iter_mut().for_each(|result| result.element = element);
        Ok(results)
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let input = self.input(operands)?;
        let Parameters { weights, scales, bias } = self.parameters(operands, input.scale)?;
        let misfit = |_| operands.error("the inner dimensions differ", "make them equal");
        let a = operands.integers(0, "A")?.mapv(|x| x - input.zero_point);
        let rows = a.len() / weights.ncols().max(1);
        let a = a.into_shape_with_order((rows, weights.ncols())).map_err(misfit)?;
        let mut sums = a.dot(&weights.t());
        for mut row in sums.outer_iter_mut() {
            row.iter_mut().zip(&bias).for_each(|(sum, b)| *sum += b);
        }
        for result in &mut results {
            let shape = IxDyn(&result.shape);
            let sums = sums.as_standard_layout().into_owned().into_shape_with_order(shape).map_err(misfit)?;
            let channels = bias.len().max(1);
            let step = |m: usize| self.alpha() * input.scale * super::quant::of_channel(&scales, m);
            result.constant = Some(match self.output(operands) {
                Some((scale, zero)) => {
                    let output = quantization::single(operands, scale, zero, "output")?;
                    let scales = OrtScales {
                        input: input.scale,
                        weights: &scales,
                        output: output.scale,
                        output_zero_point: output.zero_point,
                        alpha: self.alpha(),
                    };
                    let element = quantization::int_type(operands, result.element)?;
                    let formula = Formula::ort(channels, &scales, element)
                        .map_err(|e| operands.error(e.to_string(), "quantize the model again"))?;
                    let mut m = 0..;
                    ConstantData::Int(sums.mapv(|v| formula.evaluate(m.next().unwrap_or(0) % channels, v)))
                }
                None if *self == QuantizedMatMul::Integer => ConstantData::Int(sums),
                None => {
                    let mut m = 0..;
                    ConstantData::Float(sums.mapv(|v| v as f32 * step(m.next().unwrap_or(0) % channels)))
                }
            });
        }
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let input = self.input(&operands)?;
        let Parameters { weights, scales, bias } = self.parameters(&operands, input.scale)?;
        let tensor = lowering.stored_operand(node, 0)?;
        let scales = ProductScales { input: input.scale, weights: scales, alpha: self.alpha() };
        let scales = (*self != QuantizedMatMul::Integer).then_some(scales);
        let pending = open_rows(lowering, node, tensor, input, (weights, bias, scales))?;
        match self.output(&operands) {
            Some((scale, zero)) => {
                let target = Target {
                    quantization: quantization::single(&operands, scale, zero, "output")?,
                    element: quantization::int_type(&operands, quantization::element(&operands, zero)?)?,
                };
                let value = lowering.quantize(node, pending, target)?;
                lowering.define(node, value)
            }
            None => lowering.define_float(node, pending),
        }
    }
}
