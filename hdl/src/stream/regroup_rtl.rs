//! The regrouping block's hardware.

use super::regroup::{RegroupError, RegroupSpec};
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;

/// Bits that count from 0 to `most`.
pub(crate) fn bits_for(most: u64) -> u32 {
    (64 - most.leading_zeros()).max(1)
}

/// Why a block has no module.
#[derive(Debug, thiserror::Error)]
pub enum RegroupBuildError {
    /// The regrouping is impossible.
    #[error(transparent)]
    Regroup(#[from] RegroupError),
    /// The module breaks a guarantee of the typed layer: our bug.
    #[error(transparent)]
    Hdl(#[from] HdlError),
}

impl RegroupSpec {
    /// The block as a ready/valid stage with the slots that full rate needs.
    ///
    /// Ports: `in_valid`, `in_ready`, `in_data`, `out_valid`, `out_ready`, `out_data`.
    ///
    /// # Errors
    /// If the regrouping is impossible.
    pub fn module(&self) -> Result<Arc<Module>, RegroupBuildError> {
        Ok(self.build(self.slots()?, true)?)
    }

    /// The block behind an engine whose groups come at least `spacing` cycles apart: without
    /// `in_ready` and `out_ready`, since it is always ready and never held up.
    ///
    /// # Errors
    /// If the regrouping is impossible.
    ///
    /// # Panics
    /// If the output cannot keep up, which the scheduler excludes.
    pub fn module_unstalled(&self, spacing: u64) -> Result<Arc<Module>, RegroupBuildError> {
        let slots = self.slots_unstalled(spacing)?.expect("the scheduler chose lanes that keep up");
        Ok(self.build(slots, false)?)
    }

    fn build(&self, slots: usize, handshake: bool) -> Result<Arc<Module>, RegroupBuildError> {
        let added = self.added()?;
        let width = self.element_bits;
        let (lanes_in, lanes_out) = (self.in_lanes as u32, self.out_lanes as u32);
        let buffer_bits = slots as u32 * width;
        let kind = if handshake { "regroup" } else { "result_buffer" };
        let mask = if self.mask_idle_lanes { "_masked" } else { "" };
        let mut name = format!("{kind}_{}x{}_to_{}x{}", self.in_channels, lanes_in, self.out_channels, lanes_out);
        name += &format!("_{width}bit_{slots}slots{mask}");
        let mut m = ModuleBuilder::new(name);
        m.comment(format!(
            "Regroups pixels of {} elements in beats of {lanes_in} to pixels of {} elements in beats of {lanes_out}.",
            self.in_channels, self.out_channels
        ));
        m.comment(format!("Elements of {width} bits, {slots} slots. An element stored at edge t can leave at edge t + 1."));

        let in_valid = m.input("in_valid", bit());
        let in_data = m.input("in_data", uint(lanes_in * width));
        let out_valid = m.output("out_valid", bit());
        let out_data = m.output("out_data", uint(lanes_out * width));

        let fill_type = uint(bits_for(slots as u64));
        let constant = |value: u64| Expr::lit(fill_type, value as i64);
        let fill = m.register("fill", fill_type);
        let buffer = m.register("slots", uint(buffer_bits));
        m.reset(fill, 0);
        m.reset(buffer, 0);

        let full_beat = m.let_("full_beat", fill.expr().ge(&constant(u64::from(lanes_out))));
        m.assign(out_valid, full_beat.expr());
        m.assign(out_data, buffer.expr().slice(0, lanes_out * width));
        let emit = match handshake {
            true => {
                let out_ready = m.input("out_ready", bit());
                m.let_("emit", full_beat.expr().and(&out_ready.expr()))
            }
            false => full_beat,
        };
        let less = fill.expr().sub(&constant(u64::from(lanes_out)));
        let kept_fill = m.let_("kept_fill", Expr::mux(&emit.expr(), &less, &fill.expr()));
        let most = added.iter().copied().max().unwrap_or(0);
        let take = match handshake {
            true => {
                let in_ready = m.output("in_ready", bit());
                let room = m.let_("room", kept_fill.expr().le(&constant((slots - most) as u64)));
                m.assign(in_ready, room.expr());
                m.let_("take", in_valid.expr().and(&room.expr()))
            }
            false => in_valid,
        };

        let (amount, last) = self.added_amount(&mut m, &added, take, fill_type.width);
        let entering = self.masked_input(&mut m, in_data, last);
        let grown = kept_fill.expr().add(&amount);
        m.clock(fill, Expr::mux(&take.expr(), &grown, &kept_fill.expr()));

        let shifted = match slots > self.out_lanes {
            true => buffer.expr().slice(lanes_out * width, buffer_bits - lanes_out * width).extend(buffer_bits),
            false => Expr::lit(uint(buffer_bits), 0),
        };
        let mut next = m.let_("kept", Expr::mux(&emit.expr(), &shifted, &buffer.expr())).expr();
        let limit = if handshake { slots - most } else { slots - added.iter().copied().min().unwrap_or(0) };
        for offset in self.write_offsets(limit, &added) {
            let here = m.let_(
                format!("write_at_{offset}"),
                take.expr().and(&kept_fill.expr().eq(&constant(offset as u64))),
            );
            let fits = ((slots - offset) as u32).min(lanes_in);
            let mut placed = entering.slice(0, fits * width).extend(buffer_bits - offset as u32 * width);
            if offset > 0 {
                placed = Expr::concat(&[placed, Expr::lit(uint(offset as u32 * width), 0)]);
            }
            let zero = Expr::lit(uint(buffer_bits), 0);
            let term = m.let_(format!("entry_at_{offset}"), Expr::mux(&here.expr(), &placed, &zero));
            next = next.or(&term.expr());
        }
        m.clock(buffer, next);
        Ok(m.build()?)
    }

    /// What the present input beat adds to the fill, and whether it is the last of its pixel.
    fn added_amount(&self, m: &mut ModuleBuilder, added: &[usize], take: Signal, width: u32) -> (Expr, Option<Expr>) {
        let amount = |count: usize| Expr::lit(uint(width), count as i64);
        let per_pixel = self.in_channels.div_ceil(self.in_lanes);
        let uniform = added.iter().all(|&add| add == added[0]);
        if added.len() == 1 || (uniform && !self.mask_idle_lanes) {
            return (amount(added[0]), (per_pixel == 1).then(|| Expr::lit(bit(), 1)));
        }
        let count_type = uint(bits_for(added.len() as u64 - 1));
        let beat = m.register("beat", count_type);
        m.reset(beat, 0);
        let at = |index: usize| beat.expr().eq(&Expr::lit(count_type, index as i64));
        let wraps = m.let_("last_beat", at(added.len() - 1));
        let one = Expr::lit(count_type, 1);
        let next = Expr::mux(&wraps.expr(), &Expr::lit(count_type, 0), &beat.expr().add(&one));
        m.clock_if(beat, take.expr(), next);
        // The most frequent amount is the default; the others are picked by beat.
        let mut counts = std::collections::BTreeMap::new();
        for &add in added {
            *counts.entry(add).or_insert(0) += 1;
        }
        let usual = counts.iter().max_by_key(|&(_, count)| *count).map_or(0, |(&add, _)| add);
        let mut chosen = amount(usual);
        for (&other, _) in counts.iter().filter(|&(&add, _)| add != usual) {
            let beats = added.iter().enumerate().filter(|&(_, &add)| add == other);
            let hit = beats.map(|(index, _)| at(index)).reduce(|a, b| a.or(&b));
            if let Some(hit) = hit {
                chosen = Expr::mux(&hit, &amount(other), &chosen);
            }
        }
        let ends = (0..added.len()).filter(|index| (index + 1) % per_pixel == 0);
        let last = ends.map(at).reduce(|a, b| a.or(&b));
        (chosen, last)
    }

    /// The input with the idle lanes of a pixel's last beat forced to 0, where that is needed.
    fn masked_input(&self, m: &mut ModuleBuilder, in_data: Signal, last: Option<Expr>) -> Expr {
        let rest = (self.in_channels % self.in_lanes) as u32;
        let (true, true, Some(last)) = (self.mask_idle_lanes, rest > 0, last) else { return in_data.expr() };
        let width = self.element_bits;
        let lanes = self.in_lanes as u32;
        let low = in_data.expr().slice(0, rest * width);
        let high = in_data.expr().slice(rest * width, (lanes - rest) * width);
        let zero = Expr::lit(uint((lanes - rest) * width), 0);
        let high = Expr::mux(&last, &zero, &high);
        m.let_("entering", Expr::concat(&[high, low])).expr()
    }
}
