//! Any function of a raw number in a small range, by its values.

use crate::int_type::Range;
use crate::table::Table;
use serde::{Deserialize, Serialize};

/// `q = values[c][raw - lowest]`, or `values[0][raw - lowest]` where all channels share one function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookup {
    /// Output channels.
    pub channels: usize,
    /// Least raw number.
    pub lowest: i64,
    /// `[channel][raw - lowest]`; one list for all channels, or one for each, all of one length.
    pub values: Vec<Vec<i64>>,
}

impl Lookup {
    /// The form of a table over `channels` channels.
    pub(super) fn of(table: &Table, channels: usize) -> Self {
        Lookup { channels, lowest: table.lowest, values: table.values.clone() }
    }

    /// Whether all channels have the same function.
    pub fn is_shared(&self) -> bool {
        self.values.windows(2).all(|pair| pair[0] == pair[1])
    }

    /// Raw numbers that a channel has a value for.
    pub fn entries(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// The raw numbers of the table; none without entries.
    pub fn domain(&self) -> Option<Range> {
        let last = i64::try_from(self.entries()).ok()?.checked_sub(1).filter(|&last| last >= 0)?;
        Some(Range::new(self.lowest, self.lowest.checked_add(last)?))
    }

    /// The value of a raw number; none outside the table.
    pub fn get(&self, channel: usize, raw: i64) -> Option<i64> {
        let function = self.values.get(if self.values.len() == 1 { 0 } else { channel })?;
        function.get(usize::try_from(raw.checked_sub(self.lowest)?).ok()?).copied()
    }

    /// As [`Lookup::get`]; outside the table 0.
    pub(super) fn evaluate(&self, channel: usize, raw: i64) -> i64 {
        self.get(channel, raw).unwrap_or(0)
    }

    /// Channels `indices`, in that order.
    pub(super) fn select(&self, indices: &[usize]) -> Self {
        let values = match self.values.len() {
            1 => self.values.clone(),
            _ => indices.iter().map(|&index| self.values[index].clone()).collect(),
        };
        Lookup { channels: indices.len(), lowest: self.lowest, values }
    }
}
