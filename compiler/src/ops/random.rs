//! Seeded random numbers and tensors for the operators' random cases.

use crate::graph::{ConstantData, ElementType, Quantization, Tensor};
use ndarray::{ArrayD, IxDyn};

/// A small seeded generator (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014): the same seed gives the same case on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in `lo..=hi`.
    pub fn within(&mut self, lo: i64, hi: i64) -> i64 {
        let span = (i128::from(hi) - i128::from(lo) + 1).max(1) as u128;
        (i128::from(lo) + (u128::from(self.bits()) % span) as i128) as i64
    }

    /// A size in `lo..=hi`.
    pub fn size(&mut self, lo: usize, hi: usize) -> usize {
        self.within(lo as i64, hi as i64) as usize
    }

    /// One of `choices`, which must not be empty.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.size(0, choices.len() - 1)].clone()
    }

    /// A positive scale `2^e` with `e` in `lo..hi`, any mantissa.
    pub fn scale(&mut self, lo: i64, hi: i64) -> f32 {
        let mantissa = 1.0 + self.within(0, (1 << 23) - 1) as f64 / f64::from(1 << 23);
        (mantissa * 2f64.powi(self.within(lo, hi - 1) as i32)) as f32
    }

    /// Integers in `lo..=hi` under a shape.
    pub fn integers(&mut self, shape: &[usize], lo: i64, hi: i64) -> ArrayD<i64> {
        ArrayD::from_shape_fn(IxDyn(shape), |_| self.within(lo, hi))
    }
}

/// An int8 activation with one scale and zero point.
pub fn activation(name: &str, shape: &[usize], scale: f32, zero_point: i64) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        element: ElementType::Int8,
        quantization: Some(Quantization { scales: vec![scale], zero_points: vec![zero_point], axis: 0 }),
        constant: None,
    }
}

/// An integer constant.
pub fn constant(name: &str, element: ElementType, values: ArrayD<i64>, scales: Vec<f32>) -> Tensor {
    let zero_points = vec![0; scales.len()];
    Tensor {
        name: name.into(),
        shape: values.shape().to_vec(),
        element,
        quantization: (!scales.is_empty()).then_some(Quantization { scales, zero_points, axis: 0 }),
        constant: Some(ConstantData::Int(values)),
    }
}
