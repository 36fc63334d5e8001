//! The regrouping block's hardware.

use super::regroup::{RegroupError, RegroupSpec, Unstalled};
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
    /// The output takes longer than the input.
    #[error("beats {spacing} cycles apart come faster than they leave; use more output lanes")]
    TooSlow {
        /// Cycles from beat to beat.
        spacing: u64,
    },
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
        let (slots, added) = (self.slots()?, self.added()?);
        let places = self.places(slots, &added);
        self.build(Unstalled { slots, places }, true)
    }

    /// The block behind an engine whose groups come at least `spacing` cycles apart: without
    /// `in_ready` and `out_ready`, since it is always ready and never held up.
    ///
    /// # Errors
    /// If the regrouping is impossible or the output cannot keep up, both of which the scheduler
    /// excludes.
    pub fn module_unstalled(&self, spacing: u64) -> Result<Arc<Module>, RegroupBuildError> {
        let needs = self.unstalled(spacing)?.ok_or(RegroupBuildError::TooSlow { spacing })?;
        self.build(needs, false)
    }

    fn build(&self, Unstalled { slots, places }: Unstalled, handshake: bool) -> Result<Arc<Module>, RegroupBuildError> {
        let added = self.added()?;
        let width = self.element_bits;
        let (lanes_in, lanes_out) = (self.in_lanes as u32, self.out_lanes as u32);
        let kind = if handshake { "regroup" } else { "result_buffer" };
        let mask = if self.mask_idle_lanes { "_masked" } else { "" };
        let shape = format!("{}x{lanes_in}_to_{}x{lanes_out}", self.in_channels, self.out_channels);
        let mut m = ModuleBuilder::new(format!("{kind}_{shape}_{width}bit_{slots}slots_{}places{mask}", places.len()));
        m.comment(format!(
            "Regroups pixels of {} elements in beats of {lanes_in} to pixels of {} elements in beats of {lanes_out}.",
            self.in_channels, self.out_channels
        ));
        m.comment(format!(
            "Elements of {width} bits, {slots} slots. An element stored at edge t can leave at edge t + 1."
        ));

        let in_valid = m.input("in_valid", bit());
        let in_data = m.input("in_data", uint(lanes_in * width));
        let out_valid = m.output("out_valid", bit());
        let out_data = m.output("out_data", uint(lanes_out * width));

        let fill_type = uint(bits_for(slots.max(self.out_lanes) as u64));
        let constant = |value: usize| Expr::lit(fill_type, value as i64);
        let fill = m.register("fill", fill_type);
        m.reset(fill, 0);
        let held: Vec<Signal> =
            (0..slots.max(self.out_lanes)).map(|slot| m.register(format!("slot_{slot}"), uint(width))).collect();

        let full_beat = m.let_("full_beat", fill.expr().ge(constant(self.out_lanes)));
        m.assign(out_valid, full_beat.expr());
        let leaving: Vec<Expr> = held[..self.out_lanes].iter().rev().map(|slot| slot.expr()).collect();
        m.assign(out_data, Expr::concat(&leaving));
        let emit = match handshake {
            true => {
                let out_ready = m.input("out_ready", bit());
                m.let_("emit_beat", full_beat.expr().and(out_ready.expr()))
            }
            false => full_beat,
        };
        let less = fill.expr().sub(constant(self.out_lanes));
        let kept_fill = m.let_("kept_fill", Expr::mux(emit.expr(), &less, fill.expr()));

        let beat = self.beat_counter(&mut m, &added);
        let take = match handshake {
            true => {
                let in_ready = m.output("in_ready", bit());
                let limit = by_beat(beat.as_ref(), &added, &|add| constant(slots - add));
                let room = m.let_("room", kept_fill.expr().le(&limit));
                m.assign(in_ready, room.expr());
                m.let_("take", in_valid.expr().and(room.expr()))
            }
            false => in_valid,
        };
        if let Some(beat) = &beat {
            let one = Expr::lit(beat.value.ty(), 1);
            let zero = Expr::lit(beat.value.ty(), 0);
            let next = Expr::mux(beat.is_last.expr(), &zero, beat.value.expr().add(&one));
            m.clock_if(beat.value, take.expr(), next);
        }
        let amount = by_beat(beat.as_ref(), &added, &|add| constant(add));
        let grown = m.let_("grown_fill", kept_fill.expr().add(&amount));
        m.clock(fill, Expr::mux(take.expr(), grown.expr(), kept_fill.expr()));

        let entering = self.masked_input(&mut m, in_data, beat.as_ref());
        let zero = Expr::lit(uint(width), 0);
        let writes: Vec<(usize, Signal)> = places
            .iter()
            .map(|&place| {
                let here = take.expr().and(kept_fill.expr().eq(constant(place)));
                (place, m.let_(format!("write_at_{place}"), here))
            })
            .collect();
        for (slot, &register) in held.iter().enumerate() {
            let above = held.get(slot + self.out_lanes).map_or(zero.clone(), |above| above.expr());
            let mut next = Expr::mux(emit.expr(), &above, register.expr());
            for (place, here) in writes.iter().filter(|(place, _)| *place <= slot && slot < place + self.in_lanes) {
                let element = entering.slice((slot - place) as u32 * width, width);
                next = next.or(Expr::mux(here.expr(), &element, &zero));
            }
            m.clock(register, next);
            m.reset(register, 0);
        }
        Ok(m.build()?)
    }

    /// Counts the input beats of a round, where they differ.
    fn beat_counter(&self, m: &mut ModuleBuilder, added: &[usize]) -> Option<BeatCounter> {
        let uniform = added.iter().all(|&add| add == added[0]);
        let masked = self.mask_idle_lanes && !self.in_channels.is_multiple_of(self.in_lanes);
        if added.len() == 1 || (uniform && !masked) {
            return None;
        }
        let value = m.register("beat", uint(bits_for(added.len() as u64 - 1)));
        m.reset(value, 0);
        let last = Expr::lit(value.ty(), added.len() as i64 - 1);
        let is_last = m.let_("last_beat", value.expr().eq(&last));
        Some(BeatCounter { value, is_last })
    }

    /// The input with the idle lanes of a pixel's last beat forced to 0, where that is needed.
    fn masked_input(&self, m: &mut ModuleBuilder, in_data: Signal, beat: Option<&BeatCounter>) -> Expr {
        let rest = (self.in_channels % self.in_lanes) as u32;
        if !self.mask_idle_lanes || rest == 0 {
            return in_data.expr();
        }
        let (width, lanes) = (self.element_bits, self.in_lanes as u32);
        let low = in_data.expr().slice(0, rest * width);
        let high = in_data.expr().slice(rest * width, (lanes - rest) * width);
        let zero = Expr::lit(uint((lanes - rest) * width), 0);
        let high = match beat {
            // The only beat of its pixel.
            None => zero,
            Some(beat) => {
                let per_pixel = self.in_channels.div_ceil(self.in_lanes);
                let round = self.round_elements() / self.in_channels * per_pixel;
                let ends = (0..round).filter(|index| (index + 1) % per_pixel == 0);
                let last = ends.map(|index| beat.at(index)).reduce(|a, b| a.or(&b));
                last.map_or(high.clone(), |last| Expr::mux(&last, &zero, &high))
            }
        };
        m.let_("entering", Expr::concat(&[high, low])).expr()
    }
}

/// The place of the present input beat in its round.
struct BeatCounter {
    value: Signal,
    is_last: Signal,
}

impl BeatCounter {
    fn at(&self, index: usize) -> Expr {
        self.value.expr().eq(Expr::lit(self.value.ty(), index as i64))
    }
}

/// `value` of what the present beat adds: the most frequent amount is the default, the others are
/// picked by beat.
fn by_beat(beat: Option<&BeatCounter>, added: &[usize], value: &dyn Fn(usize) -> Expr) -> Expr {
    let mut counts = std::collections::BTreeMap::new();
    for &add in added {
        *counts.entry(add).or_insert(0) += 1;
    }
    let usual = counts.iter().max_by_key(|&(_, count)| *count).map_or(0, |(&add, _)| add);
    let mut chosen = value(usual);
    let Some(beat) = beat else { return chosen };
    for &other in counts.keys().filter(|&&add| add != usual) {
        let beats = added.iter().enumerate().filter(|&(_, &add)| add == other);
        if let Some(hit) = beats.map(|(index, _)| beat.at(index)).reduce(|a, b| a.or(&b)) {
            chosen = Expr::mux(&hit, value(other), &chosen);
        }
    }
    chosen
}
