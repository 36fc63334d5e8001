//! Bit-exact verification of a bundle.
//!
//! Every stream of the simulated accelerator is compared with the software reference, its
//! measured latency and initiation interval with the predicted ones, and its output behind the
//! border operations with expected arrays where there are any. Nothing can pass by being empty:
//! no samples, no elements, a missing array or another shape are errors.

mod expectation;
mod reference;
mod report;
mod samples;
mod streams;

pub use expectation::{ArrayDifference, ArrayOutcome};
pub use reference::{HostOutput, Reference, ReferenceError, TensorValues};
pub use report::Report;
pub use samples::Vectors;
pub use streams::Difference;

use crate::build::Simulator;
use crate::error::SimError;
use crate::figures::measure;
use crate::model::Model;
use crate::run::{Progress, RunEnd, RunSpec};
use std::ops::ControlFlow;
use std::time::Instant;
use systole_bundle::Manifest;

/// Why a bundle cannot be verified: neither a pass nor a failed check.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The simulation failed.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The reference failed.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// There is nothing to compare.
    #[error("nothing to compare: {reason}; {remedy}")]
    Empty {
        /// What there is none of.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An array does not fit the network.
    #[error("array `{name}`: {reason}; {remedy}")]
    Array {
        /// Its role: input, expectation, logits.
        name: &'static str,
        /// What does not fit, with the numbers.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Manifest and network contradict each other.
    #[error("tensor `{tensor}`: {reason}; compile the model again")]
    Network {
        /// The tensor.
        tensor: String,
        /// The contradiction, with the numbers.
        reason: String,
    },
    /// The caller ended the simulation.
    #[error("the simulation was cancelled")]
    Cancelled,
}

impl VerifyError {
    /// Exit status by the command line's contract.
    pub fn exit_status(&self) -> u8 {
        match self {
            VerifyError::Sim(error) => error.exit_status(),
            VerifyError::Cancelled => 1,
            VerifyError::Reference(_)
            | VerifyError::Empty { .. }
            | VerifyError::Array { .. }
            | VerifyError::Network { .. } => 2,
        }
    }
}

/// What to verify with.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Arrays to send and to expect; random inputs of the input tensor's range without.
    pub vectors: Option<Vectors>,
    /// Samples to compare: the first of the arrays, or as many random ones. All, or
    /// [`RANDOM_SAMPLES`], by default.
    pub samples: Option<usize>,
    /// Seed of stalls of source and sink; none without stalls.
    pub stall_seed: Option<u64>,
}

/// Random samples where nothing says how many.
pub const RANDOM_SAMPLES: usize = 16;

/// Bytes of captured beats that one run may keep: longer batches are simulated in parts.
const CAPTURE_BYTES: usize = 256 << 20;

/// How often a batch is sent again at most, to reach a tenth of stalled cycles.
const REPEATS: u64 = 16;

/// Verifies the built accelerator against `reference`.
///
/// `progress` is called now and then and may end the simulation.
///
/// # Errors
/// If there is nothing to compare, arrays do not fit the network, or the simulation cannot run. A
/// difference is no error but a [`Report`] that did not pass.
pub fn verify(
    simulator: &Simulator,
    reference: &dyn Reference,
    request: &Request,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, VerifyError> {
    let manifest = &simulator.manifest;
    let inputs = samples::inputs(manifest, reference, request)?;
    if let Some(vectors) = &request.vectors {
        expectation::check(manifest, vectors, inputs.len())?;
    }
    let references = reference.run(&inputs)?;
    if references.len() != inputs.len() {
        let text = format!("{} results for {} samples", references.len(), inputs.len());
        return Err(ReferenceError(text).into());
    }
    let begin = Instant::now();
    let mut model = simulator.start(request.stall_seed.unwrap_or(0))?;
    let mut report = Report::new(simulator, request, inputs.len());

    let packed = samples::pack(model.input(), &inputs)?;
    report.take_figures(measure(&mut model, &packed, &manifest.predicted)?);
    model.reset()?;

    let mut outputs = Vec::with_capacity(inputs.len());
    let part = samples_a_run(&model);
    let part_bytes = (packed.len() / inputs.len()).saturating_mul(part);
    for (index, (beats, expected)) in packed.chunks(part_bytes).zip(references.chunks(part)).enumerate() {
        let part = Part { beats, expected, first_sample: index * part };
        outputs.extend(part.simulate(&mut model, manifest, request, &mut report, progress)?);
        if report.ended_early() {
            break;
        }
    }
    report.sim_seconds = begin.elapsed().as_secs_f64();
    if report.elements == 0 && !report.ended_early() {
        return Err(VerifyError::Empty {
            reason: "the output stream carries no element".into(),
            remedy: "compile the model again",
        });
    }
    if let (Some(vectors), false) = (&request.vectors, report.ended_early()) {
        report.take_expectations(expectation::compare(manifest, reference, vectors, &outputs)?);
    }
    Ok(report)
}

/// Samples that a run may hold so that its captures stay below [`CAPTURE_BYTES`].
fn samples_a_run(model: &Model) -> usize {
    let bytes: usize = model.streams().iter().map(|stream| stream.beats.saturating_mul(stream.beat_bytes())).sum();
    (CAPTURE_BYTES / bytes.max(1)).max(1)
}

/// Samples that are simulated in one run.
struct Part<'a> {
    beats: &'a [u8],
    expected: &'a [TensorValues],
    /// Number of its first sample.
    first_sample: usize,
}

impl Part<'_> {
    /// Simulates and compares; returns each sample's output elements. With stalls it is sent
    /// again until source and sink were stalled in a tenth of all cycles.
    fn simulate(
        &self,
        model: &mut Model,
        manifest: &Manifest,
        request: &Request,
        report: &mut Report,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Vec<Vec<i64>>, VerifyError> {
        let output = model.output().clone();
        let mut first_outputs = None;
        for repeat in 0..REPEATS {
            // Each part and repeat draws other stalls.
            let salt = (self.first_sample as u64) << 8 | repeat;
            let stall_seed = request.stall_seed.map(|seed| seed.wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let spec =
                RunSpec { stall_seed, probe: true, capture: true, ..RunSpec::new(self.beats, self.expected.len()) };
            let run = model.run_watched(&spec, progress)?;
            if run.end == RunEnd::Cancelled {
                return Err(VerifyError::Cancelled);
            }
            report.take_run(manifest, &run, self.expected, self.first_sample, repeat > 0)?;
            first_outputs.get_or_insert_with(|| output.unpack(&run.beats[model.output_index()]));
            if report.ended_early() || report.stalled_enough() {
                break;
            }
        }
        let elements = (output.pixels * output.channels).max(1);
        Ok(first_outputs.unwrap_or_default().chunks(elements).map(<[i64]>::to_vec).collect())
    }
}
