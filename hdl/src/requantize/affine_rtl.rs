//! The hardware of an affine lane, as [`AffineLane`] schedules it.

use super::affine::{AffineLane, Bias};
use super::interval::Interval;
use super::lane::{signed_bits, signed_word, stored, working_bits, LaneBuilder, Timed};
use super::product::{Chunk, Factor, Partial};
use super::sum::{Combine, Operation, Term};
use super::thresholds::reached;
use crate::typed::{sint, uint, Expr};

pub(super) fn build(plan: &AffineLane, lane: &mut LaneBuilder) -> Timed {
    let total = sum(plan, lane);
    let shifted = shift(plan, lane, &total);
    let clamped = clamp(plan, lane, &shifted);
    let result = match plan.corrections.is_empty() {
        true => clamped,
        false => correct(plan, lane, &clamped),
    };
    result.view("stored", |value| stored(value, plan.output))
}

/// `raw * M + bias`, a signed word of the total's width.
fn sum(plan: &AffineLane, lane: &mut LaneBuilder) -> Timed {
    let mut words = products(plan, lane);
    words.extend(bias(plan, lane));
    if words.is_empty() {
        words.push(Timed::constant(Expr::lit(sint(1), 0)));
    }
    for (index, operation) in plan.sum.operations.iter().enumerate() {
        let result = plan.sum.terms[words.len()];
        let (low, high) = (lane.at(&words[operation.low], operation.at), lane.at(&words[operation.high], operation.at));
        let (low_term, high_term) = (plan.sum.terms[operation.low], plan.sum.terms[operation.high]);
        let value = combined(operation, &low, &high, (low_term, high_term, result));
        let word = match operation.combine {
            Combine::Join => lane.wire(format!("joined_{index}"), value, operation.at),
            Combine::Add => lane.register(format!("sum_{index}"), value, operation.at),
        };
        words.push(word);
    }
    let term = plan.sum.total();
    let last = words[words.len() - 1].clone();
    if term.shift == 0 {
        return last;
    }
    let zeros = Expr::lit(uint(term.shift), 0);
    last.view("product", |value| Expr::concat(&[value.as_unsigned(), zeros]).as_signed())
}

/// The registered partial products, or the raw accumulator itself where M is a power of two.
fn products(plan: &AffineLane, lane: &mut LaneBuilder) -> Vec<Timed> {
    let raw = lane.raw();
    match &plan.factor {
        Factor::Zero => Vec::new(),
        Factor::PowerOfTwo(_) => vec![raw],
        Factor::Multiply(partials) => {
            let time = plan.operands_at;
            let raw = lane.at(&raw, time);
            let multiplier = lane.field(&plan.multiplier.name);
            let bits = plan.multiplier.interval().signed_bits();
            let multiplier = signed_word(&lane.at(&multiplier, time), bits);
            let mut words = Vec::new();
            for (index, partial) in partials.iter().enumerate() {
                words.push(product(lane, index, partial, (&raw, &multiplier), plan));
            }
            words
        }
    }
}

fn product(
    lane: &mut LaneBuilder,
    index: usize,
    partial: &Partial,
    operands: (&Expr, &Expr),
    plan: &AffineLane,
) -> Timed {
    let time = plan.operands_at;
    let full = chunk(operands.0, partial.raw).mul(chunk(operands.1, partial.constant));
    let mut word = lane.register(format!("product_{index}"), full, time);
    for _ in 1..plan.multiplier_latency {
        let ready = word.time().unwrap_or(time);
        let value = lane.at(&word, ready + 1);
        word = lane.wire(format!("product_{index}_at_{}", ready + 1), value, ready + 1);
    }
    let ready = word.time().unwrap_or(time);
    let value = lane.at(&word, ready);
    let cut = value.resize(plan.sum.terms[index].bits);
    lane.wire(format!("partial_{index}"), cut, ready)
}

/// A chunk as a signed operand.
fn chunk(operand: &Expr, chunk: Chunk) -> Expr {
    let bits = operand.slice(chunk.lo, chunk.bits);
    match chunk.signed {
        true => bits.as_signed(),
        false => signed_word(&bits, chunk.bits + 1),
    }
}

/// The bias of the present channel.
fn bias(plan: &AffineLane, lane: &mut LaneBuilder) -> Option<Timed> {
    match &plan.bias {
        Bias::None => None,
        Bias::One(field) => {
            let bits = field.interval().signed_bits();
            Some(lane.field(&field.name).view("addend", |bias| signed_word(bias, bits)))
        }
        Bias::Two { pivot, negative, positive } => {
            let raw = lane.raw();
            let at = lane.field(&pivot.name);
            let above = reached(&lane.at(&raw, plan.compare_at), &lane.at(&at, plan.compare_at));
            let above = lane.register("above_pivot", above, plan.compare_at);
            let time = negative.needed_at;
            let bits = negative.interval().hull(positive.interval()).signed_bits();
            let (negative, positive) = (lane.field(&negative.name), lane.field(&positive.name));
            let negative = signed_word(&lane.at(&negative, time), bits);
            let positive = signed_word(&lane.at(&positive, time), bits);
            let chosen = Expr::mux(lane.at(&above, time), &positive, &negative);
            Some(lane.register("addend", chosen, time))
        }
    }
}

/// One operation of the sum: bits of the lower term below the upper one pass through.
fn combined(operation: &Operation, low: &Expr, high: &Expr, terms: (Term, Term, Term)) -> Expr {
    let (low_term, high_term, result) = terms;
    let passed = high_term.shift - low_term.shift;
    if operation.combine == Combine::Join {
        let low = low.as_unsigned().resize(passed);
        let high = high.resize(result.bits.saturating_sub(passed).max(1));
        let joined = Expr::concat(&[high.as_unsigned(), low]).as_signed();
        return joined.resize(result.bits);
    }
    if passed == 0 {
        return low.resize(result.bits).add(high.resize(result.bits));
    }
    let upper_bits = result.bits.saturating_sub(passed).max(1);
    let low = low.resize(low.ty().width.max(passed + 1));
    let upper = low.slice(passed, low.ty().width - passed).as_signed();
    let upper = upper.resize(upper_bits).add(high.resize(upper_bits));
    Expr::concat(&[upper.as_unsigned(), low.slice(0, passed)]).as_signed().resize(result.bits)
}

/// `total >> shift` with its rounding, as wide as its values need.
fn shift(plan: &AffineLane, lane: &mut LaneBuilder, total: &Timed) -> Timed {
    let time = plan.sum.total().ready;
    let wide = plan.rounded().signed_bits().max(plan.shift + 1);
    let value = lane.at(total, time).resize(wide);
    let kept = plan.shifted().signed_bits();
    if !plan.half_even {
        return total.view("shifted", |_| value.slice(plan.shift, kept.min(wide - plan.shift)).as_signed());
    }
    // One adder: a set bit below the word carries bit `shift`, which makes ties go to even.
    let below_half = Expr::lit(uint(wide), (1i64 << (plan.shift - 1)) - 1);
    let word = Expr::concat(&[value.as_unsigned(), Expr::lit(uint(1), 1)]);
    let half = Expr::concat(&[below_half, value.bit(plan.shift)]);
    let rounded = lane.register("rounded", word.add(&half), time);
    rounded.view("shifted", |rounded| rounded.slice(plan.shift + 1, kept.min(wide - plan.shift)).as_signed())
}

/// The clamp, in working bits of the output.
fn clamp(plan: &AffineLane, lane: &mut LaneBuilder, shifted: &Timed) -> Timed {
    let bits = working_bits(plan.output);
    let time = plan.shifted_at();
    if !plan.clamps() {
        return shifted.view("unclamped", |value| value.resize(bits));
    }
    let value = lane.at(shifted, time);
    let range = plan.shifted();
    let end = |end: i128| Expr::lit(sint(64), end as i64).resize(bits);
    let mut chosen = value.resize(bits);
    if range.hi > plan.clamp.hi {
        let above = less_than(&value, plan.clamp.hi + 1).not();
        chosen = Expr::mux(&above, end(plan.clamp.hi), &chosen);
    }
    if range.lo < plan.clamp.lo {
        chosen = Expr::mux(less_than(&value, plan.clamp.lo), end(plan.clamp.lo), &chosen);
    }
    lane.register("clamped", chosen, time)
}

/// `value < limit`; without a carry chain where the limit is plus or minus a power of two.
fn less_than(value: &Expr, limit: i128) -> Expr {
    let width = value.ty().width;
    let negative = value.bit(width - 1);
    let magnitude = limit.unsigned_abs();
    let exponent = magnitude.trailing_zeros();
    if limit == 0 {
        return negative;
    }
    if magnitude.is_power_of_two() && exponent < width - 1 {
        let upper = value.slice(exponent, width - 1 - exponent);
        return match limit > 0 {
            true => negative.or(upper.reduce_or().not()),
            false => negative.and(upper.reduce_and().not()),
        };
    }
    let width = width.max(Interval::point(limit).signed_bits());
    value.resize(width).lt(Expr::lit(sint(width), limit as i64))
}

/// Adds the delta of the exceptional accumulators.
fn correct(plan: &AffineLane, lane: &mut LaneBuilder, clamped: &Timed) -> Timed {
    let time = plan.compare_at;
    let bits = working_bits(plan.output);
    let raw = lane.raw();
    let mut delta: Option<Expr> = None;
    for (index, (at, amount)) in plan.corrections.iter().enumerate() {
        let (at, amount) = (lane.field(&at.name), lane.field(&amount.name));
        let (raw, at) = (lane.at(&raw, time), lane.at(&at, time));
        let width = raw.ty().width.max(signed_bits(at.ty()));
        let equal = signed_word(&raw, width).eq(signed_word(&at, width));
        let hit = lane.register(format!("exceptional_{index}"), equal, time);
        let amount = signed_word(&lane.at(&amount, time + 1), bits);
        let zero = Expr::lit(sint(bits), 0);
        let term = Expr::mux(lane.at(&hit, time + 1), &amount, &zero);
        delta = Some(delta.map_or(term.clone(), |sum| sum.or(&term)));
    }
    let Some(delta) = delta else { return clamped.clone() };
    let delta = lane.register("delta", delta, time + 1);
    let at = plan.corrected_at();
    let sum = lane.at(clamped, at).add(lane.at(&delta, at));
    lane.register("corrected", sum, at)
}
