//! What an engine hands to the stage behind it, and the credits that let it start.

use crate::stream::{bits_for, RegroupError, RegroupSpec};
use crate::timing::{EdgeId, Take};
use crate::typed::{uint, Expr, ModuleBuilder, Signal};

/// The results of an engine: `groups` of `pe` a pixel, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Results {
    /// Output pixels a sample.
    pub pixels: usize,
    /// Results a pixel: M.
    pub channels: usize,
    /// Results a group; those of a pixel's last group beyond M are idle.
    pub pe: usize,
    /// Two's-complement bits of a result.
    pub bits: u32,
    /// Least cycles from one group to the next.
    pub spacing: u64,
    /// Whether idle results can be other than 0.
    pub idle_is_dirty: bool,
}

impl Results {
    /// Groups a pixel: ceil(M / PE).
    pub fn groups(&self) -> usize {
        self.channels.div_ceil(self.pe)
    }

    /// The block between the groups and `lanes` requantizers, where they differ.
    pub fn buffer(&self, lanes: usize) -> Option<RegroupSpec> {
        (lanes != self.pe).then_some(RegroupSpec {
            in_channels: self.channels,
            in_lanes: self.pe,
            out_channels: self.channels,
            out_lanes: lanes,
            element_bits: self.bits,
            mask_idle_lanes: self.idle_is_dirty,
        })
    }

    /// Whether `lanes` requantizers take the results of a group before the next.
    pub fn keeps_up(&self, lanes: usize) -> bool {
        self.buffer(lanes).is_none_or(|block| block.unstalled(self.spacing).is_ok_and(|needs| needs.is_some()))
    }

    /// Output beats of `lanes` elements that each group of a pixel completes.
    ///
    /// # Errors
    /// None for dense outputs; the signature is the regrouping block's.
    pub fn beats_per_group(&self, lanes: usize) -> Result<Vec<u64>, RegroupError> {
        let Some(block) = self.buffer(lanes) else { return Ok(vec![1; self.groups()]) };
        let (mut elements, mut beats) = (0, 0);
        let completed = block.added()?.into_iter().map(|add| {
            elements += add;
            let fresh = elements / lanes - beats;
            beats += fresh;
            fresh as u64
        });
        Ok(completed.collect())
    }
}

/// Waits for room in every FIFO behind a stage: `count` beats in each.
pub(crate) fn credit_takes(credits: &[EdgeId], count: u64) -> impl Iterator<Item = Take> + '_ {
    let wanted = if count > 0 { credits } else { &[] };
    wanted.iter().map(move |&edge| Take { edge, need: count, consume: count })
}

/// Counts the room in the FIFOs behind a stage and tells whether a group may start.
#[derive(Clone, Debug)]
pub(crate) struct CreditGate<'a> {
    /// What the engine gives.
    pub results: Results,
    /// Elements an output beat.
    pub lanes: usize,
    /// Entries of each FIFO.
    pub depths: &'a [usize],
}

/// The gate inside a module.
pub(crate) struct Gate {
    /// Whether every FIFO has room for the beats that the present group completes.
    pub funded: Expr,
    counters: Vec<(Signal, Signal, Expr)>,
    left: Option<LeftOver>,
}

struct LeftOver {
    register: Signal,
    next: Expr,
}

struct Need {
    amount: Expr,
    bits: u32,
    left: Option<LeftOver>,
}

impl CreditGate<'_> {
    /// A part of a module's name that tells gates apart.
    pub fn suffix(&self) -> String {
        let depths: Vec<String> = self.depths.iter().map(|depth| format!("d{depth}")).collect();
        format!("l{}_{}", self.lanes, depths.join("_"))
    }

    /// Adds the counters. `returned`: for each FIFO, whether a beat is taken from it; `last_group`:
    /// whether the present group is its pixel's last.
    pub fn build(&self, m: &mut ModuleBuilder, returned: &[Expr], last_group: &Expr) -> Gate {
        let need = self.need(m, last_group);
        let mut funded: Option<Expr> = None;
        let mut counters = Vec::with_capacity(self.depths.len());
        for (index, (&depth, back)) in self.depths.iter().zip(returned).enumerate() {
            let suffix = if index == 0 { String::new() } else { format!("_{index}") };
            let ty = uint(bits_for(depth as u64).max(need.bits));
            let credits = m.register(format!("credits{suffix}"), ty);
            m.reset(credits, depth as u64);
            let wanted = m.let_(format!("wanted_credits{suffix}"), need.amount.extend(ty.width));
            let enough = credits.expr().ge(wanted.expr());
            funded = Some(funded.map_or(enough.clone(), |all| all.and(&enough)));
            counters.push((credits, wanted, back.extend(ty.width)));
        }
        Gate { funded: funded.unwrap_or_else(|| Expr::lit(crate::typed::bit(), 1)), counters, left: need.left }
    }

    /// Output beats that the present group completes.
    fn need(&self, m: &mut ModuleBuilder, last_group: &Expr) -> Need {
        let Results { channels, pe, .. } = self.results;
        let (lanes, groups) = (self.lanes, self.results.groups());
        let rest = channels - (groups - 1) * pe;
        let most = (lanes - 1 + pe).div_ceil(lanes) as u64;
        let bits = bits_for(most);
        let beats = |count: usize| Expr::lit(uint(bits), count as i64);
        if pe.is_multiple_of(lanes) || groups == 1 {
            let (usual, last) = (pe / lanes, rest.div_ceil(lanes));
            let amount = match usual == last || groups == 1 {
                true => beats(last),
                false => Expr::mux(last_group, beats(last), beats(usual)),
            };
            return Need { amount, bits, left: None };
        }
        // Elements of earlier groups of the pixel that have not filled a beat.
        let left_type = uint(bits_for(2 * lanes as u64 - 1));
        let left = m.register("left_over", left_type);
        m.reset(left, 0);
        let elements = |count: usize| Expr::lit(left_type, count as i64);
        let sum = m.let_("left_and_new", left.expr().add(elements(pe % lanes)));
        let fills = m.let_("fills_a_beat", sum.expr().ge(elements(lanes)));
        let base = pe / lanes;
        let usual = Expr::mux(fills.expr(), beats(base + 1), beats(base));
        let held = (groups - 1) * pe % lanes;
        let last = beats((held + rest).div_ceil(lanes));
        let wrapped = Expr::mux(fills.expr(), sum.expr().sub(elements(lanes)), sum.expr());
        let next = Expr::mux(last_group, elements(0), &wrapped);
        let amount = Expr::mux(last_group, &last, &usual);
        Need { amount, bits, left: Some(LeftOver { register: left, next }) }
    }
}

impl Gate {
    /// Spends the credits of the present group where `starts` is high.
    pub fn spend(self, m: &mut ModuleBuilder, starts: &Expr) {
        for (credits, wanted, earned) in self.counters {
            // `starts` follows from a comparison of these two already: both sums are made beside it.
            let kept = credits.expr().add(&earned);
            let spent = credits.expr().sub(wanted.expr()).add(&earned);
            m.clock(credits, Expr::mux(starts, spent, kept));
        }
        if let Some(left) = self.left {
            m.clock_if(left.register, starts.clone(), left.next);
        }
    }
}
