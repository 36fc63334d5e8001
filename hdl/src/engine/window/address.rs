//! Addresses of a window's taps in the line buffer.

use super::position::select;
use crate::stream::bits_for;
use crate::typed::{uint, Expr, ModuleBuilder, Signal};

/// Addresses of the taps; those with equal offsets are one.
pub(super) struct Addresses {
    base: Signal,
    word: Option<Signal>,
    depth: usize,
    found: Vec<(Vec<i64>, Signal)>,
}

impl Addresses {
    /// `base`: of the step; `word`: within a pixel, one register behind it.
    pub fn new(base: Signal, word: Option<Signal>, depth: usize) -> Self {
        Addresses { base, word, depth, found: Vec::new() }
    }

    /// The address at which a tap lane reads a bank, whose offsets are `offsets`, fold by fold.
    pub fn of(&mut self, m: &mut ModuleBuilder, tap_fold: &Expr, offsets: Vec<i64>) -> Signal {
        if let Some((_, address)) = self.found.iter().find(|(known, _)| *known == offsets) {
            return *address;
        }
        let number = self.found.len();
        let ty = uint(bits_for(self.depth as u64 - 1));
        let wide = uint(ty.width + 1);
        let offset = select(tap_fold, &offsets, &|&at| Expr::lit(ty, at));
        let offset = m.registered(format!("offset_{number}"), offset);
        let sum = self.base.expr().extend(wide.width).add(offset.expr().extend(wide.width));
        let sum = m.let_(format!("sum_{number}"), sum);
        let depth = Expr::lit(wide, self.depth as i64);
        let wrapped = Expr::mux(sum.expr().ge(&depth), sum.expr().sub(&depth), sum.expr());
        let pixel = m.registered(format!("pixel_{number}"), wrapped.truncate(ty.width));
        let address = match &self.word {
            Some(word) => pixel.expr().add(word.expr().extend(ty.width)),
            None => pixel.expr(),
        };
        let address = m.registered(format!("address_{number}"), address);
        self.found.push((offsets, address));
        address
    }
}
