//! Activations of the TensorFlow Lite runtimes as nodes of their own, from their scales.

use super::{HardSwish, LeakyShift, PiecewiseRescale, Rescale, Slope, TableFormula, TfliteCurve};
use crate::formula::{
    check_scale, quantized, Activation, FixedPoint, Formula, FormulaError, OutputStage, TfliteProfile,
    TfliteTensorScale, TieRule,
};
use crate::int_type::IntType;
use crate::rounding::QuantizedMultiplier;

/// An operator of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TfliteTable<'a> {
    /// `RELU`
    Relu,
    /// `RELU6`
    Relu6,
    /// `RELU_N1_TO_1`
    ReluN1To1,
    /// `LEAKY_RELU`
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    /// `PRELU`
    Prelu {
        /// Stored slopes below 0, one a channel or one for all.
        alpha: &'a [i64],
        /// Their scale.
        scale: TfliteTensorScale,
    },
    /// `HARD_SWISH`
    HardSwish,
    /// `LOGISTIC`
    Logistic,
    /// `TANH`
    Tanh,
}

/// Ratios of scales that XNNPACK's leaky ReLU takes, and least magnitude of the ratio below 0.
const DELEGATED_LEAKY: std::ops::RangeInclusive<f32> = 1.0 / 256.0..=128.0;

impl TableFormula {
    /// What a TensorFlow Lite runtime computes from a stored element. `DBL` is the high multiply and the shift
    /// with ties away from zero; r = si/so is rounded to float32 except under `tflm`, which has all scales in float64.
    ///
    /// - RELU, RELU6, RELU_N1_TO_1: DBL(x - zi, r), zero point, clamp with LiteRT's bounds. `tflm` does not rescale in RELU6
    ///   (it clamps stored inputs) and has no RELU_N1_TO_1;
    /// - LEAKY_RELU: DBL(x - zi, r) from 0 on, DBL(x - zi, f32(si*alpha)/so) below; `xnnpack` ((x - zi)*m + 128) >> 8,
    ///   m = rint(256*r) or rint(256*r*alpha), where r is in 2^-8 ..= 2^7 and r*alpha in 2^-8 ..= 2^7;
    /// - PRELU: as LEAKY_RELU with DBL((x - zi)*(alpha - za), f32(si*sa)/so) below 0 for all profiles;
    /// - HARD_SWISH: see [`HardSwish`]; LOGISTIC, TANH: see [`TfliteCurve`].
    ///
    /// # Errors
    /// If a scale is not positive and finite, a zero point is no value of `element`, a slope is negative or not finite,
    /// or the runtime refuses the operator or its scales.
    pub fn tflite(
        profile: TfliteProfile,
        operator: TfliteTable<'_>,
        input: TfliteTensorScale,
        output: TfliteTensorScale,
        element: IntType,
    ) -> Result<TableFormula, FormulaError> {
        input.check("input", element)?;
        let stage = output.stage(TfliteProfile::LitertOpt, Activation::None, element)?;
        let formula = match operator {
            TfliteTable::Relu => relu(profile, Activation::Relu, input, output, element)?,
            TfliteTable::Relu6 => relu(profile, Activation::Relu6, input, output, element)?,
            TfliteTable::ReluN1To1 => relu(profile, Activation::ReluN1To1, input, output, element)?,
            TfliteTable::LeakyRelu { alpha } => leaky(profile, alpha, [input, output], stage)?,
            TfliteTable::Prelu { alpha, scale } => {
                scale.check("slope", element)?;
                let below = ratio(profile, &[input.scale, scale.scale], output.scale)?;
                let negative =
                    alpha.iter().map(|a| Slope { factor: a - scale.zero_point, multiplier: below }).collect();
                let positive = ratio(profile, &[input.scale], output.scale)?;
                TableFormula::PiecewiseRescale(PiecewiseRescale {
                    input_zero_point: input.zero_point,
                    positive,
                    negative,
                    output: stage,
                })
            }
            TfliteTable::HardSwish => TableFormula::HardSwish(HardSwish::new(input, output, stage)?),
            TfliteTable::Logistic => TableFormula::TfliteCurve(TfliteCurve::logistic(profile, input, output, stage)?),
            TfliteTable::Tanh => TableFormula::TfliteCurve(TfliteCurve::tanh(profile, input, output, stage)?),
        };
        formula.validate().map(|()| formula)
    }
}

/// A product of input scales over the output's, in the arithmetic of the profile.
fn ratio(profile: TfliteProfile, inputs: &[f32], output: f32) -> Result<QuantizedMultiplier, FormulaError> {
    quantized(match profile {
        TfliteProfile::Tflm => inputs.iter().map(|&scale| f64::from(scale)).product::<f64>() / f64::from(output),
        _ => (inputs.iter().product::<f32>() / output).into(),
    })
}

fn relu(
    profile: TfliteProfile,
    activation: Activation,
    input: TfliteTensorScale,
    output: TfliteTensorScale,
    element: IntType,
) -> Result<TableFormula, FormulaError> {
    let (multiplier, output) = match (profile, activation) {
        (TfliteProfile::Tflm, Activation::ReluN1To1) => {
            let remedy =
                "it has no such operator: fuse the activation into the layer before it, or use another profile";
            return Err(FormulaError::Refused { what: "RELU_N1_TO_1", profile: "tflm", remedy });
        }
        (TfliteProfile::Tflm, Activation::Relu6) => {
            (quantized(1.0)?, input.stage(TfliteProfile::Tflm, activation, element)?)
        }
        _ => (
            ratio(profile, &[input.scale], output.scale)?,
            output.stage(TfliteProfile::LitertOpt, activation, element)?,
        ),
    };
    let formula =
        Formula::FixedPoint(FixedPoint { channels: 1, multipliers: vec![multiplier], ties: TieRule::Away, output });
    Ok(TableFormula::Rescale(Rescale { input_zero_point: input.zero_point, formula }))
}

fn leaky(
    profile: TfliteProfile,
    alpha: f32,
    [input, output]: [TfliteTensorScale; 2],
    stage: OutputStage,
) -> Result<TableFormula, FormulaError> {
    if alpha != 0.0 {
        check_scale("slope", 0, alpha)?;
    }
    let input_zero_point = input.zero_point;
    let above = input.scale / output.scale;
    let below = above * alpha;
    if profile == TfliteProfile::Xnnpack && [above, below].iter().all(|ratio| DELEGATED_LEAKY.contains(ratio)) {
        let [positive, negative] = [above, below].map(|ratio| (256.0 * ratio).round_ties_even() as i64);
        return Ok(TableFormula::LeakyShift(LeakyShift { input_zero_point, positive, negative, output: stage }));
    }
    let multiplier = ratio(profile, &[input.scale, alpha], output.scale)?;
    Ok(TableFormula::PiecewiseRescale(PiecewiseRescale {
        input_zero_point,
        positive: ratio(profile, &[input.scale], output.scale)?,
        negative: vec![Slope { factor: 1, multiplier }],
        output: stage,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TfliteProfile::{LitertOpt, LitertRef, Tflm, Xnnpack};

    const BYTE: IntType = IntType::Signed(8);

    fn scale(scale: f32, zero_point: i64) -> TfliteTensorScale {
        TfliteTensorScale { scale, zero_point }
    }

    fn table(profile: TfliteProfile, operator: TfliteTable<'_>) -> TableFormula {
        TableFormula::tflite(profile, operator, scale(0.5, 2), scale(1.0, 1), BYTE).unwrap()
    }

    #[test]
    fn rectifiers_rescale_except_relu6_of_tflm() {
        for profile in [Tflm, LitertRef, LitertOpt, Xnnpack] {
            let relu = table(profile, TfliteTable::Relu);
            assert_eq!([-100, 2, 3, 5, 127].map(|x| relu.evaluate(0, x)), [1, 1, 2, 3, 64], "{profile:?}");
        }
        let relu6 = |profile| [-100, 10, 127].map(|x| table(profile, TfliteTable::Relu6).evaluate(0, x));
        assert_eq!(relu6(LitertRef), [1, 5, 7]);
        assert_eq!(relu6(Tflm), [2, 10, 14]);
        let error = TableFormula::tflite(Tflm, TfliteTable::ReluN1To1, scale(0.5, 2), scale(1.0, 1), BYTE).unwrap_err();
        assert!(error.to_string().contains("RELU_N1_TO_1") && error.to_string().contains("tflm"), "{error}");
    }

    #[test]
    fn leaky_ties_depend_on_the_profile() {
        // (x - 2) / 8 at -10 = -1.5.
        let at = |profile| table(profile, TfliteTable::LeakyRelu { alpha: 0.25 }).evaluate(0, -10);
        assert_eq!([Tflm, LitertRef, LitertOpt, Xnnpack].map(at), [-1, -1, -1, 0]);
        // Too flat a slope is left to LiteRT.
        let flat = table(Xnnpack, TfliteTable::LeakyRelu { alpha: 0.001 });
        assert!(matches!(flat, TableFormula::PiecewiseRescale(_)), "{flat}");
        for alpha in [-0.5, f32::NAN, f32::INFINITY] {
            let leaky = TfliteTable::LeakyRelu { alpha };
            assert!(TableFormula::tflite(Tflm, leaky, scale(0.5, 2), scale(1.0, 1), BYTE).is_err());
        }
    }

    #[test]
    fn every_channel_has_its_own_slope() {
        let prelu = table(Xnnpack, TfliteTable::Prelu { alpha: &[3, 5, -1], scale: scale(0.5, 1) });
        // (x - 2) * 0.5 * (alpha - 1) * 0.5 + 1 at -6.
        assert_eq!(prelu.channels(), 3);
        assert_eq!([0, 1, 2].map(|channel| prelu.evaluate(channel, -6)), [-3, -7, 5]);
        assert_eq!([0, 1, 2].map(|channel| prelu.evaluate(channel, 10)), [5, 5, 5]);
    }
}
