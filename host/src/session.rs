//! Batches to beats and back.

use crate::error::HostError;
use crate::value::{describe, sample, under_shape};
use ndarray::{ArrayD, IxDyn};
use systole_bundle::arith::border::BorderValue;
use systole_bundle::manifest::{Border, Tensor};
use systole_bundle::{Array, Manifest, Stream, StreamKind};

/// Lanes of a port; more are no hardware, but a damaged manifest.
const MAX_LANES: usize = 1 << 16;

/// What a host needs to know of one accelerator to feed it batches.
#[derive(Clone, Debug)]
pub struct Session {
    input: Port,
    output: Port,
}

/// A stream at a port, the tensor it carries, and the host's side of it.
#[derive(Clone, Debug)]
struct Port {
    stream: Stream,
    tensor: Tensor,
    border: Border,
}

/// A batch on its way to the accelerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Number of samples.
    pub samples: usize,
    /// Beats of all samples, as [`Stream::pack`] of the input stream lays them out.
    pub beats: Vec<u8>,
}

impl Session {
    /// The session of the accelerator that `manifest` describes.
    ///
    /// # Errors
    /// If it has not exactly one input and one output, or their entries contradict each other.
    pub fn new(manifest: &Manifest) -> Result<Session, HostError> {
        Ok(Session {
            input: Port::new(manifest, StreamKind::Input, &manifest.input_border)?,
            output: Port::new(manifest, StreamKind::Output, &manifest.output_border)?,
        })
    }

    /// The host's input: its border, with name, shape of one sample and element type.
    pub fn input(&self) -> &Border {
        &self.input.border
    }

    /// The host's output: its border, with name, shape of one sample and element type.
    pub fn output(&self) -> &Border {
        &self.output.border
    }

    /// The accelerator's input tensor.
    pub fn input_tensor(&self) -> &Tensor {
        &self.input.tensor
    }

    /// The accelerator's output tensor.
    pub fn output_tensor(&self) -> &Tensor {
        &self.output.tensor
    }

    /// Bytes of beats that one sample takes on the way to the accelerator.
    pub fn input_sample_bytes(&self) -> usize {
        self.input.sample_bytes()
    }

    /// Bytes of beats that one sample takes on the way back.
    pub fn output_sample_bytes(&self) -> usize {
        self.output.sample_bytes()
    }

    /// Bytes that one sample's beats take at the accelerator's input port, as frames carry them.
    pub fn input_wire_bytes(&self) -> usize {
        self.input.wire_bytes()
    }

    /// Bytes that one sample's beats take at the accelerator's output port, as frames carry them.
    pub fn output_wire_bytes(&self) -> usize {
        self.output.wire_bytes()
    }

    /// Runs the input's border operations on `batch`, of shape `[samples, ...]` with the host's
    /// shape and element type. Returns the elements of the accelerator's input tensor for each
    /// sample, row-major, channels innermost.
    ///
    /// # Errors
    /// If shape or type differ, an operation fails, or an element lies outside the input's range.
    pub fn accept(&self, batch: &Array) -> Result<Vec<Vec<i64>>, HostError> {
        let samples = self.check(batch)?;
        (0..samples).map(|index| self.accept_sample(index, sample(batch, index))).collect()
    }

    fn accept_sample(&self, index: usize, value: BorderValue) -> Result<Vec<i64>, HostError> {
        let Port { tensor, border, .. } = &self.input;
        let value = execute(border, index, value)?;
        let found = describe(&value);
        let Some(BorderValue::Int(elements)) = under_shape(value, &tensor.shape) else {
            let wanted = format!("integers of shape {:?}", tensor.shape);
            return Err(HostError::Result { name: border.host_name.clone(), found, wanted });
        };
        let outside = |value: i64| !tensor.range.contains(value) || !tensor.element.contains(value);
        match elements.iter().enumerate().find(|(_, &value)| outside(value)) {
            Some((element, &value)) => {
                let (tensor, range) = (tensor.name.clone(), format!("{} {}", tensor.element, tensor.range));
                Err(HostError::Range { sample: index, element, tensor, value, range })
            }
            None => Ok(elements.into_iter().collect()),
        }
    }

    /// [`Session::accept`], packed into beats.
    ///
    /// # Errors
    /// As there.
    pub fn pack(&self, batch: &Array) -> Result<Packed, HostError> {
        let elements = self.accept(batch)?;
        let mut beats = Vec::with_capacity(elements.len().saturating_mul(self.input_sample_bytes()));
        elements.iter().for_each(|elements| self.input.stream.pack(elements, &mut beats));
        Ok(Packed { samples: elements.len(), beats })
    }

    /// [`Session::accept`], packed as it crosses the input port, [`Session::input_wire_bytes`] a sample.
    ///
    /// # Errors
    /// As there.
    pub fn pack_wire(&self, batch: &Array) -> Result<Packed, HostError> {
        let elements = self.accept(batch)?;
        let mut beats = Vec::with_capacity(elements.len().saturating_mul(self.input_wire_bytes()));
        elements.iter().for_each(|elements| self.input.stream.pack_wire(elements, &mut beats));
        Ok(Packed { samples: elements.len(), beats })
    }

    /// Runs the output's border operations on `outputs`, the elements of the accelerator's output
    /// tensor for each sample. The result has the shape `[samples, ...]`, with the host's shape
    /// and element type.
    ///
    /// # Errors
    /// If an operation fails, or gives something other than the manifest says.
    pub fn deliver(&self, outputs: &[Vec<i64>]) -> Result<Array, HostError> {
        let border = &self.output.border;
        let float = border.host_type == "float32";
        let (mut floats, mut integers) = (Vec::new(), Vec::new());
        for (index, elements) in outputs.iter().enumerate() {
            match self.deliver_sample(index, elements)? {
                BorderValue::Float(values) if float => floats.extend(values),
                BorderValue::Int(values) if !float => integers.extend(values),
                value => return Err(self.misfit(describe(&value))),
            }
        }
        let shape: Vec<usize> = std::iter::once(outputs.len()).chain(border.host_shape.iter().copied()).collect();
        let misshapen =
            |_| HostError::Manifest { reason: format!("output `{}` has no shape {shape:?}", border.host_name) };
        Ok(match float {
            true => Array::Float(ArrayD::from_shape_vec(IxDyn(&shape), floats).map_err(misshapen)?),
            false => {
                let values = ArrayD::from_shape_vec(IxDyn(&shape), integers).map_err(misshapen)?;
                Array::Int(values, border.host_type.clone())
            }
        })
    }

    fn deliver_sample(&self, index: usize, elements: &[i64]) -> Result<BorderValue, HostError> {
        let Port { tensor, border, .. } = &self.output;
        let value = ArrayD::from_shape_vec(IxDyn(&tensor.shape), elements.to_vec()).map_err(|_| {
            self.misfit(format!("{} elements for the tensor's shape {:?}", elements.len(), tensor.shape))
        })?;
        let value = execute(border, index, BorderValue::Int(value))?;
        let found = describe(&value);
        under_shape(value, &border.host_shape).ok_or_else(|| self.misfit(found))
    }

    fn misfit(&self, found: String) -> HostError {
        let border = &self.output.border;
        let wanted = format!("{} of shape {:?}", border.host_type, border.host_shape);
        HostError::Result { name: border.host_name.clone(), found, wanted }
    }

    /// Unpacks the beats of `samples` samples from the output stream, then [`Session::deliver`].
    ///
    /// # Errors
    /// As there, and if the beats are not those of so many samples.
    pub fn unpack(&self, beats: &[u8], samples: usize) -> Result<Array, HostError> {
        let samples = whole_samples(beats, samples, self.output_sample_bytes())?;
        self.deliver(&samples.map(|beats| self.output.stream.unpack(beats)).collect::<Vec<_>>())
    }

    /// [`Session::unpack`] of beats as they cross the output port, [`Session::output_wire_bytes`] a sample.
    ///
    /// # Errors
    /// As there.
    pub fn unpack_wire(&self, wire: &[u8], samples: usize) -> Result<Array, HostError> {
        let samples = whole_samples(wire, samples, self.output_wire_bytes())?;
        self.deliver(&samples.map(|wire| self.output.stream.unpack_wire(wire)).collect::<Vec<_>>())
    }

    /// The number of samples in `batch`, if its shape and type are the host's.
    fn check(&self, batch: &Array) -> Result<usize, HostError> {
        let Border { host_name, host_shape, host_type, .. } = &self.input.border;
        let fits = batch.type_name() == host_type && batch.shape().get(1..) == Some(host_shape.as_slice());
        match (fits, batch.shape().first()) {
            (true, Some(&samples)) => Ok(samples),
            _ => {
                let dimensions: String = host_shape.iter().map(|dimension| format!(", {dimension}")).collect();
                Err(HostError::Batch {
                    name: host_name.clone(),
                    found: format!("{} of shape {:?}", batch.type_name(), batch.shape()),
                    wanted: format!("{host_type} of shape [N{dimensions}]"),
                })
            }
        }
    }
}

impl Port {
    fn new(manifest: &Manifest, kind: StreamKind, borders: &[Border]) -> Result<Port, HostError> {
        let streams: Vec<&Stream> = manifest.streams.iter().filter(|stream| stream.kind == kind).collect();
        let ([stream], [border]) = (streams.as_slice(), borders) else {
            let reason =
                format!("{} {kind:?} streams and {} borders where one is driven", streams.len(), borders.len());
            return Err(HostError::Manifest { reason });
        };
        let contradiction = |reason: String| Err(HostError::Manifest { reason });
        let name = &stream.name;
        let Some(tensor) = manifest.tensor(&stream.tensor) else {
            return contradiction(format!(
                "stream `{name}` carries the tensor `{}`, which is not listed",
                stream.tensor
            ));
        };
        // What packing divides by and allocates.
        let bits = tensor.element.bits();
        if stream.lanes == 0 || stream.channels == 0 || stream.element != tensor.element {
            return contradiction(format!(
                "stream `{name}`: {} lanes, {} channels, {} elements of {}",
                stream.lanes, stream.channels, stream.element, tensor.element
            ));
        }
        if bits == 0 || bits > stream.lane_bits || stream.lane_bits > 64 {
            return contradiction(format!(
                "stream `{name}`: lanes of {} bits for {}",
                stream.lane_bits, stream.element
            ));
        }
        if stream.lanes > MAX_LANES {
            return contradiction(format!("stream `{name}`: {} lanes, at most {MAX_LANES} are driven", stream.lanes));
        }
        let carried = stream.pixels.checked_mul(stream.channels);
        let elements = tensor.shape.iter().try_fold(1usize, |product, &dimension| product.checked_mul(dimension));
        let beats = stream.pixels.checked_mul(stream.channels.div_ceil(stream.lanes));
        if carried != elements || carried.is_none() || beats != Some(stream.beats) || stream.beats == 0 {
            let (shape, beats) = (&tensor.shape, stream.beats);
            return contradiction(format!(
                "stream `{name}`: {} pixels of {} channels in {beats} beats for a tensor of shape {shape:?}",
                stream.pixels, stream.channels
            ));
        }
        Ok(Port { stream: (*stream).clone(), tensor: tensor.clone(), border: border.clone() })
    }

    fn sample_bytes(&self) -> usize {
        self.stream.beats.saturating_mul(self.stream.beat_bytes())
    }

    fn wire_bytes(&self) -> usize {
        self.stream.beats.saturating_mul(self.stream.wire_beat_bytes())
    }
}

/// The bytes of each sample, if there are so many.
fn whole_samples(bytes: &[u8], samples: usize, size: usize) -> Result<std::slice::ChunksExact<'_, u8>, HostError> {
    let wanted = size.saturating_mul(samples);
    match bytes.len() == wanted {
        true => Ok(bytes.chunks_exact(size)),
        false => Err(HostError::Beats { found: bytes.len(), samples, wanted }),
    }
}

/// Runs a border's operations on one sample.
fn execute(border: &Border, sample: usize, value: BorderValue) -> Result<BorderValue, HostError> {
    border.operations.iter().try_fold(value, |value, operation| {
        operation.apply(value).map_err(|source| HostError::Operation {
            sample,
            operation: format!("border `{}`, operation `{operation}`", border.host_name),
            source,
        })
    })
}

#[cfg(test)]
mod tests;
