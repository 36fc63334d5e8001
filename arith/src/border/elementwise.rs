//! Float32 operations with a constant, one rounding each.

use super::{BorderError, FloatConstant};
use ndarray::{ArrayD, Zip};
use serde::{Deserialize, Serialize};

/// What is done to each element x with a constant c.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ElementwiseOp {
    /// x * c
    Multiply,
    /// x + c
    Add,
    /// x - c
    Subtract,
    /// x / c
    Divide,
    /// c - x
    SubtractFrom,
    /// c / x
    DivideInto,
}

impl ElementwiseOp {
    /// The operation's name.
    pub fn name(self) -> &'static str {
        match self {
            ElementwiseOp::Multiply => "multiply",
            ElementwiseOp::Add => "add",
            ElementwiseOp::Subtract => "subtract",
            ElementwiseOp::Divide => "divide",
            ElementwiseOp::SubtractFrom => "subtract-from",
            ElementwiseOp::DivideInto => "divide-into",
        }
    }

    fn of(self, x: f32, c: f32) -> f32 {
        match self {
            ElementwiseOp::Multiply => x * c,
            ElementwiseOp::Add => x + c,
            ElementwiseOp::Subtract => x - c,
            ElementwiseOp::Divide => x / c,
            ElementwiseOp::SubtractFrom => c - x,
            ElementwiseOp::DivideInto => c / x,
        }
    }
}

pub(super) fn apply(
    op: &'static str,
    operation: ElementwiseOp,
    constant: &FloatConstant,
    mut tensor: ArrayD<f32>,
) -> Result<ArrayD<f32>, BorderError> {
    let shape = tensor.shape().to_vec();
    constant.broadcast(op, &shape, |constant| {
        Zip::from(&mut tensor).and(&constant).for_each(|x, &c| *x = operation.of(*x, c));
    })?;
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::super::{BorderOp, BorderValue};
    use super::*;
    use ndarray::{arr0, array};

    fn run(operation: ElementwiseOp, constant: FloatConstant, tensor: ArrayD<f32>) -> Result<ArrayD<f32>, BorderError> {
        BorderOp::Elementwise { operation, constant }.apply(BorderValue::Float(tensor))?.float("test")
    }

    #[test]
    fn every_operation_rounds_once_in_float32() {
        let (x, c) = (0.1f32, 3.7f32);
        let of = |operation| run(operation, FloatConstant::scalar(c), arr0(x).into_dyn()).unwrap()[[]];
        use ElementwiseOp::{Add, Divide, DivideInto, Multiply, Subtract, SubtractFrom};
        let expected = [x * c, x + c, x - c, x / c, c - x, c / x];
        assert_eq!([Multiply, Add, Subtract, Divide, SubtractFrom, DivideInto].map(of), expected);
    }

    #[test]
    fn channels_broadcast_along_the_last_axis() {
        let tensor = array![[1.0, 2.0], [3.0, 4.0]].into_dyn();
        let scaled = run(ElementwiseOp::Multiply, FloatConstant::per_channel(vec![10.0, 100.0]), tensor.clone());
        assert_eq!(scaled, Ok(array![[10.0, 200.0], [30.0, 400.0]].into_dyn()));
        let rows = FloatConstant::new(vec![2, 1], vec![10.0, 100.0]).unwrap();
        assert_eq!(
            run(ElementwiseOp::Multiply, rows, tensor.clone()),
            Ok(array![[10.0, 20.0], [300.0, 400.0]].into_dyn())
        );
        let error = run(ElementwiseOp::Add, FloatConstant::per_channel(vec![1.0; 3]), tensor).unwrap_err();
        assert_eq!(error, BorderError::Broadcast { op: "add", constant: vec![3], tensor: vec![2, 2] });
    }

    #[test]
    fn a_constant_never_enlarges_the_tensor() {
        let wide = FloatConstant::new(vec![2, 2], vec![1.0; 4]).unwrap();
        assert!(run(ElementwiseOp::Add, wide, array![1.0, 2.0].into_dyn()).is_err());
        assert_eq!(FloatConstant::new(vec![2, 3], vec![1.0; 5]), None);
        assert_eq!(FloatConstant::new(vec![usize::MAX, 2], vec![]), None);
        assert_eq!(FloatConstant::new(vec![], vec![f32::NAN]), None);
    }
}
