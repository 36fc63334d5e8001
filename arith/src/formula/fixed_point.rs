//! Requantization by an integer multiplier and a shift.

use super::{check_length, spread, FormulaError, OutputStage};
use crate::rounding::{
    rounding_divide_by_power_of_two, saturating_rounding_doubling_high_mul, shift_ties_up, QuantizedMultiplier,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where ties of the second rounding go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieRule {
    /// Away from zero: gemmlowp's two roundings (`tflm`, `litert-ref`).
    Away,
    /// Toward plus infinity (`litert-opt`).
    Up,
    /// Toward plus infinity in whole blocks of so many channels, away from zero in the rest: what the
    /// vector loops of `litert-opt` and their scalar remainders do.
    UpInBlocks(u32),
}

impl TieRule {
    /// The rule of one of `channels` channels: `Away` or `Up`.
    pub(super) fn of_channel(self, channel: usize, channels: usize) -> TieRule {
        match self {
            TieRule::UpInBlocks(block) => {
                let block = (block as usize).max(1);
                if channel < channels - channels % block {
                    TieRule::Up
                } else {
                    TieRule::Away
                }
            }
            rule => rule,
        }
    }
}

impl fmt::Display for TieRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TieRule::Away => f.write_str("ties away"),
            TieRule::Up => f.write_str("ties up"),
            TieRule::UpInBlocks(block) => write!(f, "ties up in blocks of {block} channels"),
        }
    }
}

/// `clamp(shift(high_mul(acc << max(s, 0), m), max(-s, 0)) + zero_point)`: a high multiply that
/// rounds, then a shift that rounds again.
///
/// Source: `MultiplyByQuantizedMultiplier` of TensorFlow Lite; the runtimes' 32-bit left shift is
/// saturated here, see [`QuantizedMultiplier::shifted_left`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FixedPoint {
    /// Output channels.
    pub channels: usize,
    /// One for all channels or one for each.
    pub multipliers: Vec<QuantizedMultiplier>,
    /// Rounding of the second shift.
    pub ties: TieRule,
    /// Zero point and clamp.
    pub output: OutputStage,
}

impl FixedPoint {
    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        check_length("multipliers", self.multipliers.len(), self.channels)?;
        for (index, &QuantizedMultiplier { multiplier, shift }) in self.multipliers.iter().enumerate() {
            let normal = multiplier >= 1 << 30 && (-31..=30).contains(&shift);
            if !normal && (multiplier, shift) != (0, 0) {
                return Err(FormulaError::FixedPoint { index, multiplier, shift });
            }
        }
        self.output.validate()
    }
}

/// The rescaled accumulator, before zero point and clamp; `ties` is the rule of the channel.
#[inline]
pub(crate) fn rescale(multiplier: QuantizedMultiplier, ties: TieRule, acc: i64) -> i64 {
    let high = saturating_rounding_doubling_high_mul(multiplier.shifted_left(acc), multiplier.multiplier.into());
    let right = (-multiplier.shift).max(0) as u32;
    match ties {
        TieRule::Away => rounding_divide_by_power_of_two(high, right),
        TieRule::Up | TieRule::UpInBlocks(_) => shift_ties_up(high, right),
    }
}

impl fmt::Display for FixedPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ties = self.ties;
        let multipliers = spread(self.multipliers.iter().map(|m| m.real()));
        write!(f, "fixed point, {ties}, {} channels, x {multipliers}, {}", self.channels, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_rounding_takes_negative_ties_by_its_rule() {
        // Times 1/4: the high multiply is exact, -6 / 4 = -1.5.
        let quarter = QuantizedMultiplier::new(0.25).unwrap();
        assert_eq!(rescale(quarter, TieRule::Away, -6), -2);
        assert_eq!(rescale(quarter, TieRule::Up, -6), -1);
        assert_eq!(rescale(quarter, TieRule::Away, 6), 2);
    }

    #[test]
    fn only_whole_blocks_of_channels_take_ties_up() {
        let rules: Vec<_> = (0..11).map(|channel| TieRule::UpInBlocks(8).of_channel(channel, 11)).collect();
        assert_eq!(rules[..8], [TieRule::Up; 8]);
        assert_eq!(rules[8..], [TieRule::Away; 3]);
        assert_eq!(TieRule::UpInBlocks(8).of_channel(0, 7), TieRule::Away);
        assert_eq!(TieRule::UpInBlocks(0).of_channel(0, 7), TieRule::Up);
    }

    #[test]
    fn a_left_shift_that_leaves_32_bits_saturates() {
        let large = QuantizedMultiplier::new(1e6).unwrap();
        // The mantissa of 10^6 is 0.954 of the saturated 2^31 - 1.
        assert_eq!(rescale(large, TieRule::Away, 1 << 30), 2_047_999_999);
        assert_eq!(rescale(large, TieRule::Away, -(1 << 30)), -2_048_000_000);
    }

    #[test]
    fn a_vanishing_multiplier_gives_zero() {
        let tiny = QuantizedMultiplier::new(1e-12).unwrap();
        assert_eq!(rescale(tiny, TieRule::Away, i64::from(i32::MIN)), 0);
    }
}
