//! A running model of an accelerator.

use crate::build::Simulator;
use crate::error::SimError;
use crate::ffi::{RawModel, RawSpec, RunReport, StreamReport};
use crate::figures::Interval;
use crate::run::{Progress, Rule, RunEnd, RunResult, RunSpec, StallMode, Stalls, Violation, LONGEST_BURST};
use std::ops::ControlFlow;
use systole_bundle::manifest::Predicted;
use systole_bundle::{Stream, StreamKind};

/// Cycles that [`Model::reset`] holds the reset.
const RESET_CYCLES: u32 = 16;

/// Least number of cycles watched after the last beat for beats too many.
const LEAST_DRAIN: u64 = 64;

/// Rules in the order in which the harness counts them.
const RULES: [Rule; crate::ffi::RULES] =
    [Rule::HoldValid, Rule::HoldPayload, Rule::Last, Rule::ValidWaits, Rule::IdleLanes];

/// One accelerator in simulation, with its state.
#[derive(Debug)]
pub struct Model {
    raw: RawModel,
    streams: Vec<Stream>,
    input: usize,
    output: usize,
    interval_cycles: u64,
    latency_cycles: u64,
}

impl Simulator {
    /// Starts a model: ROM images are read from the bundle, state without a reset gets noise drawn from `seed`, and the
    /// reset is held once. Models of one `Simulator` are independent; only the first may
    /// write the waveform.
    ///
    /// # Errors
    /// If a ROM image is missing or does not fit its memory, or the built object cannot be loaded.
    pub fn start(&self, seed: u64) -> Result<Model, SimError> {
        let streams = self.manifest.streams.clone();
        let position = |kind| streams.iter().position(|stream| stream.kind == kind).unwrap_or_default();
        let (input, output) = (position(StreamKind::Input), position(StreamKind::Output));
        let sample_words = streams.get(input).map_or(0, |stream| stream.beats * stream.beat_bytes() / 4);
        let Predicted { initiation_interval, latency_cycles, .. } = &self.manifest.predicted;
        let interval = Interval::parse(initiation_interval).ok_or_else(|| SimError::Manifest {
            field: "predicted.initiation_interval",
            found: initiation_interval.clone(),
            wanted: "a positive number of cycles, `p` or `p/q`",
        })?;
        let (trace, count) = (self.trace.as_deref(), streams.len());
        let raw = RawModel::start(self.object(), self.device, &self.rom_folder, seed, trace, count, sample_words)?;
        let interval_cycles = interval.cycles.div_ceil(interval.samples);
        let mut model = Model { raw, streams, input, output, interval_cycles, latency_cycles: *latency_cycles };
        model.reset()?;
        Ok(model)
    }
}

impl Model {
    /// Every stream, in the order of [`RunResult::beats`].
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// The input stream.
    pub fn input(&self) -> &Stream {
        &self.streams[self.input]
    }

    /// The output stream.
    pub fn output(&self) -> &Stream {
        &self.streams[self.output]
    }

    /// Position of the output stream in [`RunResult::beats`].
    pub fn output_index(&self) -> usize {
        self.output
    }

    /// Resets the accelerator; the next cycle is number 0.
    ///
    /// # Errors
    /// If the model stops.
    pub fn reset(&mut self) -> Result<(), SimError> {
        self.raw.reset(RESET_CYCLES)
    }

    /// Runs without looking at the progress.
    ///
    /// # Errors
    /// As [`Model::run_watched`].
    pub fn run(&mut self, spec: &RunSpec<'_>) -> Result<RunResult, SimError> {
        self.run_watched(spec, &mut |_| ControlFlow::Continue(()))
    }

    /// Pushes samples through from the present state and waits for all their output, watching the
    /// rules of every stream. `progress` is called now and then and may end the run.
    ///
    /// Nothing moving for four times the predicted latency plus the longest burst is a hang.
    ///
    /// # Errors
    /// If the input is not `spec.samples` whole samples, or the model stops (`$finish`, no convergence).
    pub fn run_watched(
        &mut self,
        spec: &RunSpec<'_>,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<RunResult, SimError> {
        let words: Vec<u32> = spec.input.chunks_exact(4).map(word).collect();
        if words.len() * 4 != spec.input.len() {
            let expected = self.input().beats.saturating_mul(self.input().beat_bytes()).saturating_mul(spec.samples);
            return Err(SimError::InputSize { found: spec.input.len(), samples: spec.samples, expected });
        }
        let raw_spec = RawSpec {
            samples: spec.samples as u64,
            hang_cycles: self.latency_cycles.saturating_mul(4).saturating_add(LONGEST_BURST),
            drain_cycles: self.latency_cycles.max(LEAST_DRAIN),
            interval_cycles: self.interval_cycles,
            latency_cycles: self.latency_cycles,
            stall_seed: spec.stall_seed,
            probe: spec.probe,
            capture: spec.capture,
            progress_cycles: spec.progress_cycles,
        };
        let mut forward = |cycle, output_beats| progress(Progress { cycle, output_beats }).is_continue();
        let (end, report) = self.raw.run(&words, &raw_spec, &mut forward)?;
        let end = match end {
            0 => RunEnd::Done,
            1 => RunEnd::Hang,
            2 => RunEnd::Runaway,
            _ => RunEnd::Cancelled,
        };
        let stream_reports: Vec<StreamReport> = (0..self.streams.len()).map(|i| self.raw.stream_report(i)).collect();
        Ok(RunResult {
            end,
            cycles: report.cycles,
            source: Stalls { mode: stall_mode(report.source_mode), cycles: report.stalled_source },
            sink: Stalls { mode: stall_mode(report.sink_mode), cycles: report.stalled_sink },
            input_edges: self.raw.edges(false),
            output_edges: self.raw.edges(true),
            beats: (0..self.streams.len()).map(|i| bytes(&self.raw.beats(i))).collect(),
            violations: self.violations(end, &raw_spec, &report, &stream_reports),
        })
    }

    fn violations(&self, end: RunEnd, spec: &RawSpec, run: &RunReport, reports: &[StreamReport]) -> Vec<Violation> {
        let mut found = Vec::new();
        let last_cycle = run.first_cycle + run.cycles;
        if end == RunEnd::Hang {
            let stream = self.culprit(spec.samples, reports).name.clone();
            found.push(Violation { stream, rule: Rule::Hang, cycle: last_cycle, count: spec.hang_cycles });
        }
        for (stream, report) in self.streams.iter().zip(reports) {
            for ((rule, &count), &cycle) in RULES.iter().zip(&report.count).zip(&report.cycle) {
                if count > 0 {
                    found.push(Violation { stream: stream.name.clone(), rule: *rule, cycle, count });
                }
            }
            let expected = spec.samples * stream.beats as u64;
            // A run cut short lacks beats everywhere; that says nothing about a stream.
            if report.beats < expected && end == RunEnd::Done {
                let count = expected - report.beats;
                found.push(Violation { stream: stream.name.clone(), rule: Rule::Missing, cycle: last_cycle, count });
            }
            if report.beats > expected {
                let count = report.beats - expected;
                found.push(Violation { stream: stream.name.clone(), rule: Rule::Extra, cycle: last_cycle, count });
            }
        }
        found
    }

    /// The stream at which a hang arose: the last in data order that offers a beat which nobody takes, so that its
    /// reader is stuck; where none does, the first that lacks beats, so that its driver is.
    fn culprit(&self, samples: u64, reports: &[StreamReport]) -> &Stream {
        let stuck = reports.iter().rposition(|report| report.waiting != 0);
        let lacking = || {
            self.streams.iter().zip(reports).position(|(stream, report)| report.beats < samples * stream.beats as u64)
        };
        &self.streams[stuck.or_else(lacking).unwrap_or(self.output)]
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn stall_mode(number: u32) -> StallMode {
    match number {
        1 => StallMode::Eighth,
        2 => StallMode::Half,
        3 => StallMode::SevenEighths,
        4 => StallMode::Bursts,
        5 => StallMode::Gaps,
        _ => StallMode::None,
    }
}
