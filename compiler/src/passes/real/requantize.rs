//! QuantizeLinear closes a float operator on dequantized integers into one integer operator: the
//! same formula as that of the fused QLinear operator.

use super::close::formula_error;
use super::floating::{Dequantized, Divisor, FloatProduct, FloatSource, PendingFloat};
use crate::diagnostic::CompileError;
use crate::graph::Node;
use crate::ops::onnx::integer_weights::WEIGHT_BITS;
use crate::passes::lowering::{Lowering, Value};
use crate::quant::{image, weight_type, Dense, Join, Map, Pool, PoolKind, QuantOp, TensorId};
use num_rational::BigRational;
use num_traits::One;
use systole_arith::formula::{FloatOp, OrtQuantization, OrtScales, OutputStage};
use systole_arith::join::OrtJoin;
use systole_arith::table::OrtFunction;
use systole_arith::{Formula, IntType, JoinFormula, TableFormula, Window};

/// What a quantizer gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Scale and zero point.
    pub quantization: OrtQuantization,
    /// Type of the integers.
    pub element: IntType,
}

impl Lowering<'_> {
    /// Closes a float operator under the quantizer `node`: the integers it gives, as plain numbers.
    ///
    /// # Errors
    /// If what stands between the operator and the quantizer has no exact integer form.
    pub fn quantize(&mut self, node: &Node, pending: PendingFloat, target: Target) -> Result<Value, CompileError> {
        let PendingFloat { node: operator, source, functions, shape, layout } = pending;
        let fail = |error: systole_arith::formula::FormulaError| formula_error(&operator, &error.to_string());
        let Target { quantization, element } = target;
        let stage = || {
            bounds(&operator, &functions).and_then(|(lo, hi)| quantization.clipped_stage(element, lo, hi).map_err(fail))
        };
        let (op, inputs) = match source {
            FloatSource::Tensor(input) => {
                let tensor = self.requantized(&operator, input, &functions, target, &self.result_name(node))?;
                self.layouts.insert(tensor, layout);
                return Ok(stored(tensor));
            }
            FloatSource::Product(product) => {
                let channels = product.bias.len();
                let formula = match &product.scales {
                    None => {
                        let operations = functions.iter().map(|function| match function {
                            OrtFunction::Arithmetic { operation } => Ok(operation.clone()),
                            other => Err(unquantized(&operator, other)),
                        });
                        let operations = operations.collect::<Result<Vec<_>, _>>()?;
                        Formula::ort_chain(channels, operations, quantization, element).map_err(fail)?
                    }
                    Some(scales) => {
                        let scales = OrtScales {
                            input: scales.input,
                            weights: &scales.weights,
                            output: quantization.scale,
                            output_zero_point: quantization.zero_point,
                            alpha: scales.alpha,
                        };
                        clamped(Formula::ort(channels, &scales, element).map_err(fail)?, stage()?)
                    }
                };
                let FloatProduct { geometry, input, .. } = product;
                (geometry.operator(dense(product, formula)), vec![input])
            }
            FloatSource::Join { operation, left, right } => {
                let join = OrtJoin::new(operation, left.quantization, right.quantization, quantization, element);
                let join = OrtJoin { output: stage()?, ..join.map_err(fail)? };
                let operands = vec![left.tensor, right.tensor];
                (QuantOp::Join(Join { formula: JoinFormula::Ort(join), map: None }), operands)
            }
            FloatSource::Average { input, window, divisor } => {
                let formula = average(&window, divisor, input.quantization.scale, target).map_err(fail)?;
                let pool = Pool {
                    window,
                    kind: PoolKind::Sum,
                    input_zero_point: input.quantization.zero_point,
                    counts: Pool::counts(&window),
                    formula: clamped(formula, stage()?),
                    map: None,
                };
                (QuantOp::Pool(pool), vec![input.tensor])
            }
            FloatSource::Concat { parts, axis } => {
                let (mut tensors, mut shapes) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
                for part in parts {
                    let name = format!("{}.requantized", self.tensor(&operator, part.tensor)?.name);
                    let tensor = self.requantized(&operator, part, &functions, target, &name)?;
                    shapes.push(self.tensor(&operator, tensor)?.shape.clone());
                    tensors.push(tensor);
                }
                (QuantOp::behind_each_other(&shapes, axis), tensors)
            }
        };
        let tensor = self.add_quantized(self.result_name(node), shape, target)?;
        self.layouts.insert(tensor, layout);
        self.add_node(&operator, op, inputs, tensor);
        Ok(stored(tensor))
    }

    /// A tensor under another quantization, behind float32 functions; itself where nothing changes.
    fn requantized(
        &mut self,
        operator: &str,
        input: Dequantized,
        functions: &[OrtFunction],
        target: Target,
        name: &str,
    ) -> Result<TensorId, CompileError> {
        let source = self.tensor(operator, input.tensor)?.clone();
        if functions.is_empty() && input.quantization == target.quantization && source.element == target.element {
            return Ok(input.tensor);
        }
        let several = |function: &OrtFunction| match function {
            OrtFunction::LeakyRelu { slope } => slope.len() > 1,
            OrtFunction::Arithmetic { operation } => match operation {
                FloatOp::Multiply { constant } | FloatOp::Divide { constant } | FloatOp::Add { constant } => {
                    constant.len() > 1
                }
                FloatOp::Clip { .. } => false,
            },
            _ => false,
        };
        let channels = if functions.iter().any(several) { source.channels() } else { 1 };
        let Target { quantization, element } = target;
        let formula = TableFormula::ort(channels, functions.to_vec(), input.quantization, quantization, element)
            .map_err(|error| formula_error(operator, &error.to_string()))?;
        let output = self.add_quantized(name.into(), source.shape.clone(), target)?;
        let layout = self.layout(operator, input.tensor)?;
        self.layouts.insert(output, layout);
        self.add_node(operator, QuantOp::Map(Map { formula, table: None }), vec![input.tensor], output);
        Ok(output)
    }

    pub(super) fn add_quantized(
        &mut self,
        name: String,
        shape: Vec<usize>,
        target: Target,
    ) -> Result<TensorId, CompileError> {
        let Target { quantization, element } = target;
        let scale = self.rational(&name, quantization.scale)?;
        self.add_tensor(name, shape, element, element.range(), Some((&scale, quantization.zero_point)))
    }

    /// The window over a whole image.
    ///
    /// # Errors
    /// If the tensor is no image.
    pub fn whole_image(&self, node: &str, tensor: TensorId) -> Result<Window, CompileError> {
        let tensor = self.tensor(node, tensor)?;
        image(tensor).map(Window::global).ok_or_else(|| {
            CompileError::node(
                node,
                format!("`{}` of shape {:?} is no image", tensor.name, tensor.shape),
                "pool images of one or two dimensions",
            )
        })
    }
}

/// Integers as plain numbers: a DequantizeLinear behind them gives them a scale.
pub fn stored(tensor: TensorId) -> Value {
    Value::Integer { tensor, scale: BigRational::one(), zero_point: 0 }
}

/// The product under a formula.
pub fn dense(product: FloatProduct, formula: Formula) -> Dense {
    Dense {
        weight_type: weight_type(product.weights.iter().copied(), IntType::Signed(WEIGHT_BITS)),
        weights: product.weights,
        input_zero_point: product.input_zero_point,
        bias: product.bias,
        formula,
        map: None,
    }
}

fn average(
    window: &Window,
    divisor: Divisor,
    input: f32,
    target: Target,
) -> Result<Formula, systole_arith::formula::FormulaError> {
    let Target { quantization, element } = target;
    let counts = Pool::counts(window);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    match divisor {
        Divisor::Image => Formula::ort_global_average_pool(number(window.taps()), input, quantization, element),
        Divisor::RealTaps => {
            Formula::ort_average_pool(counts.into_iter().map(number).collect(), input, quantization, element)
        }
        Divisor::AllTaps => {
            Formula::ort_average_pool(vec![number(window.taps()); counts.len()], input, quantization, element)
        }
    }
}

/// The formula with narrower bounds of its result.
fn clamped(formula: Formula, stage: OutputStage) -> Formula {
    match formula {
        Formula::Float32(mut formula) => {
            formula.output = stage;
            Formula::Float32(formula)
        }
        Formula::OrtAveragePool(mut formula) => {
            formula.output = stage;
            Formula::OrtAveragePool(formula)
        }
        other => other,
    }
}

/// The interval that Relu and Clip leave.
fn bounds(operator: &str, functions: &[OrtFunction]) -> Result<(Option<f32>, Option<f32>), CompileError> {
    let mut bounds: Option<(f32, f32)> = None;
    for function in functions {
        let OrtFunction::Arithmetic { operation: FloatOp::Clip { lo, hi } } = function else {
            return Err(unquantized(operator, function));
        };
        let clip = |v: f32| v.max(*lo).min(*hi);
        bounds = Some(bounds.map_or((*lo, *hi), |(least, greatest)| (clip(least), clip(greatest))));
    }
    Ok((bounds.map(|b| b.0), bounds.map(|b| b.1)))
}

/// What to do about an operation that has no fused form.
fn unquantized(operator: &str, function: &OrtFunction) -> CompileError {
    CompileError::node(
        operator,
        format!("its float result goes through `{function}` before it is quantized"),
        "put QuantizeLinear and DequantizeLinear between them; only Relu and Clip are fused",
    )
}
