//! MatMul and Gemm: the matrix products.
//!
//! MatMul: `[1, ..., C] x [C, M]`. Gemm: `alpha * A' * B' + beta * C` with optional transpositions.
//! Weights are constant; the other operand is an integer tensor of the accelerator, and its
//! channels (innermost) are the inputs.

use super::integer_weights::IntegerWeights;
use super::operands::{broadcast_shape, Operands};
use super::operator::Operator;
use super::quantization;
use super::quantized_matmul::{open_rows, oriented};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::ProductScales;
use crate::profile::Profile;
use ndarray::{Array2, ArrayD, Ix2, IxDyn};

/// A matrix product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MatMul {
    /// `A x B` on the last two dimensions.
    Plain,
    /// `alpha * A' x B' + beta * C` in two dimensions.
    Gemm {
        /// Factor of the product.
        alpha: f32,
        /// Factor of the third operand.
        beta: f32,
        /// Whether A is transposed.
        transpose_a: bool,
        /// Whether B is transposed.
        transpose_b: bool,
    },
}

impl MatMul {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            MatMul::Plain => "MatMul",
            MatMul::Gemm { .. } => "Gemm",
        }
    }

    fn shape(self, operands: &Operands) -> Result<Vec<usize>, CompileError> {
        let (a, b) = (operands.required(0, "A")?, operands.required(1, "B")?);
        let misfit = || {
            operands.error(
                format!("`{}` {:?} and `{}` {:?} do not multiply", a.name, a.shape, b.name, b.shape),
                "make the inner dimensions equal",
            )
        };
        match self {
            MatMul::Plain => {
                let (Some((&ka, rows)), [kb, m]) = (a.shape.split_last(), b.shape.as_slice()) else {
                    return Err(match b.shape.len() {
                        2 => misfit(),
                        rank => operands.error(
                            format!("`{}` has {rank} dimensions", b.name),
                            "products are compiled with a constant of two dimensions on the right",
                        ),
                    });
                };
                match ka == *kb {
                    true => Ok(rows.iter().copied().chain([*m]).collect()),
                    false => Err(misfit()),
                }
            }
            MatMul::Gemm { transpose_a, transpose_b, .. } => {
                let ([a0, a1], [b0, b1]) = (a.shape.as_slice(), b.shape.as_slice()) else { return Err(misfit()) };
                let (rows, ka) = if transpose_a { (*a1, *a0) } else { (*a0, *a1) };
                let (kb, m) = if transpose_b { (*b1, *b0) } else { (*b0, *b1) };
                let fits_c = operands
                    .optional(2)
                    .is_none_or(|c| broadcast_shape(&c.shape, &[rows, m]).as_deref() == Some(&[rows, m]));
                match ka == kb && fits_c {
                    true => Ok(vec![rows, m]),
                    false => Err(misfit()),
                }
            }
        }
    }
}

impl Operator for MatMul {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        Ok(vec![operands.result(self.shape(operands)?, ElementType::Float32)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut result = operands.result(self.shape(operands)?, ElementType::Float32)?;
        let misfit = |e: ndarray::ShapeError| operands.error(e.to_string(), "make the inner dimensions equal");
        let (a, b) = (operands.floats(0, "A")?, operands.floats(1, "B")?);
        let b = b.into_dimensionality::<Ix2>().map_err(misfit)?;
        let columns = a.shape().last().copied().unwrap_or(1);
        let rows = a.len() / columns.max(1);
        let a = match self {
            MatMul::Plain => a.into_shape_with_order((rows, columns)).map_err(misfit)?,
            MatMul::Gemm { .. } => a.into_dimensionality::<Ix2>().map_err(misfit)?,
        };
        let product = match *self {
            MatMul::Plain => a.dot(&b),
            MatMul::Gemm { alpha, transpose_a, transpose_b, .. } => {
                let oriented = |m: Array2<f32>, turn: bool| if turn { m.reversed_axes() } else { m };
                oriented(a, transpose_a).dot(&oriented(b, transpose_b)).mapv(|v| v * alpha)
            }
        };
        let mut values: ArrayD<f32> =
            product.as_standard_layout().into_owned().into_shape_with_order(IxDyn(&result.shape)).map_err(misfit)?;
        if let (MatMul::Gemm { beta, .. }, Some(_)) = (self, operands.optional(2)) {
            let c = operands.floats(2, "C")?.mapv(|v| v * beta);
            values = values + c;
        }
        result.constant = Some(ConstantData::Float(values));
        Ok(vec![result])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let (a, b) = (operands.required(0, "A")?, operands.required(1, "B")?);
        if a.constant.is_some() {
            return Err(operands.error(
                format!("the left operand `{}` is a constant", a.name),
                "put the data on the left and constant weights on the right: x @ W",
            ));
        }
        // Weights behind a DequantizeLinear: the product that ONNX Runtime fuses.
        if lowering.profile == Profile::Ort && b.quantization.is_some() {
            return self.lower_dequantized(node, lowering);
        }
        match *self {
            MatMul::Plain => {
                let weights = IntegerWeights::read(&operands, b, false)?;
                lowering.open_product(node, weights)?;
            }
            MatMul::Gemm { alpha, beta, transpose_a, transpose_b } => {
                if transpose_a && a.shape.iter().all(|&dim| dim != 1) {
                    return Err(operands.error("transA = 1 reorders the data", "export Gemm with transA = 0"));
                }
                let weights = IntegerWeights::read(&operands, b, transpose_b)?;
                let bias = match operands.optional(2) {
                    Some(_) => Some(gemm_bias(&operands, weights.values.nrows())?),
                    None => None,
                };
                lowering.open_product(node, weights)?;
                lowering.scale_and_add(node, alpha, beta, bias.as_deref())?;
            }
        }
        Ok(())
    }
}

impl MatMul {
    fn lower_dequantized(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let b = operands.required(1, "B")?;
        let (alpha, transposed) = match *self {
            MatMul::Plain => (1.0, false),
            MatMul::Gemm { alpha, beta, transpose_a, transpose_b } => {
                let plain = !transpose_a && (beta == 1.0 || operands.optional(2).is_none());
                if !plain {
                    return Err(operands.error(
                        format!("Gemm with transA = {}, beta = {beta}", u8::from(transpose_a)),
                        "export Gemm with transA = 0 and beta = 1",
                    ));
                }
                (alpha, transpose_b)
            }
        };
        let weights = quantization::dequantized(&operands, b, usize::from(!transposed))?;
        let input = lowering.dequantized_operand(node, 0)?;
        let matrix = oriented(&operands, weights.values, transposed)?;
        let step = alpha * input.quantization.scale;
        let bias = quantization::bias(&operands, 2, matrix.nrows(), step, &weights.scales)?;
        let scales = ProductScales { input: input.quantization.scale, weights: weights.scales, alpha };
        let product = (matrix, bias, Some(scales));
        let pending = open_rows(lowering, node, input.tensor, input.quantization, product)?;
        lowering.define_float(node, pending)
    }
}

/// C of a Gemm as one value an output.
fn gemm_bias(operands: &Operands, outputs: usize) -> Result<Vec<f32>, CompileError> {
    let c = operands.floats(2, "C")?;
    let row = c.broadcast(IxDyn(&[1, outputs])).map(|v| v.iter().copied().collect());
    row.ok_or_else(|| {
        operands.error(
            format!("C of shape {:?} is not one value an output ({outputs})", c.shape()),
            "give C as a vector of the outputs",
        )
    })
}
