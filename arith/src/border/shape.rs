//! Operations that only move elements.

use super::{BorderError, BorderValue};
use ndarray::{ArrayD, IxDyn};

pub(super) fn reshape(op: &'static str, value: BorderValue, shape: &[usize]) -> Result<BorderValue, BorderError> {
    fn row_major<T: Clone>(op: &'static str, array: ArrayD<T>, shape: &[usize]) -> Result<ArrayD<T>, BorderError> {
        let tensor = array.shape().to_vec();
        let elements: Vec<T> = array.iter().cloned().collect();
        ArrayD::from_shape_vec(IxDyn(shape), elements).map_err(|_| BorderError::Shape {
            op,
            wanted: format!("shape {shape:?}"),
            tensor,
        })
    }
    Ok(match value {
        BorderValue::Float(array) => BorderValue::Float(row_major(op, array, shape)?),
        BorderValue::Int(array) => BorderValue::Int(row_major(op, array, shape)?),
    })
}

pub(super) fn transpose(op: &'static str, value: BorderValue, axes: &[usize]) -> Result<BorderValue, BorderError> {
    let rank = value.shape().len();
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(BorderError::Shape { op, wanted: format!("permutation {axes:?}"), tensor: value.shape().to_vec() });
    }
    Ok(match value {
        BorderValue::Float(array) => {
            BorderValue::Float(array.permuted_axes(IxDyn(axes)).as_standard_layout().into_owned())
        }
        BorderValue::Int(array) => BorderValue::Int(array.permuted_axes(IxDyn(axes)).as_standard_layout().into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::BorderOp;
    use super::*;
    use ndarray::array;

    #[test]
    fn reshaping_a_transposed_tensor_keeps_row_major_order() {
        let chw = BorderValue::Int(array![[[1, 2]], [[3, 4]], [[5, 6]]].into_dyn());
        let ops = [BorderOp::Transpose { permutation: vec![1, 2, 0] }, BorderOp::Reshape { shape: vec![6] }];
        assert_eq!(BorderOp::run(&ops, chw), Ok(BorderValue::Int(array![1, 3, 5, 2, 4, 6].into_dyn())));
    }

    #[test]
    fn shapes_and_permutations_that_do_not_fit_are_refused() {
        let value = || BorderValue::Float(array![[1.0, 2.0]].into_dyn());
        let error = BorderOp::Reshape { shape: vec![3] }.apply(value()).unwrap_err();
        assert!(error.to_string().contains("[3]") && error.to_string().contains("[1, 2]"), "{error}");
        assert!(BorderOp::Reshape { shape: vec![usize::MAX, 4] }.apply(value()).is_err());
        for permutation in [vec![0], vec![0, 0], vec![1, 2]] {
            assert!(BorderOp::Transpose { permutation }.apply(value()).is_err());
        }
    }
}
