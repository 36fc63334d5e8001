//! Compares the accelerator's output, behind the border operations, with expected arrays.

use super::reference::{HostOutput, Reference, ReferenceError};
use super::samples::{check_host_array, port, sample_count, Vectors};
use super::VerifyError;
use serde::Serialize;
use std::fmt;
use systole_bundle::{Array, Manifest, StreamKind};

/// Outcome of comparing one array.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrayOutcome {
    /// Its role: expectation or logits.
    pub name: &'static str,
    /// Elements compared.
    pub elements: u64,
    /// Elements that differ.
    pub mismatches: u64,
    /// The first of them.
    pub first: Option<ArrayDifference>,
}

/// Where output and expectation part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrayDifference {
    /// Sample, counted from 0.
    pub sample: usize,
    /// Element of the sample, row-major.
    pub element: usize,
    /// Value of the array, and the integer behind it where one is compared.
    pub expected: String,
    /// Value of the accelerator.
    pub got: String,
}

impl fmt::Display for ArrayDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ArrayDifference { sample, element, expected, got } = self;
        write!(f, "sample {sample}, element {element}: expected {expected}, got {got}")
    }
}

/// What came of the arrays: outcomes, and what a reader of the result must know.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    pub outcomes: Vec<ArrayOutcome>,
    pub notes: Vec<String>,
}

/// Checks that the expected arrays fit network and samples, ahead of any simulation.
pub(super) fn check(manifest: &Manifest, vectors: &Vectors, samples: usize) -> Result<(), VerifyError> {
    if let Some(expect) = &vectors.expect {
        sample_count("expectation", expect, Some(samples))?;
        check_host_array("expectation", expect, output_border(manifest)?)?;
    }
    if let Some(logits) = &vectors.logits {
        sample_count("logits", logits, Some(samples))?;
        let output = port(manifest, StreamKind::Output)?;
        let (carried, found) = (output.pixels * output.channels, elements_a_sample(logits));
        if found != carried {
            return Err(VerifyError::Array {
                name: "logits",
                reason: format!("{found} elements a sample, tensor `{}` has {carried}", output.tensor),
                remedy: "pass the tensor that leaves the accelerator".into(),
            });
        }
    }
    Ok(())
}

/// Compares `outputs`, the accelerator's output elements of each sample, with the arrays.
pub(super) fn compare(
    manifest: &Manifest,
    reference: &dyn Reference,
    vectors: &Vectors,
    outputs: &[Vec<i64>],
) -> Result<Expectations, VerifyError> {
    let mut found = Expectations::default();
    if let Some(logits) = &vectors.logits {
        found.outcomes.push(match logits {
            Array::Int(values, _) => exact("logits", values.iter(), outputs.iter().flatten(), outputs),
            Array::Float(values) => integers("logits", values.iter(), reference, outputs),
        });
    }
    let Some(expect) = &vectors.expect else { return Ok(found) };
    match (reference.host_output(), expect) {
        (HostOutput::Incomparable(why), _) => {
            found.notes.push(format!("the host's output was not compared with the expectation: {why}"));
        }
        (HostOutput::Affine, Array::Float(values)) => {
            found.outcomes.push(integers("expectation", values.iter(), reference, outputs));
        }
        (HostOutput::Affine | HostOutput::Exact, _) => {
            let delivered = reference.deliver(outputs)?;
            check_host_array("output", &delivered, output_border(manifest)?)?;
            if delivered.shape().first() != Some(&outputs.len()) {
                let text = format!("{:?} delivered for {} samples", delivered.shape(), outputs.len());
                return Err(ReferenceError(text).into());
            }
            found.outcomes.push(match (expect, &delivered) {
                (Array::Int(expected, _), Array::Int(got, _)) => {
                    exact("expectation", expected.iter(), got.iter(), outputs)
                }
                (Array::Float(expected), Array::Float(got)) => {
                    exact("expectation", expected.iter(), got.iter(), outputs)
                }
                // Their types were compared with the border's, so both are of one kind.
                _ => return Err(kinds_differ(expect, &delivered)),
            });
        }
    }
    for outcome in &found.outcomes {
        if outcome.elements == 0 {
            return Err(VerifyError::Empty {
                reason: format!("the {} has no element", outcome.name),
                remedy: "pass an array with elements",
            });
        }
    }
    Ok(found)
}

fn kinds_differ(expect: &Array, delivered: &Array) -> VerifyError {
    VerifyError::Array {
        name: "expectation",
        reason: format!("elements of type {}, the output has {}", expect.type_name(), delivered.type_name()),
        remedy: format!("convert it to {}", delivered.type_name()),
    }
}

fn output_border(manifest: &Manifest) -> Result<&systole_bundle::manifest::Border, VerifyError> {
    let stream = port(manifest, StreamKind::Output)?;
    manifest.output_border.iter().find(|border| border.tensor == stream.tensor).ok_or_else(|| VerifyError::Network {
        tensor: stream.tensor.clone(),
        reason: "the manifest has no output border for it".into(),
    })
}

fn elements_a_sample(array: &Array) -> usize {
    array.shape().get(1..).unwrap_or(&[]).iter().product()
}

/// Compares two arrays, samples outermost: all of `got` with as much of `expected`.
fn exact<'a, T: PartialEq + fmt::Display + 'a>(
    name: &'static str,
    expected: impl Iterator<Item = &'a T>,
    got: impl Iterator<Item = &'a T>,
    outputs: &[Vec<i64>],
) -> ArrayOutcome {
    let got: Vec<&T> = got.collect();
    let mut tally = Tally::new(name, got.len(), outputs.len());
    for (expected, got) in expected.zip(got) {
        tally.count((expected != got).then(|| (expected.to_string(), got.to_string())));
    }
    tally.outcome
}

/// Compares the integers behind an array of floats with the accelerator's output.
fn integers<'a>(
    name: &'static str,
    expected: impl Iterator<Item = &'a f32>,
    reference: &dyn Reference,
    outputs: &[Vec<i64>],
) -> ArrayOutcome {
    let mut tally = Tally::new(name, outputs.iter().map(Vec::len).sum(), outputs.len());
    let elements = outputs.iter().flat_map(|sample| (0..sample.len()).map(move |element| (sample, element)));
    for (&value, (sample, element)) in expected.zip(elements) {
        let element = reference.stream_place(element);
        let got = sample.get(element).copied();
        let integer = reference.integer_behind(element, value);
        let text = || match integer {
            Some(integer) => format!("{value} ({integer})"),
            None => format!("{value} (no integer of the tail y = a*q + b)"),
        };
        let differs = integer.is_none() || integer != got;
        tally.count(differs.then(|| (text(), got.map_or_else(|| "nothing".into(), |got| got.to_string()))));
    }
    tally.outcome
}

/// Counts elements as they are compared, samples outermost.
struct Tally {
    outcome: ArrayOutcome,
    per_sample: usize,
}

impl Tally {
    fn new(name: &'static str, elements: usize, samples: usize) -> Tally {
        let outcome = ArrayOutcome { name, elements: 0, mismatches: 0, first: None };
        Tally { outcome, per_sample: (elements / samples.max(1)).max(1) }
    }

    /// One more element; `difference` holds what was expected and what came where they differ.
    fn count(&mut self, difference: Option<(String, String)>) {
        let index = self.outcome.elements as usize;
        self.outcome.elements += 1;
        let Some((expected, got)) = difference else { return };
        self.outcome.mismatches += 1;
        let (sample, element) = (index / self.per_sample, index % self.per_sample);
        self.outcome.first.get_or_insert(ArrayDifference { sample, element, expected, got });
    }
}
