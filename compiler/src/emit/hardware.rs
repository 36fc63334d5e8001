//! The design's Verilog and ROM images.

use super::shell::{self, ShellOptions};
use crate::dataflow::{DataflowGraph, Figures, Node, Port, PORT_BUFFER_DEPTH};
use crate::diagnostic::CompileError;
use std::sync::Arc;
use systole_bundle::DesignHash;
use systole_hdl::engine::EnginePort;
use systole_hdl::shell::ShellSpec;
use systole_hdl::top::{PortSpec, TopSpec, TopStage};
use systole_hdl::typed::{self, Module};

/// Text of the hardware.
pub struct Hardware {
    /// Name of the top module.
    pub top: String,
    /// Path under `rtl/` and text, in a fixed order: Verilog leaves first, ROM images, `files.f`.
    pub files: Vec<(String, String)>,
    /// Hash of the core's Verilog, 128 bits in hexadecimal.
    pub structure_hash: String,
    /// Hash of the ROM images, 128 bits in hexadecimal.
    pub parameter_hash: String,
    /// The shell around the core.
    pub shell: Option<ShellSpec>,
}

fn internal(cause: String) -> CompileError {
    CompileError::Internal { pass: "emit_verilog", cause }
}

/// The design's top module, with everything below it.
///
/// # Errors
/// If a module breaks a guarantee of the typed layer: our bug.
pub fn top_module(design: &DataflowGraph) -> Result<Arc<Module>, CompileError> {
    let spec = top(design).ok_or_else(|| internal("the design is not a chain between two ports".into()))?;
    spec.module().map_err(|error| internal(error.to_string()))
}

/// Builds every module of the design, and of the shell around it if asked for.
///
/// # Errors
/// If a sample is too large for the shell's frames, or a module breaks a guarantee of the typed layer: our bug.
pub fn build(
    design: &DataflowGraph,
    figures: &Figures,
    shell: Option<&ShellOptions>,
) -> Result<Hardware, CompileError> {
    let spec = top(design).ok_or_else(|| internal("the design is not a chain between two ports".into()))?;
    let module = spec.module().map_err(|error| internal(error.to_string()))?;
    let mut verilog = typed::emit(&module).map_err(|error| internal(error.to_string()))?;
    let images = typed::rom_files(&module).map_err(|error| internal(error.to_string()))?;
    let (mut structure, mut parameters) = (blake3::Hasher::new(), blake3::Hasher::new());
    for file in &verilog {
        structure.update(file.text.as_bytes());
    }
    for image in &images {
        parameters.update(image.file.as_bytes()).update(image.text.as_bytes());
    }
    let (structure, parameters) = (structure.finalize(), parameters.finalize());
    let hash = DesignHash { structure: words(&structure), parameter: words(&parameters) };
    let shell = shell.map(|options| shell::around(&spec, design, figures, hash, options));
    if let Some(shell) = &shell {
        let module = shell::module(shell, &module)?;
        // The core's modules are among the shell's, which stands behind them.
        verilog = typed::emit(&module).map_err(|error| internal(error.to_string()))?;
    }

    let mut files = Vec::new();
    let mut list = String::new();
    for file in verilog {
        let path = format!("{}.v", file.module);
        list.push_str(&path);
        list.push('\n');
        files.push((path, file.text));
    }
    files.extend(images.into_iter().map(|image| (format!("rom/{}", image.file), image.text)));
    files.push(("files.f".into(), list));
    let digest = |hash: blake3::Hash| hash.to_hex()[..32].to_string();
    Ok(Hardware { top: spec.name, files, structure_hash: digest(structure), parameter_hash: digest(parameters), shell })
}

/// The first 128 bits of a hash, as registers hold them.
fn words(hash: &blake3::Hash) -> [u32; 4] {
    let bytes = hash.as_bytes();
    std::array::from_fn(|word| (0..4).rev().fold(0, |value, byte| value << 8 | u32::from(bytes[4 * word + byte])))
}

/// The design as a top module.
fn top(design: &DataflowGraph) -> Option<TopSpec> {
    let order = design.order();
    let (first, last) = (*order.first()?, *order.last()?);
    let (input, output) = (design.channel_out_of(first)?, design.channel_into(last)?);
    let (Node::Input(source), Node::Output(port)) = (&design.graph[first], &design.graph[last]) else { return None };
    let names =
        |edges: Vec<petgraph::graph::EdgeIndex>| edges.iter().map(|&edge| design.graph[edge].name.clone()).collect();
    let mut stages = Vec::new();
    for &index in &order {
        if let Node::Stage(stage) = &design.graph[index] {
            stages.push(TopStage {
                spec: stage.spec.clone(),
                inputs: names(design.channels_into(index)),
                outputs: names(design.channels_out_of(index)),
            });
        }
    }
    let spec = |channel: &crate::dataflow::Channel, port: &Port| {
        let EnginePort { pixels, channels, lanes, .. } = port.stream(&channel.tensor);
        PortSpec { element: channel.tensor.element, lanes, channels, pixels }
    };
    Some(TopSpec {
        name: design.name.clone(),
        comments: vec![
            format!("Design `{}`, bit-exact to profile {}.", design.name, design.profile),
            format!("{} stages, {} multipliers.", stages.len(), design.multipliers()),
            format!(
                "Input: {} x {} elements of {}, {} a beat. Output: {} x {} elements of {}, {} a beat.",
                input.tensor.pixels(),
                input.tensor.channels(),
                input.tensor.element,
                input.lanes,
                output.tensor.pixels(),
                output.tensor.channels(),
                output.tensor.element,
                port.lanes
            ),
        ],
        cells: design.cells,
        input: spec(input, source),
        input_stream: input.name.clone(),
        stages,
        output_stream: output.name.clone(),
        output: spec(output, port),
        output_regroup: design.output_regroup(last),
        port_buffer_depth: PORT_BUFFER_DEPTH,
    })
}
