//! Multiply, add, shift, clamp.

use crate::int_type::Range;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How [`Affine`] rounds the shifted sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftRounding {
    /// `v >> s`: toward minus infinity; rounding constants are inside the biases.
    Floor,
    /// `(v + 2^(s-1) - 1 + bit s of v) >> s`: to nearest, ties to even. `s` is at least 1.
    HalfEven,
}

/// `q = clamp(round((raw * M[c] + (raw < pivot[c] ? B_neg[c] : B_pos[c])) / 2^shift), clamp) + corrections`.
///
/// A correction adds `delta` where `raw == at`, after the clamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// Multiplier a channel (negative on falling channels, 0 on constant ones).
    pub multipliers: Vec<i64>,
    /// Raw accumulator from which on `bias_positive` holds, one a channel: where the formula's own
    /// accumulator turns from negative to zero.
    pub pivot: Vec<i64>,
    /// Bias of raw accumulators below the pivot, one a channel.
    pub bias_negative: Vec<i64>,
    /// Bias of the others, one a channel; equal to `bias_negative` where one bias is enough.
    pub bias_positive: Vec<i64>,
    /// Common right shift in bits, 0 to 62.
    pub shift: u32,
    /// Rounding of the shift.
    pub rounding: ShiftRounding,
    /// Output interval `(lo, hi)` that results are clamped to.
    pub clamp: (i64, i64),
    /// `corrections[c]`: short list of exceptional accumulators.
    pub corrections: Vec<Vec<Correction>>,
}

/// One exceptional accumulator of an [`Affine`] channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Raw accumulator.
    pub at: i64,
    /// What to add to the affine result there: +1 or -1.
    pub delta: i64,
}

impl Affine {
    /// The result without corrections.
    pub(super) fn uncorrected(&self, channel: usize, raw: i64) -> i64 {
        let biases = if raw < self.pivot[channel] { &self.bias_negative } else { &self.bias_positive };
        let sum = i128::from(raw) * i128::from(self.multipliers[channel]) + i128::from(biases[channel]);
        let rounded = match self.rounding {
            // Nothing is cut off by a shift of 0, so there is nothing to round.
            ShiftRounding::HalfEven if self.shift > 0 => sum + (1i128 << self.shift >> 1) - 1 + (sum >> self.shift & 1),
            ShiftRounding::Floor | ShiftRounding::HalfEven => sum,
        };
        (rounded >> self.shift).clamp(self.clamp.0.into(), self.clamp.1.into()) as i64
    }

    pub(super) fn evaluate(&self, channel: usize, raw: i64) -> i64 {
        let matching = self.corrections[channel].iter().filter(|correction| correction.at == raw);
        matching.fold(self.uncorrected(channel, raw), |value, correction| value.saturating_add(correction.delta))
    }

    /// Whether any channel's biases differ, so that hardware must choose between them.
    pub fn has_two_biases(&self) -> bool {
        self.bias_negative != self.bias_positive
    }

    /// The most corrections that a channel has.
    pub fn correction_count(&self) -> usize {
        self.corrections.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Bits of the widest multiplier as two's complement.
    pub fn multiplier_bits(&self) -> u32 {
        signed_bits(&self.multipliers)
    }

    /// Bits of the widest bias as two's complement.
    pub fn bias_bits(&self) -> u32 {
        signed_bits(&self.bias_negative).max(signed_bits(&self.bias_positive))
    }

    /// The products `raw * M[channel]` over raw accumulators; none if they leave 64 bits.
    pub fn product_range(&self, channel: usize, raw: Range) -> Option<Range> {
        let multiplier = self.multipliers[channel];
        let (a, b) = (raw.lo.checked_mul(multiplier)?, raw.hi.checked_mul(multiplier)?);
        Some(Range::new(a.min(b), a.max(b)))
    }

    /// The sums `raw * M + B` over raw accumulators; none if they leave 64 bits.
    pub fn sum_range(&self, channel: usize, raw: Range) -> Option<Range> {
        let Range { lo, hi } = self.product_range(channel, raw)?;
        let (a, b) = (self.bias_negative[channel], self.bias_positive[channel]);
        Some(Range::new(lo.checked_add(a.min(b))?, hi.checked_add(a.max(b))?))
    }
}

fn signed_bits(values: &[i64]) -> u32 {
    values.iter().map(|&value| Range::point(value).signed_bits()).max().unwrap_or(1)
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "affine, multiplier {} bits, bias {} bits", self.multiplier_bits(), self.bias_bits())?;
        if self.has_two_biases() {
            write!(f, " by sign")?;
        }
        let rounding = if self.rounding == ShiftRounding::Floor { "" } else { " half to even" };
        write!(f, ", shift {}{rounding}, clamp [{}, {}]", self.shift, self.clamp.0, self.clamp.1)?;
        match self.correction_count() {
            0 => Ok(()),
            count => write!(f, ", {count} corrections"),
        }
    }
}
