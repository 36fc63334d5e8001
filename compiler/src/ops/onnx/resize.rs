//! Resize and Upsample (ONNX operator specification): an image enlarged by whole factors, each pixel from its
//! nearest neighbour.

use super::operands::Operands;
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::ops::nearest::enlargement;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::profile::Profile;
use crate::quant::{QuantOp, Repeat};
use ndarray::{ArrayD, IxDyn};

/// How an index of the result becomes a place in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// Centres of pixels.
    HalfPixel,
    /// Centres of pixels; a single pixel is the first.
    PytorchHalfPixel,
    /// Centres of pixels of the result.
    TfHalfPixel,
    /// First corners of pixels.
    Asymmetric,
    /// First and last pixels fall onto each other.
    AlignCorners,
}

/// How a place between pixels becomes one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The nearest, the one before of two.
    RoundPreferFloor,
    /// The nearest, the one behind of two.
    RoundPreferCeil,
    /// The one before.
    Floor,
    /// The one behind.
    Ceil,
}

/// Where the size of the result stands.
#[derive(Clone, Debug, PartialEq)]
pub enum ResizeSize {
    /// Factors as an attribute (Upsample of version 7).
    Attribute(Vec<f32>),
    /// Factors as operand 1 (Upsample of version 9, Resize of version 10).
    Factors,
    /// Factors as operand 2, or sizes as operand 3; of these dimensions, or of all.
    FactorsOrSizes {
        /// Dimensions that are given.
        axes: Option<Vec<i64>>,
    },
}

/// A resize by nearest neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct Resize {
    /// Whether it is an Upsample.
    pub upsample: bool,
    /// Where the size of the result stands.
    pub size: ResizeSize,
    /// How an index becomes a place.
    pub coordinates: Coordinates,
    /// How a place becomes an index.
    pub nearest: Nearest,
}

/// Sizes of all dimensions and factors from the input's, batch and channels included.
struct Scaled {
    shape: Vec<usize>,
    factors: Vec<f32>,
}

impl Resize {
    /// Name of the operator.
    pub fn name(&self) -> &'static str {
        match self.upsample {
            true => "Upsample",
            false => "Resize",
        }
    }

    fn scaled(&self, operands: &Operands) -> Result<Scaled, CompileError> {
        let input = &operands.required(0, "X")?.shape;
        let present = |position: usize| {
            operands.optional(position).filter(|tensor| tensor.shape.iter().product::<usize>() > 0).is_some()
        };
        let factors_at = |position: usize| operands.floats(position, "scales").map(|v| v.iter().copied().collect());
        let by_sizes = matches!(self.size, ResizeSize::FactorsOrSizes { .. }) && !present(2) && present(3);
        let axes = match &self.size {
            ResizeSize::FactorsOrSizes { axes: Some(axes) } => {
                axes.iter().map(|&axis| operands.axis(axis, input.len())).collect::<Result<Vec<_>, _>>()?
            }
            _ => (0..input.len()).collect(),
        };
        let mut scaled = Scaled { shape: input.clone(), factors: vec![1.0; input.len()] };
        let misfit = |given: String| {
            operands.error(
                format!("it resizes {input:?} by {given} along the dimensions {axes:?}"),
                "give one positive factor or size for each dimension",
            )
        };
        if by_sizes {
            let sizes = operands.integer_list(3, "sizes")?;
            if sizes.len() != axes.len() {
                return Err(misfit(format!("sizes {sizes:?}")));
            }
            for (&axis, &size) in axes.iter().zip(&sizes) {
                let size = usize::try_from(size).ok().filter(|&size| size > 0 && input[axis] > 0);
                let size = size.ok_or_else(|| misfit(format!("sizes {sizes:?}")))?;
                (scaled.shape[axis], scaled.factors[axis]) = (size, size as f32 / input[axis] as f32);
            }
            return Ok(scaled);
        }
        let factors: Vec<f32> = match &self.size {
            ResizeSize::Attribute(factors) => factors.clone(),
            ResizeSize::Factors => factors_at(1)?,
            ResizeSize::FactorsOrSizes { .. } => factors_at(2)?,
        };
        let sound = |factor: &f32| factor.is_finite() && *factor > 0.0 && *factor < 65_536.0;
        if factors.len() != axes.len() || !factors.iter().all(sound) {
            return Err(misfit(format!("factors {factors:?}")));
        }
        for (&axis, &factor) in axes.iter().zip(&factors) {
            let size = (input[axis] as f32 * factor).floor();
            if size < 1.0 {
                return Err(misfit(format!("factors {factors:?}")));
            }
            (scaled.shape[axis], scaled.factors[axis]) = (size as usize, factor);
        }
        Ok(scaled)
    }

    /// Input index of an output index along a dimension, in float32 as the runtime computes it.
    fn source(&self, input: usize, output: usize, factor: f32, index: usize) -> usize {
        let at = index as f32;
        let place = match self.coordinates {
            Coordinates::HalfPixel => (at + 0.5) / factor - 0.5,
            Coordinates::PytorchHalfPixel if output == 1 => 0.0,
            Coordinates::PytorchHalfPixel => (at + 0.5) / factor - 0.5,
            Coordinates::TfHalfPixel => (at + 0.5) / factor,
            Coordinates::Asymmetric => at / factor,
            Coordinates::AlignCorners if output == 1 => 0.0,
            Coordinates::AlignCorners => at * (input - 1) as f32 / (output - 1) as f32,
        };
        let whole = match self.nearest {
            Nearest::RoundPreferFloor => (place - 0.5).ceil(),
            Nearest::RoundPreferCeil => (place + 0.5).floor(),
            Nearest::Floor => place.floor(),
            Nearest::Ceil => place.ceil(),
        };
        // A negative number becomes 0.
        (whole as usize).min(input.saturating_sub(1))
    }

    /// The enlargement of the image, batch and channels untouched.
    fn repeat(&self, operands: &Operands) -> Result<Repeat, CompileError> {
        let input = &operands.required(0, "X")?.shape;
        let Scaled { shape, factors } = self.scaled(operands)?;
        let from = |axis: usize| (input[axis], shape[axis], factors[axis]);
        let along = |(input, output, factor): (usize, usize, f32)| {
            move |index: usize| self.source(input, output, factor, index)
        };
        let one = (1, 1, 1.0);
        let image = match input.len() {
            3 => Some((one, from(2))),
            4 => Some((from(2), from(3))),
            _ => None,
        };
        let still = (0..input.len().min(2)).all(|axis| input[axis] == shape[axis]);
        let repeat = image.filter(|_| still).and_then(|(rows, columns)| {
            let sizes = |part: fn((usize, usize, f32)) -> usize| [part(rows), part(columns)];
            enlargement(sizes(|of| of.0), sizes(|of| of.1), [&along(rows), &along(columns)])
        });
        repeat.ok_or_else(|| {
            operands.error(
                format!(
                    "it resizes {input:?} to {shape:?} ({:?}, {:?}), each pixel not equally often",
                    self.coordinates, self.nearest
                ),
                "enlarge rows and columns of an image [1, channels, rows, columns] by whole factors, with \
                 coordinate_transformation_mode half_pixel, or asymmetric and nearest_mode floor",
            )
        })
    }
}

/// The elements of `x` at the sources of each dimension of `shape`.
fn picked<T: Copy>(x: &ArrayD<T>, shape: &[usize], sources: &[Vec<usize>]) -> ArrayD<T> {
    ArrayD::from_shape_fn(IxDyn(shape), |at| {
        let from: Vec<usize> = (0..shape.len()).map(|axis| sources[axis][at[axis]]).collect();
        x[IxDyn(&from)]
    })
}

impl Operator for Resize {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let input = operands.required(0, "X")?;
        // What a quantizer of constants leaves is still real.
        let element = if input.quantization.is_some() { ElementType::Float32 } else { input.element };
        Ok(vec![operands.result(self.scaled(operands)?.shape, element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let input = operands.required(0, "X")?;
        let Scaled { shape, factors } = self.scaled(operands)?;
        let along = |axis: usize| {
            let of = |index| self.source(input.shape[axis], shape[axis], factors[axis], index);
            (0..shape[axis]).map(of).collect::<Vec<usize>>()
        };
        let sources: Vec<Vec<usize>> = (0..shape.len()).map(along).collect();
        let constant = match (&input.constant, &input.quantization) {
            (Some(ConstantData::Int(x)), None) => ConstantData::Int(picked(x, &shape, &sources)),
            _ => ConstantData::Float(picked(&operands.floats(0, "X")?, &shape, &sources)),
        };
        results.iter_mut().for_each(|result| result.constant = Some(constant.clone()));
        Ok(results)
    }

    /// Becomes a repetition of integers, or nothing where the size stays.
    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let repeat = self.repeat(&operands)?;
        let layout = Layout::channels_last(&sample_shape(&self.scaled(&operands)?.shape));
        if repeat.factors == [1, 1] {
            return lowering.pass_through(node);
        }
        let id = lowering.operand_id(node, 0)?;
        let integers = lowering.graph.tensor(id).element != ElementType::Float32;
        match (lowering.profile, integers) {
            (Profile::Ort, true) => drop(lowering.stored_operand(node, 0)?),
            (Profile::Ort, false) => drop(lowering.dequantized_operand(node, 0)?),
            _ => drop(lowering.quantized_operand(node, 0)?),
        }
        let Value::Integer { tensor, scale, zero_point } = lowering.operand(node, 0)? else {
            return Err(operands.error("its operand is not quantized", "put a quantizer in front of it"));
        };
        let input = lowering.held_as_image(&node.name, tensor, id)?;
        let from = lowering.tensor(&node.name, input)?.clone();
        let name = lowering.result_name(node);
        let shape = layout.shape().to_vec();
        let output = lowering.add_tensor(name, shape, from.element, from.range, Some((&scale, zero_point)))?;
        lowering.layouts.insert(output, layout);
        lowering.add_node(&node.name, QuantOp::Repeat(repeat), vec![input], output);
        lowering.define(node, Value::Integer { tensor: output, scale, zero_point })
    }
}
