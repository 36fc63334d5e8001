//! Tensors of an imported network.

use ndarray::ArrayD;

/// Element type in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// IEEE single precision.
    Float32,
    /// 8-bit two's complement.
    Int8,
    /// 8-bit unsigned.
    Uint8,
    /// 16-bit two's complement.
    Int16,
    /// 32-bit two's complement.
    Int32,
    /// 64-bit two's complement.
    Int64,
    /// Truth value.
    Bool,
}

impl ElementType {
    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            ElementType::Float32 => "float32",
            ElementType::Int8 => "int8",
            ElementType::Uint8 => "uint8",
            ElementType::Int16 => "int16",
            ElementType::Int32 => "int32",
            ElementType::Int64 => "int64",
            ElementType::Bool => "bool",
        }
    }
}

/// Affine quantization as the file states it: real = scale * (q - zero_point).
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one for each index along `axis`.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i64>,
    /// Dimension that several scales belong to.
    pub axis: usize,
}

/// Values of a constant.
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantData {
    /// Floating point.
    Float(ArrayD<f32>),
    /// Any integer type, or truth values as 0 and 1.
    Int(ArrayD<i64>),
}

/// A tensor of an imported network.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Unique name.
    pub name: String,
    /// Static shape as the file has it, batch dimension (1) included; empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type.
    pub element: ElementType,
    /// Quantization, where the file gives one.
    pub quantization: Option<Quantization>,
    /// Values, where the tensor is constant.
    pub constant: Option<ConstantData>,
}
