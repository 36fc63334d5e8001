//! The accumulator itself as output: `q = stride * raw + offset[c]`.

use super::lane::{signed_word, stored, times_constant, working_bits, Field, Lane, LaneBuilder, Timed};
use crate::cells::Cells;
use crate::typed::Expr;
use systole_arith::hardware::Linear;
use systole_arith::IntType;

/// ```text
///  raw --> * stride --> + offset --> register --> q
/// ```
///
/// Wires alone where the stride is 1 and every offset 0.
///
/// *Latency* in cycles: memory read (none where all channels share the offset) and 1 for the sum.
pub(crate) struct LinearLane {
    stride: i64,
    offset: Field,
    output: IntType,
}

impl LinearLane {
    pub fn new(form: &Linear, output: IntType, cells: &Cells) -> Self {
        let mut offset = Field::new("offset", form.offsets.clone(), 0);
        if offset.shared().is_none() {
            offset.needed_at = cells.memory_read_latency;
        }
        LinearLane { stride: form.stride, offset, output }
    }

    fn is_wiring(&self) -> bool {
        self.stride == 1 && self.offset.shared() == Some(0) && self.output != IntType::Bipolar
    }
}

impl Lane for LinearLane {
    fn describe(&self) -> String {
        format!("q = {} * raw + offset", self.stride)
    }

    fn fields(&self) -> Vec<Field> {
        vec![self.offset.clone()]
    }

    fn latency(&self) -> u64 {
        if self.is_wiring() {
            0
        } else {
            self.offset.needed_at + 1
        }
    }

    fn lut_cost(&self) -> u64 {
        if self.is_wiring() {
            0
        } else {
            u64::from(self.output.bits())
        }
    }

    fn wiring(&self, raw: &Expr) -> Option<Expr> {
        self.is_wiring().then(|| raw.resize(self.output.bits()).as_unsigned())
    }

    fn build(&self, lane: &mut LaneBuilder) -> Timed {
        let time = self.offset.needed_at;
        let bits = working_bits(self.output);
        let raw = lane.raw();
        let scaled = times_constant(&lane.at(&raw, time), self.stride, bits);
        let offset = lane.field(&self.offset.name);
        let sum = scaled.add(signed_word(&lane.at(&offset, time), bits));
        lane.register("sum", sum, time).view("stored", |sum| stored(sum, self.output))
    }
}
