//! Requantization formulas exactly as the named runtimes compute them: the reference that every
//! derived form is held against.

mod activation;
mod error;
mod fixed_point;
mod float32;
mod float64;
mod ort;
mod ort_chain;
mod ort_pool;
mod qonnx;
mod qonnx_channel;
mod tflite;
mod tflite_mean;
mod tflite_pool;

pub use activation::Activation;
pub use error::FormulaError;
pub use fixed_point::{FixedPoint, TieRule};
pub use float32::Float32;
pub use float64::Float64;
pub use ort::{OrtQuantization, OrtScales};
pub use ort_chain::{FloatChain, FloatChainChannel, FloatOp};
pub use ort_pool::{AveragePoolClass, OrtAveragePool};
pub use qonnx::{Qonnx, Quantizer, RealOp};
pub use tflite::{TfliteOperator, TfliteProfile, TfliteScales, TfliteTensorScale};
pub use tflite_mean::{MeanRescale, TfliteMean, TfliteMeanChannel, TfliteMeanShape};
pub use tflite_pool::{TfliteAveragePool, TflitePoolClass};

pub(crate) use fixed_point::rescale as rescale_fixed_point;
pub(crate) use ort::check_scale;
pub(crate) use ort_chain::quantize;
pub(crate) use tflite::quantized;

use crate::int_type::IntType;
use crate::rounding::QuantizedMultiplier;
use crate::step::Direction;
use qonnx_channel::QonnxChannel;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a profile computes from an accumulator: one function of one integer a channel.
///
/// Every formula is monotone in the accumulator: each is a composition of multiplications by a
/// constant, additions of a constant, roundings (float32 and float64 operations round monotonically
/// too), clamps and saturations, all of which preserve or reverse order.
///
/// A formula read from a file must pass [`Formula::validate`] before it is evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "formula", rename_all = "snake_case")]
pub enum Formula {
    /// The accumulator itself leaves.
    Identity {
        /// Output channels.
        channels: usize,
    },
    /// Integer multiplication and shift (`tflm`, `litert-opt`, convolutions of `litert-ref`).
    FixedPoint(FixedPoint),
    /// One float64 multiplication (fully connected of `litert-ref`).
    Float64(Float64),
    /// One float32 multiplication (`xnnpack`, `ort`).
    Float32(Float32),
    /// Several float32 operations and a quantizer (`ort`, behind ConvInteger and MatMulInteger).
    FloatChain(FloatChain),
    /// A float32 mean; channels are count classes (`ort`).
    OrtAveragePool(OrtAveragePool),
    /// An integer mean of the real taps of a window; channels are count classes (TensorFlow Lite).
    TfliteAveragePool(TfliteAveragePool),
    /// A rescaled sum (MEAN of TensorFlow Lite).
    TfliteMean(TfliteMean),
    /// Exact real operations and a quantizer (`qonnx`).
    Qonnx(Qonnx),
}

impl Formula {
    /// Output channels.
    pub fn channels(&self) -> usize {
        match self {
            Formula::Identity { channels } => *channels,
            Formula::FixedPoint(formula) => formula.channels,
            Formula::Float64(formula) => formula.channels,
            Formula::Float32(formula) => formula.channels,
            Formula::FloatChain(formula) => formula.channels,
            Formula::OrtAveragePool(formula) => formula.divisors.len(),
            Formula::TfliteAveragePool(formula) => formula.counts.len(),
            Formula::TfliteMean(formula) => formula.channels,
            Formula::Qonnx(formula) => formula.channels,
        }
    }

    /// Type of the result; none for the identity, whose type follows from the accumulators.
    pub fn output_type(&self) -> Option<IntType> {
        match self {
            Formula::Identity { .. } => None,
            Formula::FixedPoint(formula) => Some(formula.output.element),
            Formula::Float64(formula) => Some(formula.output.element),
            Formula::Float32(formula) => Some(formula.output.element),
            Formula::FloatChain(formula) => Some(formula.output.element),
            Formula::OrtAveragePool(formula) => Some(formula.output.element),
            Formula::TfliteAveragePool(formula) => Some(formula.output.element),
            Formula::TfliteMean(formula) => Some(formula.output.element),
            Formula::Qonnx(formula) => Some(formula.output),
        }
    }

    /// Whether a channel's result rises or falls with the accumulator; rising where it is constant.
    /// `channel` must be below [`Formula::channels`].
    pub fn direction(&self, channel: usize) -> Direction {
        match self {
            Formula::FloatChain(formula) => formula.direction(channel),
            Formula::Qonnx(formula) => formula.direction(channel),
            _ => Direction::Rising,
        }
    }

    /// The result of an accumulator, by the profile's own formula. `channel` must be below
    /// [`Formula::channels`] and the formula valid.
    ///
    /// For many accumulators of one channel, [`Formula::channel`] is faster for `qonnx`.
    pub fn evaluate(&self, channel: usize, acc: i64) -> i64 {
        self.channel(channel).evaluate(acc)
    }

    /// One channel's function, prepared for repeated evaluation. `channel` must be below
    /// [`Formula::channels`] and the formula valid.
    pub fn channel(&self, channel: usize) -> ChannelFormula {
        match self {
            Formula::Identity { .. } => ChannelFormula::Identity,
            Formula::FixedPoint(formula) => ChannelFormula::FixedPoint {
                multiplier: *pick(&formula.multipliers, channel),
                ties: formula.ties.of_channel(channel, formula.channels),
                output: formula.output,
            },
            Formula::Float64(formula) => {
                ChannelFormula::Float64 { multiplier: *pick(&formula.multipliers, channel), output: formula.output }
            }
            Formula::Float32(formula) => {
                ChannelFormula::Float32 { scale: *pick(&formula.scales, channel), output: formula.output }
            }
            Formula::FloatChain(formula) => ChannelFormula::FloatChain(formula.channel(channel)),
            Formula::OrtAveragePool(formula) => ChannelFormula::OrtAveragePool(formula.class(channel)),
            Formula::TfliteAveragePool(formula) => ChannelFormula::TfliteAveragePool(formula.class(channel)),
            Formula::TfliteMean(formula) => ChannelFormula::TfliteMean(formula.channel(channel)),
            Formula::Qonnx(formula) => ChannelFormula::Qonnx(Box::new(QonnxChannel::new(formula, channel))),
        }
    }

    /// Checks what the constructors guarantee, for formulas that come from a file.
    ///
    /// # Errors
    /// If a list has neither one entry nor one a channel, or a number is out of its range.
    pub fn validate(&self) -> Result<(), FormulaError> {
        if self.channels() == 0 {
            return Err(FormulaError::NoChannels);
        }
        match self {
            Formula::Identity { .. } => Ok(()),
            Formula::FixedPoint(formula) => formula.validate(),
            Formula::Float64(formula) => formula.validate(),
            Formula::Float32(formula) => formula.validate(),
            Formula::FloatChain(formula) => formula.validate(),
            Formula::OrtAveragePool(formula) => formula.validate(),
            Formula::TfliteAveragePool(formula) => formula.validate(),
            Formula::TfliteMean(formula) => formula.validate(),
            Formula::Qonnx(formula) => formula.validate(),
        }
    }

    /// Greatest magnitude of a channel's accumulator for which the runtime's own 32-bit registers do
    /// not wrap; none for formulas without such a limit. Beyond it the runtimes' results are
    /// accidents of wrapping and we compute what the formula means (see
    /// [`QuantizedMultiplier::shifted_left`]).
    pub fn defined_limit(&self, channel: usize) -> Option<i64> {
        match self {
            Formula::FixedPoint(formula) => Some(pick(&formula.multipliers, channel).defined_limit()),
            Formula::TfliteMean(formula) => Some(formula.defined_limit()),
            Formula::Float64(_)
            | Formula::Float32(_)
            | Formula::FloatChain(_)
            | Formula::OrtAveragePool(_)
            | Formula::TfliteAveragePool(_) => Some(i64::from(i32::MAX)),
            Formula::Identity { .. } | Formula::Qonnx(_) => None,
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Formula::Identity { channels } => write!(f, "identity, {channels} channels"),
            Formula::FixedPoint(formula) => formula.fmt(f),
            Formula::Float64(formula) => formula.fmt(f),
            Formula::Float32(formula) => formula.fmt(f),
            Formula::FloatChain(formula) => formula.fmt(f),
            Formula::OrtAveragePool(formula) => formula.fmt(f),
            Formula::TfliteAveragePool(formula) => formula.fmt(f),
            Formula::TfliteMean(formula) => formula.fmt(f),
            Formula::Qonnx(formula) => formula.fmt(f),
        }
    }
}

/// One channel of a [`Formula`], prepared for repeated evaluation.
#[derive(Clone, Debug)]
pub enum ChannelFormula {
    /// The accumulator.
    Identity,
    /// See [`FixedPoint`].
    FixedPoint {
        /// The channel's multiplier.
        multiplier: QuantizedMultiplier,
        /// Rounding of the second shift.
        ties: TieRule,
        /// Zero point and clamp.
        output: OutputStage,
    },
    /// See [`Float64`].
    Float64 {
        /// The channel's multiplier.
        multiplier: f64,
        /// Zero point and clamp.
        output: OutputStage,
    },
    /// See [`Float32`].
    Float32 {
        /// The channel's scale.
        scale: f32,
        /// Zero point and clamp.
        output: OutputStage,
    },
    /// See [`FloatChain`].
    FloatChain(FloatChainChannel),
    /// See [`OrtAveragePool`].
    OrtAveragePool(AveragePoolClass),
    /// See [`TfliteAveragePool`].
    TfliteAveragePool(TflitePoolClass),
    /// See [`TfliteMean`].
    TfliteMean(TfliteMeanChannel),
    /// See [`Qonnx`].
    Qonnx(Box<QonnxChannel>),
}

impl ChannelFormula {
    /// The result of an accumulator.
    #[inline]
    pub fn evaluate(&self, acc: i64) -> i64 {
        match self {
            ChannelFormula::Identity => acc,
            ChannelFormula::FixedPoint { multiplier, ties, output } => {
                output.finish(fixed_point::rescale(*multiplier, *ties, acc))
            }
            ChannelFormula::Float64 { multiplier, output } => output.finish(float64::rescale(*multiplier, acc)),
            ChannelFormula::Float32 { scale, output } => output.finish(float32::rescale(*scale, acc)),
            ChannelFormula::FloatChain(channel) => channel.evaluate(acc),
            ChannelFormula::OrtAveragePool(class) => class.evaluate(acc),
            ChannelFormula::TfliteAveragePool(class) => class.evaluate(acc),
            ChannelFormula::TfliteMean(channel) => channel.evaluate(acc),
            ChannelFormula::Qonnx(channel) => channel.evaluate(acc),
        }
    }

    /// Levels an accumulator step adds where nothing clamps: a hint for searches, not exact.
    pub fn slope(&self) -> f64 {
        match self {
            ChannelFormula::Identity => 1.0,
            ChannelFormula::FixedPoint { multiplier, .. } => multiplier.real(),
            ChannelFormula::Float64 { multiplier, .. } => *multiplier,
            ChannelFormula::Float32 { scale, .. } => f64::from(*scale),
            ChannelFormula::FloatChain(channel) => channel.slope(),
            ChannelFormula::OrtAveragePool(class) => class.slope(),
            ChannelFormula::TfliteAveragePool(class) => class.slope(),
            ChannelFormula::TfliteMean(channel) => channel.slope(),
            ChannelFormula::Qonnx(channel) => channel.slope(),
        }
    }
}

/// What follows the rescaling: the zero point is added, then the clamp applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputStage {
    /// Stored value that stands for 0.
    pub zero_point: i64,
    /// Least result: the type's, raised by a fused activation.
    pub lo: i64,
    /// Greatest result: the type's, lowered by a fused activation.
    pub hi: i64,
    /// Type of the result.
    pub element: IntType,
}

impl OutputStage {
    /// The stage of an output type with a fused activation's bounds.
    ///
    /// # Errors
    /// If the zero point or a bound lies outside the type.
    pub fn new(element: IntType, zero_point: i64, lo: i64, hi: i64) -> Result<Self, FormulaError> {
        let stage = OutputStage { zero_point, lo, hi, element };
        stage.validate().map(|()| stage)
    }

    pub(crate) fn validate(&self) -> Result<(), FormulaError> {
        let range = self.element.checked_range().ok_or(FormulaError::OutputType(self.element))?;
        if !range.contains(self.zero_point) {
            return Err(FormulaError::ZeroPoint { zero_point: self.zero_point, element: self.element });
        }
        if self.lo > self.hi || !range.contains(self.lo) || !range.contains(self.hi) {
            return Err(FormulaError::Clamp { lo: self.lo, hi: self.hi, element: self.element });
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn finish(self, rescaled: i64) -> i64 {
        self.saturate(rescaled.saturating_add(self.zero_point))
    }

    /// The clamp alone, for results that hold the zero point already.
    #[inline]
    pub(crate) fn saturate(self, result: i64) -> i64 {
        result.clamp(self.lo, self.hi)
    }
}

impl fmt::Display for OutputStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zero point {}, clamp [{}, {}] -> {}", self.zero_point, self.lo, self.hi, self.element)
    }
}

/// A channel's entry of a list that has one for each channel or one for all.
fn pick<T>(values: &[T], channel: usize) -> &T {
    &values[if values.len() == 1 { 0 } else { channel }]
}

/// Checks that a list has one entry for all channels or one for each.
fn check_length(what: &'static str, length: usize, channels: usize) -> Result<(), FormulaError> {
    if length == 1 || (length == channels && channels > 0) {
        Ok(())
    } else {
        Err(FormulaError::Length { what, length, channels })
    }
}

/// `least..greatest` of some numbers, or the number where all are equal, for one-line displays.
fn spread(values: impl Iterator<Item = f64> + Clone) -> String {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let greatest = values.fold(f64::NEG_INFINITY, f64::max);
    if least == greatest {
        format!("{least:e}")
    } else {
        format!("{least:e}..{greatest:e}")
    }
}
