//! Float operators on dequantized integers that no quantizer has closed yet: what stands between
//! DequantizeLinear and QuantizeLinear, and the body of the QLinear operators.

use super::Geometry;
use crate::passes::layout::Layout;
use crate::quant::TensorId;
use ndarray::Array2;
use systole_arith::formula::OrtQuantization;
use systole_arith::join::OrtOperation;
use systole_arith::table::OrtFunction;
use systole_arith::Window;

/// A float operator and what follows it, up to a quantizer.
#[derive(Clone, Debug)]
pub struct PendingFloat {
    /// Name of the operator's node.
    pub node: String,
    /// The operator.
    pub source: FloatSource,
    /// Float32 operations behind it, first to last.
    pub functions: Vec<OrtFunction>,
    /// Shape of one sample in the accelerator.
    pub shape: Vec<usize>,
    /// How the file's elements follow from the accelerator's.
    pub layout: Layout,
}

/// A float operator on dequantized integers.
#[derive(Clone, Debug)]
pub enum FloatSource {
    /// The tensor itself.
    Tensor(Dequantized),
    /// A product with integer weights.
    Product(FloatProduct),
    /// A sum, difference or product of two tensors of one shape.
    Join {
        /// What is done with them.
        operation: OrtOperation,
        /// First operand.
        left: Dequantized,
        /// Second operand.
        right: Dequantized,
    },
    /// The average of each channel of a window.
    Average {
        /// The operand.
        input: Dequantized,
        /// Geometry.
        window: Window,
        /// What the sums are divided by.
        divisor: Divisor,
    },
    /// Several tensors behind each other.
    Concat {
        /// The tensors.
        parts: Vec<Dequantized>,
        /// The dimension along which, as the accelerator holds them.
        axis: usize,
    },
}

/// What an average divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    /// The pixels of the whole image, as GlobalAveragePool computes it.
    Image,
    /// The taps within the image.
    RealTaps,
    /// All taps.
    AllTaps,
}

/// An integer tensor of the accelerator that stands for real numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dequantized {
    /// The tensor.
    pub tensor: TensorId,
    /// Its scale and zero point.
    pub quantization: OrtQuantization,
}

/// A product of an integer tensor and integer weights.
#[derive(Clone, Debug)]
pub struct FloatProduct {
    /// Where it reads its input.
    pub geometry: Geometry,
    /// The integer operand.
    pub input: TensorId,
    /// Its stored value that stands for 0.
    pub input_zero_point: i64,
    /// Integer weights as the geometry's operator has them, zero points subtracted.
    pub weights: Array2<i64>,
    /// Added to the sums, one an output.
    pub bias: Vec<i64>,
    /// What a step of the sums stands for; none where the operator gives the sums themselves
    /// (ConvInteger, MatMulInteger).
    pub scales: Option<ProductScales>,
}

/// What a step of a product's sums stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductScales {
    /// Scale of the input.
    pub input: f32,
    /// Of the weights: one, or one an output.
    pub weights: Vec<f32>,
    /// Factor of Gemm.
    pub alpha: f32,
}
