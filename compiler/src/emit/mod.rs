//! Emission: a scheduled design as a bundle on disk.

mod hardware;
mod manifest;
mod shell;
mod write;

pub use hardware::Hardware;
pub use shell::ShellOptions;
pub use write::{write_bundle, BundleText};

use crate::dataflow::{DataflowGraph, Figures};
use crate::diagnostic::CompileError;
use crate::quant::QuantGraph;

/// Everything that a bundle holds, in memory: built whole before a byte is written. With `shell`, a board shell is
/// around the core.
///
/// # Errors
/// If a sample is too large for the shell's frames; if the hardware breaks a guarantee of the typed layer or a
/// template fails: our bugs.
pub fn bundle(
    quant: &QuantGraph,
    design: &DataflowGraph,
    figures: &Figures,
    shell: Option<&ShellOptions>,
) -> Result<BundleText, CompileError> {
    let hardware = hardware::build(design, figures, shell)?;
    let manifest = manifest::describe(design, figures, &hardware)?;
    let report = systole_templates::report::markdown(&manifest)
        .map_err(|error| CompileError::Internal { pass: "emit_report", cause: error.to_string() })?;
    let mut files = Vec::new();
    files.push(("manifest.json".to_string(), manifest.to_json().into_bytes()));
    files.push(("report.md".to_string(), report.into_bytes()));
    for (path, text) in hardware.files {
        files.push((format!("rtl/{path}"), text.into_bytes()));
    }
    Ok(BundleText { manifest, network: quant.clone(), files })
}
