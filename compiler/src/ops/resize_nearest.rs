//! TFLite's RESIZE_NEAREST_NEIGHBOR on int8: an image enlarged by whole factors.

use super::image::{expect_image, image_of, image_value, result_value};
use super::nearest::enlargement;
use super::node_view::NodeView;
use super::random::{activation, constant, network, Random};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Graph, Node, TensorId};
use crate::passes::lowering::Lowering;
use crate::quant::{QuantOp, Repeat};
use ndarray::{arr1, ArrayView4};

/// The operator; rows and columns of the result are operand 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeNearest {
    /// Whether the corner pixels of input and output fall onto each other.
    pub align_corners: bool,
    /// Whether pixels are compared by their centres.
    pub half_pixel_centers: bool,
}

/// The operands, checked.
struct Parts {
    image: [usize; 2],
    output: [usize; 2],
    channels: usize,
}

impl ResizeNearest {
    /// Checks operands and result.
    ///
    /// # Errors
    /// If types, shapes or quantization do not fit, or the factors are not whole.
    pub fn check(&self, view: &NodeView) -> Result<(), CompileError> {
        self.repeat(view).map(drop)
    }

    fn parts(&self, view: &NodeView) -> Result<Parts, CompileError> {
        view.at_most(2)?;
        let (input, result) = (view.input(0, "input")?, view.output()?);
        view.expect_type(input, "input", ElementType::Int8)?;
        view.expect_type(result, "output", ElementType::Int8)?;
        view.expect_equal_quantization(input, result)?;
        let [rows, columns, channels] = image_of(view, input, "input")?;
        let sizes = view.constant_integers(1, "size")?;
        let output = match sizes.as_slice() {
            [rows, columns] => [*rows, *columns].map(|size| usize::try_from(size).unwrap_or(0)),
            _ => return Err(view.error(format!("its size is {sizes:?}"), "give rows and columns")),
        };
        expect_image(view, result, output, channels)?;
        if self.align_corners && self.half_pixel_centers {
            return Err(view.error(
                "it has both align_corners and half_pixel_centers, which the runtimes refuse",
                "export with half_pixel_centers alone",
            ));
        }
        Ok(Parts { image: [rows, columns], output, channels })
    }

    /// Input index of an output index, in float32 as the runtimes compute it.
    fn source(&self, input: usize, output: usize, index: usize) -> usize {
        let aligned = self.align_corners && output > 1;
        let scale = match aligned {
            true => (input - 1) as f32 / (output - 1) as f32,
            false => input as f32 / output as f32,
        };
        let offset = if self.half_pixel_centers { 0.5 } else { 0.0 };
        let place = (index as f32 + offset) * scale;
        let place = if self.align_corners { place.round() } else { place.floor() };
        (place as usize).min(input - 1)
    }

    fn repeat(&self, view: &NodeView) -> Result<(Parts, Repeat), CompileError> {
        let parts = self.parts(view)?;
        let Parts { image, output, .. } = parts;
        let along = |axis: usize| move |index: usize| self.source(image[axis], output[axis], index);
        let repeat = enlargement(image, output, [&along(0), &along(1)]).ok_or_else(|| {
            view.error(
                format!(
                    "it resizes {}x{} to {}x{} pixels, each not equally often",
                    image[0], image[1], output[0], output[1]
                ),
                "enlarge by whole factors, with half_pixel_centers or without align_corners",
            )
        })?;
        Ok((parts, repeat))
    }

    /// The result `[1, H', W', C]`, straight from the definition.
    ///
    /// # Errors
    /// If the operands do not fit.
    pub fn evaluate(&self, view: &NodeView, values: &[Option<&ConstantData>]) -> Result<ConstantData, CompileError> {
        let Parts { image, output, channels } = self.parts(view)?;
        let input: ArrayView4<i64> = image_value(view, values)?;
        let mut result = Vec::with_capacity(output[0] * output[1] * channels);
        for row in (0..output[0]).map(|row| self.source(image[0], output[0], row)) {
            for column in (0..output[1]).map(|column| self.source(image[1], output[1], column)) {
                result.extend((0..channels).map(|channel| input[[0, row, column, channel]]));
            }
        }
        result_value(view, result)
    }

    /// Becomes a repetition, or nothing where the size stays.
    ///
    /// # Errors
    /// If the input is no integer tensor of the accelerator.
    pub fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let view = NodeView::new(lowering.graph, node);
        let (Parts { image: [rows, columns], channels, .. }, repeat) = self.repeat(&view)?;
        if repeat.factors == [1, 1] {
            return lowering.pass_through(node);
        }
        let input = lowering.image_operand(node, 0, [rows, columns, channels])?;
        lowering.define_image(node, QuantOp::Repeat(repeat), vec![input])
    }

    /// A network that enlarges an image of 1 to 4 rows and columns 1 to 4 times.
    ///
    /// # Errors
    /// None for any seed, or the operator's checks are wrong.
    pub fn random_case(seed: u64) -> Result<Graph, CompileError> {
        let random = &mut Random::new(seed);
        let (scale, zero_point) = (random.scale(-8, 2), random.within(-128, 127));
        let (rows, columns, channels) = (random.size(1, 4), random.size(1, 4), random.size(1, 5));
        let (down, across) = (random.size(1, 4), random.size(1, 4));
        let size = arr1(&[(rows * down) as i64, (columns * across) as i64]).into_dyn();
        // One row or column has no corners to align.
        let align_corners = rows == 1 && columns == 1 && random.pick(&[true, false]);
        let op = ResizeNearest { align_corners, half_pixel_centers: !align_corners && random.pick(&[true, false]) };
        let tensors = vec![
            activation("input", &[1, rows, columns, channels], scale, zero_point),
            constant("size", ElementType::Int32, size, vec![]),
            activation("output", &[1, rows * down, columns * across, channels], scale, zero_point),
        ];
        network(tensors, super::Op::ResizeNearest(op), vec![Some(TensorId(0)), Some(TensorId(1))], &[0], 2)
    }
}
