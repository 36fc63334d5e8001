//! The accumulator itself.

use serde::{Deserialize, Serialize};

/// `q = stride * raw + offsets[c]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// 1, or 2 for an XNOR popcount.
    pub stride: i64,
    /// One a channel.
    pub offsets: Vec<i64>,
}

impl Linear {
    pub(super) fn evaluate(&self, channel: usize, raw: i64) -> i64 {
        let exact = i128::from(self.stride) * i128::from(raw) + i128::from(self.offsets[channel]);
        exact.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}
