//! The result of a verification.

use super::expectation::Expectations;
use super::reference::TensorValues;
use super::streams::{compare_stream, data_order, Difference};
use super::{ArrayOutcome, Request, VerifyError};
use crate::build::Simulator;
use crate::figures::{Figures, Interval};
use crate::run::{Rule, RunEnd, RunResult, StallMode, Stalls, Violation};
use std::fmt;
use systole_bundle::{Manifest, StreamKind};

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Samples compared.
    pub samples: usize,
    /// Elements of the accelerator's output compared with the reference.
    pub elements: u64,
    /// Elements that differ, over all streams and arrays.
    pub mismatches: u64,
    /// The first difference in the first stage, in data order, whose output stream differs.
    pub first: Option<Difference>,
    /// The first difference in the accelerator's own output.
    pub first_output: Option<Difference>,
    /// Outcomes of the arrays given.
    pub arrays: Vec<ArrayOutcome>,
    /// Rules of streams that were broken.
    pub violations: Vec<Violation>,
    /// What a reader must know to judge the result.
    pub notes: Vec<String>,
    /// Predicted initiation interval, cycles as `p` or `p/q`.
    pub interval_predicted: String,
    /// Measured initiation interval; none if no pattern showed.
    pub interval_measured: Option<Interval>,
    /// Predicted latency in cycles.
    pub latency_predicted: u64,
    /// Measured latency in cycles; none if a sample alone did not come out.
    pub latency_measured: Option<u64>,
    /// Cycles in which the samples were compared (not those of the figures' own runs).
    pub cycles: u64,
    /// Stalls of the source, if they were asked for.
    pub source: Option<Stalls>,
    /// Stalls of the sink, if they were asked for.
    pub sink: Option<Stalls>,
    /// Seconds of the Verilator build; near 0 if it was cached.
    pub build_seconds: f64,
    /// Seconds of simulation and comparison.
    pub sim_seconds: f64,
    /// Place in data order of the stream that `first` speaks of.
    first_rank: Option<usize>,
    /// Cycles of all runs, those of the figures included.
    all_cycles: u64,
    /// Whether a hang or runaway kept samples from being compared.
    ended_early: bool,
}

impl Report {
    pub(super) fn new(simulator: &Simulator, request: &Request, samples: usize) -> Report {
        let none = Stalls { mode: StallMode::None, cycles: 0 };
        let stalls = request.stall_seed.map(|_| none);
        let predicted = &simulator.manifest.predicted;
        Report {
            samples,
            elements: 0,
            mismatches: 0,
            first: None,
            first_output: None,
            arrays: Vec::new(),
            violations: Vec::new(),
            notes: Vec::new(),
            interval_predicted: predicted.initiation_interval.clone(),
            interval_measured: None,
            latency_predicted: predicted.latency_cycles,
            latency_measured: None,
            cycles: 0,
            source: stalls,
            sink: stalls,
            build_seconds: simulator.build_seconds,
            sim_seconds: 0.0,
            first_rank: None,
            all_cycles: 0,
            ended_early: false,
        }
    }

    /// Whether every check passed: no differing element, at least one sample and one element compared, no
    /// rule broken, both figures as predicted, and stalls, if asked for, in a tenth of the cycles on both sides.
    pub fn passed(&self) -> bool {
        let figures = self.interval_matches() && self.latency_measured == Some(self.latency_predicted);
        let compared = self.samples > 0 && self.elements > 0 && !self.ended_early;
        compared && figures && self.mismatches == 0 && self.violations.is_empty() && self.stalled_enough()
    }

    /// Whether the measured initiation interval equals the predicted one.
    pub fn interval_matches(&self) -> bool {
        self.interval_measured.is_some() && self.interval_measured == Interval::parse(&self.interval_predicted)
    }

    /// Whether source and sink were each stalled in a tenth of the cycles, where stalls were asked for.
    pub fn stalled_enough(&self) -> bool {
        [self.source, self.sink].iter().flatten().all(|stalls| stalls.cycles * 10 >= self.cycles)
    }

    /// Cycles in which the less stalled of source and sink was stalled.
    pub fn stalled_cycles(&self) -> u64 {
        [self.source, self.sink].iter().flatten().map(|stalls| stalls.cycles).min().unwrap_or(0)
    }

    /// Simulated cycles a second, comparisons included.
    pub fn cycles_per_second(&self) -> f64 {
        if self.sim_seconds > 0.0 {
            self.all_cycles as f64 / self.sim_seconds
        } else {
            0.0
        }
    }

    /// The object of `systole verify --json`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "samples": self.samples,
            "elements": self.elements,
            "mismatches": self.mismatches,
            "initiation_interval_predicted": self.interval_predicted,
            "initiation_interval_measured": self.interval_measured.map(|interval| interval.to_string()),
            "latency_predicted": self.latency_predicted,
            "latency_measured": self.latency_measured,
            "cycles": self.cycles,
            "stalled_cycles": self.stalled_cycles(),
            "build_seconds": self.build_seconds,
            "sim_seconds": self.sim_seconds,
            "cycles_per_second": self.cycles_per_second(),
            "passed": self.passed(),
            "stalled_source_cycles": self.source.map(|stalls| stalls.cycles),
            "stalled_sink_cycles": self.sink.map(|stalls| stalls.cycles),
            "first_difference": self.first,
            "first_output_difference": self.first_output,
            "arrays": self.arrays,
            "violations": self.violations.iter().map(Violation::to_string).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    pub(super) fn ended_early(&self) -> bool {
        self.ended_early
    }

    pub(super) fn take_figures(&mut self, figures: Figures) {
        self.latency_measured = figures.latency;
        self.interval_measured = figures.interval;
        self.all_cycles += figures.cycles;
        self.ended_early |= figures.violations.iter().any(|violation| violation.rule == Rule::Hang);
        self.take_violations(figures.violations);
    }

    /// Compares a run's streams with the reference's values of its samples, which begin at number
    /// `first_sample`. Elements are counted unless the run repeats samples counted before.
    pub(super) fn take_run(
        &mut self,
        manifest: &Manifest,
        run: &RunResult,
        expected: &[TensorValues],
        first_sample: usize,
        repeats: bool,
    ) -> Result<(), VerifyError> {
        self.cycles += run.cycles;
        self.all_cycles += run.cycles;
        for (total, stalls) in [(&mut self.source, run.source), (&mut self.sink, run.sink)] {
            if let Some(total) = total {
                *total = Stalls { mode: stalls.mode, cycles: total.cycles + stalls.cycles };
            }
        }
        self.ended_early |= run.end != RunEnd::Done;
        self.take_violations(run.violations.clone());
        for (rank, index) in data_order(manifest).into_iter().enumerate() {
            let (Some(stream), Some(beats)) = (manifest.streams.get(index), run.beats.get(index)) else { continue };
            let outcome = compare_stream(stream, beats, expected, first_sample)?;
            self.mismatches += outcome.mismatches;
            if stream.kind == StreamKind::Output {
                if !repeats {
                    self.elements += outcome.elements;
                }
                self.first_output = self.first_output.take().or_else(|| outcome.first.clone());
            }
            if let Some(sample) = outcome.padding {
                self.mismatches += 1;
                self.notes.push(format!(
                    "stream `{}`: lanes of sample {sample} are not sign- or zero-extended, or idle ones not 0",
                    stream.name
                ));
            }
            if let Some(first) = outcome.first {
                if self.first_rank.is_none_or(|earliest| rank < earliest) {
                    self.first = Some(first);
                    self.first_rank = Some(rank);
                }
            }
        }
        Ok(())
    }

    pub(super) fn take_expectations(&mut self, found: Expectations) {
        self.mismatches += found.outcomes.iter().map(|outcome| outcome.mismatches).sum::<u64>();
        self.arrays = found.outcomes;
        self.notes.extend(found.notes);
    }

    /// Keeps the first violation of each rule on each stream.
    fn take_violations(&mut self, violations: Vec<Violation>) {
        for violation in violations {
            let known = |v: &Violation| v.stream == violation.stream && v.rule == violation.rule;
            if !self.violations.iter().any(known) {
                self.violations.push(violation);
            }
        }
    }
}

impl fmt::Display for Report {
    /// The result for a reader: what was compared, then every failed check.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        writeln!(f, "{verdict}: {} samples, {} elements, {} mismatches", self.samples, self.elements, self.mismatches)?;
        let measured = self.interval_measured.map_or("none".into(), |interval| interval.to_string());
        writeln!(f, "  initiation interval: {} predicted, {measured} measured", self.interval_predicted)?;
        let measured = self.latency_measured.map_or("none".into(), |cycles| cycles.to_string());
        writeln!(f, "  latency: {} predicted, {measured} measured", self.latency_predicted)?;
        writeln!(f, "  {} cycles, {:.0} a second", self.cycles, self.cycles_per_second())?;
        for (side, stalls) in [("source", self.source), ("sink", self.sink)] {
            if let Some(Stalls { mode, cycles }) = stalls {
                let share = 100.0 * cycles as f64 / self.cycles.max(1) as f64;
                writeln!(f, "  {side} stalled in {cycles} cycles ({share:.1} %), {mode}")?;
            }
        }
        for outcome in &self.arrays {
            writeln!(f, "  {}: {} elements, {} mismatches", outcome.name, outcome.elements, outcome.mismatches)?;
            if let Some(first) = &outcome.first {
                writeln!(f, "    first: {first}")?;
            }
        }
        if let Some(first) = &self.first_output {
            writeln!(f, "  first difference in the output: {first}")?;
        }
        if let Some(first) = &self.first {
            writeln!(f, "  first stage that differs: {first}")?;
        }
        if !self.stalled_enough() {
            writeln!(f, "  fewer than a tenth of the cycles were stalled; verify more samples")?;
        }
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))
    }
}
