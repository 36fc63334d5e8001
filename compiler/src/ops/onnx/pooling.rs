//! MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool (ONNX operator specification) and
//! QLinearAveragePool, QLinearGlobalAveragePool (com.microsoft): each channel of a window alone.

use super::operands::Operands;
use super::operator::Operator;
use super::quantization;
use super::sliding::Sliding;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::ops::sample_shape;
use crate::passes::layout::Layout;
use crate::passes::lowering::{Lowering, Value};
use crate::passes::real::{Dequantized, Divisor, FloatSource, PendingFloat, Target};
use crate::profile::Profile;
use crate::quant::{self, PoolKind, QuantOp};
use ndarray::{ArrayD, IxDyn};
use systole_arith::{Formula, Window};

/// Most output pixels times rows and columns of the window.
const WORK_LIMIT: usize = 1 << 28;

/// Where the window is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolWindow {
    /// It slides.
    Sliding(Sliding),
    /// The whole image.
    Global,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolFunction {
    /// The greatest.
    Max,
    /// The average; `quantized` with scales and zero points of x and y as operands.
    Average {
        /// Whether taps in the padding count.
        include_pad: bool,
        /// Whether it is a QLinear operator.
        quantized: bool,
    },
}

/// A pooling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Where the window is.
    pub window: PoolWindow,
    /// What is computed.
    pub function: PoolFunction,
}

impl Pooling {
    /// Name of the operator.
    pub fn name(&self) -> &'static str {
        match (&self.window, self.function) {
            (PoolWindow::Sliding(_), PoolFunction::Max) => "MaxPool",
            (PoolWindow::Global, PoolFunction::Max) => "GlobalMaxPool",
            (PoolWindow::Sliding(_), PoolFunction::Average { quantized: false, .. }) => "AveragePool",
            (PoolWindow::Global, PoolFunction::Average { quantized: false, .. }) => "GlobalAveragePool",
            (PoolWindow::Sliding(_), PoolFunction::Average { .. }) => "QLinearAveragePool",
            (PoolWindow::Global, PoolFunction::Average { .. }) => "QLinearGlobalAveragePool",
        }
    }

    fn quantized(&self) -> bool {
        matches!(self.function, PoolFunction::Average { quantized: true, .. })
    }

    fn window(&self, operands: &Operands) -> Result<Window, CompileError> {
        let shape = &operands.required(0, "input")?.shape;
        let [_, _, spatial @ ..] = shape.as_slice() else {
            return Err(operands.error(format!("the input {shape:?} is no image"), "pool images [1, C, ...]"));
        };
        let sliding = match &self.window {
            PoolWindow::Sliding(sliding) => sliding,
            PoolWindow::Global => {
                return match spatial {
                    [] => Ok(Window::global([1, 1])),
                    [columns] => Ok(Window::global([1, *columns])),
                    [rows, columns] => Ok(Window::global([*rows, *columns])),
                    _ => Err(operands.error(
                        format!("the input has {} spatial dimensions", spatial.len()),
                        "poolings are compiled in one and two dimensions",
                    )),
                }
            }
        };
        let kernel = sliding.kernel(operands, spatial.len())?;
        let window = sliding.window(operands, spatial, &kernel)?;
        for axis in 0..2 {
            if window.pad_before[axis].max(window.pad_after[axis]) >= window.span(axis) {
                return Err(operands.error(
                    format!("{window}: some windows lie in the padding alone"),
                    "use less padding than the window spans",
                ));
            }
        }
        let taps = window.kernel[0] + window.kernel[1];
        if window.output_pixels().saturating_mul(taps) > WORK_LIMIT {
            return Err(operands.error(
                format!("{window} on {} pixels", window.output_pixels()),
                "pool in several steps, with smaller windows",
            ));
        }
        let includes = matches!(self.function, PoolFunction::Average { include_pad: true, .. });
        let whole = Sliding { ceil: false, ..sliding.clone() };
        if includes && whole.window(operands, spatial, &kernel)? != window {
            return Err(operands.error(
                "count_include_pad with a window that leaves the padded image",
                "use ceil_mode = 0, or count_include_pad = 0",
            ));
        }
        Ok(window)
    }

    fn shape(&self, operands: &Operands) -> Result<Vec<usize>, CompileError> {
        let shape = &operands.required(0, "input")?.shape;
        let spatial = self.window(operands)?.output();
        let skipped = 4usize.saturating_sub(shape.len());
        Ok(shape.iter().take(2).copied().chain(spatial.into_iter().skip(skipped)).collect())
    }

    fn divisor(&self) -> Divisor {
        match (&self.window, self.function) {
            (PoolWindow::Global, _) => Divisor::Image,
            (_, PoolFunction::Average { include_pad: true, .. }) => Divisor::AllTaps,
            _ => Divisor::RealTaps,
        }
    }
}

/// `f` of the real taps of each window of each channel.
fn pooled<T: Copy>(x: &ArrayD<T>, window: &Window, shape: &[usize], f: impl Fn(&[T]) -> T) -> Option<ArrayD<T>> {
    let x: Vec<T> = x.iter().copied().collect();
    let channels = shape.get(1).copied().unwrap_or(1);
    let mut result = Vec::with_capacity(channels * window.output_pixels());
    let mut taps = Vec::with_capacity(window.taps());
    for channel in 0..channels {
        for pixel in 0..window.output_pixels() {
            taps.clear();
            let sources = (0..window.taps()).filter_map(|tap| window.source(pixel, tap));
            taps.extend(sources.filter_map(|source| x.get(channel * window.input_pixels() + source)));
            result.push(f(&taps));
        }
    }
    ArrayD::from_shape_vec(IxDyn(shape), result).ok()
}

impl Operator for Pooling {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let element = match (self.quantized(), operands.required(0, "input")?) {
            (true, _) => quantization::element(operands, 4)?,
            // What a quantizer of constants leaves is still real.
            (false, input) if input.quantization.is_some() => ElementType::Float32,
            (false, input) => input.element,
        };
        Ok(vec![operands.result(self.shape(operands)?, element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let (window, shape) = (self.window(operands)?, self.shape(operands)?);
        let misfit = || operands.error("its operands do not fit each other", "export the model again");
        let input = operands.required(0, "input")?;
        let divisor = |real: usize| if self.divisor() == Divisor::AllTaps { window.taps() } else { real };
        let constant = match (self.function, &input.constant, &input.quantization) {
            (PoolFunction::Max, Some(ConstantData::Int(x)), None) => {
                let greatest = |taps: &[i64]| taps.iter().copied().max().unwrap_or(0);
                ConstantData::Int(pooled(x, &window, &shape, greatest).ok_or_else(misfit)?)
            }
            (PoolFunction::Max, ..) => {
                let greatest = |taps: &[f32]| taps.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                ConstantData::Float(
                    pooled(&operands.floats(0, "input")?, &window, &shape, greatest).ok_or_else(misfit)?,
                )
            }
            (PoolFunction::Average { quantized: false, .. }, ..) => {
                let mean = |taps: &[f32]| taps.iter().sum::<f32>() / divisor(taps.len()) as f32;
                ConstantData::Float(pooled(&operands.floats(0, "input")?, &window, &shape, mean).ok_or_else(misfit)?)
            }
            (PoolFunction::Average { .. }, ..) => {
                let x = quantization::single(operands, 1, 2, "input")?;
                let y = quantization::single(operands, 3, 4, "output")?;
                let element = quantization::int_type(operands, quantization::element(operands, 4)?)?;
                let failed = |e: systole_arith::formula::FormulaError| operands.error(e.to_string(), "quantize again");
                let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                let formula = match self.divisor() {
                    Divisor::Image => {
                        Formula::ort_global_average_pool(number(window.taps()), x.scale, y, element).map_err(failed)?
                    }
                    _ => {
                        let divisors = (1..=window.taps()).map(|count| number(divisor(count))).collect();
                        Formula::ort_average_pool(divisors, x.scale, y, element).map_err(failed)?
                    }
                };
                let class = |count: usize| if formula.channels() == 1 { 0 } else { count.saturating_sub(1) };
                let average =
                    |taps: &[i64]| formula.evaluate(class(taps.len()), taps.iter().map(|q| q - x.zero_point).sum());
                ConstantData::Int(pooled(operands.integers(0, "input")?, &window, &shape, average).ok_or_else(misfit)?)
            }
        };
        results.iter_mut().for_each(|result| result.constant = Some(constant.clone()));
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let window = self.window(&operands)?;
        let id = lowering.operand_id(node, 0)?;
        let layout = Layout::channels_last(&sample_shape(&self.shape(&operands)?));
        let PoolFunction::Average { .. } = self.function else { return lower_max(node, lowering, window, layout) };
        if lowering.profile == Profile::Qonnx && !self.quantized() {
            return lowering.open_average(node, window, self.divisor());
        }
        let operand = match self.quantized() {
            true => Dequantized {
                tensor: lowering.stored_operand(node, 0)?,
                quantization: quantization::single(&operands, 1, 2, "input")?,
            },
            false => lowering.dequantized_operand(node, 0)?,
        };
        let input = Dequantized { tensor: lowering.held_as_image(&node.name, operand.tensor, id)?, ..operand };
        let pending = PendingFloat {
            node: node.name.clone(),
            source: FloatSource::Average { input, window, divisor: self.divisor() },
            functions: Vec::new(),
            shape: layout.shape().to_vec(),
            layout,
        };
        if !self.quantized() {
            return lowering.define_float(node, pending);
        }
        let target = Target {
            quantization: quantization::single(&operands, 3, 4, "output")?,
            element: quantization::int_type(&operands, quantization::element(&operands, 4)?)?,
        };
        let value = lowering.quantize(node, pending, target)?;
        lowering.define(node, value)
    }
}

/// The greatest of integers stands for the greatest of their real numbers.
fn lower_max(node: &Node, lowering: &mut Lowering, window: Window, layout: Layout) -> Result<(), CompileError> {
    let id = lowering.operand_id(node, 0)?;
    if let Value::Real(real) = lowering.operand(node, 0)? {
        return lowering.real_maximum(node, *real, window, layout);
    }
    let integers = lowering.graph.tensor(id).element != ElementType::Float32;
    if integers {
        lowering.stored_operand(node, 0)?;
    } else {
        lowering.dequantized_operand(node, 0)?;
    }
    let Value::Integer { tensor, scale, zero_point } = lowering.operand(node, 0)? else {
        return Err(CompileError::node(&node.name, "its operand is not quantized", "put a quantizer in front of it"));
    };
    let input = lowering.held_as_image(&node.name, tensor, id)?;
    let from = lowering.tensor(&node.name, input)?.clone();
    let name = lowering.result_name(node);
    let output =
        lowering.add_tensor(name, layout.shape().to_vec(), from.element, from.range, Some((&scale, zero_point)))?;
    lowering.layouts.insert(output, layout);
    let pool = quant::Pool {
        counts: quant::Pool::counts(&window),
        window,
        kind: PoolKind::Max,
        input_zero_point: 0,
        formula: Formula::Identity { channels: 1 },
        map: None,
    };
    lowering.add_node(&node.name, QuantOp::Pool(pool), vec![input], output);
    lowering.define(node, Value::Integer { tensor: output, scale, zero_point })
}
