//! Formulas of the TensorFlow Lite runtimes from a layer's scales.
//!
//! Which runtime computes what was measured: see the project's documentation of its test vectors.

use super::{Activation, FixedPoint, Float32, Float64, Formula, FormulaError, OutputStage, TieRule};
use crate::int_type::IntType;
use crate::real::text;
use crate::rounding::QuantizedMultiplier;
use serde::{Deserialize, Serialize};

/// A runtime of TensorFlow Lite models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TfliteProfile {
    /// TensorFlow Lite Micro.
    Tflm,
    /// LiteRT with its reference kernels.
    LitertRef,
    /// LiteRT with its optimized kernels.
    LitertOpt,
    /// LiteRT with the XNNPACK delegate.
    Xnnpack,
}

/// An operator with an accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TfliteOperator {
    /// `FULLY_CONNECTED`
    FullyConnected,
    /// `CONV_2D` whose filters see all input channels.
    Conv2d,
    /// `CONV_2D` of several groups, which LiteRT leaves to its reference kernel.
    GroupedConv2d,
    /// `DEPTHWISE_CONV_2D`
    DepthwiseConv2d,
}

/// Scales of a layer's tensors, as the file has them.
#[derive(Clone, Copy, Debug)]
pub struct TfliteScales<'a> {
    /// Of the input.
    pub input: f32,
    /// Of the weights: one, or one an output channel.
    pub weights: &'a [f32],
    /// Of the output.
    pub output: f32,
    /// Zero point of the output.
    pub output_zero_point: i64,
}

impl TfliteScales<'_> {
    fn check(&self, channels: usize) -> Result<(), FormulaError> {
        super::check_length("weight scales", self.weights.len(), channels)?;
        let check = |what, index, value: f32| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => Err(FormulaError::Scale { what, index, value: value.into() }),
        };
        check("input", 0, self.input)?;
        check("output", 0, self.output)?;
        self.weights.iter().enumerate().try_for_each(|(index, &scale)| check("weight", index, scale))
    }

    /// `f64(input) * weight / output`, each operation in float64.
    fn double_product(&self) -> impl Iterator<Item = f64> + '_ {
        self.weights.iter().map(|&weight| f64::from(self.input) * f64::from(weight) / f64::from(self.output))
    }

    /// `f64(f32(input * weight)) / output`.
    fn single_product(&self) -> impl Iterator<Item = f64> + '_ {
        self.weights.iter().map(|&weight| f64::from(self.input * weight) / f64::from(self.output))
    }
}

/// Scale and zero point of a tensor with one scale: a stored q stands for `(q - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TfliteTensorScale {
    /// Real value of one step.
    #[serde(with = "text::single")]
    pub scale: f32,
    /// Stored value that stands for 0.
    pub zero_point: i64,
}

impl TfliteTensorScale {
    /// Checks that the scale is positive and finite and the zero point a value of `element`.
    pub(crate) fn check(self, what: &'static str, element: IntType) -> Result<(), FormulaError> {
        super::check_scale(what, 0, self.scale)?;
        let range = element.checked_range().ok_or(FormulaError::OutputType(element))?;
        match range.contains(self.zero_point) {
            true => Ok(()),
            false => Err(FormulaError::ZeroPoint { zero_point: self.zero_point, element }),
        }
    }

    /// The output stage of a tensor of this scale behind a fused activation.
    pub(crate) fn stage(
        self,
        profile: TfliteProfile,
        activation: Activation,
        element: IntType,
    ) -> Result<OutputStage, FormulaError> {
        self.check("output", element)?;
        let (lo, hi) = activation.clamp(profile, element, self.scale, self.zero_point)?;
        OutputStage::new(element, self.zero_point, lo, hi)
    }
}

/// Channels that LiteRT's depthwise kernel requantizes at once.
const DEPTHWISE_BLOCK: u32 = 8;
/// XNNPACK refuses multipliers from here on.
const XNNPACK_LIMIT: f32 = 256.0;

impl Formula {
    /// What a TensorFlow Lite runtime computes from a layer's accumulator
    /// `sum((x - zx) * w) + bias`.
    ///
    /// - `tflm`: high multiply, shift with ties away, multiplier f64(sx)*sw/so;
    /// - `litert-ref`: the same for convolutions, for fully connected layers
    ///   `round_half_away(acc * f64(sx)*sw/so)` in float64;
    /// - `litert-opt`: high multiply, shift with ties up, multiplier f64(sx)*sw/so, with the product
    ///   sx*sw rounded to float32 for fully connected layers with one weight scale; depthwise layers
    ///   take ties up in whole blocks of 8 output channels and away from zero in the last `channels`
    ///   mod 8, grouped convolutions are computed as under `litert-ref`;
    /// - `xnnpack`: `round_half_even(f32(f32(acc) * s))`, s = f32(f32(sx*sw)/so).
    ///
    /// # Errors
    /// If a scale is not positive and finite, there are neither one weight scale nor one a channel,
    /// the zero point is no value of `element`, or the runtime refuses the multiplier.
    pub fn tflite(
        profile: TfliteProfile,
        operator: TfliteOperator,
        channels: usize,
        scales: &TfliteScales<'_>,
        activation: Activation,
        element: IntType,
    ) -> Result<Formula, FormulaError> {
        if channels == 0 {
            return Err(FormulaError::NoChannels);
        }
        scales.check(channels)?;
        let (lo, hi) = activation.clamp(profile, element, scales.output, scales.output_zero_point)?;
        let output = OutputStage::new(element, scales.output_zero_point, lo, hi)?;
        let fixed = |ties, multipliers: &mut dyn Iterator<Item = f64>| {
            let multipliers = quantize(multipliers)?;
            Ok(Formula::FixedPoint(FixedPoint { channels, multipliers, ties, output }))
        };
        let fully_connected = operator == TfliteOperator::FullyConnected;
        match profile {
            TfliteProfile::LitertRef if fully_connected => {
                let multipliers: Vec<_> = scales.double_product().collect();
                finite(&multipliers)?;
                Ok(Formula::Float64(Float64 { channels, multipliers, output }))
            }
            TfliteProfile::Tflm | TfliteProfile::LitertRef => fixed(TieRule::Away, &mut scales.double_product()),
            TfliteProfile::LitertOpt if fully_connected && scales.weights.len() == 1 => {
                fixed(TieRule::Up, &mut scales.single_product())
            }
            TfliteProfile::LitertOpt => {
                let ties = match operator {
                    TfliteOperator::GroupedConv2d => TieRule::Away,
                    TfliteOperator::DepthwiseConv2d => TieRule::UpInBlocks(DEPTHWISE_BLOCK),
                    TfliteOperator::Conv2d | TfliteOperator::FullyConnected => TieRule::Up,
                };
                fixed(ties, &mut scales.double_product())
            }
            TfliteProfile::Xnnpack => {
                let combined: Vec<_> =
                    scales.weights.iter().map(|weight| scales.input * weight / scales.output).collect();
                for (channel, &value) in combined.iter().enumerate() {
                    if value.is_nan() || value >= XNNPACK_LIMIT {
                        let (value, limit) = (value.into(), XNNPACK_LIMIT.into());
                        return Err(FormulaError::Multiplier { channel, value, limit });
                    }
                }
                Ok(Formula::Float32(Float32 { channels, scales: combined, output }))
            }
        }
    }
}

fn finite(multipliers: &[f64]) -> Result<(), FormulaError> {
    match multipliers.iter().position(|value| !value.is_finite()) {
        Some(channel) => Err(FormulaError::Multiplier { channel, value: multipliers[channel], limit: f64::MAX }),
        None => Ok(()),
    }
}

/// A combined multiplier in fixed-point form.
pub(crate) fn quantized(value: f64) -> Result<QuantizedMultiplier, FormulaError> {
    QuantizedMultiplier::new(value).map_err(|_| FormulaError::Multiplier { channel: 0, value, limit: f64::MAX })
}

fn quantize(multipliers: &mut dyn Iterator<Item = f64>) -> Result<Vec<QuantizedMultiplier>, FormulaError> {
    multipliers
        .enumerate()
        .map(|(channel, value)| {
            QuantizedMultiplier::new(value).map_err(|_| FormulaError::Multiplier { channel, value, limit: f64::MAX })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use TfliteOperator::{Conv2d, FullyConnected};
    use TfliteProfile::{LitertOpt, LitertRef, Tflm, Xnnpack};

    fn formula(profile: TfliteProfile, operator: TfliteOperator, weights: &[f32]) -> Result<Formula, FormulaError> {
        let scales = TfliteScales { input: 0.5, weights, output: 1.0, output_zero_point: 0 };
        Formula::tflite(profile, operator, weights.len().max(1), &scales, Activation::None, IntType::Signed(8))
    }

    #[test]
    fn the_four_profiles_differ_at_ties() {
        // acc / 4 at -6 = -1.5 and at 10 = 2.5.
        let at = |profile, operator| {
            let formula = formula(profile, operator, &[0.5]).unwrap();
            (formula.evaluate(0, -6), formula.evaluate(0, 10))
        };
        assert_eq!(at(Tflm, FullyConnected), (-2, 3));
        assert_eq!(at(LitertRef, FullyConnected), (-2, 3));
        assert_eq!(at(LitertOpt, FullyConnected), (-1, 3));
        assert_eq!(at(Xnnpack, FullyConnected), (-2, 2));
    }

    #[test]
    fn reference_kernels_use_float64_for_fully_connected_layers_only() {
        assert!(matches!(formula(LitertRef, FullyConnected, &[0.5]), Ok(Formula::Float64(_))));
        assert!(matches!(formula(LitertRef, Conv2d, &[0.5]), Ok(Formula::FixedPoint(_))));
    }

    #[test]
    fn optimized_kernels_round_the_scale_product_only_for_one_weight_scale() {
        let weight = 0.1f32;
        fn multiplier(operator: TfliteOperator, channels: usize, weights: &[f32]) -> i32 {
            let scales = TfliteScales { input: 0.3, weights, output: 1.0, output_zero_point: 0 };
            let made =
                Formula::tflite(LitertOpt, operator, channels, &scales, Activation::None, IntType::Signed(8)).unwrap();
            let Formula::FixedPoint(formula) = made else { panic!("not fixed point: {made}") };
            formula.multipliers[0].multiplier
        }
        let double = QuantizedMultiplier::new(f64::from(0.3f32) * f64::from(weight)).unwrap().multiplier;
        let single = QuantizedMultiplier::new(f64::from(0.3f32 * weight)).unwrap().multiplier;
        assert_ne!(double, single);
        assert_eq!(multiplier(FullyConnected, 2, &[weight]), single);
        assert_eq!(multiplier(FullyConnected, 2, &[weight, weight]), double);
        assert_eq!(multiplier(Conv2d, 2, &[weight]), double);
    }

    #[test]
    fn ties_of_optimized_kernels_depend_on_the_kind_of_convolution() {
        // acc / 4 at -6 = -1.5.
        let at = |operator, channels: usize, channel| {
            let scales = TfliteScales { input: 0.5, weights: &[0.5], output: 1.0, output_zero_point: 0 };
            let made = Formula::tflite(LitertOpt, operator, channels, &scales, Activation::None, IntType::Signed(8));
            made.unwrap().evaluate(channel, -6)
        };
        assert_eq!((at(Conv2d, 9, 0), at(Conv2d, 9, 8)), (-1, -1));
        assert_eq!((at(TfliteOperator::GroupedConv2d, 9, 0), at(TfliteOperator::GroupedConv2d, 9, 8)), (-2, -2));
        assert_eq!((at(TfliteOperator::DepthwiseConv2d, 9, 7), at(TfliteOperator::DepthwiseConv2d, 9, 8)), (-1, -2));
        assert_eq!(at(TfliteOperator::DepthwiseConv2d, 7, 0), -2);
    }

    #[test]
    fn scales_that_are_not_positive_and_finite_are_refused_by_name() {
        for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            let error = formula(Tflm, FullyConnected, &[0.5, bad]).unwrap_err().to_string();
            assert!(error.contains("weight scale") && error.contains("entry 1"), "{error}");
        }
        let error = formula(Xnnpack, FullyConnected, &[512.0]).unwrap_err().to_string();
        assert!(error.contains("256"), "{error}");
    }

    #[test]
    fn extreme_scales_make_formulas_and_not_panics() {
        for weight in [f32::MIN_POSITIVE, f32::from_bits(1), 1e-9, 1e30, f32::MAX] {
            for profile in [Tflm, LitertRef, LitertOpt, Xnnpack] {
                for input in [1e-9, 1.0, f32::MAX] {
                    let scales = TfliteScales { input, weights: &[weight], output: 1e-9, output_zero_point: -128 };
                    let activation = Activation::Relu6;
                    let made = Formula::tflite(profile, FullyConnected, 1, &scales, activation, IntType::Signed(8));
                    if let Ok(formula) = made {
                        let ends =
                            [i64::from(i32::MIN), -1, 0, 1, i64::from(i32::MAX)].map(|acc| formula.evaluate(0, acc));
                        assert!(ends.is_sorted(), "{formula}: {ends:?}");
                        assert_eq!(formula.validate(), Ok(()));
                    }
                }
            }
        }
    }
}
