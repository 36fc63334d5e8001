//! Multiply, add, shift, clamp: the schedule of an affine lane.

use super::affine_rtl;
use super::interval::Interval;
use super::lane::{Field, Lane, LaneBuilder, Timed};
use super::product::Factor;
use super::sum::{SumPlan, Term};
use crate::cells::Cells;
use systole_arith::hardware::{Affine, ShiftRounding};
use systole_arith::IntType;

/// ```text
///  raw --+--> partial products --> reg --> registered adders --> [half-even] --> >> S --> [clamp] --> [+ delta] --> q
///        |                                     ^                    reg                     reg         reg
///        +--> [raw < pivot] --> reg --> bias --+                                                         ^
///        +--> [raw == at] ----> reg --------------------------------------------------> delta --> reg ---+
/// ```
///
/// A register follows each product and each addition. Parts in brackets exist only where a channel
/// needs them: the pivot where two biases differ, the half-even step with that rounding, the clamp
/// where the shifted sum can leave its interval, the deltas where there are corrections.
///
/// *Latency* in cycles: memory read (1 where all channels share M), the multiplier's, ceil(log2 of
/// the number of terms) for the additions, and 1 for each of half-even step, clamp and deltas. The
/// outer partial products of two chunks each lie side by side and count as one term.
pub(crate) struct AffineLane {
    pub output: IntType,
    pub raw: Interval,
    pub factor: Factor,
    pub multiplier: Field,
    /// When raw accumulator and multiplier are read.
    pub operands_at: u64,
    /// Clock edges of a multiplier.
    pub multiplier_latency: u64,
    pub bias: Bias,
    pub sum: SumPlan,
    /// Bits of the sum and its values.
    pub total: Interval,
    pub shift: u32,
    pub half_even: bool,
    pub clamp: Interval,
    /// `(at, delta)` of each correction.
    pub corrections: Vec<(Field, Field)>,
    /// When `at` and `pivot` are compared.
    pub compare_at: u64,
}

/// The addend behind the product.
pub(crate) enum Bias {
    /// Every bias is 0.
    None,
    /// One a channel.
    One(Field),
    /// One below the pivot and one from there on, selected into a register.
    Two { pivot: Field, negative: Field, positive: Field },
}

impl AffineLane {
    pub fn new(form: &Affine, raw_bits: u32, output: IntType, cells: &Cells) -> Self {
        let raw = Interval::of_signed(raw_bits);
        let read = cells.memory_read_latency;
        let mut multiplier = Field::new("multiplier", form.multipliers.clone(), 0);
        let factor = Factor::new(raw, multiplier.interval(), cells);
        let mut corrections = correction_fields(form, raw);
        let mut pivot = Field::new("pivot", pivots(form, raw), 0);
        let two = form.bias_negative != form.bias_positive;

        let compared = corrections.iter().flat_map(|(at, delta)| [at, delta]).chain(two.then_some(&pivot));
        let compare_at = if compared.into_iter().all(|field| field.shared().is_some()) { 0 } else { read };
        pivot.needed_at = compare_at;
        for (at, delta) in &mut corrections {
            at.needed_at = compare_at;
            delta.needed_at = compare_at;
        }
        // Operands of a multiplier come straight from registers.
        let operands_at = match &factor {
            Factor::Multiply(_) if multiplier.shared().is_some() => compare_at.max(1),
            Factor::Multiply(_) => read,
            _ => 0,
        };
        multiplier.needed_at = operands_at;

        let total = total_interval(form, raw);
        let width = total.signed_bits();
        let mut terms = match &factor {
            Factor::Zero => Vec::new(),
            Factor::PowerOfTwo(shift) => {
                vec![Term { shift: *shift, interval: raw, bits: raw.signed_bits(), ready: operands_at }]
            }
            Factor::Multiply(partials) => {
                let ready = operands_at + cells.multiplier_latency;
                partials.iter().map(|partial| partial.term(ready, width)).collect()
            }
        };
        let products_at = terms.first().map_or(0, |term| term.ready);
        let bias = bias_of(form, pivot, compare_at, read, products_at);
        if let Some((interval, ready)) = bias.word(read) {
            terms.push(Term { shift: 0, interval, bits: interval.signed_bits(), ready });
        }
        if terms.is_empty() {
            terms.push(Term { shift: 0, interval: Interval::point(0), bits: 1, ready: 0 });
        }
        let bias_term = terms.len() - 1;
        let sum = SumPlan::new(terms, width);
        let bias = match bias {
            Bias::One(field) => Bias::One(Field { needed_at: sum.read_at(bias_term), ..field }),
            other => other,
        };
        AffineLane {
            output,
            raw,
            factor,
            multiplier,
            operands_at,
            multiplier_latency: cells.multiplier_latency,
            bias,
            sum,
            total,
            shift: form.shift,
            half_even: form.rounding == ShiftRounding::HalfEven && form.shift > 0,
            clamp: Interval { lo: form.clamp.0.into(), hi: form.clamp.1.into() },
            corrections,
            compare_at,
        }
    }

    /// The sum with what the half-even step adds.
    pub fn rounded(&self) -> Interval {
        match self.half_even {
            true => {
                let half = 1i128 << (self.shift - 1);
                Interval { lo: self.total.lo + half - 1, hi: self.total.hi + half }
            }
            false => self.total,
        }
    }

    /// Values in front of the clamp.
    pub fn shifted(&self) -> Interval {
        self.rounded().shifted_right(self.shift)
    }

    /// Whether some value in front of the clamp lies outside it.
    pub fn clamps(&self) -> bool {
        !self.clamp.contains_interval(self.shifted())
    }

    /// When the shifted word is there.
    pub fn shifted_at(&self) -> u64 {
        self.sum.total().ready + u64::from(self.half_even)
    }

    /// When the clamped word is there.
    pub fn clamped_at(&self) -> u64 {
        self.shifted_at() + u64::from(self.clamps())
    }

    /// When clamped word and delta are added.
    pub fn corrected_at(&self) -> u64 {
        self.clamped_at().max(self.delta_ready())
    }

    /// When the delta is there: comparison and selection are a register each.
    fn delta_ready(&self) -> u64 {
        self.compare_at + 2
    }
}

impl Bias {
    /// Values of the selected bias, and when it is there at the earliest.
    fn word(&self, read_latency: u64) -> Option<(Interval, u64)> {
        match self {
            Bias::None => None,
            Bias::One(field) => Some((field.interval(), if field.shared().is_some() { 0 } else { read_latency })),
            Bias::Two { negative, positive, .. } => {
                Some((negative.interval().hull(positive.interval()), negative.needed_at + 1))
            }
        }
    }
}

/// Pivots inside `raw` (its upper end plus one: always below); channels with one bias repeat that
/// of a channel with two.
fn pivots(form: &Affine, raw: Interval) -> Vec<i64> {
    let inside = |pivot: i64| i128::from(pivot).clamp(raw.lo, raw.hi + 1) as i64;
    let biases = form.bias_negative.iter().zip(&form.bias_positive);
    let needs: Vec<bool> = biases.map(|(negative, positive)| negative != positive).collect();
    let usual = form.pivot.iter().zip(&needs).find(|(_, &needs)| needs).map_or(0, |(&pivot, _)| pivot);
    form.pivot.iter().zip(&needs).map(|(&pivot, &needs)| inside(if needs { pivot } else { usual })).collect()
}

fn bias_of(form: &Affine, pivot: Field, compare_at: u64, read_latency: u64, products_at: u64) -> Bias {
    let negative = Field::new("bias_negative", form.bias_negative.clone(), 0);
    let positive = Field::new("bias_positive", form.bias_positive.clone(), 0);
    if negative != (Field { name: negative.name.clone(), ..positive.clone() }) {
        let constant = negative.shared().is_some() && positive.shared().is_some();
        let read_at = (compare_at + 1).max(if constant { 0 } else { read_latency });
        // Not before the products: selected biases would only wait.
        let needed_at = read_at.max(products_at.saturating_sub(1));
        let at = |field: Field| Field { needed_at, ..field };
        return Bias::Two { pivot, negative: at(negative), positive: at(positive) };
    }
    match positive.shared() {
        Some(0) => Bias::None,
        _ => Bias::One(Field { name: "bias".into(), ..positive }),
    }
}

/// Corrections inside `raw`, as fields that fill channels with fewer by deltas of 0.
fn correction_fields(form: &Affine, raw: Interval) -> Vec<(Field, Field)> {
    let inside = |at: i64| (raw.lo..=raw.hi).contains(&i128::from(at));
    let lists: Vec<Vec<(i64, i64)>> = form
        .corrections
        .iter()
        .map(|list| list.iter().filter(|c| inside(c.at) && c.delta != 0).map(|c| (c.at, c.delta)).collect())
        .collect();
    let most = lists.iter().map(Vec::len).max().unwrap_or(0);
    let nth = |k: usize| lists.iter().map(move |list| list.get(k).copied().unwrap_or((0, 0)));
    let field = |k: usize| {
        let at = Field::new(format!("at_{k}"), nth(k).map(|(at, _)| at).collect(), 0);
        (at, Field::new(format!("delta_{k}"), nth(k).map(|(_, delta)| delta).collect(), 0))
    };
    (0..most).map(field).collect()
}

/// Values of `raw * M[c] + bias` over all channels.
fn total_interval(form: &Affine, raw: Interval) -> Interval {
    let biases = form.bias_negative.iter().zip(&form.bias_positive);
    let channels = form.multipliers.iter().zip(biases).map(|(&multiplier, (&negative, &positive))| {
        let bias = Interval::hull_of([negative, positive]);
        raw.times(Interval::point(multiplier.into())).plus(bias)
    });
    channels.reduce(Interval::hull).unwrap_or(Interval::point(0))
}

impl Lane for AffineLane {
    fn describe(&self) -> String {
        let rounding = if self.half_even { ", ties to even" } else { "" };
        let bits = self.multiplier.interval().signed_bits();
        format!(
            "clamp((raw * M + B) >> {}{rounding}, {}, {}), M of {bits} bits, hardware multipliers {}, sum of {} bits",
            self.shift,
            self.clamp.lo,
            self.clamp.hi,
            self.factor.multipliers(),
            self.total.signed_bits()
        )
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![self.multiplier.clone()];
        match &self.bias {
            Bias::None => {}
            Bias::One(field) => fields.push(field.clone()),
            Bias::Two { pivot, negative, positive } => {
                fields.extend([pivot.clone(), negative.clone(), positive.clone()]);
            }
        }
        fields.extend(self.corrections.iter().flat_map(|(at, delta)| [at.clone(), delta.clone()]));
        fields
    }

    fn latency(&self) -> u64 {
        match self.corrections.is_empty() {
            true => self.clamped_at(),
            false => self.corrected_at() + 1,
        }
    }

    fn multipliers(&self) -> u64 {
        self.factor.multipliers()
    }

    fn lut_cost(&self) -> u64 {
        let raw = u64::from(self.raw.signed_bits());
        let total = u64::from(self.total.signed_bits());
        let select = match &self.bias {
            Bias::Two { negative, positive, .. } => {
                raw + u64::from(negative.interval().hull(positive.interval()).signed_bits())
            }
            _ => 0,
        };
        let half_even = if self.half_even { total } else { 0 };
        let clamp = if self.clamps() { u64::from(self.shifted().signed_bits() + 2 * self.output.bits()) } else { 0 };
        let corrections = self.corrections.len() as u64 * (raw + 2) + u64::from(self.output.bits());
        self.sum.adder_bits() + select + half_even + clamp + if self.corrections.is_empty() { 0 } else { corrections }
    }

    fn build(&self, lane: &mut LaneBuilder) -> Timed {
        affine_rtl::build(self, lane)
    }
}
