//! Operators open accumulators on integer tensors: products, averages, sums of two tensors and
//! functions of single elements.

use super::pending::{AccumulatorKind, Accumulators, PendingReal};
use super::sum::{whole_factors, Sum};
use super::{placed, Divisor, Geometry};
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::onnx::integer_weights::IntegerWeights;
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::{Pool, QuantOp, TensorId};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive};
use std::sync::Arc;
use systole_arith::formula::RealOp;
use systole_arith::Window;

/// Greatest factor of a sum of two integers before it is narrowed.
const FACTOR_LIMIT: i64 = 1 << 38;

/// Greatest zero point of an operand of a sum, and of sums that are read as they are.
const ZERO_POINT_LIMIT: i64 = 1 << 20;

/// Most numbers of real taps of one average: each has its own function.
const COUNT_LIMIT: usize = 1 << 10;

/// An integer tensor of the accelerator that stands for `(q - zero_point) * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedTensor {
    /// The tensor.
    pub tensor: TensorId,
    /// Real value of one step.
    pub scale: BigRational,
    /// Stored value that stands for 0.
    pub zero_point: i64,
}

impl Lowering<'_> {
    /// Operand `position` as an integer tensor of the accelerator. A sum of taps that is only scaled
    /// is one as it is.
    ///
    /// # Errors
    /// If the operand is not an integer tensor; for an input the error says which type to pass.
    pub fn quantized_operand(&mut self, node: &Node, position: usize) -> Result<QuantizedTensor, CompileError> {
        let error = |cause: String, remedy: String| Err(CompileError::node(&node.name, cause, remedy));
        match self.operand(node, position)? {
            Value::Integer { tensor, scale, zero_point } => Ok(QuantizedTensor { tensor, scale, zero_point }),
            Value::Host { input, .. } => {
                let name = &self.graph.tensor(input).name;
                error(
                    format!("input `{name}` reaches it as real numbers, without a quantizer"),
                    format!(
                        "pass --input-type {name}=fixed<W,I> (W bits of which I before the point, sign included, \
                         such as fixed<16,6>), or put a Quant behind the input"
                    ),
                )
            }
            Value::Real(real) => match scaled_taps(&real) {
                Some((scale, zero_point)) => {
                    let mut tensor = self.accumulators_of(&node.name, &real)?;
                    if real.shape != real.source.shape {
                        self.layouts.insert(tensor, Layout::in_order(&real.source.shape));
                        tensor = self.reshape(&node.name, tensor, real.shape.clone())?;
                    }
                    self.layouts.insert(tensor, real.layout.clone());
                    let id = self.operand_id(node, position)?;
                    self.values.insert(id, Value::Integer { tensor, scale: scale.clone(), zero_point });
                    Ok(QuantizedTensor { tensor, scale, zero_point })
                }
                None => error(
                    format!("its operand is the result of `{}` without a quantizer between them", real.source.node),
                    "put a Quant or BipolarQuant in front of it".into(),
                ),
            },
            Value::Float(pending) => error(
                format!("its operand is the float result of `{}`", pending.node),
                "put QuantizeLinear and DequantizeLinear between them".into(),
            ),
            Value::Tail { .. } => error(
                "its operand is computed by the host behind the accelerator".into(),
                "put Softmax, ArgMax, TopK and quantizers with several scales at the end of the network".into(),
            ),
        }
    }

    /// Opens the product of operand 0 and integer weights.
    ///
    /// # Errors
    /// As [`Lowering::quantized_operand`], and if there are other than as many weights as inputs.
    pub fn open_product(&mut self, node: &Node, weights: IntegerWeights) -> Result<(), CompileError> {
        let QuantizedTensor { tensor, scale, zero_point } = self.quantized_operand(node, 0)?;
        let (tensor, places) = self.held_as_rows(&node.name, tensor, self.operand_id(node, 0)?)?;
        let channels = self.tensor(&node.name, tensor)?.channels();
        if channels != weights.values.ncols() {
            return Err(CompileError::node(
                &node.name,
                format!("{} weights an output for {channels} inputs", weights.values.ncols()),
                "make the inner dimensions equal",
            ));
        }
        let weights_placed = match places {
            Some(places) => placed(&weights.values, &places),
            None => weights.values,
        };
        let source = Accumulators {
            node: node.name.clone(),
            tensor: self.result_name(node),
            input: tensor,
            input_zero_point: zero_point,
            shape: self.result_shape(node)?,
            kind: AccumulatorKind::Product { geometry: Geometry::Pixels, weights: Arc::new(weights_placed) },
        };
        let scales = weights.scales.iter().map(|s| s * &scale).collect();
        self.define(node, Value::Real(Box::new(PendingReal::new(source, scales))))
    }

    /// Opens the product of the image at operand 0 and integer weights on windows; `weights` are as
    /// the geometry's operator has them.
    ///
    /// # Errors
    /// As [`Lowering::quantized_operand`], and if padding is no value of the operand.
    pub fn open_convolution(
        &mut self,
        node: &Node,
        geometry: Geometry,
        weights: IntegerWeights,
    ) -> Result<(), CompileError> {
        let (QuantizedTensor { scale, zero_point, .. }, input) = self.quantized_image(node)?;
        let source = self.tensor(&node.name, input)?;
        if geometry.reads_padding() && !source.element.contains(zero_point) {
            return Err(CompileError::node(
                &node.name,
                format!(
                    "its padding reads {zero_point}, which is no value of `{}`, an image of {}",
                    source.name, source.element
                ),
                "quantize that image to two bits or more, leave out the padding (pads), or put a Pad with one of \
                 its values in front",
            ));
        }
        let scales = weights.scales.iter().map(|s| s * &scale).collect();
        let kind = AccumulatorKind::Product { geometry, weights: Arc::new(weights.values) };
        self.open_image(node, (input, zero_point), kind, scales, None)
    }

    /// Opens the average of each channel of the image at operand 0 on windows.
    ///
    /// # Errors
    /// As [`Lowering::quantized_operand`], and if the padding makes too many different divisors.
    pub fn open_average(&mut self, node: &Node, window: Window, divisor: Divisor) -> Result<(), CompileError> {
        let (QuantizedTensor { scale, zero_point, .. }, input) = self.quantized_image(node)?;
        let counts = Pool::counts(&window);
        if counts.len() > COUNT_LIMIT || counts.first() == Some(&0) {
            return Err(CompileError::node(
                &node.name,
                format!("{window}: {} different numbers of pixels make an average", counts.len()),
                format!("pad less: at most {COUNT_LIMIT} different numbers, none of them 0"),
            ));
        }
        let inverse = |count: usize| BigRational::new(BigInt::one(), BigInt::from(count));
        let (scale, factors) = match (divisor, counts.as_slice()) {
            (Divisor::AllTaps, _) => (scale * inverse(window.taps()), None),
            (_, [count]) => (scale * inverse(*count), None),
            (_, counts) => (scale, Some(counts.iter().map(|&count| inverse(count)).collect())),
        };
        let kind = AccumulatorKind::Taps { window, counts, by_count: factors.is_some() };
        self.open_image(node, (input, zero_point), kind, vec![scale], factors)
    }

    /// Opens the sum `left + right`, or the difference, of two tensors that repeat to one shape.
    ///
    /// # Errors
    /// As [`Lowering::quantized_operand`], if the shapes do not broadcast or the orders differ, or the scales stand in no
    /// ratio of small integers.
    pub fn open_sum(&mut self, node: &Node, subtract: bool) -> Result<(), CompileError> {
        let (first, second) = (self.quantized_operand(node, 0)?, self.quantized_operand(node, 1)?);
        let ([input, other], layout) = self.under_one_shape(node, [(0, first.tensor), (1, second.tensor)])?;
        let right_scale = if subtract { -&second.scale } else { second.scale.clone() };
        let (left, right, step) = whole_factors(&first.scale, &right_scale);
        let whole = |value: &BigInt| value.to_i64().filter(|value| value.abs() <= FACTOR_LIMIT);
        let zero_points = [first.zero_point, second.zero_point];
        let small = zero_points.iter().all(|zero| zero.abs() <= ZERO_POINT_LIMIT);
        let (Some(left), Some(right), true) = (whole(&left), whole(&right), small) else {
            return Err(CompileError::node(
                &node.name,
                format!(
                    "it adds steps of {} and {}, which are {left} and {right} times one number, zero points {} and {}",
                    approximate(&first.scale),
                    approximate(&second.scale),
                    first.zero_point,
                    second.zero_point
                ),
                "quantize both operands with one scale and zero points of at most 20 bits",
            ));
        };
        let sum = Sum { factors: [left, right], zero_points };
        let source = Accumulators {
            node: node.name.clone(),
            tensor: self.result_name(node),
            input,
            input_zero_point: first.zero_point,
            shape: layout.shape().to_vec(),
            kind: AccumulatorKind::Sum { other, sum },
        };
        let real = PendingReal::held(source, layout, vec![step]);
        self.define(node, Value::Real(Box::new(real)))
    }

    /// A quantized tensor as a function of its single elements.
    ///
    /// # Errors
    /// If the tensor is none of the lowering's.
    pub(super) fn elements(&self, node: &Node, input: &QuantizedTensor) -> Result<PendingReal, CompileError> {
        let tensor = self.tensor(&node.name, input.tensor)?;
        let source = Accumulators {
            node: node.name.clone(),
            tensor: tensor.name.clone(),
            input: input.tensor,
            input_zero_point: input.zero_point,
            shape: tensor.shape.clone(),
            kind: AccumulatorKind::Elements { channels: tensor.channels() },
        };
        let layout = self.layout(&node.name, input.tensor)?;
        Ok(PendingReal::held(source, layout, vec![input.scale.clone()]))
    }

    /// Continues a real function, held as an image, with the maximum over a window.
    ///
    /// # Errors
    /// If it is held in another order than that of images.
    pub fn real_maximum(
        &mut self,
        node: &Node,
        mut real: PendingReal,
        window: Window,
        layout: Layout,
    ) -> Result<(), CompileError> {
        let file = sample_shape(&self.graph.tensor(self.operand_id(node, 0)?).shape);
        let wanted = Layout::channels_last(&file);
        let held = real.maxima.last().map_or(real.source.shape.as_slice(), |(_, layout)| layout.shape());
        if held != wanted.shape() || real.shape != wanted.shape() || !real.layout.same_order(&wanted) {
            return Err(CompileError::node(
                &node.name,
                format!("it pools the result of `{}`, which is held as {held:?}", real.source.node),
                "put the quantizer in front of the pooling",
            ));
        }
        real.maximum(window, layout);
        self.define(node, Value::Real(Box::new(real)))
    }

    /// Several equally quantized tensors behind each other along `axis` of the file's tensors, the batch
    /// included.
    ///
    /// # Errors
    /// As [`Lowering::quantized_operand`], or if the operands differ in scale, zero point, type or order.
    pub fn concatenate(&mut self, node: &Node, axis: usize) -> Result<(), CompileError> {
        let (file, order, along) = self.concat_order(node, axis)?;
        let mut inputs = Vec::with_capacity(node.inputs.len());
        let mut shapes = Vec::with_capacity(node.inputs.len());
        let mut first: Option<QuantizedTensor> = None;
        for place in 0..node.inputs.len() {
            let part = self.quantized_operand(node, place)?;
            let id = self.operand_id(node, place)?;
            let wanted = Layout::ordered(&sample_shape(&self.graph.tensor(id).shape), &order);
            let tensor = self.held_as(&node.name, part.tensor, &wanted)?;
            let same = first.get_or_insert(part.clone());
            let (a, b) = (self.tensor(&node.name, same.tensor)?, self.tensor(&node.name, tensor)?);
            if (&same.scale, same.zero_point, a.element) != (&part.scale, part.zero_point, b.element) {
                return Err(CompileError::node(
                    &node.name,
                    format!(
                        "it joins `{}` ({} in steps of {}, zero point {}) and `{}` ({} in steps of {}, zero point {})",
                        a.name,
                        a.element,
                        approximate(&same.scale),
                        same.zero_point,
                        b.name,
                        b.element,
                        approximate(&part.scale),
                        part.zero_point
                    ),
                    "give all operands one quantizer: the same scale, zero point, width and sign",
                ));
            }
            shapes.push(b.shape.clone());
            inputs.push(tensor);
        }
        let Some(QuantizedTensor { tensor, scale, zero_point }) = first else {
            return Err(CompileError::node(&node.name, "it has no operands", "remove the node"));
        };
        let element = self.tensor(&node.name, tensor)?.element;
        let layout = Layout::ordered(&file, &order);
        let (name, shape) = (self.result_name(node), layout.shape().to_vec());
        let output = self.add_tensor(name, shape, element, element.range(), Some((&scale, zero_point)))?;
        self.layouts.insert(output, layout);
        self.add_node(&node.name, QuantOp::behind_each_other(&shapes, along), inputs, output);
        self.define(node, Value::Integer { tensor: output, scale, zero_point })
    }

    /// Operand 0, an image, and the tensor that holds it with the channels innermost.
    pub(crate) fn quantized_image(&mut self, node: &Node) -> Result<(QuantizedTensor, TensorId), CompileError> {
        let operand = self.quantized_operand(node, 0)?;
        let id = self.operand_id(node, 0)?;
        let tensor = self.held_as_image(&node.name, operand.tensor, id)?;
        Ok((operand, tensor))
    }

    /// Defines the node's result as accumulators on windows of an image.
    fn open_image(
        &mut self,
        node: &Node,
        (input, input_zero_point): (TensorId, i64),
        kind: AccumulatorKind,
        scales: Vec<BigRational>,
        factors: Option<Vec<BigRational>>,
    ) -> Result<(), CompileError> {
        let window = match &kind {
            AccumulatorKind::Taps { window, .. } => Some(*window),
            AccumulatorKind::Product { geometry, .. } => geometry.window(),
            AccumulatorKind::Elements { .. } | AccumulatorKind::Sum { .. } => None,
        };
        let channels = match &kind {
            AccumulatorKind::Product { weights, .. } => weights.nrows(),
            _ => self.tensor(&node.name, input)?.channels(),
        };
        // A dimension that a reduction drops in the file is held with size 1.
        let mut shape = self.tensor(&node.name, input)?.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = channels;
        }
        if let (Some(window), Some((_, pixels))) = (window, shape.split_last_mut()) {
            let skipped = 2usize.saturating_sub(pixels.len());
            pixels.iter_mut().zip(window.output().into_iter().skip(skipped)).for_each(|(dim, size)| *dim = size);
        }
        let file = self.result_shape(node)?;
        let layout = Layout::channels_last(&file);
        let held = Layout::in_order(&shape);
        let layout = match layout.shape() == shape {
            true => layout,
            // Without dimensions of one pixel, the channels are the file's last dimension.
            false if file.last() == shape.last() && held.same_order(&Layout::in_order(&file)) => held,
            false => Layout::channels_last(&restored(&file, &shape)),
        };
        let source = Accumulators {
            node: node.name.clone(),
            tensor: self.result_name(node),
            input,
            input_zero_point,
            shape,
            kind,
        };
        let real = PendingReal::held(source, layout, scales);
        let real = match factors {
            Some(factors) => real.divided_by_count(factors),
            None => real,
        };
        self.define(node, Value::Real(Box::new(real)))
    }
}

/// A file's shape `[C, ...]` with the dimensions of 1 that `held`, `[..., C]`, still has.
fn restored(file: &[usize], held: &[usize]) -> Vec<usize> {
    match held.split_last() {
        Some((channels, pixels)) => [channels].into_iter().chain(pixels).copied().collect(),
        None => file.to_vec(),
    }
}

/// Scale and zero point of a sum of taps that is only scaled, with a whole number of steps added.
fn scaled_taps(real: &PendingReal) -> Option<(BigRational, i64)> {
    let sums = matches!(real.source.kind, AccumulatorKind::Taps { by_count: false, .. });
    let whole = (real.shape == real.source.shape || real.layout.is_in_order()) && real.maxima.is_empty();
    match real.uniform_chain()?.as_slice() {
        [RealOp::Affine { scale, offset }] if sums && whole => {
            let (scale, offset) = (scale.first()?, offset.first()?);
            if !scale.is_positive() {
                return None;
            }
            let zero = -(offset / scale);
            let zero_point = zero.is_integer().then(|| zero.to_integer().to_i64()).flatten()?;
            (zero_point.abs() <= ZERO_POINT_LIMIT).then(|| (scale.clone(), zero_point))
        }
        _ => None,
    }
}

fn approximate(value: &BigRational) -> f64 {
    value.to_f64().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_dimensions_of_one_are_restored() {
        assert_eq!(restored(&[5, 3], &[1, 3, 5]), [5, 1, 3]);
    }
}
