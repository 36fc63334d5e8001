//! Many levels without an affine form: pipelined binary search over a channel's thresholds.

use super::interval::Interval;
use super::lane::{field_type, Field, Lane, LaneBuilder, Level, Timed};
use super::levels::LevelSum;
use super::thresholds::{normalised, reached};
use crate::cells::Cells;
use crate::typed::{bit, Expr};
use systole_arith::hardware::Thresholds;
use systole_arith::IntType;

/// ```text
///            level 0            level 1                     level L-1
///  raw --+-> raw >= t[mid] -+-> raw >= t[quarter] -+- ... --> raw >= t[i] --> base ± increment * index --> q
///        |        ^         |         ^            |              ^
///  beat -+-> table 0 (1)    +-> table 1 (2 words)  +- ... --> table L-1 (2^(L-1) words a channel)
/// ```
///
/// Each level reads one threshold at (beat, index so far), compares and appends the result to the
/// index: a table read and a register a level. L = ceil(log2(thresholds + 1)); missing thresholds
/// are never reached. A falling channel counts what is not reached: its index is inverted.
///
/// *Latency* in cycles: L * (memory read + 1), and 1 for the sum.
pub(crate) struct SearchLane {
    thresholds: Vec<Vec<i64>>,
    levels: Vec<Level>,
    sense: Field,
    sum: LevelSum,
    read_latency: u64,
    raw: Interval,
}

impl SearchLane {
    pub fn new(form: &Thresholds, raw_bits: u32, output: IntType, cells: &Cells) -> Self {
        let raw = Interval::of_signed(raw_bits);
        let read_latency = cells.memory_read_latency;
        let mut thresholds = normalised(form, raw);
        let given = thresholds.iter().map(Vec::len).max().unwrap_or(0);
        let count = usize::BITS - given.leading_zeros();
        let most = (1usize << count) - 1;
        for channel in &mut thresholds {
            channel.resize(most, (raw.hi + 1) as i64);
        }
        let words = |level: u32| {
            let step = 1usize << (count - 1 - level);
            let of_channel =
                move |channel: &Vec<i64>| Interval::hull_of(channel.iter().skip(step - 1).step_by(2 * step).copied());
            thresholds.iter().map(of_channel).reduce(Interval::hull).unwrap_or(Interval::point(0))
        };
        let level = |level: u32| Level {
            table: format!("level{level}"),
            word: "threshold",
            index_bits: level,
            ty: field_type(words(level)),
            address_at: u64::from(level) * (read_latency + 1),
            by_beat: true,
        };
        let levels: Vec<Level> = (0..count).map(level).collect();

        let found_at = u64::from(count) * (read_latency + 1);
        let falling = form.falling.iter().map(|&falling| i64::from(falling)).collect();
        let mut sense = Field::new("sense", falling, found_at);
        let filled = form.increment * (most - given) as i64;
        let bases =
            form.base.iter().zip(&form.falling).map(|(&base, &falling)| base - if falling { filled } else { 0 });
        let mut base = Field::new(LevelSum::BASE, bases.collect(), found_at);
        if base.shared().is_none() || sense.shared().is_none() {
            let readable_at = found_at.max(read_latency);
            base.needed_at = readable_at;
            sense.needed_at = readable_at;
        }
        let sum = LevelSum { base, increment: form.increment, output, count_bits: count.max(1) };
        SearchLane { thresholds, levels, sense, sum, read_latency, raw }
    }
}

impl Lane for SearchLane {
    fn describe(&self) -> String {
        format!("binary search in {} levels", self.levels.len())
    }

    fn fields(&self) -> Vec<Field> {
        vec![self.sense.clone(), self.sum.base.clone()]
    }

    fn levels(&self) -> Vec<Level> {
        self.levels.clone()
    }

    fn level_word(&self, level: usize, channel: usize, index: usize) -> i64 {
        let below = self.levels.len() - 1 - level;
        let at = (index << (below + 1)) + (1 << below) - 1;
        self.thresholds.get(channel).and_then(|thresholds| thresholds.get(at)).copied().unwrap_or(0)
    }

    fn latency(&self) -> u64 {
        self.sum.base.needed_at + self.sum.latency()
    }

    fn lut_cost(&self) -> u64 {
        let compare = u64::from(self.raw.signed_bits());
        self.levels.len() as u64 * compare + self.sum.lut_cost()
    }

    fn build(&self, lane: &mut LaneBuilder) -> Timed {
        let raw = lane.raw();
        let mut index: Option<Timed> = None;
        for (number, level) in self.levels.iter().enumerate() {
            if let Some(index) = &index {
                let address = lane.at(index, level.address_at);
                lane.output(&Level::index_port(number), &address);
            }
            let time = level.address_at + self.read_latency;
            let threshold = lane.input(&level.word_port(number), level.ty, time);
            let hit = reached(&lane.at(&raw, time), &lane.at(&threshold, time));
            let next = match &index {
                None => hit,
                Some(index) => Expr::concat(&[lane.at(index, time), hit]),
            };
            index = Some(lane.register(format!("found_{}", number + 1), next, time));
        }
        let time = self.sum.base.needed_at;
        let Some(index) = index else {
            return self.sum.build(lane, &Timed::constant(Expr::lit(bit(), 0)));
        };
        let found = lane.at(&index, time);
        let counted = match self.sense.shared() {
            Some(0) => return self.sum.build(lane, &index),
            Some(_) => found.not(),
            None => {
                let sense = lane.field(&self.sense.name);
                let inverted = lane.at(&sense, time).bit(0);
                Expr::mux(&inverted, found.not(), &found)
            }
        };
        let counted = index.view("counted", |_| counted);
        self.sum.build(lane, &counted)
    }
}
