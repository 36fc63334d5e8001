//! From the accelerator's integers to the network's real outputs, exactly.

use super::BorderError;
use crate::real::{nearest_f32, rational_from_f32, rational_from_integer, rational_to_f64, text, Surd};
use ndarray::ArrayD;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `y = scale * q / sqrt(radicand) + offset` a channel, channels innermost, in exact arithmetic; the
/// result is the nearest float32. Lists have one entry for all channels or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AffineTail {
    /// Factor.
    #[serde(with = "text::rationals")]
    pub scale: Vec<BigRational>,
    /// Summand.
    #[serde(with = "text::rationals")]
    pub offset: Vec<BigRational>,
    /// Positive; 1 without a batch normalisation.
    #[serde(with = "text::rationals")]
    pub radicand: Vec<BigRational>,
}

impl AffineTail {
    /// `y = scale * q + offset`.
    pub fn new(scale: Vec<BigRational>, offset: Vec<BigRational>) -> Self {
        AffineTail { scale, offset, radicand: vec![BigRational::one()] }
    }

    /// `y = (q - zero_point) * scale`; none if the scale is not finite.
    pub fn dequantize(scale: f32, zero_point: i64) -> Option<Self> {
        let scale = rational_from_f32(scale)?;
        let offset = -(&scale * rational_from_integer(zero_point));
        Some(AffineTail::new(vec![scale], vec![offset]))
    }

    /// The exact result of an integer; none if the channel has no parameters or its radicand is not
    /// positive.
    pub fn exact(&self, channel: usize, q: i64) -> Option<Surd> {
        let (scale, offset, radicand) = self.parameters(channel)?;
        let product = Surd::rational(scale * rational_from_integer(q));
        let quotient = if radicand.is_one() { product } else { product.divide_by_root(&BigRational::one(), radicand) };
        Some(quotient.affine(&BigRational::one(), offset))
    }

    /// The channel's factor and summand `(a, b)` in float64, with `y = a * q + b` to a relative error of 2^-50 each;
    /// none as for [`AffineTail::exact`], or where they leave float64's normal range.
    pub fn approximate(&self, channel: usize) -> Option<(f64, f64)> {
        let (scale, offset, radicand) = self.parameters(channel)?;
        Some((rational_to_f64(scale)? / rational_to_f64(radicand)?.sqrt(), rational_to_f64(offset)?))
    }

    fn parameters(&self, channel: usize) -> Option<(&BigRational, &BigRational, &BigRational)> {
        let radicand = entry(&self.radicand, channel).filter(|radicand| radicand.is_positive())?;
        Some((entry(&self.scale, channel)?, entry(&self.offset, channel)?, radicand))
    }

    pub(super) fn apply(&self, op: &'static str, tensor: &ArrayD<i64>) -> Result<ArrayD<f32>, BorderError> {
        let channels = tensor.shape().last().copied().unwrap_or(1);
        for (parameter, list) in [("factors", &self.scale), ("summands", &self.offset), ("radicands", &self.radicand)] {
            if list.len() != 1 && list.len() != channels {
                let wanted = format!("{} {parameter}", list.len());
                return Err(BorderError::Shape { op, wanted, tensor: tensor.shape().to_vec() });
            }
        }
        if let Some(bad) = self.radicand.iter().find(|value| !value.is_positive()) {
            let remedy = "it must be positive: check the variance";
            return Err(BorderError::Parameter { op, parameter: "radicand", value: bad.to_string(), remedy });
        }
        let floats: Vec<_> = (0..channels).map(|channel| self.approximate(channel)).collect();
        let mut results = Vec::with_capacity(tensor.len());
        for (index, &q) in tensor.iter().enumerate() {
            let channel = index % channels.max(1);
            let quick = floats.get(channel).copied().flatten().and_then(|(a, b)| quick_f32(a, b, q));
            let result = quick.or_else(|| self.exact(channel, q).map(|exact| nearest_f32(&exact)));
            results.push(result.ok_or(BorderError::NotANumber { op, index })?);
        }
        ArrayD::from_shape_vec(tensor.raw_dim(), results).map_err(|_| BorderError::Shape {
            op,
            wanted: "its own shape".to_owned(),
            tensor: tensor.shape().to_vec(),
        })
    }
}

/// The nearest float32 of `a * q + b` where the error bound of float64 arithmetic allows only one.
fn quick_f32(a: f64, b: f64, q: i64) -> Option<f32> {
    if q.unsigned_abs() > 1 << 53 {
        return None;
    }
    let product = a * q as f64;
    let value = product + b;
    let error = (product.abs() + b.abs() + value.abs()) * 2f64.powi(-48);
    let (below, above) = ((value - error) as f32, (value + error) as f32);
    (below.to_bits() == above.to_bits() && value.is_normal()).then_some(below)
}

fn entry(list: &[BigRational], channel: usize) -> Option<&BigRational> {
    list.get(if list.len() == 1 { 0 } else { channel })
}

impl fmt::Display for AffineTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scale.as_slice(), self.offset.as_slice(), self.radicand.as_slice()) {
            ([scale], [offset], [radicand]) if radicand.is_one() && offset.is_zero() => write!(f, "x {scale}"),
            ([scale], [offset], [radicand]) if radicand.is_one() => write!(f, "x {scale} + {offset}"),
            _ => write!(f, "per channel"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BorderOp, BorderValue};
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn ratio(n: i64, d: i64) -> BigRational {
        BigRational::new(n.into(), d.into())
    }

    #[test]
    fn channels_have_their_own_parameters_and_roots_are_rounded_once() {
        let tail = AffineTail {
            scale: vec![ratio(1, 3), ratio(-2, 1)],
            offset: vec![ratio(1, 7)],
            radicand: vec![ratio(1, 1), ratio(2, 1)],
        };
        let result = BorderOp::Affine(tail).apply(BorderValue::Int(array![[5, 3], [0, 0]].into_dyn())).unwrap();
        let (third, root) = ((5.0 / 3.0 + 1.0 / 7.0) as f32, (-6.0 / 2f64.sqrt() + 1.0 / 7.0) as f32);
        let seventh = (1.0f64 / 7.0) as f32;
        assert_eq!(result, BorderValue::Float(array![[third, root], [seventh, seventh]].into_dyn()));
    }

    #[test]
    fn parameters_that_do_not_fit_the_channels_are_refused() {
        let tail = AffineTail::new(vec![ratio(1, 1); 3], vec![ratio(0, 1)]);
        assert!(BorderOp::Affine(tail).apply(BorderValue::Int(array![1, 2].into_dyn())).is_err());
        let tail = AffineTail { radicand: vec![ratio(0, 1)], ..AffineTail::new(vec![ratio(1, 1)], vec![ratio(0, 1)]) };
        assert!(BorderOp::Affine(tail).apply(BorderValue::Int(array![1, 2].into_dyn())).is_err());
        assert_eq!(AffineTail::dequantize(f32::NAN, 0), None);
    }

    proptest! {
        #[test]
        fn results_equal_exact_arithmetic(n in -9999i64..9999, d in 1i64..9999, o in -999i64..999, v in 1i64..9, q in any::<i32>()) {
            let tail = AffineTail { scale: vec![ratio(n, d)], offset: vec![ratio(o, 64)], radicand: vec![ratio(v, 1)] };
            let exact = nearest_f32(&tail.exact(0, q.into()).unwrap());
            let result = tail.apply("test", &array![i64::from(q)].into_dyn()).unwrap();
            prop_assert_eq!(result[[0]], exact);
        }
    }
}
