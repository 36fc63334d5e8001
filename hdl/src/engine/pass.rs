//! The engine that computes nothing: its elements are the raw numbers of a requantizer.

use super::intake::{beat_phase, idle_number_is_dirty, instantiate, lanes_of, merged, word_of, EveryBeat, Intake};
use super::number::{number, number_bits};
use super::{Beats, CreditGate, EnginePort, Offered, Results};
use crate::stream::{BeatSource, RegroupBuildError};
use crate::timing::{EdgeId, TokenModel};
use crate::typed::{Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;
use systole_arith::IntType;

/// Hands each element on as a two's-complement number: activations, rescalings and every other function of one
/// element, which the requantizer computes.
///
/// ```text
///  stream ====> sign or zero extension --> register ====> groups of p results
///  p lanes           ^ taken where the results have room
/// ```
///
/// *Timing*: a beat a cycle; results [`PassEngine::LATENCY`] later. *Reset* drops the beat in the register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassEngine {
    /// Pixels a sample.
    pub pixels: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Elements a beat: p.
    pub lanes: usize,
    /// Type of the elements.
    pub element: IntType,
}

impl PassEngine {
    /// Clock edges from taking a beat to the one at which its results can be taken.
    pub const LATENCY: u64 = 1;

    /// The stream it reads.
    pub fn port(&self) -> EnginePort {
        let PassEngine { pixels, channels, lanes, element } = *self;
        EnginePort { pixels, channels, lanes, element_bits: element.bits() }
    }

    /// What the engine hands on.
    pub fn results(&self) -> Results {
        Results {
            pixels: self.pixels,
            channels: self.channels,
            pe: self.lanes,
            bits: number_bits(self.element),
            spacing: 1,
            idle_is_dirty: idle_number_is_dirty(self.element, self.channels, self.lanes),
        }
    }

    /// Cycles a sample.
    pub fn cycles(&self) -> u64 {
        (self.pixels * self.results().groups()) as u64
    }

    /// Timing: from beats to groups of results on the returned edge. `credits`: room for output beats in each
    /// FIFO behind; `beats[g]`: how many of them group g of a pixel completes.
    pub(crate) fn add_to(
        &self,
        model: &mut TokenModel,
        source: &BeatSource,
        credits: &[EdgeId],
        beats: &[u64],
    ) -> EdgeId {
        let results = model.edge("pass results", 0);
        let phase = |&count: &u64| beat_phase(&[*source], credits, count, Some((results, Self::LATENCY)));
        model.actor("pass", merged(beats.iter().map(phase)), self.pixels as u64);
        results
    }

    fn module(&self, gate: &CreditGate<'_>) -> Result<Arc<Module>, HdlError> {
        let PassEngine { channels, lanes, element, .. } = *self;
        let name = format!("pass_{channels}x{lanes}_{element}_{}", gate.suffix());
        let mut intake = Intake::new(name, &[self.port()], gate);
        intake.m.comment(format!("Pixels of {channels} {element} in beats of {lanes}, as two's complement."));
        let credits = EveryBeat::new(&mut intake, gate);
        let takes = credits.take(&mut intake);
        let elements = lanes_of(&intake.inputs[0].data.expr(), lanes);
        let numbers = elements.iter().map(|stored| number(stored, element).as_unsigned()).collect();
        intake.finish(&takes.expr(), 0, word_of(numbers))
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
