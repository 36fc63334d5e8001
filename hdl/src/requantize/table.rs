//! Any function of a small raw number: one memory a lane.

use super::lane::{Lane, LaneBuilder, Level, Timed};
use crate::cells::Cells;
use crate::memory::{RomSpec, RomStyle};
use crate::typed::{uint, Expr};
use systole_arith::hardware::Lookup;
use systole_arith::IntType;

/// Bits that a look-up table of current FPGA families stores.
const LOOK_UP_TABLE_BITS: u64 = 64;

/// ```text
///  raw, low bits --+--> table --> q
///  beat -----------+    (only where channels differ)
/// ```
///
/// The address is the raw number modulo a power of two that holds the table, so that nothing is
/// subtracted: the memory begins wherever `lowest` happens to fall. Raw numbers outside the table give 0.
///
/// *Latency* in cycles: the memory read.
pub(crate) struct TableLane {
    form: Lookup,
    raw_bits: u32,
    output: IntType,
    level: Level,
    style: RomStyle,
    read_latency: u64,
}

impl TableLane {
    pub fn new(form: &Lookup, raw_bits: u32, output: IntType, cells: &Cells) -> Self {
        let entries = form.entries().max(1);
        let index_bits = (usize::BITS - (entries - 1).leading_zeros()).min(raw_bits);
        let level = Level {
            table: "table".into(),
            word: "word",
            index_bits,
            ty: uint(output.bits()),
            address_at: 0,
            by_beat: !form.is_shared(),
        };
        TableLane {
            form: form.clone(),
            raw_bits,
            output,
            level,
            style: RomSpec::style_for(1 << index_bits, output.bits(), cells),
            read_latency: cells.memory_read_latency,
        }
    }

    /// The raw number of the table, or else of the raw word, with `index` as its low bits.
    fn raw(&self, index: usize) -> i64 {
        let bits = self.level.index_bits;
        if bits == self.raw_bits {
            return IntType::Signed(bits).decode(index as u64);
        }
        let distance = i128::from(index as u64) - i128::from(self.form.lowest);
        self.form.lowest.saturating_add(distance.rem_euclid(1 << bits) as i64)
    }
}

impl Lane for TableLane {
    fn describe(&self) -> String {
        let whose = if self.level.by_beat { "a channel" } else { "for all channels" };
        format!("table of {} entries {whose}, from {} on", self.form.entries(), self.form.lowest)
    }

    fn fields(&self) -> Vec<super::lane::Field> {
        Vec::new()
    }

    fn levels(&self) -> Vec<Level> {
        vec![self.level.clone()]
    }

    fn level_word(&self, _level: usize, channel: usize, index: usize) -> i64 {
        let value = self.form.get(channel, self.raw(index)).filter(|&value| self.output.contains(value));
        value.map_or(0, |value| self.output.encode(value) as i64)
    }

    fn latency(&self) -> u64 {
        self.read_latency
    }

    fn lut_cost(&self) -> u64 {
        match self.style {
            RomStyle::Block => 0,
            RomStyle::Distributed => {
                (u64::from(self.output.bits()) << self.level.index_bits).div_ceil(LOOK_UP_TABLE_BITS)
            }
        }
    }

    fn build(&self, lane: &mut LaneBuilder) -> Timed {
        if self.level.index_bits > 0 {
            let raw: Expr = lane.at(&lane.raw(), self.level.address_at);
            lane.output(&Level::index_port(0), &raw.slice(0, self.level.index_bits));
        }
        lane.input(&self.level.word_port(0), self.level.ty, self.read_latency)
    }
}
