//! The index of the greatest channel of each pixel.

use super::intake::{beat_phase, instantiate, lanes_of, merged, Intake};
use super::matrix::{advance, counter, delay, is_zero};
use super::number::{number, number_bits};
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::stream::{bits_for, BeatSource, RegroupBuildError};
use crate::timing::{EdgeId, Phase, TokenModel};
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::IntType;

/// The index of the greatest channel of each pixel, the first of equal ones.
///
/// ```text
///  stream ====> register ====> tree of p lanes ----> greatest so far ----> register ----> index
///  p lanes                     a register a level     (restarts at a pixel)  (with the pixel's last word)
/// ```
///
/// Each node of the tree hands on the greater element and its lane, of equal ones that of the lower lane; a word
/// replaces what earlier words of the pixel gave only if it is greater.
///
/// *Timing*: a beat a cycle; only the last beat of a pixel waits for room, and its result comes
/// [`ArgMaxEngine::latency`] later. *Reset* begins a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArgMaxEngine {
    /// Pixels a sample.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Elements a beat: p.
    pub lanes: usize,
    /// Type of the elements.
    pub element: IntType,
}

/// An element with its place.
#[derive(Clone)]
struct Candidate {
    value: Expr,
    lane: Expr,
}

impl ArgMaxEngine {
    /// Type of the index of one of `channels`.
    pub fn index_type(channels: usize) -> IntType {
        IntType::Unsigned(bits_for(channels.saturating_sub(1) as u64))
    }

    /// The stream it reads.
    pub fn port(&self) -> EnginePort {
        let ArgMaxEngine { pixels, channels, lanes, element } = *self;
        EnginePort { pixels, channels, lanes, element_bits: element.bits() }
    }

    /// What the engine hands on: one result a pixel.
    pub fn results(&self) -> Results {
        Results {
            pixels: self.pixels,
            channels: 1,
            pe: 1,
            bits: number_bits(Self::index_type(self.channels)),
            spacing: self.words() as u64,
            idle_is_dirty: false,
        }
    }

    /// Clock edges from taking the last beat of a pixel to the one at which its result can be taken.
    pub fn latency(&self) -> u64 {
        2 + self.tree_levels() as u64
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        (self.pixels * self.words()) as u64
    }

    /// Words of a pixel: ceil(C / p).
    fn words(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Registered levels of the tree over the lanes.
    fn tree_levels(&self) -> usize {
        (usize::BITS - (self.lanes - 1).leading_zeros()) as usize
    }

    /// Timing: from beats to groups of results on the returned edge. `credits`: room for output beats in each
    /// FIFO behind; `beats[0]`: how many of them a pixel completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        let results = model.edge("arg max results", 0);
        let earlier = self.words() as u64 - 1;
        let silent = (earlier > 0).then(|| Phase { repeat: earlier, ..beat_phase(&[*source], credits, 0, None) });
        let last = beats.iter().map(|&count| beat_phase(&[*source], credits, count, Some((results, self.latency()))));
        model.actor("arg max", merged(silent.into_iter().chain(last)), self.pixels as u64);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let ArgMaxEngine { channels, lanes, element, .. } = *self;
        let words = self.words();
        let name = format!("arg_max_{channels}x{lanes}_{element}_{}", gate.suffix());
        let mut intake = Intake::new(name, &[self.port()], gate);
        let m = &mut intake.m;
        m.comment(format!("Index of the first greatest of {channels} {element}, {lanes} a beat."));
        let word = counter(m, "word", words);
        let last_word = m.let_("last_word", word.at_last.clone());
        let gate = intake.gate(gate, &Expr::lit(bit(), 1));
        let input = intake.inputs[0];
        let m = &mut intake.m;
        let ready = m.let_("ready", last_word.expr().not().or(&gate.funded));
        m.assign(input.ready, ready.expr());
        let takes = m.let_("takes", input.valid.expr().and(ready.expr()));
        let completes = m.let_("completes", takes.expr().and(last_word.expr()));
        gate.spend(m, &completes.expr());
        advance(m, &word, takes.expr());

        let levels = self.tree_levels();
        let beat = delay(m, "beat", input.data, 1, false);
        let is_last = delay(m, "is_last", last_word, 1, false);
        let greatest = self.tree(m, &beat.expr(), &is_last.expr());
        let first_word = m.let_("first_word", is_zero(&word));
        let first = delay(m, "first", first_word, 1 + levels, false);
        let taken = delay(m, "taken", takes, 1 + levels, true);
        let index = self.index(m, &greatest, (&taken.expr(), &first.expr()));
        intake.finish(&completes.expr(), 1 + levels, index)
    }

    /// The greatest lane of a word; lanes without a channel, which only a pixel's last word has, are none.
    fn tree(&self, m: &mut ModuleBuilder, beat: &Expr, is_last: &Expr) -> Candidate {
        let used = self.channels - (self.words() - 1) * self.lanes;
        let lane_type = uint(bits_for(self.lanes as u64 - 1));
        // Least of the type: an idle lane loses against every lane before it.
        let least = Expr::lit(number(&lanes_of(beat, self.lanes)[0], self.element).ty(), self.element.range().lo);
        let mut level: Vec<Candidate> = lanes_of(beat, self.lanes)
            .iter()
            .enumerate()
            .map(|(lane, stored)| {
                let value = number(stored, self.element);
                let value = if lane >= used { Expr::mux(is_last, &least, &value) } else { value };
                Candidate { value, lane: Expr::lit(lane_type, lane as i64) }
            })
            .collect();
        for depth in 1..=self.tree_levels() {
            let mut next = Vec::with_capacity(level.len().div_ceil(2));
            for (index, pair) in level.chunks(2).enumerate() {
                let chosen = match pair {
                    [a, b] => {
                        let later = m.let_(format!("later_{depth}_{index}"), b.value.gt(&a.value)).expr();
                        Candidate {
                            value: Expr::mux(&later, &b.value, &a.value),
                            lane: Expr::mux(&later, &b.lane, &a.lane),
                        }
                    }
                    [single, ..] => single.clone(),
                    [] => continue,
                };
                next.push(Candidate {
                    value: m.registered(format!("greatest_{depth}_{index}"), chosen.value).expr(),
                    lane: m.registered(format!("lane_{depth}_{index}"), chosen.lane).expr(),
                });
            }
            level = next;
        }
        level.swap_remove(0)
    }

    /// The index after the word whose greatest lane is `word`, there where `taken` is high, the first of a pixel
    /// where `first` is.
    fn index(&self, m: &mut ModuleBuilder, word: &Candidate, (taken, first): (&Expr, &Expr)) -> Expr {
        let ty = uint(self.results().bits);
        let lane = match self.lanes {
            1 => Expr::lit(ty, 0),
            _ => word.lane.resize(ty.width),
        };
        if self.words() == 1 {
            return lane;
        }
        // Channel of the word's lane 0.
        let base = m.register("word_base", ty);
        m.reset(base, 0);
        let present = m.let_("present_base", Expr::mux(first, Expr::lit(ty, 0), base.expr()));
        m.clock_if(base, taken.clone(), present.expr().add(Expr::lit(ty, self.lanes as i64)));
        let held = m.register("held_value", word.value.ty());
        let held_index = m.register("held_index", ty);
        let replaces = m.let_("replaces", first.or(word.value.gt(held.expr())));
        let index: Signal = m.let_("index", present.expr().add(&lane));
        let chosen = m.let_("chosen", Expr::mux(replaces.expr(), index.expr(), held_index.expr()));
        let better = taken.and(replaces.expr());
        m.clock_if(held, better.clone(), word.value.clone());
        m.clock_if(held_index, better, index.expr());
        chosen.expr()
    }

    pub(super) fn build(
        &self,
        m: &mut ModuleBuilder,
        input: Offered,
        gate: &CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        Ok(instantiate(m, &self.module(gate)?, &[input], returned, &self.results()))
    }
}
