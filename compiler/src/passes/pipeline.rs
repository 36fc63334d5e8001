//! The pipeline, top to bottom: each line a pass, and why it stands there.

use crate::dataflow::{DataflowGraph, Figures};
use crate::diagnostic::CompileError;
use crate::emit::{self, BundleText};
use crate::frontend::{self, FrontOptions};
use crate::passes::schedule_stages::{self, ScheduleOptions};
use crate::quant::QuantGraph;
use systole_hdl::typed::identifier;

/// Receives every form after every pass.
pub type Dump<'d> = dyn FnMut(&str, &dyn std::fmt::Display) -> Result<(), CompileError> + 'd;

/// A compiled network, form by form.
pub struct Compiled {
    /// The software reference.
    pub quant: QuantGraph,
    /// The schedule.
    pub design: DataflowGraph,
    /// Its exact figures.
    pub figures: Figures,
    /// The bundle, not yet on disk.
    pub bundle: BundleText,
}

/// Compiles a model file's bytes.
///
/// # Errors
/// A diagnostic with the node, the numbers and a remedy. Every form is verified after every pass;
/// a failure there is [`CompileError::Internal`] and names the pass.
pub fn compile(
    bytes: &[u8],
    front: &FrontOptions,
    options: &ScheduleOptions,
    dump: &mut Dump<'_>,
) -> Result<Compiled, CompileError> {
    let checked =
        |pass: &'static str, result: Result<(), String>| result.map_err(|cause| CompileError::Internal { pass, cause });

    // The file as it is: all later errors can name its nodes.
    let mut graph = frontend::import(bytes, front)?;
    dump("import", &graph)?;
    checked("import", graph.verify())?;

    // Exporters write shapes and scales as small programs; nothing after this sees them.
    super::fold_constants::run(&mut graph)?;
    dump("fold_constants", &graph)?;
    checked("fold_constants", graph.verify())?;

    // From real numbers and scales to integers and formulas; float ends move to the borders.
    let mut quant = super::lower_to_integers::run(&graph, front)?;
    quant.name = design_name(&front.name, &quant.name);
    dump("lower_to_integers", &quant)?;

    // Ranges follow from the weights, and only reachable accumulators count in an exact map.
    super::derive_exact_maps::run(&mut quant)?;
    dump("derive_exact_maps", &quant)?;
    checked("derive_exact_maps", quant.verify())?;

    // Folding, hardware forms, lanes and FIFO depths, all from exact figures.
    let design = schedule_stages::run(&quant, options)?;
    dump("schedule_stages", &design)?;
    checked("schedule_stages", design.verify())?;

    // What simulation must meet to the cycle.
    let figures = design
        .timed()
        .map_err(|error| error.to_string())
        .and_then(|timed| timed.figures().map_err(|error| error.to_string()))
        .map_err(|cause| CompileError::Internal { pass: "predict_figures", cause })?;

    let bundle = emit::bundle(&quant, &design, &figures, options.shell.as_ref())?;
    Ok(Compiled { quant, design, figures, bundle })
}

/// The design's name: that of the file, or else of the model in it, as an identifier that no
/// block's module has.
fn design_name(file: &str, model: &str) -> String {
    let name: String = if file.is_empty() { model } else { file }.chars().take(64).collect();
    let name = identifier(&name);
    let is_block = |prefix: &&str| name.starts_with(prefix);
    let blocks = [
        "accumulators_",
        "axi_lite_port",
        "crc32_step_",
        "fifo_",
        "fold_control_",
        "layer",
        "mac_hop_",
        "regroup_",
        "result_buffer_",
        "shell_",
    ];
    match blocks.iter().any(is_block) {
        true => format!("design_{name}"),
        false => name,
    }
}
