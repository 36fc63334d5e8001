//! From a count of reached levels to the stored output.

use super::lane::{signed_word, stored, times_constant, working_bits, Field, LaneBuilder, Timed};
use systole_arith::IntType;

/// `q = base[c] + increment * count`, one adder and register unless the count is stored as it is.
#[derive(Clone, Debug)]
pub(crate) struct LevelSum {
    pub base: Field,
    pub increment: i64,
    pub output: IntType,
    /// Bits of the count.
    pub count_bits: u32,
}

impl LevelSum {
    /// Name of the field that [`LevelSum::base`] must have.
    pub const BASE: &'static str = "base";

    /// Whether the stored output is the count itself.
    fn is_wiring(&self) -> bool {
        let count_fits = self.count_bits <= self.output.bits();
        match self.output {
            IntType::Bipolar => count_fits && self.base.shared() == Some(-1) && self.increment == 2,
            _ => count_fits && self.base.shared() == Some(0) && self.increment == 1,
        }
    }

    /// Clock edges that it takes.
    pub fn latency(&self) -> u64 {
        u64::from(!self.is_wiring())
    }

    /// Adder bits.
    pub fn lut_cost(&self) -> u64 {
        if self.is_wiring() {
            0
        } else {
            u64::from(self.output.bits())
        }
    }

    /// Adds it to a lane; `count` is unsigned and read at `base.needed_at`.
    pub fn build(&self, lane: &mut LaneBuilder, count: &Timed) -> Timed {
        let time = self.base.needed_at;
        if self.is_wiring() {
            return count.view("level", |count| count.resize(self.output.bits()));
        }
        let count = lane.at(count, time);
        let bits = working_bits(self.output);
        let base = lane.field(Self::BASE);
        let base = signed_word(&lane.at(&base, time), bits);
        let sum = base.add(times_constant(&count, self.increment, bits));
        lane.register("level", sum, time).view("stored", |level| stored(level, self.output))
    }
}
