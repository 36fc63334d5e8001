//! The manifest of a design.

use super::Hardware;
use crate::dataflow::{Channel, DataflowGraph, Figures, Node, Port, PORT_BUFFER_DEPTH};
use crate::diagnostic::CompileError;
use crate::quant::QuantTensor;
use systole_bundle::manifest::{Border, Device, Fifo, Manifest, Predicted, Stage, Tensor, Totals, FORMAT};
use systole_bundle::registers::ABI_VERSION;
use systole_bundle::{Stream, StreamKind};
use systole_hdl::engine::EnginePort;
use systole_hdl::stream::FifoSpec;

/// Describes a design.
///
/// # Errors
/// If a stage's streams cannot be regrouped, which `verify` excludes.
pub fn describe(design: &DataflowGraph, figures: &Figures, hardware: &Hardware) -> Result<Manifest, CompileError> {
    let mut streams = Vec::new();
    let mut tensors: Vec<Tensor> = Vec::new();
    let mut stages = Vec::new();
    let mut fifos = Vec::new();
    let (mut input_border, mut output_border) = (Vec::new(), Vec::new());
    for index in design.order() {
        let (read, written) = (design.channel_into(index), design.channel_out_of(index));
        match &design.graph[index] {
            Node::Input(port) => {
                let Some(channel) = written else { continue };
                tensors.push(tensor(&channel.tensor));
                streams.push(port_stream(channel, port, StreamKind::Input, None, consumers(design, index)));
                streams.push(inner_stream(channel, None, consumers(design, index)));
                fifos.push(fifo(design, &channel.name, PORT_BUFFER_DEPTH, channel.beat_bits()));
                input_border.push(border(&channel.tensor, &port.border));
            }
            Node::Output(port) => {
                let Some(channel) = read else { continue };
                let producer = producer(design, index);
                streams.push(port_stream(channel, port, StreamKind::Output, producer, Vec::new()));
                output_border.push(border(&channel.tensor, &port.border));
            }
            Node::Stage(stage) => {
                let Some(channel) = written else { continue };
                let figures = stage
                    .figures()
                    .map_err(|error| CompileError::Internal { pass: "emit_manifest", cause: error.to_string() })?;
                tensors.push(tensor(&channel.tensor));
                for edge in design.channels_out_of(index) {
                    let channel = &design.graph[edge];
                    let reader = design.graph.edge_endpoints(edge).map(|(_, reader)| reader);
                    let consumers = reader.and_then(|reader| stage_name(design, reader)).into_iter().collect();
                    streams.push(inner_stream(channel, Some(stage.name.clone()), consumers));
                    let width = u64::from(stage.spec.out_width());
                    fifos.push(fifo(design, &channel.name, channel.fifo_depth, width));
                }
                stages.push(Stage {
                    name: stage.name.clone(),
                    op: stage.op.into(),
                    engine: stage.spec.engine.name().into(),
                    output: stage.output.name.clone(),
                    folding: figures.folding,
                    pe: figures.pe,
                    simd: figures.simd,
                    multipliers: figures.multipliers,
                    requantize_multipliers: figures.requantize_multipliers,
                    requantizer: stage.spec.requantize.form.name().into(),
                    macs: stage.macs,
                    cycles: figures.cycles,
                    busy_cycles: figures.busy_cycles,
                    memory_bits: figures.memory_bits,
                    weight_bits: figures.weight_bits,
                    accumulator_bits: stage.spec.engine.results().bits,
                });
            }
        }
    }
    let totals = Totals {
        macs: design.macs(),
        multipliers: design.multipliers(),
        requantize_multipliers: stages.iter().map(|stage| stage.requantize_multipliers).sum(),
        fifo_bits: design.fifo_bits(),
        weight_bits: stages.iter().map(|stage| stage.weight_bits).sum(),
        budget: design.budget,
    };
    Ok(Manifest {
        format: FORMAT,
        generator: format!("systole {}", env!("CARGO_PKG_VERSION")),
        design: design.name.clone(),
        profile: design.profile.name().into(),
        structure_hash: hardware.structure_hash.clone(),
        parameter_hash: hardware.parameter_hash.clone(),
        register_map: hardware.shell.as_ref().map(|_| ABI_VERSION.to_string()),
        shell: hardware.shell.as_ref().map(super::shell::describe),
        devices: vec![Device { name: "device0".into(), top: hardware.top.clone() }],
        tensors,
        streams,
        input_border,
        output_border,
        stages,
        fifos,
        predicted: Predicted {
            initiation_interval: figures.steady.interval(),
            period_samples: figures.steady.period_samples,
            warm_up_samples: figures.steady.warm_up_samples,
            latency_cycles: figures.latency_cycles,
        },
        totals,
    })
}

fn stage_name(design: &DataflowGraph, index: petgraph::graph::NodeIndex) -> Option<String> {
    match &design.graph[index] {
        Node::Stage(stage) => Some(stage.name.clone()),
        _ => None,
    }
}

fn consumers(design: &DataflowGraph, index: petgraph::graph::NodeIndex) -> Vec<String> {
    design.graph.neighbors(index).filter_map(|reader| stage_name(design, reader)).collect()
}

fn producer(design: &DataflowGraph, index: petgraph::graph::NodeIndex) -> Option<String> {
    match design.producer_of(index) {
        Some(Node::Stage(stage)) => Some(stage.name.clone()),
        _ => None,
    }
}

fn tensor(tensor: &QuantTensor) -> Tensor {
    let layout = match tensor.shape.len() {
        1 => "C",
        2 => "WC",
        3 => "HWC",
        _ => "channels innermost",
    };
    Tensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        layout: layout.into(),
        element: tensor.element,
        range: tensor.range,
        scale: tensor.scale,
        zero_point: tensor.zero_point,
    }
}

fn border(tensor: &QuantTensor, border: &crate::quant::Border) -> Border {
    Border {
        tensor: tensor.name.clone(),
        host_name: border.host_name.clone(),
        host_shape: border.host_shape.clone(),
        host_type: border.host_type.clone(),
        operations: border.operations.clone(),
    }
}

/// A stream between two stages, or between a port's buffer and a stage.
fn inner_stream(channel: &Channel, producer: Option<String>, consumers: Vec<String>) -> Stream {
    Stream {
        name: channel.name.clone(),
        kind: StreamKind::Internal,
        tensor: channel.tensor.name.clone(),
        producer,
        consumers,
        element: channel.tensor.element,
        lanes: channel.lanes,
        lane_bits: channel.tensor.element.bits(),
        pixels: channel.pixels(),
        channels: channel.channels(),
        beats: channel.beats() as usize,
        data: format!("{}_data", channel.name),
        valid: format!("{}_valid", channel.name),
        ready: format!("{}_ready", channel.name),
    }
}

/// A stream at a port of the top: lanes of whole bytes.
fn port_stream(
    channel: &Channel,
    port: &Port,
    kind: StreamKind,
    producer: Option<String>,
    consumers: Vec<String>,
) -> Stream {
    let prefix = if kind == StreamKind::Input { "s_axis" } else { "m_axis" };
    let inner = inner_stream(channel, producer, consumers);
    let EnginePort { pixels, channels, lanes, .. } = port.stream(&channel.tensor);
    Stream {
        name: prefix.into(),
        kind,
        lanes,
        lane_bits: inner.lane_bits.div_ceil(8) * 8,
        pixels,
        channels,
        beats: pixels * channels.div_ceil(lanes),
        data: format!("{prefix}_tdata"),
        valid: format!("{prefix}_tvalid"),
        ready: format!("{prefix}_tready"),
        ..inner
    }
}

fn fifo(design: &DataflowGraph, stream: &str, depth: usize, width: u64) -> Fifo {
    let spec = FifoSpec { depth, width, credited: true };
    Fifo {
        stream: stream.into(),
        depth,
        width,
        rounded_depth: spec.rounded_depth(&design.cells),
        memory: spec.memory(&design.cells).name().into(),
    }
}
