//! Random formulas of every kind, and a seeded generator of integers.

use num_rational::BigRational;
use systole_arith::formula::{
    Activation, OrtScales, Qonnx, Quantizer, RealOp, TfliteOperator, TfliteProfile, TfliteScales,
};
use systole_arith::rounding::RoundingMode;
use systole_arith::{Formula, IntType, Range};

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn within(&mut self, range: Range) -> i64 {
        let width = range.hi.wrapping_sub(range.lo) as u64;
        range.lo.wrapping_add((self.next() % width.wrapping_add(1).max(1)) as i64)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    pub fn real(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[(self.next() % values.len() as u64) as usize]
    }
}

pub const PROFILES: [TfliteProfile; 4] =
    [TfliteProfile::Tflm, TfliteProfile::LitertRef, TfliteProfile::LitertOpt, TfliteProfile::Xnnpack];

/// A TensorFlow Lite formula whose combined multipliers lie within a factor of 4 of `10^power`.
pub fn tflite(seeded: &mut Seeded, profile: TfliteProfile, power: f64, channels: usize) -> Formula {
    let activation =
        seeded.pick(&[Activation::None, Activation::None, Activation::Relu, Activation::Relu6, Activation::ReluN1To1]);
    tflite_with(seeded, profile, power, channels, activation)
}

/// The same with a given activation.
pub fn tflite_with(
    seeded: &mut Seeded,
    profile: TfliteProfile,
    power: f64,
    channels: usize,
    activation: Activation,
) -> Formula {
    let (input, output) = (seeded.real(0.001, 0.1) as f32, seeded.real(0.01, 1.0) as f32);
    let per_channel = seeded.one_in(2);
    let weights: Vec<f32> = (0..if per_channel { channels } else { 1 })
        .map(|_| (10f64.powf(power) * f64::from(output) / f64::from(input) * seeded.real(0.5, 2.0)) as f32)
        .collect();
    let operator =
        seeded.pick(&[TfliteOperator::FullyConnected, TfliteOperator::Conv2d, TfliteOperator::DepthwiseConv2d]);
    let output_zero_point = seeded.pick(&[-128, -5, 0, 17, 127]);
    let scales = TfliteScales { input, weights: &weights, output, output_zero_point };
    Formula::tflite(profile, operator, channels, &scales, activation, IntType::Signed(8)).expect("positive scales")
}

pub fn ort(seeded: &mut Seeded, channels: usize) -> Formula {
    let weights: Vec<f32> = (0..channels).map(|_| seeded.real(1e-4, 1e-2) as f32).collect();
    let scales = OrtScales {
        input: seeded.real(0.001, 0.1) as f32,
        weights: &weights,
        output: seeded.real(0.01, 1.0) as f32,
        output_zero_point: seeded.pick(&[0, 128, 255]),
        alpha: seeded.pick(&[1.0, 0.5, 0.3]),
    };
    Formula::ort(channels, &scales, IntType::Unsigned(8)).expect("positive scales")
}

fn ratio(n: i64, d: i64) -> BigRational {
    BigRational::new(n.into(), d.into())
}

/// A QONNX formula of 1 to 8 bits with a random chain; dyadic scales, so that ties occur.
pub fn qonnx(seeded: &mut Seeded, channels: usize) -> Formula {
    let mut each = |lo, hi, den: i64| -> Vec<BigRational> {
        (0..channels).map(|_| ratio(seeded.within(Range::new(lo, hi)), den)).collect()
    };
    let mut ops = vec![RealOp::Affine { scale: each(-9, 9, 256), offset: each(-900, 900, 64) }];
    let root = RealOp::DivideBySqrt { radicand: each(1, 400, 100) };
    let last = RealOp::Affine { scale: each(-5, 5, 4), offset: each(-50, 50, 8) };
    if seeded.one_in(2) {
        ops.push(root);
        ops.push(last);
    }
    if seeded.one_in(3) {
        ops.push(RealOp::Relu);
    }
    if seeded.one_in(5) {
        return Formula::Qonnx(Qonnx::new(channels, ops, Quantizer::Bipolar, IntType::Bipolar).expect("valid"));
    }
    let bits = seeded.pick(&[1, 2, 3, 4, 6, 8]);
    let signed = seeded.one_in(2);
    let (lo, hi) = Quantizer::bounds(bits, signed, false).expect("a supported width");
    let quantizer = Quantizer::Quant {
        scale: vec![ratio(1, 1 << (seeded.next() % 7))],
        zero_point: seeded.pick(&[0, 0, 1]),
        lo,
        hi,
        rounding: seeded.pick(&RoundingMode::ALL),
    };
    let output = if signed { IntType::Signed(bits) } else { IntType::Unsigned(bits) };
    Formula::Qonnx(Qonnx::new(channels, ops, quantizer, output).expect("valid"))
}

/// Formulas of every kind with channels, for domains of about 2^25.
pub fn all(seeded: &mut Seeded, channels: usize) -> Vec<Formula> {
    let mut formulas = Vec::new();
    for profile in PROFILES {
        for power in [-9.0, -7.5, -6.0, -4.5, -3.0, -1.0, 0.5, 2.0] {
            formulas.push(tflite(seeded, profile, power, channels));
        }
    }
    formulas.extend((0..8).map(|_| ort(seeded, channels)));
    formulas.extend((0..24).map(|_| qonnx(seeded, channels)));
    formulas
}
