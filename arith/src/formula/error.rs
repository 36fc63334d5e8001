//! What can be wrong with a requantization.

use crate::int_type::IntType;
use thiserror::Error;

/// Why a formula cannot be made or is not valid. The caller adds the node's name.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FormulaError {
    /// A scale that is not a positive, finite number.
    #[error("{what} scale {value} (entry {index}) is not a positive finite number; quantize the model again")]
    Scale {
        /// Whose scale.
        what: &'static str,
        /// Entry of the list.
        index: usize,
        /// The scale.
        value: f64,
    },
    /// The combined multiplier leaves what the runtime accepts.
    #[error(
        "channel {channel}: multiplier {value} is not below {limit}, the runtime's limit; use a larger output scale"
    )]
    Multiplier {
        /// Entry of the list.
        channel: usize,
        /// Product of the input scales over the output's.
        value: f64,
        /// First value that is refused.
        limit: f64,
    },
    /// A list of the wrong length.
    #[error("{length} {what} for {channels} channels; give 1 or {channels}")]
    Length {
        /// What the list holds.
        what: &'static str,
        /// Its length.
        length: usize,
        /// Channels of the output.
        channels: usize,
    },
    /// No output channel.
    #[error("a requantization of no channels; give at least one")]
    NoChannels,
    /// An output type that no runtime requantizes to.
    #[error("output type {0} is not an integer type of 1 to 32 bits; use a narrower one")]
    OutputType(IntType),
    /// A zero point outside the output type.
    #[error("zero point {zero_point} is not a value of {element}; quantize the model again")]
    ZeroPoint {
        /// The zero point.
        zero_point: i64,
        /// The output type.
        element: IntType,
    },
    /// Clamp bounds that are empty or outside the output type.
    #[error("clamp [{lo}, {hi}] is empty or leaves {element}; check the quantizer's width")]
    Clamp {
        /// Least value.
        lo: i64,
        /// Greatest value.
        hi: i64,
        /// The output type.
        element: IntType,
    },
    /// A fixed-point multiplier outside its normal form.
    #[error("entry {index}: multiplier {multiplier} with shift {shift} is not normal; compile the model again")]
    FixedPoint {
        /// Entry of the list.
        index: usize,
        /// The mantissa.
        multiplier: i32,
        /// The shift.
        shift: i32,
    },
    /// Results that wrap in a runtime's lanes.
    #[error(
        "results reach {reach} before the clamp and wrap in the runtime's {bits}-bit lanes; use a larger output scale or \
         another profile"
    )]
    Lanes {
        /// The greatest result in magnitude.
        reach: i64,
        /// Bits of a lane.
        bits: u32,
    },
    /// Something that the runtime of a profile refuses.
    #[error("{what} is refused by the runtime of profile {profile}; {remedy}")]
    Refused {
        /// What.
        what: &'static str,
        /// Name of the profile.
        profile: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A variance that is not positive.
    #[error(
        "channel {channel}: the root of {value} is not positive; check variance and epsilon of the batch normalisation"
    )]
    Radicand {
        /// Output channel.
        channel: usize,
        /// Variance plus epsilon.
        value: String,
    },
    /// Two roots whose ratio is irrational in one chain.
    #[error(
        "channel {channel}: divisions by sqrt({first}) and sqrt({second}) stand between two quantizers, which cannot \
         be decided exactly; fold one batch normalisation into the layer before it, or quantize between them"
    )]
    TwoRoots {
        /// Output channel.
        channel: usize,
        /// First radicand.
        first: String,
        /// A radicand that does not merge with it.
        second: String,
    },
}
