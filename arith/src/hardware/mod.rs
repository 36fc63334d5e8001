//! Hardware forms of a [`Step`](crate::Step), each exact by certificate over the reachable accumulators.

use serde::{Deserialize, Serialize};

/// How hardware computes a stage's outputs from its raw accumulators, exactly.
///
/// *Raw* accumulators are what the multiply-accumulate core holds: the sum of stored inputs times
/// stored weights, without zero points and bias (for XNOR stages the count of agreeing bits).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Requantizer {
    /// `q = stride * raw + offset[c]`: the accumulator itself leaves the chip. `stride` is 1 or 2.
    Linear(Linear),
    /// Compare with every threshold: outputs of at most 4 bits.
    Thresholds(Thresholds),
    /// Multiply, add, shift, clamp, with an optional short list of corrections.
    Affine(Affine),
    /// Pipelined binary search over a channel's thresholds: always possible.
    Search(Thresholds),
}

/// `q = stride * raw + offsets[c]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// 1, or 2 for an XNOR popcount.
    pub stride: i64,
    /// One a channel.
    pub offsets: Vec<i64>,
}

/// Threshold form: `q[c] = base[c] + increment * #{k : raw >= t[c][k]}` when not `falling[c]`, and
/// `q[c] = base[c] + increment * #{k : raw < t[c][k]}` when falling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Distance of levels (2 for bipolar).
    pub increment: i64,
    /// Least output a channel.
    pub base: Vec<i64>,
    /// Sense a channel.
    pub falling: Vec<bool>,
    /// Ascending thresholds, `[channel][level]`; every channel has the same number: channels with
    /// fewer are filled so that the filling never counts.
    pub thresholds: Vec<Vec<i64>>,
}

/// How [`Affine`] rounds the shifted sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShiftRounding {
    /// `v >> s`: toward minus infinity; rounding constants are inside the biases.
    Floor,
    /// `(v + 2^(s-1) - 1 + bit s of v) >> s`: to nearest, ties to even.
    HalfEven,
}

/// `q = clamp(round((raw * M[c] + (raw < 0 ? B_neg[c] : B_pos[c])) >> shift), clamp) + corrections`.
///
/// A correction adds `delta` where `raw == at`, after the clamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// Multiplier a channel (negative on falling channels).
    pub multipliers: Vec<i64>,
    /// Raw accumulator from which `bias_positive` holds, one a channel.
    pub pivot: Vec<i64>,
    /// Bias of accumulators below the pivot, one a channel.
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
