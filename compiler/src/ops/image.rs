//! Images of TFLite operators: shapes `[1, H, W, C]`, sliding windows, and their tensors in the
//! accelerator.

use super::node_view::{sample_shape, NodeView};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, Node, Tensor};
use crate::passes::lowering::{Lowering, Value};
use crate::quant::{QuantOp, TensorId};
use ndarray::{ArrayD, ArrayView4, Ix4, IxDyn};
use systole_arith::{IntType, Window};

/// Most taps of a window: the kernel's rows times its columns.
const TAP_LIMIT: usize = 1 << 16;

/// How far a window may leave the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// As far as one output pixel for each stride of input pixels takes, the odd pixel behind.
    Same,
    /// Not at all.
    Valid,
}

/// How a window slides; pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sliding {
    /// Around the image.
    pub padding: Padding,
    /// Input pixels from one output pixel to the next.
    pub stride: [usize; 2],
    /// Input pixels from one tap to the next.
    pub dilation: [usize; 2],
}

impl Sliding {
    /// The window of `kernel` taps on an image.
    ///
    /// # Errors
    /// If a size is 0 or too large, or the kernel does not fit into the image.
    pub fn window(&self, view: &NodeView, input: [usize; 2], kernel: [usize; 2]) -> Result<Window, CompileError> {
        let Sliding { padding, stride, dilation } = *self;
        let mut window = Window { input, kernel, stride, dilation, pad_before: [0; 2], pad_after: [0; 2] };
        let sizes = [input, kernel, stride, dilation];
        let fits = |n: &usize| (1..=Window::LIMIT).contains(n);
        if padding == Padding::Same && sizes.iter().flatten().all(fits) {
            for axis in 0..2 {
                let output = input[axis].div_ceil(stride[axis]);
                let reach = (output - 1) * stride[axis] + window.span(axis);
                let total = reach.saturating_sub(input[axis]);
                window.pad_before[axis] = total / 2;
                window.pad_after[axis] = total - total / 2;
            }
        }
        window.validate().map_err(|error| view.error(error.to_string(), "export the model again"))?;
        match window.taps() <= TAP_LIMIT {
            true => Ok(window),
            false => Err(view.error(
                format!("its window has {} taps", window.taps()),
                format!("use a kernel of at most {TAP_LIMIT} taps"),
            )),
        }
    }
}

/// `[H, W, C]` of a tensor `[1, H, W, C]`.
///
/// # Errors
/// If it has another rank or batch.
pub fn image_of(view: &NodeView, tensor: &Tensor, role: &str) -> Result<[usize; 3], CompileError> {
    match *tensor.shape.as_slice() {
        [1, rows, columns, channels] => Ok([rows, columns, channels]),
        _ => Err(view.error(
            format!("{role} `{}` has shape {:?}, not [1, rows, columns, channels]", tensor.name, tensor.shape),
            "export with images of a batch of 1, channels last",
        )),
    }
}

/// Fails where `output` is not an image of `rows` x `columns` and `channels`.
///
/// # Errors
/// As said, with what the operands give.
pub(super) fn expect_image(
    view: &NodeView,
    output: &Tensor,
    [rows, columns]: [usize; 2],
    channels: usize,
) -> Result<(), CompileError> {
    match output.shape == [1, rows, columns, channels] {
        true => Ok(()),
        false => Err(view.error(
            format!(
                "output `{}` has shape {:?}, the operands give [1, {rows}, {columns}, {channels}]",
                output.name, output.shape
            ),
            "export the model again",
        )),
    }
}

/// The values of operand 0 as an image, for an operator's own evaluation.
///
/// # Errors
/// If there are none, or of another rank.
pub(super) fn image_value<'v>(
    view: &NodeView,
    values: &[Option<&'v ConstantData>],
) -> Result<ArrayView4<'v, i64>, CompileError> {
    let values = view.int_value(values, 0)?;
    values
        .view()
        .into_dimensionality::<Ix4>()
        .map_err(|_| view.error("its operand's value is no image", "export the model again"))
}

/// The values of a result in order, under its shape.
///
/// # Errors
/// If there are more or fewer than the shape has.
pub(super) fn result_value(view: &NodeView, values: Vec<i64>) -> Result<ConstantData, CompileError> {
    let shape = IxDyn(&view.output()?.shape);
    ArrayD::from_shape_vec(shape, values)
        .map(ConstantData::Int)
        .map_err(|_| view.error("its values do not fit the result's shape", "export the model again"))
}

/// Input rows or columns that the taps of output index `at` read along an axis, in order; none in
/// the padding. Written out from the definition: a check on [`Window`], and not a use of it.
pub(super) fn taps(window: &Window, axis: usize, at: usize) -> impl Iterator<Item = (usize, Option<usize>)> + '_ {
    let (pad, size) = (window.pad_before[axis] as i64, window.input[axis] as i64);
    (0..window.kernel[axis]).map(move |tap| {
        let place = (at * window.stride[axis] + tap * window.dilation[axis]) as i64 - pad;
        (tap, (0..size).contains(&place).then_some(place as usize))
    })
}

impl Lowering<'_> {
    /// Operand `position` as an image `[H, W, C]` of the accelerator.
    ///
    /// # Errors
    /// If the operand is no integer tensor of the accelerator.
    pub(super) fn image_operand(
        &mut self,
        node: &Node,
        position: usize,
        image: [usize; 3],
    ) -> Result<TensorId, CompileError> {
        self.shaped_operand(node, position, &image)
    }

    /// The image that a padding in front of a convolution reads, and the convolution's window on it: padded
    /// taps are free there. The window and `input` stay as they are where no padding with `zero_point`
    /// gives `input`, or the window is pointwise and becomes a plain matrix product.
    pub(super) fn without_padding(&self, window: Window, input: TensorId, zero_point: i64) -> (Window, TensorId) {
        let padding = self.nodes.iter().rev().find(|node| node.output == input).and_then(|node| match &node.op {
            QuantOp::Pad(pad) if pad.value == zero_point => Some((pad.window, *node.inputs.first()?)),
            _ => None,
        });
        let Some((pad, source)) = padding.filter(|_| !window.is_pointwise()) else { return (window, input) };
        let sum = |a: [usize; 2], b: [usize; 2]| [a[0].saturating_add(b[0]), a[1].saturating_add(b[1])];
        let merged = Window {
            input: pad.input,
            pad_before: sum(window.pad_before, pad.pad_before),
            pad_after: sum(window.pad_after, pad.pad_after),
            ..window
        };
        match merged.validate().is_ok() && merged.output() == window.output() {
            true => (merged, source),
            false => (window, input),
        }
    }

    /// Operand `position` under a shape of one sample: reshapes in front of it change only the
    /// dimensions around the channels, and may have left it under another.
    ///
    /// # Errors
    /// If the operand is no integer tensor of the accelerator.
    pub(super) fn shaped_operand(
        &mut self,
        node: &Node,
        position: usize,
        shape: &[usize],
    ) -> Result<TensorId, CompileError> {
        let (tensor, _, _) = self.integer_operand(node, position)?;
        match self.tensor(&node.name, tensor)?.shape == shape {
            true => Ok(tensor),
            false => self.reshape(&format!("{}_operand_{position}", node.name), tensor, shape.to_vec()),
        }
    }

    /// Adds an operator whose result is the node's, an int8 tensor of the result's own quantization.
    ///
    /// # Errors
    /// If the result has other than one scale.
    pub(super) fn define_int8(
        &mut self,
        node: &Node,
        op: QuantOp,
        inputs: Vec<TensorId>,
        shape: Vec<usize>,
    ) -> Result<(), CompileError> {
        let view = NodeView::new(self.graph, node);
        let output = view.output()?;
        let (scale, zero_point) = view.per_tensor(output, "output")?;
        let scale = self.rational(&node.name, scale)?;
        let int8 = IntType::Signed(8);
        let name = output.name.clone();
        let tensor = self.add_tensor(name, shape, int8, int8.range(), Some((&scale, zero_point)))?;
        self.add_node(&node.name, op, inputs, tensor);
        self.define(node, Value::Integer { tensor, scale, zero_point })
    }

    /// [`Lowering::define_int8`] under the result's shape without the batch.
    ///
    /// # Errors
    /// As there.
    pub(super) fn define_image(&mut self, node: &Node, op: QuantOp, inputs: Vec<TensorId>) -> Result<(), CompileError> {
        let shape = sample_shape(&NodeView::new(self.graph, node).output()?.shape);
        self.define_int8(node, op, inputs, shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(padding: Padding, input: usize, kernel: usize, stride: usize) -> Result<Window, CompileError> {
        let view = NodeView { name: "layer", inputs: vec![], outputs: vec![] };
        Sliding { padding, stride: [stride; 2], dilation: [1; 2] }.window(&view, [input; 2], [kernel; 2])
    }

    #[test]
    fn same_padding_gives_one_output_pixel_for_each_stride_and_puts_the_odd_pixel_behind() {
        for (input, kernel, stride) in [(5, 2, 1), (5, 3, 2), (6, 3, 2), (1, 7, 3), (9, 1, 4), (8, 3, 5)] {
            let window = window(Padding::Same, input, kernel, stride).unwrap();
            assert_eq!(window.output(), [input.div_ceil(stride); 2], "{window}");
            assert!(window.pad_after[0] - window.pad_before[0] <= 1, "{window}");
        }
    }

    #[test]
    fn windows_that_no_network_needs_are_refused_with_their_sizes() {
        for (input, kernel, stride) in [(4, 5, 1), (4, 0, 1), (4, 2, 0), (4, 2, 1 << 31), (1 << 31, 2, 1)] {
            assert!(window(Padding::Valid, input, kernel, stride).is_err(), "{input} {kernel} {stride}");
        }
        let error = window(Padding::Same, 300, 300, 1).unwrap_err().to_string();
        assert!(error.contains("90000 taps"), "{error}");
    }
}
