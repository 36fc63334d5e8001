//! Operations that find the greatest elements.

use super::{BorderError, BorderValue};
use ndarray::{ArrayD, Axis};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// What `TopK` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopKOutput {
    /// The elements.
    Values,
    /// Their indices along the axis.
    Indices,
}

impl fmt::Display for TopKOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopKOutput::Values => "values",
            TopKOutput::Indices => "indices",
        })
    }
}

pub(super) fn arg_max(op: &'static str, value: &BorderValue, keep_axis: bool) -> Result<ArrayD<i64>, BorderError> {
    let indices = match ranked(op, value, 1)? {
        (indices, last) if !keep_axis => indices.index_axis_move(Axis(last), 0),
        (indices, _) => indices,
    };
    Ok(indices)
}

pub(super) fn top_k(
    op: &'static str,
    value: &BorderValue,
    count: usize,
    output: TopKOutput,
) -> Result<BorderValue, BorderError> {
    let (indices, last) = ranked(op, value, count)?;
    Ok(match (output, value) {
        (TopKOutput::Indices, _) => BorderValue::Int(indices),
        (TopKOutput::Values, BorderValue::Float(array)) => BorderValue::Float(gather(array, &indices, last)),
        (TopKOutput::Values, BorderValue::Int(array)) => BorderValue::Int(gather(array, &indices, last)),
    })
}

/// Indices of the `count` greatest elements along the last axis, greatest first, and that axis.
fn ranked(op: &'static str, value: &BorderValue, count: usize) -> Result<(ArrayD<i64>, usize), BorderError> {
    let shape = value.shape();
    let misfit = |wanted: String| BorderError::Shape { op, wanted, tensor: shape.to_vec() };
    let (last, length) = match shape.iter().enumerate().next_back() {
        Some((last, &length)) if count <= length => (last, length),
        _ => return Err(misfit(format!("the {count} greatest along the last axis"))),
    };
    match value {
        BorderValue::Float(array) => {
            if let Some(index) = array.iter().position(|x| x.is_nan()) {
                return Err(BorderError::NotANumber { op, index });
            }
            // Zeros of either sign are equal, as comparisons of floats have it.
            let order = |a: &f32, b: &f32| a.partial_cmp(b).unwrap_or(Ordering::Equal);
            Ok((rank(array, last, length, count, order), last))
        }
        BorderValue::Int(array) => Ok((rank(array, last, length, count, Ord::cmp), last)),
    }
}

fn rank<T>(
    array: &ArrayD<T>,
    last: usize,
    length: usize,
    count: usize,
    order: impl Fn(&T, &T) -> Ordering,
) -> ArrayD<i64> {
    let mut shape = array.raw_dim();
    shape[last] = count;
    let mut indices = ArrayD::zeros(shape);
    for (row, mut out) in array.lanes(Axis(last)).into_iter().zip(indices.lanes_mut(Axis(last))) {
        let mut positions: Vec<usize> = (0..length).collect();
        // Stable: of equal elements the first stays first.
        positions.sort_by(|&a, &b| order(&row[b], &row[a]));
        out.iter_mut().zip(positions).for_each(|(slot, position)| *slot = position as i64);
    }
    indices
}

fn gather<T: Copy>(array: &ArrayD<T>, indices: &ArrayD<i64>, last: usize) -> ArrayD<T> {
    ArrayD::from_shape_fn(indices.raw_dim(), |mut at| {
        at[last] = indices[&at] as usize;
        array[&at]
    })
}

#[cfg(test)]
mod tests {
    use super::super::BorderOp;
    use super::*;
    use ndarray::{arr0, array};

    #[test]
    fn the_first_of_equal_maxima_is_taken() {
        let value = BorderValue::Int(array![[3, 9, 9], [-1, -5, -1]].into_dyn());
        let flat = BorderOp::ArgMax { keep_axis: false }.apply(value.clone());
        assert_eq!(flat, Ok(BorderValue::Int(array![1, 0].into_dyn())));
        let kept = BorderOp::ArgMax { keep_axis: true }.apply(value);
        assert_eq!(kept, Ok(BorderValue::Int(array![[1], [0]].into_dyn())));
    }

    #[test]
    fn the_greatest_come_in_descending_order_with_equal_ones_in_place() {
        let value = || BorderValue::Float(array![0.5, 2.0, -1.0, 2.0].into_dyn());
        let top = |output| BorderOp::TopK { count: 3, output }.apply(value());
        assert_eq!(top(TopKOutput::Indices), Ok(BorderValue::Int(array![1, 3, 0].into_dyn())));
        assert_eq!(top(TopKOutput::Values), Ok(BorderValue::Float(array![2.0, 2.0, 0.5].into_dyn())));
    }

    #[test]
    fn empty_axes_scalars_and_not_a_number_are_refused() {
        let arg_max = BorderOp::ArgMax { keep_axis: false };
        assert!(arg_max.apply(BorderValue::Int(ArrayD::zeros(vec![0]))).is_err());
        assert!(arg_max.apply(BorderValue::Int(arr0(1).into_dyn())).is_err());
        assert!(arg_max.apply(BorderValue::Float(array![1.0, f32::NAN].into_dyn())).is_err());
        let five = BorderOp::TopK { count: 5, output: TopKOutput::Values };
        assert!(five.apply(BorderValue::Int(array![1, 2].into_dyn())).is_err());
    }
}
