//! What a run of the simulated accelerator is given and what it gives back.

use std::fmt;

/// Longest burst of stalled cycles that a stall process draws, in cycles.
pub const LONGEST_BURST: u64 = 2_000;

/// One run: samples pushed through back to back.
#[derive(Clone, Debug)]
pub struct RunSpec<'a> {
    /// Beats of `samples` whole samples, as `Stream::pack` of the input stream lays them out.
    pub input: &'a [u8],
    /// Samples in `input`.
    pub samples: usize,
    /// Seed of the stalls of source and sink; none: the source is always valid, the sink always ready.
    pub stall_seed: Option<u64>,
    /// Whether to test that no stream's valid depends on its ready. Costs about a quarter of the speed.
    pub probe: bool,
    /// Whether to keep the beats of every stream, not of the output alone.
    pub capture: bool,
    /// Cycles between two calls of the progress function.
    pub progress_cycles: u64,
}

impl<'a> RunSpec<'a> {
    /// A run without stalls, probes or captures.
    pub fn new(input: &'a [u8], samples: usize) -> RunSpec<'a> {
        RunSpec { input, samples, stall_seed: None, probe: false, capture: false, progress_cycles: 10_000 }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Cycles since the reset.
    pub cycle: u64,
    /// Beats that left through the output in this run.
    pub output_beats: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// Every beat went in and came out.
    Done,
    /// Nothing moved anywhere for the allowed number of cycles.
    Hang,
    /// A stream carried at least a whole sample too much.
    Runaway,
    /// The progress function ended it.
    Cancelled,
}

/// How one side of the accelerator was stalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StallMode {
    /// Not at all.
    None,
    /// Each cycle with probability 1/8.
    Eighth,
    /// Each cycle with probability 1/2.
    Half,
    /// Each cycle with probability 7/8.
    SevenEighths,
    /// In bursts of 1 to [`LONGEST_BURST`] cycles.
    Bursts,
    /// In gaps of one or two samples' length between samples.
    Gaps,
}

impl fmt::Display for StallMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StallMode::None => "none",
            StallMode::Eighth => "probability 1/8",
            StallMode::Half => "probability 1/2",
            StallMode::SevenEighths => "probability 7/8",
            StallMode::Bursts => "bursts",
            StallMode::Gaps => "whole-sample gaps",
        })
    }
}

/// Stalls of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stalls {
    /// How they were drawn.
    pub mode: StallMode,
    /// Cycles in which the side held back on purpose.
    pub cycles: u64,
}

/// A rule of streams that hardware can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A beat on offer stays on offer until it is taken.
    HoldValid,
    /// Its payload, TLAST included, stays the same.
    HoldPayload,
    /// TLAST marks exactly the last beat of each sample.
    Last,
    /// Valid does not depend on ready within a cycle.
    ValidWaits,
    /// Idle lanes of a pixel's last beat are 0.
    IdleLanes,
    /// A stream carries the beats of the samples and no fewer.
    Missing,
    /// A stream carries the beats of the samples and no more.
    Extra,
    /// Something moves.
    Hang,
}

/// A stream that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Name of the stream.
    pub stream: String,
    /// The rule.
    pub rule: Rule,
    /// Cycle of the first breach; of missing and extra beats the end of the run.
    pub cycle: u64,
    /// Number of breaches; of missing and extra beats how many.
    pub count: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { stream, cycle, count, .. } = self;
        write!(f, "stream `{stream}`: ")?;
        match self.rule {
            Rule::HoldValid => write!(f, "valid fell before the beat was taken")?,
            Rule::HoldPayload => write!(f, "the payload changed before the beat was taken")?,
            Rule::Last => write!(f, "TLAST is not exactly on the last beat of a sample")?,
            Rule::ValidWaits => write!(f, "valid depends on ready")?,
            Rule::IdleLanes => write!(f, "idle lanes are not 0")?,
            Rule::Missing => return write!(f, "{count} beats are missing after cycle {cycle}"),
            Rule::Extra => return write!(f, "{count} beats too many by cycle {cycle}"),
            Rule::Hang => return write!(f, "hang: nothing has moved for {count} cycles at cycle {cycle}"),
        }
        match count {
            1 => write!(f, " at cycle {cycle}"),
            _ => write!(f, " at cycle {cycle} and {} more times", count - 1),
        }
    }
}

/// What a run gives back.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// How it ended.
    pub end: RunEnd,
    /// Cycles from the run's first to the one after its last beat.
    pub cycles: u64,
    /// Stalls of the source: cycles in which it withheld a beat.
    pub source: Stalls,
    /// Stalls of the sink: cycles in which it withheld its ready.
    pub sink: Stalls,
    /// Cycle of each input beat, counted from the reset.
    pub input_edges: Vec<u64>,
    /// Cycle of each output beat, counted from the reset.
    pub output_edges: Vec<u64>,
    /// Beats of each stream, in the manifest's order and `Stream::pack`'s layout. Empty for
    /// streams that were not captured.
    pub beats: Vec<Vec<u8>>,
    /// Rules that were broken, in the streams' order; a hang first.
    pub violations: Vec<Violation>,
}

impl RunResult {
    /// Whether source and sink were each stalled in at least one of ten cycles.
    pub fn stalled_enough(&self) -> bool {
        self.source.cycles * 10 >= self.cycles && self.sink.cycles * 10 >= self.cycles
    }
}
