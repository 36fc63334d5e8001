//! The simulation harness: C++ that drives a verilated top and watches its streams.
//!
//! Everything that does not depend on a design is fixed text, [`SUPPORT_FILES`], compiled once
//! for each Verilator and compiler. What depends on it is the *shim* (a table of the top's ports
//! and streams) and the *control file*, which makes the internal streams visible to the shim and
//! lets it override their ready signals. Both are rendered from a [`ShimContext`].

use crate::TemplateError;
use minijinja::{syntax::SyntaxConfig, value::Serde, Environment, UndefinedBehavior};
use serde::Serialize;
use systole_bundle::{Manifest, Stream, StreamKind};

/// Class prefix of the verilated top, the same for every design.
pub const PREFIX: &str = "Vmodel";

/// C++ that is the same for every design: file names and texts.
pub const SUPPORT_FILES: [(&str, &str); 8] = [
    ("interface.h", include_str!("../simulation/interface.h")),
    ("device.h", include_str!("../simulation/device.h")),
    ("stall.h", include_str!("../simulation/stall.h")),
    ("monitor.h", include_str!("../simulation/monitor.h")),
    ("runtime.h", include_str!("../simulation/runtime.h")),
    ("readmem.h", include_str!("../simulation/readmem.h")),
    ("harness.cpp", include_str!("../simulation/harness.cpp")),
    ("runtime.cpp", include_str!("../simulation/runtime.cpp")),
];

/// Header of [`SUPPORT_FILES`] that must be included ahead of every source of the verilated top.
pub const FORCED_HEADER: &str = "readmem.h";

/// Most payload bits of a beat that are accepted: far beyond any device, so that a damaged
/// manifest cannot ask for gigabytes.
const MAX_BEAT_BITS: u64 = 1 << 20;

/// Waveform formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waveform {
    /// Value change dump (IEEE 1364): text, read by every viewer.
    Vcd,
    /// GTKWave's compressed format.
    Fst,
}

/// What the shim and the control file are rendered from.
#[derive(Clone, Debug, Serialize)]
pub struct ShimContext {
    /// Top module.
    top: String,
    prefix: &'static str,
    streams: Vec<ShimStream>,
    input: ShimPort,
    output: ShimPort,
    trace: Option<ShimTrace>,
}

#[derive(Clone, Debug, Serialize)]
struct ShimStream {
    name: String,
    /// Members of the verilated root.
    data: String,
    valid: String,
    ready: String,
    last: Option<String>,
    /// Names in the Verilog.
    data_name: String,
    valid_name: String,
    ready_name: String,
    /// Whether ready can be overridden: true inside the top.
    forced: bool,
    beat_bits: u64,
    pixel_beats: usize,
    final_bits: u64,
    sample_beats: usize,
}

#[derive(Clone, Debug, Serialize)]
struct ShimPort {
    index: usize,
    data: String,
    valid: String,
    ready: String,
}

/// Verilator's writer of a waveform format.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShimTrace {
    header: &'static str,
    class: &'static str,
}

impl ShimTrace {
    pub(crate) fn of(format: Waveform) -> ShimTrace {
        match format {
            Waveform::Vcd => ShimTrace { header: "verilated_vcd_c.h", class: "VerilatedVcdC" },
            Waveform::Fst => ShimTrace { header: "verilated_fst_c.h", class: "VerilatedFstC" },
        }
    }
}

impl ShimContext {
    /// The context for the one accelerator of `manifest`, with waveforms if asked for.
    ///
    /// # Errors
    /// If the manifest has not exactly one device, input and output, if a name is not an
    /// identifier, or if a stream's figures contradict each other.
    pub fn new(manifest: &Manifest, trace: Option<Waveform>) -> Result<ShimContext, TemplateError> {
        let [device] = manifest.devices.as_slice() else {
            let reason = format!("{} devices where this program simulates 1", manifest.devices.len());
            return Err(TemplateError::Manifest { reason });
        };
        if !is_identifier(&device.top) {
            let reason = format!("top module `{}` is not an identifier", device.top);
            return Err(TemplateError::Manifest { reason });
        }
        let streams: Vec<ShimStream> =
            manifest.streams.iter().map(|stream| shim_stream(&device.top, stream)).collect::<Result<_, _>>()?;
        let port = |kind: StreamKind, what: &str| {
            let found: Vec<usize> = (0..streams.len()).filter(|&i| manifest.streams[i].kind == kind).collect();
            let [index] = found.as_slice() else {
                let reason = format!("{} {what} streams where this program simulates 1", found.len());
                return Err(TemplateError::Manifest { reason });
            };
            let s = &streams[*index];
            Ok(ShimPort { index: *index, data: s.data.clone(), valid: s.valid.clone(), ready: s.ready.clone() })
        };
        let input = port(StreamKind::Input, "input")?;
        let output = port(StreamKind::Output, "output")?;
        let trace = trace.map(ShimTrace::of);
        Ok(ShimContext { top: device.top.clone(), prefix: PREFIX, streams, input, output, trace })
    }

    /// Top module.
    pub fn top(&self) -> &str {
        &self.top
    }

    /// C++ source of the shim.
    ///
    /// # Errors
    /// If the template fails, which is a bug of this crate.
    pub fn shim(&self) -> Result<String, TemplateError> {
        render("shim.cpp", include_str!("../simulation/shim.cpp.j2"), self)
    }

    /// Verilator control file that makes the internal streams visible and their readys forceable.
    ///
    /// # Errors
    /// If the template fails, which is a bug of this crate.
    pub fn control(&self) -> Result<String, TemplateError> {
        render("signals.vlt", include_str!("../simulation/signals.vlt.j2"), self)
    }
}

/// Renders C++ or a control file; an undefined name is an error.
pub(crate) fn render<C: Serialize>(name: &str, template: &str, context: &C) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    Ok(environment.render_named_str(name, template, Serde(context))?)
}

fn shim_stream(top: &str, stream: &Stream) -> Result<ShimStream, TemplateError> {
    let fail = |reason: String| Err(TemplateError::Stream { stream: stream.name.clone(), reason });
    if stream.name.is_empty() || stream.name.chars().any(|c| !c.is_ascii_graphic() || c == '"' || c == '\\') {
        return fail("the name has characters other than printable ASCII, or quotes".into());
    }
    for signal in [&stream.data, &stream.valid, &stream.ready] {
        if !is_identifier(signal) {
            return fail(format!("signal `{signal}` is not an identifier"));
        }
    }
    let (lanes, channels, pixels) = (stream.lanes, stream.channels, stream.pixels);
    if lanes == 0 || channels == 0 || pixels == 0 {
        return fail(format!("{lanes} lanes, {channels} channels, {pixels} pixels; none may be 0"));
    }
    if stream.lane_bits < stream.element.bits() || stream.lane_bits > 64 {
        return fail(format!("lanes of {} bits do not hold {} in at most 64 bits", stream.lane_bits, stream.element));
    }
    let beat_bits = (lanes as u64).checked_mul(u64::from(stream.lane_bits)).filter(|&bits| bits <= MAX_BEAT_BITS);
    let Some(beat_bits) = beat_bits else {
        return fail(format!("{lanes} lanes of {} bits, more than {MAX_BEAT_BITS} in all", stream.lane_bits));
    };
    let pixel_beats = channels.div_ceil(lanes);
    if pixel_beats.checked_mul(pixels) != Some(stream.beats) {
        return fail(format!("{} beats a sample where {pixels} pixels take {pixel_beats} each", stream.beats));
    }
    let final_lanes = channels - (pixel_beats - 1) * lanes;
    let forced = stream.kind == StreamKind::Internal;
    let member = |signal: &String| match forced {
        true => format!("{top}__DOT__{signal}"),
        false => signal.clone(),
    };
    Ok(ShimStream {
        name: stream.name.clone(),
        data: member(&stream.data),
        valid: member(&stream.valid),
        ready: member(&stream.ready),
        last: (stream.kind == StreamKind::Output).then(|| "m_axis_tlast".to_string()),
        data_name: stream.data.clone(),
        valid_name: stream.valid.clone(),
        ready_name: stream.ready.clone(),
        forced,
        beat_bits,
        pixel_beats,
        final_bits: final_lanes as u64 * u64::from(stream.lane_bits),
        sample_beats: stream.beats,
    })
}

/// Whether `name` is a Verilog identifier that Verilator keeps as it is: letters, digits and single underscores.
pub(crate) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.contains("__")
}

#[cfg(test)]
mod tests;
