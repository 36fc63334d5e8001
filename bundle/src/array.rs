//! Arrays of the host's side.

use ndarray::ArrayD;

#[cfg(feature = "npz")]
mod read;
#[cfg(feature = "npz")]
pub use read::ArrayError;

/// An n-dimensional array, row-major, with the element types that networks use.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Integers of any NumPy integer or boolean type, with that type's name.
    Int(ArrayD<i64>, String),
    /// `float32`, or `float64` where every element is exactly a `float32`.
    Float(ArrayD<f32>),
}

impl Array {
    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        match self {
            Array::Int(array, _) => array.shape(),
            Array::Float(array) => array.shape(),
        }
    }

    /// NumPy's name of the element type.
    pub fn type_name(&self) -> &str {
        match self {
            Array::Int(_, name) => name,
            Array::Float(_) => "float32",
        }
    }
}
