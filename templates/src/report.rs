//! `report.md`: what a bundle holds, for a reader who decides whether it fits.
//!
//! The report repeats the manifest's figures and derives the rest ([`Derived`]); it depends on
//! nothing else, so that two compiles of one model give the same text.

mod derived;
mod text;

pub use derived::Derived;

use crate::TemplateError;
use minijinja::{syntax::SyntaxConfig, value::Serde, Environment, UndefinedBehavior};
use serde::Serialize;
use systole_bundle::manifest::{Border, Fifo, Shell, Stage};
use systole_bundle::{Manifest, Stream, StreamKind};
use text::{bits, cell, code, grouped, percent, shape};

/// Clock that the table of throughputs starts from, in MHz.
const CLOCKS_MHZ: [u32; 3] = [100, 200, 300];

/// What `report.md.j2` is rendered from: every number as text.
#[derive(Debug, Serialize)]
struct ReportContext {
    design: String,
    profile: String,
    generator: String,
    structure_hash: String,
    parameter_hash: String,
    interval: String,
    period: Option<u64>,
    latency: String,
    macs: String,
    multipliers: String,
    requantize_multipliers: String,
    budget: Option<String>,
    mac_utilization: String,
    budget_utilization: Option<String>,
    weight_bits: String,
    fifo_bits: String,
    throughput: Vec<(u32, String, String)>,
    bottlenecks: String,
    stages: Vec<StageRow>,
    ports: Vec<PortRow>,
    borders: Vec<BorderRows>,
    fifos: Vec<FifoRow>,
    top: String,
    shell: Option<ShellRow>,
}

#[derive(Debug, Serialize)]
struct ShellRow {
    top: String,
    beat_bits: String,
    in_bytes: String,
    out_bytes: String,
    max_samples: String,
    fifo_depth: u32,
    register_map: String,
}

#[derive(Debug, Serialize)]
struct StageRow {
    name: String,
    op: String,
    engine: String,
    pe: usize,
    simd: usize,
    multipliers: String,
    requantizer: String,
    requantize_multipliers: String,
    cycles: String,
    busy: String,
    load: String,
    accumulator_bits: u32,
    memory_bits: String,
}

#[derive(Debug, Serialize)]
struct PortRow {
    name: String,
    direction: &'static str,
    tensor: String,
    element: String,
    shape: String,
    lanes: usize,
    bits: u64,
    beats: usize,
}

#[derive(Debug, Serialize)]
struct BorderRows {
    side: &'static str,
    host_name: String,
    host_shape: String,
    host_type: String,
    operations: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FifoRow {
    stream: String,
    depth: usize,
    width: u64,
    rounded_depth: usize,
    memory: String,
}

/// The report of a bundle in Markdown.
///
/// # Errors
/// If a figure of the manifest is malformed, or the template fails, which is a bug of this crate.
pub fn markdown(manifest: &Manifest) -> Result<String, TemplateError> {
    let context = ReportContext::new(manifest)?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    let template = include_str!("../report.md.j2");
    Ok(environment.render_named_str("report.md", template, Serde(&context))?)
}

impl ReportContext {
    fn new(manifest: &Manifest) -> Result<ReportContext, TemplateError> {
        let derived = Derived::of(manifest)?;
        let totals = &manifest.totals;
        let slowest = manifest.stages.iter().map(|stage| stage.cycles).max().unwrap_or(0);
        let bottlenecks: Vec<String> =
            manifest.stages.iter().filter(|stage| stage.cycles == slowest).map(|stage| code(&stage.name)).collect();
        let throughput = CLOCKS_MHZ
            .iter()
            .map(|&mhz| {
                let clock = f64::from(mhz) * 1e6;
                let samples = clock / derived.interval();
                let latency = manifest.predicted.latency_cycles as f64 / clock * 1e6;
                (mhz, grouped(samples.floor() as u64), format!("{latency:.2}"))
            })
            .collect();
        let inputs = manifest.input_border.iter().map(|border| BorderRows::new("before the input", border));
        let outputs = manifest.output_border.iter().map(|border| BorderRows::new("behind the output", border));
        Ok(ReportContext {
            design: cell(&manifest.design),
            profile: cell(&manifest.profile),
            generator: cell(&manifest.generator),
            structure_hash: code(&manifest.structure_hash),
            parameter_hash: code(&manifest.parameter_hash),
            interval: cell(&manifest.predicted.initiation_interval),
            period: Some(manifest.predicted.period_samples).filter(|&period| period > 1),
            latency: grouped(manifest.predicted.latency_cycles),
            macs: grouped(totals.macs),
            multipliers: grouped(totals.multipliers),
            requantize_multipliers: grouped(totals.requantize_multipliers),
            budget: totals.budget.map(grouped),
            mac_utilization: percent(derived.mac_utilization),
            budget_utilization: derived.budget_utilization.map(percent),
            weight_bits: bits(totals.weight_bits),
            fifo_bits: bits(totals.fifo_bits),
            throughput,
            bottlenecks: bottlenecks.join(", "),
            stages: manifest.stages.iter().map(|stage| StageRow::new(stage, derived.interval())).collect(),
            ports: manifest.streams.iter().filter_map(|stream| PortRow::new(manifest, stream)).collect(),
            borders: inputs.chain(outputs).collect(),
            fifos: manifest.fifos.iter().map(FifoRow::new).collect(),
            top: manifest.devices.iter().map(|device| cell(&device.top)).collect::<Vec<_>>().join(", "),
            shell: manifest.shell.as_ref().map(ShellRow::new),
        })
    }
}

impl ShellRow {
    fn new(shell: &Shell) -> ShellRow {
        ShellRow {
            top: code(&shell.top),
            beat_bits: grouped(u64::from(shell.beat_bytes) * 8),
            in_bytes: grouped(shell.in_bytes.into()),
            out_bytes: grouped(shell.out_bytes.into()),
            max_samples: grouped(shell.max_samples.into()),
            fifo_depth: shell.fifo_depth,
            register_map: cell(&shell.register_map_version),
        }
    }
}

impl StageRow {
    fn new(stage: &Stage, interval: f64) -> StageRow {
        StageRow {
            name: code(&stage.name),
            op: cell(&stage.op),
            engine: cell(&stage.engine),
            pe: stage.pe,
            simd: stage.simd,
            multipliers: grouped(stage.multipliers),
            requantizer: cell(&stage.requantizer),
            requantize_multipliers: grouped(stage.requantize_multipliers),
            cycles: grouped(stage.cycles),
            busy: grouped(stage.busy_cycles),
            load: percent(stage.busy_cycles as f64 / interval),
            accumulator_bits: stage.accumulator_bits,
            memory_bits: bits(stage.memory_bits),
        }
    }
}

impl PortRow {
    /// The row of a stream at a port; none for an internal one.
    fn new(manifest: &Manifest, stream: &Stream) -> Option<PortRow> {
        let direction = match stream.kind {
            StreamKind::Input => "in",
            StreamKind::Output => "out",
            StreamKind::Internal => return None,
        };
        let dimensions = manifest.tensor(&stream.tensor).map(|tensor| tensor.shape.clone()).unwrap_or_default();
        Some(PortRow {
            name: code(&stream.name),
            direction,
            tensor: code(&stream.tensor),
            element: stream.element.to_string(),
            shape: shape(&dimensions),
            lanes: stream.lanes,
            bits: stream.beat_bits(),
            beats: stream.beats,
        })
    }
}

impl BorderRows {
    fn new(side: &'static str, border: &Border) -> BorderRows {
        BorderRows {
            side,
            host_name: code(&border.host_name),
            host_shape: shape(&border.host_shape),
            host_type: cell(&border.host_type),
            operations: border.operations.iter().map(|operation| cell(&operation.to_string())).collect(),
        }
    }
}

impl FifoRow {
    fn new(fifo: &Fifo) -> FifoRow {
        FifoRow {
            stream: code(&fifo.stream),
            depth: fifo.depth,
            width: fifo.width,
            rounded_depth: fifo.rounded_depth,
            memory: cell(&fifo.memory),
        }
    }
}

#[cfg(test)]
mod tests;
