//! Few levels: compare with every threshold at once and count.

use super::interval::Interval;
use super::lane::{signed_bits, signed_word, Field, Lane, LaneBuilder, Timed};
use super::levels::LevelSum;
use crate::cells::Cells;
use crate::typed::{bit, uint, Expr};
use systole_arith::hardware::Thresholds;
use systole_arith::IntType;

/// ```text
///         +-> raw >= t[0] ^ sense --> reg --+
///  raw ---+-> raw >= t[1] ^ sense --> reg --+--> population --> reg --> base + increment * count --> reg --> q
///         +-> ...                           |    count
/// ```
///
/// The count takes no register where there is one threshold, the sum none where the count is the
/// output; `sense` exists only where channels fall.
///
/// *Latency* in cycles: memory read (none where all channels share the thresholds), 1 to compare,
/// 1 to count, 1 for the sum.
pub(crate) struct ThresholdsLane {
    levels: Vec<Field>,
    sense: Field,
    compare_at: u64,
    sum: LevelSum,
    raw: Interval,
}

/// Thresholds of every channel in ascending order and inside `raw` (its upper end plus one means
/// "never reached"), and whether each channel counts those that are not reached.
pub(crate) fn normalised(form: &Thresholds, raw: Interval) -> Vec<Vec<i64>> {
    let channel = |thresholds: &Vec<i64>| {
        let inside = |&t: &i64| i128::from(t).clamp(raw.lo, raw.hi + 1) as i64;
        let mut ascending: Vec<i64> = thresholds.iter().map(inside).collect();
        ascending.sort_unstable();
        ascending
    };
    form.thresholds.iter().map(channel).collect()
}

/// `raw >= threshold` for signed words.
pub(crate) fn reached(raw: &Expr, threshold: &Expr) -> Expr {
    let width = raw.ty().width.max(signed_bits(threshold.ty()));
    signed_word(raw, width).ge(signed_word(threshold, width))
}

impl ThresholdsLane {
    pub fn new(form: &Thresholds, raw_bits: u32, output: IntType, cells: &Cells) -> Self {
        let raw = Interval::of_signed(raw_bits);
        let thresholds = normalised(form, raw);
        let count = thresholds.first().map_or(0, Vec::len);
        let level = |k: usize| {
            let values = thresholds.iter().map(|channel| channel.get(k).copied().unwrap_or(raw.hi as i64 + 1));
            Field::new(format!("threshold_{k}"), values.collect(), 0)
        };
        let mut levels: Vec<Field> = (0..count).map(level).collect();
        let falling = form.falling.iter().map(|&falling| i64::from(falling)).collect();
        let mut sense = Field::new("sense", falling, 0);
        let constant = levels.iter().chain([&sense]).all(|field| field.shared().is_some());
        let compare_at = if constant { 0 } else { cells.memory_read_latency };
        levels.iter_mut().chain([&mut sense]).for_each(|field| field.needed_at = compare_at);

        let mut base = Field::new(LevelSum::BASE, form.base.clone(), compare_at);
        base.needed_at = compare_at + Self::edges_to_count(count);
        if base.shared().is_none() {
            base.needed_at = base.needed_at.max(cells.memory_read_latency);
        }
        let count_bits = uint_bits(count as u64);
        let sum = LevelSum { base, increment: form.increment, output, count_bits };
        ThresholdsLane { levels, sense, compare_at, sum, raw }
    }

    /// Clock edges from the comparison to the count.
    fn edges_to_count(thresholds: usize) -> u64 {
        match thresholds {
            0 => 0,
            1 => 1,
            _ => 2,
        }
    }
}

impl Lane for ThresholdsLane {
    fn describe(&self) -> String {
        let times = if self.sum.increment == 1 { String::new() } else { format!("{} * ", self.sum.increment) };
        format!("base + {times}count of the {} thresholds reached", self.levels.len())
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = self.levels.clone();
        fields.push(self.sense.clone());
        fields.push(self.sum.base.clone());
        fields
    }

    fn latency(&self) -> u64 {
        self.sum.base.needed_at + self.sum.latency()
    }

    fn lut_cost(&self) -> u64 {
        let compare = u64::from(self.raw.signed_bits());
        self.levels.len() as u64 * (compare + 1) + self.sum.lut_cost()
    }

    fn build(&self, lane: &mut LaneBuilder) -> Timed {
        let time = self.compare_at;
        let raw = lane.raw();
        let sense = lane.field(&self.sense.name);
        let mut bits = Vec::new();
        for level in &self.levels {
            let threshold = lane.field(&level.name);
            let mut hit = reached(&lane.at(&raw, time), &lane.at(&threshold, time));
            match self.sense.shared() {
                Some(0) => {}
                Some(_) => hit = hit.not(),
                None => hit = hit.xor(lane.at(&sense, time).bit(0)),
            }
            let name = level.name.replace("threshold", "hit");
            bits.push(lane.register(name, hit, time));
        }
        let words: Vec<Expr> = bits.iter().map(|hit| lane.at(hit, time + 1)).collect();
        let count = match (population(&words), bits.as_slice()) {
            (None, _) => Timed::constant(Expr::lit(bit(), 0)),
            (Some(_), [only]) => only.clone(),
            (Some(count), _) => lane.register("count", count, time + 1),
        };
        self.sum.build(lane, &count)
    }
}

/// How many of the one-bit words are set, as a balanced tree of adders; None of none.
fn population(bits: &[Expr]) -> Option<Expr> {
    match bits {
        [] => None,
        [only] => Some(only.clone()),
        _ => {
            let (left, right) = bits.split_at(bits.len() / 2);
            let width = uint_bits(bits.len() as u64);
            let (left, right) = (population(left)?, population(right)?);
            Some(left.resize(width).add(right.resize(width)))
        }
    }
}

/// Bits of an unsigned word that counts to `most`, at least 1.
pub(crate) fn uint_bits(most: u64) -> u32 {
    uint((64 - most.leading_zeros()).max(1)).width
}
