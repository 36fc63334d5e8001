//! Quant, also called IntQuant (domains `qonnx.custom_op.general`, `onnx.brevitas`,
//! `finn.custom_op.general`): `y = (round(clip(x / scale + zero point, lo, hi)) - zero point) * scale`.
//!
//! Source: `int_quant` of the QONNX executor. Clipping comes before rounding; one signed bit means
//! the two values -1 and +1.

use super::operands::Operands;
use super::operator::Operator;
use super::quantizer::{bit_width, integer_bounds, ScaleAndZero};
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Quantization, Tensor};
use crate::passes::lowering::Lowering;
use crate::passes::real::Quantizer;
use systole_arith::rounding::RoundingMode;

/// Bits of a quantized constant: biases are stored with up to 32.
const CONSTANT_BITS: u32 = 32;
/// Bits of a quantized activation.
const ACTIVATION_BITS: u32 = 16;

/// Attributes of a Quant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quant {
    /// Whether integers may be negative.
    pub signed: bool,
    /// Whether one value less is used, so that signed ranges are symmetric.
    pub narrow: bool,
    /// Rounding to an integer.
    pub rounding: RoundingMode,
}

/// Array whose innermost computation is `f(value, channel)`, the channel counted along `axis`.
pub fn map_channels(values: &ndarray::ArrayD<f32>, axis: usize, f: impl Fn(f32, usize) -> i64) -> ndarray::ArrayD<i64> {
    let inner: usize = values.shape().iter().skip(axis + 1).product();
    let channels = values.shape().get(axis).copied().unwrap_or(1);
    let mut index = 0usize;
    values.map(|&v| {
        let channel = index / inner.max(1) % channels.max(1);
        index += 1;
        f(v, channel)
    })
}

/// The value at `channel` of a list of one or one a channel.
pub fn of_channel<T: Copy + Default>(list: &[T], channel: usize) -> T {
    match list {
        [one] => *one,
        _ => list.get(channel).copied().unwrap_or_default(),
    }
}

/// The narrowest element type that holds `lo..=hi` of at most 32 bits and a sign.
pub fn element_for(lo: i64, hi: i64) -> ElementType {
    match (lo, hi) {
        (-0x80.., ..=0x7f) => ElementType::Int8,
        (-0x8000.., ..=0x7fff) => ElementType::Int16,
        (-0x8000_0000.., ..=0x7fff_ffff) => ElementType::Int32,
        _ => ElementType::Int64,
    }
}

impl Operator for Quant {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        for (position, role) in [(1, "scale"), (2, "zero point"), (3, "bit width")] {
            operands.required(position, role)?;
        }
        Ok(vec![operands.result(data.shape.clone(), ElementType::Float32)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let values = operands.floats(0, "input")?;
        let ScaleAndZero { scales, zero_points, axis } = ScaleAndZero::read(operands, 1, Some(2))?;
        let bits = bit_width(operands, 3, CONSTANT_BITS)?;
        if values.iter().any(|v| v.is_nan()) {
            return Err(operands.error("a value to quantize is not a number", "train and export the model again"));
        }
        let (lo, hi) = integer_bounds(bits, self.signed, self.narrow);
        let bipolar = bits == 1 && self.signed;
        let integers = map_channels(&values.as_standard_layout().into_owned(), axis, |value, channel| {
            let y = value / of_channel(&scales, channel) + of_channel(&zero_points, channel) as f32;
            match bipolar {
                true if y >= 0.0 => 1,
                true => -1,
                false => self.rounding.round_f32(y.clamp(lo as f32, hi as f32)) as i64,
            }
        });
        Ok(vec![Tensor {
            element: element_for(lo, hi),
            quantization: Some(Quantization { scales, zero_points, axis }),
            constant: Some(ConstantData::Int(integers)),
            ..operands.result(values.shape().to_vec(), ElementType::Float32)?
        }])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let parameters = ScaleAndZero::read(&operands, 1, Some(2))?;
        let bits = bit_width(&operands, 3, ACTIVATION_BITS)?;
        let (lo, hi) = integer_bounds(bits, self.signed, self.narrow);
        let bipolar = bits == 1 && self.signed;
        let innermost = operands.required(0, "input")?.shape.len().checked_sub(1);
        if parameters.scales.len() > 1 && !bipolar && Some(parameters.axis) == innermost {
            let ScaleAndZero { scales, zero_points, .. } = parameters;
            return lowering.close_by_channel(node, &scales, &zero_points, (lo, hi), self.rounding);
        }
        let (scale, zero_point) = parameters.single(&operands)?;
        let quantizer = match bipolar {
            true => Quantizer::Bipolar { scale, zero_point },
            false => Quantizer::Integer { scale, zero_point, lo, hi, rounding: self.rounding },
        };
        lowering.close_with(node, quantizer)
    }
}
