//! The write side of a line buffer.

use super::WindowSpec;
use crate::engine::matrix::{advance, counter};
use crate::stream::bits_for;
use crate::typed::{uint, Expr, HwType, ModuleBuilder, Signal};

/// Where the next word goes.
pub(super) struct WriteSide {
    /// One bit for each beat of a strip: whether its banks are written.
    pub enables: Expr,
    pub address: Signal,
    /// High where the beat under way is its strip's last.
    pub arrives: Expr,
    /// High where it ends a row whose last strip is not full.
    ends_short: Option<Expr>,
}

impl WriteSide {
    pub fn new(m: &mut ModuleBuilder, spec: &WindowSpec, write: Signal) -> Self {
        let (words, depth) = (spec.words, spec.depth());
        let word = counter(m, "write_in_pixel", words);
        advance(m, &word, write.expr());
        let strip_words = spec.strip_beats() / words;
        if strip_words == 1 {
            let address = counter(m, "next_write", depth);
            advance(m, &address, write.expr());
            let arrives = write.expr().and(&word.at_last);
            return WriteSide { enables: write.expr(), address: address.value, arrives, ends_short: None };
        }
        let row_ends = (spec.missing_beats() > 0).then(|| {
            let beat = counter(m, "write_in_row", spec.row_beats());
            advance(m, &beat, write.expr());
            m.let_("write_ends_row", beat.at_last).expr()
        });
        let place = counter(m, "write_in_strip", strip_words);
        let full = place.at_last.and(&word.at_last);
        let ends = match &row_ends {
            Some(row_ends) => full.or(row_ends),
            None => full,
        };
        let ends = m.let_("write_ends_strip", ends).expr();
        let ty = place.value.ty();
        let following = place.value.expr().add(Expr::lit(ty, 1));
        let turns = write.expr().and(&word.at_last);
        m.clock_if(place.value, turns, Expr::mux(&ends, Expr::lit(ty, 0), &following));
        // The words of a strip's pixels have the same addresses, in one bank after the other.
        let ty = uint(bits_for(depth as u64 - 1));
        let address = m.register("next_write", ty);
        m.reset(address, 0);
        let at = |value: usize| Expr::lit(ty, value as i64);
        let up = match depth {
            1 => at(0),
            _ => Expr::mux(address.expr().eq(at(depth - 1)), at(0), address.expr().add(at(1))),
        };
        let next = match words {
            1 => Expr::mux(&ends, &up, address.expr()),
            _ => {
                let back = word.at_last.and(ends.not());
                Expr::mux(back, address.expr().sub(at(words - 1)), &up)
            }
        };
        m.clock_if(address, write.expr(), next);
        let here = |index: usize| place.value.expr().eq(Expr::lit(place.value.ty(), index as i64));
        let enables: Vec<Expr> = (0..strip_words).rev().map(|index| write.expr().and(here(index))).collect();
        let ends_short = row_ends.map(|row_ends| write.expr().and(&row_ends));
        WriteSide { enables: Expr::concat(&enables), address, arrives: write.expr().and(&ends), ends_short }
    }

    /// Beats that the present one takes from the space: those that its strip lacks, too.
    pub fn used_space(&self, spec: &WindowSpec, write: Signal, ty: HwType) -> Expr {
        let one = write.expr().extend(ty.width);
        match &self.ends_short {
            None => one,
            Some(ends) => Expr::mux(ends, Expr::lit(ty, 1 + spec.missing_beats() as i64), &one),
        }
    }
}
