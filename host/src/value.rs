//! Slices of batches as values of border operations.

use ndarray::{ArrayD, Axis, IxDyn};
use systole_bundle::arith::border::BorderValue;
use systole_bundle::Array;

/// Sample number `index` of a batch whose outermost dimension counts samples.
pub fn sample(batch: &Array, index: usize) -> BorderValue {
    match batch {
        Array::Int(values, _) => BorderValue::Int(values.index_axis(Axis(0), index).to_owned()),
        Array::Float(values) => BorderValue::Float(values.index_axis(Axis(0), index).to_owned()),
    }
}

/// The elements under another shape, in row-major order; none where their number differs.
pub fn under_shape(value: BorderValue, shape: &[usize]) -> Option<BorderValue> {
    fn shaped<T: Clone>(values: &ArrayD<T>, shape: &[usize]) -> Option<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(shape), values.iter().cloned().collect()).ok()
    }
    Some(match value {
        BorderValue::Int(values) => BorderValue::Int(shaped(&values, shape)?),
        BorderValue::Float(values) => BorderValue::Float(shaped(&values, shape)?),
    })
}

/// Kind and shape of a value, for messages.
pub fn describe(value: &BorderValue) -> String {
    match value {
        BorderValue::Int(values) => format!("integers of shape {:?}", values.shape()),
        BorderValue::Float(values) => format!("float32 of shape {:?}", values.shape()),
    }
}
