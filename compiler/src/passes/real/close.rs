//! Quantizers close a value into an integer tensor.

use super::border;
use super::open::QuantizedTensor;
use super::pending::PendingReal;
use crate::diagnostic::CompileError;
use crate::graph::{ElementType, Node};
use crate::passes::lowering::{Entering, Lowering, Value};
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use systole_arith::formula;
use systole_arith::rounding::RoundingMode;
use systole_arith::{BorderOp, IntType, Range};

/// A quantizer with its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantizer {
    /// `q = round(clip(x / scale + zero_point, lo, hi))`.
    Integer {
        /// Real value of one step.
        scale: f32,
        /// Stored value that stands for 0.
        zero_point: i64,
        /// Least integer.
        lo: i64,
        /// Greatest integer.
        hi: i64,
        /// Rounding.
        rounding: RoundingMode,
    },
    /// `q = x / scale + zero_point >= 0 ? 1 : -1`.
    Bipolar {
        /// Real value of one step.
        scale: f32,
        /// Stored value that stands for 0.
        zero_point: i64,
    },
    /// -1, 0 or 1.
    Sign,
    /// Integers `x / input_scale + input_zero_point`, divided by `2^shift`, clipped and rounded.
    Truncation {
        /// Real value of one step of the operand.
        input_scale: f32,
        /// Integer of the operand that stands for 0.
        input_zero_point: i64,
        /// Bits dropped.
        shift: i32,
        /// Rounding of the quotient.
        rounding: RoundingMode,
        /// Clip bounds, none where the result is not clipped.
        bounds: Option<(i64, i64)>,
        /// Real value of one step of the result.
        scale: f32,
        /// Integer of the result that stands for 0.
        zero_point: i64,
    },
}

impl Lowering<'_> {
    /// Closes operand 0 of a quantizer's node.
    ///
    /// # Errors
    /// If the value has no exact integer form under this quantizer.
    pub fn close_with(&mut self, node: &Node, quantizer: Quantizer) -> Result<(), CompileError> {
        let value = match self.operand(node, 0)? {
            Value::Host { input, mut operations, .. } => {
                let host = border::quantize(node, quantizer)?;
                if self.operands(node).required(0, "input")?.element != ElementType::Float32 {
                    operations.push(BorderOp::ToFloat);
                }
                operations.extend(host.operations);
                let (name, shape) = (self.result_name(node), self.result_shape(node)?);
                let (scale, zero_point) = (host.scale, host.zero_point);
                let id = self.operand_id(node, 0)?;
                let entering = Entering { id, input, shape, element: host.element, range: host.range, operations };
                let tensor = self.add_entering(name, entering, Some((&scale, zero_point)))?;
                Value::Integer { tensor, scale, zero_point }
            }
            Value::Integer { tensor, scale, zero_point } => {
                let input = QuantizedTensor { tensor, scale, zero_point };
                let name = &self.tensor(&node.name, tensor)?.name;
                match self.repeats(node, &input, &quantizer)? {
                    true => Value::Integer { tensor, scale: input.scale, zero_point },
                    false if self.input_types.contains_key(name) => {
                        return Err(CompileError::node(
                            &node.name,
                            format!("it quantizes the integers of `{name}` again"),
                            format!("the input has its own quantizer: leave out --input-type {name}"),
                        ))
                    }
                    false => {
                        let real = self.elements(node, &input)?;
                        self.close_product(node, real, quantizer)?
                    }
                }
            }
            Value::Real(real) => self.close_product(node, *real, quantizer)?,
            Value::Float(pending) => {
                return Err(CompileError::node(
                    &node.name,
                    format!("it quantizes the float result of `{}`, whose operands are dequantized", pending.node),
                    "use QuantizeLinear behind DequantizeLinear, or Quant throughout",
                ))
            }
            Value::Tail { .. } => {
                return Err(CompileError::node(
                    &node.name,
                    "it quantizes what the host computes behind the accelerator",
                    "put Softmax, ArgMax and TopK behind the last quantizer",
                ))
            }
        };
        self.define(node, value)
    }

    /// Whether a quantizer changes nothing on integers: it has their scale and zero point and clips none.
    fn repeats(&self, node: &Node, input: &QuantizedTensor, quantizer: &Quantizer) -> Result<bool, CompileError> {
        let QuantizedTensor { tensor, scale, zero_point } = input;
        let source = self.tensor(&node.name, *tensor)?;
        let same = |s: f32, z: i64| BigRational::from_float(s).as_ref() == Some(scale) && z == *zero_point;
        Ok(match quantizer {
            Quantizer::Integer { scale: s, zero_point: z, lo, hi, .. } => {
                same(*s, *z) && Range::new(*lo, *hi).contains_range(source.range)
            }
            Quantizer::Bipolar { scale: s, zero_point: z } => same(*s, *z) && source.element == IntType::Bipolar,
            Quantizer::Sign => source.element == IntType::Bipolar && same(1.0, 0),
            Quantizer::Truncation { .. } => false,
        })
    }

    /// Closes operand 0 of the last quantizer, which has a scale and a zero point for each channel:
    /// the integers leave the accelerator and the host multiplies each channel by its scale.
    ///
    /// # Errors
    /// If the operand is not the result of a product.
    pub fn close_by_channel(
        &mut self,
        node: &Node,
        scales: &[f32],
        zero_points: &[i64],
        (lo, hi): (i64, i64),
        rounding: RoundingMode,
    ) -> Result<(), CompileError> {
        let scales: Option<Vec<BigRational>> = scales.iter().map(|&s| BigRational::from_float(s)).collect();
        let zeros: Vec<BigRational> = zero_points.iter().map(|&z| BigRational::from_integer(z.into())).collect();
        let (Value::Real(mut real), Some(scales)) = (self.operand(node, 0)?, scales) else {
            return Err(CompileError::node(
                &node.name,
                format!("it has {} scales on something else than the result of a matrix product", zero_points.len()),
                "quantize activations with one scale (per tensor); per-channel scales are for weights",
            ));
        };
        real.affine(scales.iter().map(BigRational::recip).collect(), zeros.clone());
        let quantizer = Quantizer::Integer { scale: 1.0, zero_point: 0, lo, hi, rounding };
        let (layout, held, shape) = (real.layout.clone(), real.shape.clone(), self.result_shape(node)?);
        let Value::Integer { tensor, .. } = self.close_product(node, *real, quantizer)? else {
            return Err(CompileError::Internal { pass: "lower_to_integers", cause: "a product stayed open".into() });
        };
        let offsets = super::pending::zip(&scales, &zeros, |s, z| -(s * z));
        let mut operations = vec![border::affine(scales, offsets)];
        operations.extend(layout.to_file(&held, &shape));
        self.define(node, Value::Tail { tensor, shape, operations })
    }

    fn close_product(
        &mut self,
        node: &Node,
        mut real: PendingReal,
        quantizer: Quantizer,
    ) -> Result<Value, CompileError> {
        let rational = |v: f32| {
            BigRational::from_float(v)
                .ok_or_else(|| CompileError::node(&node.name, format!("the scale is {v}"), "quantize the model again"))
        };
        let integer = |v: i64| BigRational::from_integer(v.into());
        let (closing, scale, zero_point) = match quantizer {
            Quantizer::Integer { scale, zero_point, lo, hi, rounding } => {
                let scale = rational(scale)?;
                (
                    formula::Quantizer::Quant { scale: vec![scale.clone()], zero_point, lo, hi, rounding },
                    scale,
                    zero_point,
                )
            }
            Quantizer::Bipolar { scale, zero_point } => {
                let scale = rational(scale)?;
                if zero_point != 0 {
                    // x / s + z >= 0 where x + z * s >= 0, because s is positive.
                    real.affine(vec![BigRational::one()], vec![&scale * integer(zero_point)]);
                }
                (formula::Quantizer::Bipolar, scale, zero_point)
            }
            Quantizer::Sign => {
                // Clipped to [-1, 1] and rounded away from 0: every positive number becomes 1.
                let rounding = RoundingMode::AwayFromZero;
                let one = BigRational::one();
                (formula::Quantizer::Quant { scale: vec![one.clone()], zero_point: 0, lo: -1, hi: 1, rounding }, one, 0)
            }
            Quantizer::Truncation { input_scale, input_zero_point, shift, rounding, bounds, scale, zero_point } => {
                real.affine(vec![rational(input_scale)?.recip()], vec![integer(input_zero_point)]);
                if !real.is_integral() {
                    return Err(CompileError::node(
                        &node.name,
                        format!("its operand is not a multiple of its input scale {input_scale}"),
                        "truncate integers only: give it the scale of the product in front of it",
                    ));
                }
                let divisor = num_traits::Pow::pow(BigRational::from_integer(2.into()), shift);
                real.affine(vec![divisor.recip()], vec![BigRational::zero()]);
                let (lo, hi) = match bounds {
                    Some(bounds) => bounds,
                    None => self.reachable(node, &real)?,
                };
                let one = BigRational::one();
                let closing = formula::Quantizer::Quant { scale: vec![one], zero_point: 0, lo, hi, rounding };
                (closing, rational(scale)?, zero_point)
            }
        };
        let (element, range) = match &closing {
            formula::Quantizer::Bipolar => (IntType::Bipolar, IntType::Bipolar.range()),
            formula::Quantizer::Quant { lo, hi, .. } => {
                (IntType::smallest_for(Range::new(*lo, *hi)), Range::new(*lo, *hi))
            }
        };
        let name = self.result_name(node);
        let tensor = self.add_closed(&real, &(closing, element), (name, range), (&scale, zero_point))?;
        Ok(Value::Integer { tensor, scale, zero_point })
    }

    /// Least and greatest integer around what the function takes over the reachable accumulators.
    fn reachable(&self, node: &Node, real: &PendingReal) -> Result<(i64, i64), CompileError> {
        let (mut least, mut greatest) = (0i64, 0i64);
        for (channel, range) in self.accumulators(&node.name, real)?.into_iter().enumerate() {
            // The function is monotone in each channel, so its ends bound it.
            for end in [range.lo, range.hi] {
                let value = real.value_at(channel, end);
                let bounds = value.and_then(|v| Some((v.floor().to_i64()?, v.ceil().to_i64()?)));
                let (floor, ceil) = bounds.ok_or_else(|| {
                    CompileError::node(&node.name, "its result needs more than 64 bits", "quantize to fewer bits")
                })?;
                least = least.min(floor);
                greatest = greatest.max(ceil);
            }
        }
        Ok((least, greatest))
    }
}

/// A formula's error on a node; its text is the cause, `; ` and the remedy.
pub(super) fn formula_error(node: &str, text: &str) -> CompileError {
    let (cause, remedy) = text.rsplit_once("; ").unwrap_or((text, "quantize the model differently"));
    CompileError::node(node, cause, remedy)
}
