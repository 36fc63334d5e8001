//! Compares what every stream carried with the software reference.

use super::reference::TensorValues;
use super::VerifyError;
use serde::Serialize;
use std::fmt;
use systole_bundle::{Manifest, Stream};

/// Where a stream and the reference part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The stream.
    pub stream: String,
    /// The stage that drives it; none for the input and what buffers it.
    pub stage: Option<String>,
    /// Sample, counted from 0.
    pub sample: usize,
    /// Element of the sample's tensor, row-major, channels innermost.
    pub element: usize,
    /// Value of the reference.
    pub expected: i64,
    /// Value in the stream.
    pub got: i64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { stream, stage, sample, element, expected, got } = self;
        match stage {
            Some(stage) => write!(f, "stage `{stage}`, stream `{stream}`")?,
            None => write!(f, "stream `{stream}`")?,
        }
        write!(f, ": sample {sample}, element {element}: expected {expected}, got {got}")
    }
}

/// Outcome of comparing one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamOutcome {
    pub elements: u64,
    pub mismatches: u64,
    pub first: Option<Difference>,
    /// Sample of the first beat whose lanes are not extended as they should be, all elements being right.
    pub padding: Option<usize>,
}

/// Compares the beats of `stream` from sample number `first_sample` on with `references`. Samples that the stream did not
/// carry in full are compared as far as they go.
pub(super) fn compare_stream(
    stream: &Stream,
    beats: &[u8],
    references: &[TensorValues],
    first_sample: usize,
) -> Result<StreamOutcome, VerifyError> {
    let mut outcome = StreamOutcome::default();
    let sample_bytes = stream.beats * stream.beat_bytes();
    let mut carried = beats.chunks(sample_bytes);
    let mut packed = Vec::with_capacity(sample_bytes);
    for (index, values) in references.iter().enumerate() {
        let expected = expected_elements(stream, values)?;
        let got = carried.next().unwrap_or(&[]);
        packed.clear();
        stream.pack(expected, &mut packed);
        if got == packed {
            outcome.elements += expected.len() as u64;
            continue;
        }
        let sample = first_sample + index;
        let got_elements = stream.unpack(got);
        outcome.elements += got_elements.len() as u64;
        let mut wrong = expected.iter().zip(&got_elements).enumerate().filter(|(_, (expected, got))| expected != got);
        let first = wrong.next();
        if first.is_none() && got.len() == packed.len() {
            outcome.padding = outcome.padding.or(Some(sample));
        }
        outcome.mismatches += first.iter().count() as u64 + wrong.count() as u64;
        if let (None, Some((element, (&expected, &got)))) = (&outcome.first, first) {
            let (name, stage) = (stream.name.clone(), stream.producer.clone());
            outcome.first = Some(Difference { stream: name, stage, sample, element, expected, got });
        }
    }
    Ok(outcome)
}

/// The reference's elements for `stream`, as many as it carries and all of its type.
fn expected_elements<'a>(stream: &Stream, values: &'a TensorValues) -> Result<&'a [i64], VerifyError> {
    let network = |reason: String| VerifyError::Network { tensor: stream.tensor.clone(), reason };
    let elements = values.get(&stream.tensor).ok_or_else(|| network("the reference has no such tensor".into()))?;
    let carried = stream.pixels * stream.channels;
    if elements.len() != carried {
        let (name, found) = (&stream.name, elements.len());
        return Err(network(format!("{found} elements in the reference, stream `{name}` carries {carried}")));
    }
    match elements.iter().find(|&&value| !stream.element.contains(value)) {
        Some(value) => Err(network(format!("value {value} of the reference is not {}", stream.element))),
        None => Ok(elements),
    }
}

/// Positions of the streams in data order: input, then each stage's in the order of the stages, the output last.
pub(super) fn data_order(manifest: &Manifest) -> Vec<usize> {
    use systole_bundle::StreamKind::{Input, Internal, Output};
    let rank = |stream: &Stream| {
        let stage = stream.producer.as_ref().and_then(|name| manifest.stages.iter().position(|s| &s.name == name));
        match stream.kind {
            Input => (0, 0),
            Internal => (1, stage.map_or(0, |position| position + 1)),
            Output => (2, 0),
        }
    };
    let mut order: Vec<usize> = (0..manifest.streams.len()).collect();
    order.sort_by_key(|&index| rank(&manifest.streams[index]));
    order
}
