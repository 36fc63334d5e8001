//! The board shell around a core.

use crate::dataflow::{DataflowGraph, Figures};
use crate::diagnostic::CompileError;
use std::sync::Arc;
use systole_bundle::manifest::Shell;
use systole_bundle::registers::ABI_VERSION;
use systole_bundle::DesignHash;
use systole_hdl::shell::{beat_bytes_for, CoreStream, ShellError, ShellSpec, FIFO_DEPTH};
use systole_hdl::top::{PortSpec, TopSpec};
use systole_hdl::typed::Module;

/// What the user asked of the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShellOptions {
    /// Bytes of a beat, one of [`systole_hdl::shell::BEAT_BYTES`]; by default the fewest that do not limit the
    /// initiation interval.
    pub beat_bytes: Option<usize>,
}

/// The shell around the core `top`.
pub(super) fn around(
    top: &TopSpec,
    design: &DataflowGraph,
    figures: &Figures,
    hash: DesignHash,
    options: &ShellOptions,
) -> ShellSpec {
    let (input, output) = (stream(&top.input), stream(&top.output));
    let interval = figures.steady.period_cycles / figures.steady.period_samples.max(1);
    ShellSpec {
        design: design.name.clone(),
        input,
        output,
        beat_bytes: options.beat_bytes.unwrap_or_else(|| beat_bytes_for(input, output, interval)),
        hash,
        cells: design.cells,
    }
}

fn stream(port: &PortSpec) -> CoreStream {
    CoreStream { beat_bytes: port.lanes * port.lane_bits() as usize / 8, beats: port.beats() }
}

/// The shell's top module.
///
/// # Errors
/// If a sample is too large for a frame; otherwise our bug.
pub(super) fn module(spec: &ShellSpec, core: &Arc<Module>) -> Result<Arc<Module>, CompileError> {
    spec.module(core).map_err(|error| match error {
        ShellError::Sample(too_large) => {
            CompileError::model(too_large.to_string(), "compile without a shell, or a network with smaller samples")
        }
        ShellError::Block(_) => CompileError::Internal { pass: "emit_shell", cause: error.to_string() },
    })
}

/// The shell in the manifest. The numbers fit, since the module was built.
pub(super) fn describe(spec: &ShellSpec) -> Shell {
    Shell {
        kind: "axi".into(),
        top: spec.top(),
        beat_bytes: spec.beat_bytes as u32,
        in_bytes: spec.in_bytes() as u32,
        out_bytes: spec.out_bytes() as u32,
        max_samples: spec.max_samples() as u32,
        fifo_depth: FIFO_DEPTH as u32,
        register_map_version: ABI_VERSION.into(),
    }
}
