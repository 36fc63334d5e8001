//! Concatenation of streams along their channels.

use super::intake::{beat_phase, instantiate, lanes_of, merged, word_of, EveryBeat, Intake};
use super::matrix::{advance, counter, Wrapping};
use super::number::{number, number_bits};
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::stream::{BeatSource, RegroupBuildError};
use crate::timing::{EdgeId, TokenModel};
use crate::typed::{bit, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::IntType;

/// Makes one pixel of a pixel of each stream: all channels of the first, then of the second, and so on.
///
/// ```text
///  stream 0 ====>|\
///  stream 1 ====>| |===> sign or zero extension --> register ====> groups of r results
///  ...           |/
///                 ^ which stream, which of its words
/// ```
///
/// r divides the channels of every stream, so that no beat holds channels of two streams; or it is one or several whole
/// pixels: then a beat of as many pixels is taken of every stream at once.
///
/// *Timing*: a beat of one stream a cycle, or one of each; results [`ConcatEngine::LATENCY`] later. A pixel takes the sum
/// of its streams' words, or its part of a cycle. *Reset* begins a pixel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConcatEngine {
    /// Pixels a sample.
    pub pixels: usize,
    /// Channels of each stream: two streams or more.
    pub channels: Vec<usize>,
    /// Elements a beat: r.
    pub lanes: usize,
    /// Type of the elements of all streams.
    pub element: IntType,
}

impl ConcatEngine {
    /// Clock edges from taking a beat to the one at which its results can be taken.
    pub const LATENCY: u64 = 1;

    /// Elements a beat that some streams of `pixels` pixels allow, ascending: the divisors of every number of channels,
    /// and one or several whole pixels.
    pub fn lane_choices(pixels: usize, channels: &[usize]) -> Vec<usize> {
        let (least, all) = (channels.iter().copied().min().unwrap_or(1), channels.iter().sum::<usize>());
        let parts = (1..=least).filter(|&lanes| channels.iter().all(|count| count.is_multiple_of(lanes)));
        let whole = (1..=pixels).filter(|&count| pixels.is_multiple_of(count)).map(|count| count * all);
        parts.chain(whole).collect()
    }

    /// Whole pixels a beat; none where a beat is a part of one stream's pixel.
    fn whole_pixels(&self) -> Option<usize> {
        let all: usize = self.channels.iter().sum();
        (self.lanes >= all).then_some(self.lanes / all)
    }

    /// The streams it reads.
    pub fn ports(&self) -> Vec<EnginePort> {
        let (pixels, element_bits) = (self.pixels, self.element.bits());
        let port = |&channels: &usize| match self.whole_pixels() {
            None => EnginePort { pixels, channels, lanes: self.lanes, element_bits },
            Some(count) => {
                let joined = channels * count;
                EnginePort { pixels: pixels / count, channels: joined, lanes: joined, element_bits }
            }
        };
        self.channels.iter().map(port).collect()
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        let joined = self.whole_pixels().unwrap_or(1);
        Results {
            pixels: self.pixels / joined,
            channels: self.channels.iter().sum::<usize>() * joined,
            pe: self.lanes,
            bits: number_bits(self.element),
            spacing: 1,
            idle_is_dirty: false,
        }
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        let results = self.results();
        (results.pixels * results.groups()) as u64
    }

    /// Words of a pixel of each stream.
    fn words(&self) -> impl Iterator<Item = usize> + '_ {
        self.channels.iter().map(|channels| channels / self.lanes)
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
        if let (Some(count), [beats]) = (self.whole_pixels(), beats) {
            let beat = beat_phase(sources, credits, *beats, Some((results, Self::LATENCY)));
            model.actor("concat", vec![beat], (self.pixels / count) as u64);
            return results;
        }
        let order = sources.iter().zip(self.words()).flat_map(|(source, words)| std::iter::repeat_n(source, words));
        let phase = |(source, &count): (&BeatSource, &u64)| {
            beat_phase(&[*source], credits, count, Some((results, Self::LATENCY)))
        };
        model.actor("concat", merged(order.zip(beats).map(phase)), self.pixels as u64);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let counts: Vec<String> = self.channels.iter().map(usize::to_string).collect();
        let name = format!("concat_{}_x{}_{}_{}", counts.join("_"), self.lanes, self.element, gate.suffix());
        let mut intake = Intake::new(name, &self.ports(), gate);
        intake.m.comment(format!(
            "One pixel of pixels of {} {}, in this order, in beats of {}.",
            counts.join(" and "),
            self.element,
            self.lanes
        ));
        if let Some(pixels) = self.whole_pixels() {
            return self.join(intake, gate, pixels);
        }
        let m = &mut intake.m;
        let words: Vec<usize> = self.words().collect();
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
        let last = m.let_("pixel_ends", ends.last().cloned().unwrap_or_else(none));

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
        self.finish(intake, takes, lanes_of(&beat.expr(), self.lanes))
    }

    /// The rest of the module where a beat of each stream holds `pixels` whole pixels.
    fn join(&self, mut intake: Intake, gate: &CreditGate<'_>, pixels: usize) -> Result<Arc<Module>, HdlError> {
        let credits = EveryBeat::new(&mut intake, gate);
        let takes = credits.take(&mut intake);
        let streams = intake.inputs.iter().zip(&self.channels);
        let streams: Vec<Vec<Expr>> =
            streams.map(|(input, count)| lanes_of(&input.data.expr(), count * pixels)).collect();
        let of_pixel = |pixel: usize| {
            let parts = streams.iter().zip(&self.channels);
            parts.flat_map(move |(lanes, &count)| lanes[pixel * count..][..count].iter().cloned())
        };
        self.finish(intake, takes, (0..pixels).flat_map(of_pixel).collect())
    }

    fn finish(&self, intake: Intake, takes: Signal, elements: Vec<Expr>) -> Result<Arc<Module>, HdlError> {
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
