//! What the engines share that work on their beats as they come, one a cycle and without a memory of input.

use super::matrix::{advance, counter, credit_inputs, credit_name, Wrapping};
use super::results::{credit_takes, CreditGate, Gate};
use super::{Beats, EnginePort, Offered, Results};
use crate::stage::port_name;
use crate::stream::BeatSource;
use crate::timing::{EdgeId, Give, Phase};
use crate::typed::{bit, uint, Expr, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_arith::{IntType, Range};

/// Lanes of a word, lane 0 in the low bits.
pub(super) fn lanes_of(word: &Expr, lanes: usize) -> Vec<Expr> {
    let bits = word.ty().width / lanes as u32;
    (0..lanes as u32).map(|lane| word.slice(lane * bits, bits)).collect()
}

/// A word of lanes, lane 0 in the low bits.
pub(super) fn word_of(mut lanes: Vec<Expr>) -> Expr {
    lanes.reverse();
    Expr::concat(&lanes)
}

/// Whether a lane without a channel, stored as 0, is other than 0 as a number.
pub(super) fn idle_number_is_dirty(ty: IntType, channels: usize, lanes: usize) -> bool {
    !channels.is_multiple_of(lanes) && ty.decode(0) != 0
}

/// The hull of `value` over the corners of two ranges.
pub(super) fn corners(a: Range, b: Range, value: impl Fn(i64, i64) -> i64) -> Range {
    let all = [(a.lo, b.lo), (a.lo, b.hi), (a.hi, b.lo), (a.hi, b.hi)];
    all.into_iter().map(|(x, y)| Range::point(value(x, y))).reduce(Range::hull).unwrap_or(Range::point(0))
}

/// An engine's own module, up to what takes its beats. Ports: `in_valid`, `in_ready`, `in_data` (and `in_1_valid`
/// ...), `credit` (and `credit_1` ...: a beat was taken behind the stage), `out_valid`, `out_data`: registers with
/// a group of results.
pub(super) struct Intake {
    pub m: ModuleBuilder,
    /// The streams; their ready is to be driven.
    pub inputs: Vec<Offered>,
    /// Whether a beat is taken from each FIFO behind the stage.
    returned: Vec<Expr>,
    /// High with a group of results; to be clocked.
    pub out_valid: Signal,
    /// The group.
    pub out_data: Signal,
}

impl Intake {
    pub fn new(name: String, ports: &[EnginePort], gate: &CreditGate<'_>) -> Self {
        let mut m = ModuleBuilder::new(name);
        let inputs = ports
            .iter()
            .enumerate()
            .map(|(index, port)| Offered {
                valid: m.input(port_name("in", index, "valid"), bit()),
                ready: m.output(port_name("in", index, "ready"), bit()),
                data: m.input(port_name("in", index, "data"), uint(port.width())),
            })
            .collect();
        let returned = credit_inputs(&mut m, gate.depths.len());
        let out_valid = m.output_register("out_valid", bit());
        m.reset(out_valid, 0);
        let out_data = m.output_register("out_data", uint(gate.results.pe as u32 * gate.results.bits));
        Intake { m, inputs, returned, out_valid, out_data }
    }

    /// The credits of a group; `last`: whether it is its pixel's last.
    pub fn gate(&mut self, gate: &CreditGate<'_>, last: &Expr) -> Gate {
        gate.build(&mut self.m, &self.returned, last)
    }

    /// Drives the outputs with a group that is there `cycles` after `taken`, and gives the finished module.
    pub fn finish(mut self, taken: &Expr, cycles: usize, group: Expr) -> Result<Arc<Module>, crate::typed::HdlError> {
        let mut valid = taken.clone();
        for cycle in 1..=cycles {
            let later = self.m.register(format!("group_{cycle}"), bit());
            self.m.reset(later, 0);
            self.m.clock(later, valid);
            valid = later.expr();
        }
        self.m.clock(self.out_valid, valid);
        self.m.clock(self.out_data, group);
        self.m.build()
    }
}

/// Credits of an engine whose every beat of each stream is a group, taken together.
pub(super) struct EveryBeat {
    gate: Gate,
    group: Option<Wrapping>,
}

impl EveryBeat {
    pub fn new(intake: &mut Intake, gate: &CreditGate<'_>) -> Self {
        // Counted only where the last group is of another size in output beats than the others.
        let Results { channels, pe, .. } = gate.results;
        let (lanes, groups) = (gate.lanes, gate.results.groups());
        let rest = channels - (groups - 1) * pe;
        let alike = groups == 1 || (pe.is_multiple_of(lanes) && pe / lanes == rest.div_ceil(lanes));
        let group = (!alike).then(|| counter(&mut intake.m, "group", groups));
        let last = group.as_ref().map_or_else(|| Expr::lit(bit(), 0), |group| group.at_last.clone());
        EveryBeat { gate: intake.gate(gate, &last), group }
    }

    /// Takes a beat of each stream where all are there and the results have room.
    pub fn take(self, intake: &mut Intake) -> Signal {
        let funded = intake.m.let_("funded", self.gate.funded.clone()).expr();
        for (index, input) in intake.inputs.iter().enumerate() {
            let others = intake.inputs.iter().enumerate().filter(|(other, _)| *other != index);
            let ready = others.fold(funded.clone(), |ready, (_, other)| ready.and(other.valid.expr()));
            intake.m.assign(input.ready, ready);
        }
        let takes = intake.inputs.iter().fold(funded, |takes, input| takes.and(input.valid.expr()));
        let takes = intake.m.let_("takes", takes);
        self.gate.spend(&mut intake.m, &takes.expr());
        if let Some(group) = &self.group {
            advance(&mut intake.m, group, takes.expr());
        }
        takes
    }
}

/// Instantiates an engine's own module in its stage.
pub(super) fn instantiate(
    m: &mut ModuleBuilder,
    module: &Arc<Module>,
    inputs: &[Offered],
    returned: &[Expr],
    results: &Results,
) -> Beats {
    let out = Beats::wires(m, "results", results.pe as u32 * results.bits);
    let mut ports = vec![("out_valid".to_string(), out.valid.expr()), ("out_data".into(), out.data.expr())];
    for (index, input) in inputs.iter().enumerate() {
        for (signal, value) in [("valid", input.valid), ("ready", input.ready), ("data", input.data)] {
            ports.push((port_name("in", index, signal), value.expr()));
        }
    }
    ports.extend(returned.iter().enumerate().map(|(index, credit)| (credit_name(index), credit.clone())));
    m.instance("engine", module, &ports);
    out
}

/// A cycle in which one beat of each of `sources` is taken. With `results`, it completes a group: that takes
/// room for `beats` output beats in each FIFO, and gives the group `latency` later.
pub(super) fn beat_phase(
    sources: &[BeatSource],
    credits: &[EdgeId],
    beats: u64,
    results: Option<(EdgeId, u64)>,
) -> Phase {
    let credits = credit_takes(credits, if results.is_some() { beats } else { 0 });
    let group = results.map(|(edge, delay)| Give { edge, count: 1, delay, stride: 0 });
    Phase {
        repeat: 1,
        takes: sources.iter().map(|source| source.take).chain(credits).collect(),
        gives: sources.iter().filter_map(|source| source.give).chain(group).collect(),
        cycles: 1,
    }
}

/// Phases in order, equal neighbours as one.
pub(super) fn merged(phases: impl IntoIterator<Item = Phase>) -> Vec<Phase> {
    let mut round: Vec<Phase> = Vec::new();
    for phase in phases {
        match round.last_mut() {
            Some(last) if last.takes == phase.takes && last.gives == phase.gives && last.cycles == phase.cycles => {
                last.repeat += phase.repeat;
            }
            _ => round.push(phase),
        }
    }
    round
}
