//! One lane of a join: two operands become one number.

use super::{JoinEngine, Side};
use crate::engine::matrix::delay;
use crate::engine::number::number;
use crate::typed::{sint, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::join::{Combine, OperandMap};
use systole_arith::Range;

/// A term of a sum that is a shifted operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Digit {
    shift: u32,
    negative: bool,
}

/// The fewest powers of two that add up to `factor` with signs, no two neighbours among them: canonical signed
/// digits (G. W. Reitwiesner, *Binary Arithmetic*, Advances in Computers 1, 1960).
fn signed_digits(factor: i64) -> Vec<Digit> {
    let mut rest = i128::from(factor);
    let mut digits = Vec::new();
    let mut shift = 0;
    while rest != 0 {
        if rest & 1 == 1 {
            // 1 where the bit above is clear, else -1, which clears it.
            let negative = rest & 2 != 0;
            digits.push(Digit { shift, negative });
            rest += if negative { 1 } else { -1 };
        }
        rest >>= 1;
        shift += 1;
    }
    digits
}

/// A word of a sum with its sign.
struct Term {
    value: Expr,
    negative: bool,
}

impl JoinEngine {
    /// Clock edges from operands in registers to the number, which may be combinational from then on.
    pub(super) fn lane_latency(&self) -> u64 {
        match &self.combine {
            Combine::Sum { left, right } => {
                let terms: Vec<Digit> = [left, right].into_iter().flat_map(terms_of).collect();
                let levels = u64::from(usize::BITS - terms.len().saturating_sub(1).leading_zeros());
                self.terms_at() + levels
            }
            Combine::Product { .. } => 1 + self.cells.multiplier_latency,
        }
    }

    /// Clock edges after the operands at which the terms of a sum are there.
    fn terms_at(&self) -> u64 {
        match self.sides().iter().any(|side| side.table_width().is_some()) {
            true => self.cells.memory_read_latency,
            false => 0,
        }
    }

    /// The lane. Ports: `left`, `right` (the stored operand, or the word of its table, which is there a memory read
    /// later), `raw`.
    pub(super) fn lane_module(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(format!("{}_join_lane", self.name));
        let bits = self.results().bits;
        let raw = match &self.combine {
            Combine::Sum { left, right } => {
                m.comment(format!(
                    "One number of two operands: {} + {}.",
                    describe(left, "left"),
                    describe(right, "right")
                ));
                m.comment(format!("In {bits} bits, {} cycles after the operands.", self.lane_latency()));
                let mut terms = Vec::new();
                for (side, map) in self.sides().into_iter().zip([left, right]) {
                    terms.extend(self.terms(&mut m, side, map, bits));
                }
                sum(&mut m, terms, bits)
            }
            Combine::Product { left_zero, right_zero } => {
                m.comment(format!("(left - {left_zero}) * (right - {right_zero}) in {bits} bits,"));
                m.comment(format!("{} cycles after the operands.", self.lane_latency()));
                let [left, right] = self.sides();
                let (left, right) = (left.centred(&mut m, *left_zero), right.centred(&mut m, *right_zero));
                let product = left.expr().mul(right.expr());
                let mut held = m.register("product", product.ty());
                m.clock(held, product);
                for stage in 1..self.cells.multiplier_latency {
                    let later = m.register(format!("product_{stage}"), held.ty());
                    m.clock(later, held.expr());
                    held = later;
                }
                held.expr().resize(bits)
            }
        };
        let port = m.output("raw", uint(bits));
        m.assign(port, raw.as_unsigned());
        m.build()
    }

    /// What an operand adds, when all terms of the sum are there.
    fn terms(&self, m: &mut ModuleBuilder, side: Side<'_>, map: &OperandMap, bits: u32) -> Vec<Term> {
        if let Some(width) = side.table_width() {
            let word = m.input(side.name, uint(width));
            return vec![Term { value: word.expr().as_signed().resize(bits), negative: false }];
        }
        let digits = terms_of(map);
        let element = side.operand.element;
        if digits.is_empty() {
            m.ignored_input(side.name, uint(element.bits()));
            return Vec::new();
        }
        let stored = m.input(side.name, uint(element.bits()));
        let stored = delay(m, side.name, stored, self.terms_at() as usize, false);
        let value = m.let_(format!("{}_number", side.name), number(&stored.expr(), element).resize(bits));
        let term = |digit: Digit| Term { value: value.expr().shl_const(digit.shift), negative: digit.negative };
        digits.into_iter().map(term).collect()
    }
}

impl Side<'_> {
    /// A register of the operand less its zero point.
    fn centred(&self, m: &mut ModuleBuilder, zero: i64) -> Signal {
        let element = self.operand.element;
        let stored = m.input(self.name, uint(element.bits()));
        let ty = sint(self.operand.centred_bits(zero));
        let value = number(&stored.expr(), element);
        let wide = ty.width.max(value.ty().width).max(Range::point(zero).signed_bits());
        let difference = value.extend(wide).sub(Expr::lit(sint(wide), zero));
        let centred = m.register(format!("centred_{}", self.name), ty);
        m.clock(centred, difference.truncate(ty.width));
        centred
    }
}

/// Digits of a linear map's factor; one that stands for the word of a table.
fn terms_of(map: &OperandMap) -> Vec<Digit> {
    match map {
        OperandMap::Linear { factor } => signed_digits(*factor),
        OperandMap::Table { .. } => vec![Digit { shift: 0, negative: false }],
    }
}

fn describe(map: &OperandMap, side: &str) -> String {
    match map {
        OperandMap::Linear { factor } => format!("{factor} * {side}"),
        OperandMap::Table { .. } => format!("table[{side}]"),
    }
}

/// The sum of terms, two by two with a register after each addition.
fn sum(m: &mut ModuleBuilder, mut terms: Vec<Term>, bits: u32) -> Expr {
    // A positive term in front of a negative one makes their difference positive.
    terms.sort_by_key(|term| term.negative);
    let mut level = 0;
    while terms.len() > 1 {
        level += 1;
        let half = terms.len().div_ceil(2);
        let mut rest = terms.split_off(half).into_iter();
        let mut next = Vec::with_capacity(half);
        for (index, a) in terms.into_iter().enumerate() {
            let (value, negative) = match rest.next() {
                None => (a.value, a.negative),
                Some(b) if a.negative == b.negative => (a.value.add(&b.value), a.negative),
                Some(b) => (a.value.sub(&b.value), false),
            };
            let register = m.register(format!("sum_{level}_{index}"), sint(bits));
            m.clock(register, value);
            next.push(Term { value: register.expr(), negative });
        }
        next.sort_by_key(|term| term.negative);
        terms = next;
    }
    match terms.pop() {
        None => Expr::lit(sint(bits), 0),
        Some(Term { value, negative: false }) => value,
        Some(Term { value, negative: true }) => value.neg(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_digits_add_up_to_the_factor_and_have_no_neighbours() {
        for factor in (-300..300).chain([i64::MIN, i64::MAX, 1 << 40, -(1 << 40) + 1]) {
            let digits = signed_digits(factor);
            let value = |digit: &Digit| if digit.negative { -(1i128 << digit.shift) } else { 1i128 << digit.shift };
            assert_eq!(digits.iter().map(value).sum::<i128>(), i128::from(factor));
            assert!(digits.windows(2).all(|pair| pair[1].shift > pair[0].shift + 1), "{factor}: {digits:?}");
        }
    }

    #[test]
    fn a_factor_of_one_is_a_wire_and_of_minus_one_too() {
        assert_eq!(signed_digits(1), [Digit { shift: 0, negative: false }]);
        assert_eq!(signed_digits(-1), [Digit { shift: 0, negative: true }]);
        assert_eq!(signed_digits(7).len(), 2);
    }
}
