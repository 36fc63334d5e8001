//! Softmax in float32.

use super::BorderError;
use ndarray::{ArrayD, Axis};

/// `exp(x - max) / sum` over the last axis.
pub(super) fn apply(op: &'static str, mut tensor: ArrayD<f32>) -> Result<ArrayD<f32>, BorderError> {
    let shape = tensor.shape().to_vec();
    let Some(last) = shape.len().checked_sub(1) else {
        return Err(BorderError::Shape { op, wanted: "a last axis".to_owned(), tensor: shape });
    };
    for mut row in tensor.lanes_mut(Axis(last)) {
        let greatest = row.fold(f32::NEG_INFINITY, |greatest, &x| greatest.max(x));
        row.mapv_inplace(|x| (x - greatest).exp());
        let sum = row.sum();
        row.mapv_inplace(|x| x / sum);
    }
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::super::{BorderOp, BorderValue};
    use ndarray::{arr0, array};

    #[test]
    fn rows_sum_to_one_and_large_logits_do_not_overflow() {
        let result = BorderOp::Softmax.apply(BorderValue::Float(array![[1000.0, 1000.0], [0.0, 3f32.ln()]].into_dyn()));
        let rows = result.unwrap().float("test").unwrap();
        for (got, expected) in rows.iter().zip([0.5, 0.5, 0.25, 0.75f32]) {
            assert!((got - expected).abs() < 1e-6, "{rows}");
        }
        assert!(BorderOp::Softmax.apply(BorderValue::Float(arr0(1.0).into_dyn())).is_err());
    }
}
