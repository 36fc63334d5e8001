//! Concatenation of streams along their channels, their columns or their rows.

use super::intake::{beat_phase, idle_number_is_dirty, instantiate, lanes_of, merged, word_of, Intake};
use super::matrix::{advance, counter, Wrapping};
use super::number::{number, number_bits};
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::stream::{BeatSource, RegroupBuildError};
use crate::timing::{Block, EdgeId, TokenModel};
use crate::typed::{bit, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::IntType;

/// What each stream gives in its turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turns {
    /// So many channels of one pixel: two streams or more.
    Channels(Vec<usize>),
    /// So many pixels, all of `channels` channels: two streams or more.
    Pixels {
        /// Channels of every stream.
        channels: usize,
        /// Pixels a turn of each stream.
        runs: Vec<usize>,
    },
}

/// Takes beats of several streams in turn: all channels of a pixel of the first, then of the second, and so on; or
/// runs of whole pixels, which puts images beside or below each other.
///
/// ```text
///  stream 0 ====>|\
///  stream 1 ====>| |===> sign or zero extension --> register ====> groups of r results
///  ...           |/
///                 ^ whose turn it is, and which of its words
/// ```
///
/// r divides the channels of every stream where they make one pixel, so that no beat holds channels of two streams.
///
/// *Timing*: a beat of one stream a cycle; results [`ConcatEngine::LATENCY`] later. A round of turns takes the sum of
/// its words. *Reset* begins a round.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConcatEngine {
    /// Rounds of turns a sample.
    pub rounds: usize,
    /// What each stream gives in its turn.
    pub turns: Turns,
    /// Elements a beat: r.
    pub lanes: usize,
    /// Type of the elements of all streams.
    pub element: IntType,
}

impl Turns {
    /// Elements a beat that the streams allow, ascending: the divisors of every number of channels, or any.
    pub fn lane_choices(&self) -> Vec<usize> {
        match self {
            Turns::Channels(channels) => {
                let least = channels.iter().copied().min().unwrap_or(1);
                (1..=least).filter(|&lanes| channels.iter().all(|count| count.is_multiple_of(lanes))).collect()
            }
            Turns::Pixels { channels, .. } => (1..=*channels).collect(),
        }
    }

    /// Channels and pixels a turn of each stream.
    pub fn shapes(&self) -> Vec<(usize, usize)> {
        match self {
            Turns::Channels(channels) => channels.iter().map(|&count| (count, 1)).collect(),
            Turns::Pixels { channels, runs } => runs.iter().map(|&run| (*channels, run)).collect(),
        }
    }
}

impl ConcatEngine {
    /// Clock edges from taking a beat to the one at which its results can be taken.
    pub const LATENCY: u64 = 1;

    /// The streams it reads.
    pub fn ports(&self) -> Vec<EnginePort> {
        let port = |(channels, pixels): (usize, usize)| EnginePort {
            pixels: self.rounds * pixels,
            channels,
            lanes: self.lanes,
            element_bits: self.element.bits(),
        };
        self.turns.shapes().into_iter().map(port).collect()
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        let (pixels, channels) = match &self.turns {
            Turns::Channels(channels) => (self.rounds, channels.iter().sum()),
            Turns::Pixels { channels, runs } => (self.rounds * runs.iter().sum::<usize>(), *channels),
        };
        Results {
            pixels,
            channels,
            pe: self.lanes,
            bits: number_bits(self.element),
            spacing: 1,
            idle_is_dirty: idle_number_is_dirty(self.element, channels, self.lanes),
        }
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        let results = self.results();
        (results.pixels * results.groups()) as u64
    }

    /// Words of a turn of each stream.
    fn words(&self) -> Vec<usize> {
        self.turns.shapes().into_iter().map(|(channels, pixels)| channels.div_ceil(self.lanes) * pixels).collect()
    }

    /// Timing: from beats to groups of results on the returned edge. `credits`: room for output beats in each
    /// FIFO behind; `beats[g]`: how many of them group g of a pixel completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        sources: &[BeatSource],
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        let results = model.edge("concat results", 0);
        let group =
            |source: &BeatSource, count: u64| beat_phase(&[*source], credits, count, Some((results, Self::LATENCY)));
        let blocks: Vec<Block> = match &self.turns {
            Turns::Channels(_) => {
                let words = sources.iter().zip(self.words());
                let order = words.flat_map(|(source, words)| std::iter::repeat_n(source, words));
                let phases = merged(order.zip(beats).map(|(source, &count)| group(source, count)));
                vec![Block { phases, repeat: 1 }]
            }
            Turns::Pixels { runs, .. } => {
                let pixel = |source: &BeatSource| merged(beats.iter().map(|&count| group(source, count)));
                let turns = sources.iter().zip(runs);
                turns.map(|(source, &run)| Block { phases: pixel(source), repeat: run as u64 }).collect()
            }
        };
        model.actor_of_blocks("concat", blocks, self.rounds as u64);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let shapes = self.turns.shapes();
        let counts: Vec<String> = shapes.iter().map(|(channels, pixels)| format!("{channels}p{pixels}")).collect();
        let name = format!("concat_{}_x{}_{}_{}", counts.join("_"), self.lanes, self.element, gate.suffix());
        let mut intake = Intake::new(name, &self.ports(), gate);
        let parts: Vec<String> = shapes
            .iter()
            .map(|&(channels, pixels)| match pixels {
                1 => channels.to_string(),
                _ => format!("{pixels} pixels of {channels}"),
            })
            .collect();
        intake.m.comment(format!(
            "{} {}, in this order, in beats of {}.",
            parts.join(" and "),
            self.element,
            self.lanes
        ));
        let m = &mut intake.m;
        let words = self.words();
        let longest = words.iter().copied().max().unwrap_or(1);
        let word = (longest > 1).then(|| counter(m, "word", longest));
        // One bit a stream: whose turn it is.
        let turns: Vec<Signal> = (0..words.len()).map(|index| m.register(format!("from_{index}"), bit())).collect();
        for (index, &turn) in turns.iter().enumerate() {
            m.reset(turn, u64::from(index == 0));
        }
        let at_end = |(turn, &words): (&Signal, &usize)| match &word {
            None => turn.expr(),
            Some(word) => turn.expr().and(word.value.expr().eq(Expr::lit(word.value.ty(), words as i64 - 1))),
        };
        let ends: Vec<Expr> = turns.iter().zip(&words).map(at_end).collect();
        let none = || Expr::lit(bit(), 0);
        let stream_ends = m.let_("stream_ends", ends.iter().cloned().reduce(|a, b| a.or(b)).unwrap_or_else(none));
        let group = match &self.turns {
            Turns::Channels(_) => None,
            Turns::Pixels { .. } => Some(counter(m, "group", gate.results.groups())),
        };
        let pixel_ends = match &group {
            None => ends.last().cloned().unwrap_or_else(none),
            Some(group) => group.at_last.clone(),
        };
        let last = m.let_("pixel_ends", pixel_ends);

        let gate = intake.gate(gate, &last.expr());
        let m = &mut intake.m;
        let funded = m.let_("funded", gate.funded.clone());
        let mut present = none();
        for (input, turn) in intake.inputs.iter().zip(&turns) {
            m.assign(input.ready, funded.expr().and(turn.expr()));
            present = present.or(turn.expr().and(input.valid.expr()));
        }
        let takes = m.let_("takes", funded.expr().and(present));
        gate.spend(m, &takes.expr());
        if let Some(group) = &group {
            advance(m, group, takes.expr());
        }
        let next_stream = m.let_("next_stream", takes.expr().and(stream_ends.expr()));
        for (index, &turn) in turns.iter().enumerate() {
            let before = turns[(index + turns.len() - 1) % turns.len()];
            m.clock_if(turn, next_stream.expr(), before.expr());
        }
        if let Some(word) = word {
            advance(m, &Wrapping { at_last: stream_ends.expr(), ..word }, takes.expr());
        }

        let mut offered = intake.inputs.iter().zip(&turns).rev();
        let last_stream = offered.next().map(|(input, _)| input.data.expr());
        let beat = offered
            .fold(last_stream, |rest, (input, turn)| rest.map(|rest| Expr::mux(turn.expr(), input.data.expr(), rest)));
        let Some(beat) = beat else { return intake.m.build() };
        let beat = intake.m.let_("beat", beat);
        let elements = lanes_of(&beat.expr(), self.lanes);
        let numbers = elements.iter().map(|stored| number(stored, self.element).as_unsigned()).collect();
        intake.finish(&takes.expr(), 0, word_of(numbers))
    }

    pub(super) fn build(
        &self,
        m: &mut ModuleBuilder,
        inputs: &[Offered],
        gate: &CreditGate<'_>,
        returned: &[Expr],
    ) -> Result<Beats, RegroupBuildError> {
        Ok(instantiate(m, &self.module(gate)?, inputs, returned, &self.results()))
    }
}
