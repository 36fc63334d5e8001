//! The samples that a verification sends.

use super::reference::Reference;
use super::{Request, VerifyError, RANDOM_SAMPLES};
use ndarray::Axis;
use systole_arith::Range;
use systole_bundle::manifest::Border;
use systole_bundle::{Array, Manifest, Stream, StreamKind};

/// Arrays to verify with, samples outermost: `[N, ...]`.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// The host's input.
    pub input: Array,
    /// The host's expected output.
    pub expect: Option<Array>,
    /// The expected tensor in front of a final softmax: integers, or floats of an affine tail.
    pub logits: Option<Array>,
}

/// Seed of random samples: every verification without arrays sends the same.
const SEED: u64 = 0x5953_544f_4c45;

/// Elements of the accelerator's input for each sample to send: of the request's arrays, or random ones.
pub(super) fn inputs(
    manifest: &Manifest,
    reference: &dyn Reference,
    request: &Request,
) -> Result<Vec<Vec<i64>>, VerifyError> {
    let stream = port(manifest, StreamKind::Input)?;
    let inputs = match &request.vectors {
        Some(vectors) => {
            let border = manifest.input_border.iter().find(|border| border.tensor == stream.tensor);
            let border = border.ok_or_else(|| VerifyError::Network {
                tensor: stream.tensor.clone(),
                reason: "the manifest has no input border for it".into(),
            })?;
            let count = sample_count("input", &vectors.input, request.samples)?;
            check_host_array("input", &vectors.input, border)?;
            reference.accept(&leading(&vectors.input, count))?
        }
        None => {
            let count = request.samples.unwrap_or(RANDOM_SAMPLES);
            let range = manifest.tensor(&stream.tensor).map_or(stream.element.range(), |tensor| tensor.range);
            random_samples(stream, range, count)
        }
    };
    if inputs.is_empty() {
        return Err(VerifyError::Empty { reason: "0 samples".into(), remedy: "ask for at least one" });
    }
    Ok(inputs)
}

/// The stream at a port of the accelerator.
pub(super) fn port(manifest: &Manifest, kind: StreamKind) -> Result<&Stream, VerifyError> {
    manifest.streams.iter().find(|stream| stream.kind == kind).ok_or_else(|| VerifyError::Network {
        tensor: manifest.design.clone(),
        reason: format!("the manifest has no {kind:?} stream"),
    })
}

/// Samples of `array` that are used.
pub(super) fn sample_count(name: &'static str, array: &Array, wanted: Option<usize>) -> Result<usize, VerifyError> {
    let held = array.shape().first().copied().unwrap_or(0);
    match wanted {
        Some(wanted) if wanted > held => Err(VerifyError::Array {
            name,
            reason: format!("{held} samples, {wanted} are wanted"),
            remedy: format!("pass at most --samples {held}"),
        }),
        Some(wanted) => Ok(wanted),
        None => Ok(held),
    }
}

/// Compares an array's shape behind the samples and its element type with the border's.
pub(super) fn check_host_array(name: &'static str, array: &Array, border: &Border) -> Result<(), VerifyError> {
    let host = &border.host_name;
    if array.shape().get(1..) != Some(&border.host_shape[..]) {
        return Err(VerifyError::Array {
            name,
            reason: format!("shape {:?}, tensor `{host}` has {:?} a sample", array.shape(), border.host_shape),
            remedy: "pass an array with the samples in its first dimension".into(),
        });
    }
    if array.type_name() != border.host_type {
        return Err(VerifyError::Array {
            name,
            reason: format!("elements of type {}, tensor `{host}` has {}", array.type_name(), border.host_type),
            remedy: format!("convert it to {}", border.host_type),
        });
    }
    Ok(())
}

/// The first `count` samples.
fn leading(array: &Array, count: usize) -> Array {
    match array {
        Array::Int(values, name) => Array::Int(values.slice_axis(Axis(0), (0..count).into()).to_owned(), name.clone()),
        Array::Float(values) => Array::Float(values.slice_axis(Axis(0), (0..count).into()).to_owned()),
    }
}

/// Seeded values of `range`; the first two samples hold its ends.
fn random_samples(stream: &Stream, range: Range, count: usize) -> Vec<Vec<i64>> {
    let elements = stream.pixels * stream.channels;
    let mut state = SEED;
    let mut draw = || {
        // splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let width = range.hi.wrapping_sub(range.lo) as u64 as u128 + 1;
    let mut value = |sample: usize| {
        let drawn = match sample {
            0 => range.lo,
            1 => range.hi,
            _ => range.lo.wrapping_add(((u128::from(draw()) * width) >> 64) as i64),
        };
        // Of a bipolar tensor's range only the ends are values.
        if stream.element.contains(drawn) {
            drawn
        } else {
            range.hi
        }
    };
    (0..count).map(|sample| (0..elements).map(|_| value(sample)).collect()).collect()
}

/// The beats of all samples, as the input stream carries them.
pub(super) fn pack(stream: &Stream, inputs: &[Vec<i64>]) -> Result<Vec<u8>, VerifyError> {
    let mut beats = Vec::with_capacity(inputs.len() * stream.beats * stream.beat_bytes());
    let elements = stream.pixels * stream.channels;
    for (sample, input) in inputs.iter().enumerate() {
        let refuse = |reason: String| VerifyError::Network { tensor: stream.tensor.clone(), reason };
        if input.len() != elements {
            let reason = format!("sample {sample} has {} elements, the input stream carries {elements}", input.len());
            return Err(refuse(reason));
        }
        if let Some(value) = input.iter().find(|&&value| !stream.element.contains(value)) {
            return Err(refuse(format!("value {value} of sample {sample} is not {}", stream.element)));
        }
        stream.pack(input, &mut beats);
    }
    Ok(beats)
}
