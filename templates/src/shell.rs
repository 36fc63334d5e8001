//! The simulation harness of a register shell: C++ that drives it as a DMA engine would.
//!
//! [`SHELL_FILES`] stand beside those of [`crate::simulation`], whose Verilator runtime and stall
//! processes they share; the shim ties the shell's ports, which have the same names in every
//! design, to them.

use crate::simulation::{is_identifier, render, ShimTrace, Waveform, PREFIX};
use crate::TemplateError;
use serde::Serialize;

/// C++ that is the same for every shell: file names and texts.
pub const SHELL_FILES: [(&str, &str); 3] = [
    ("shell_interface.h", include_str!("../simulation/shell_interface.h")),
    ("shell_device.h", include_str!("../simulation/shell_device.h")),
    ("shell_harness.cpp", include_str!("../simulation/shell_harness.cpp")),
];

/// Beat widths that a shell can have, in bytes.
pub const BEAT_BYTES: [u32; 4] = [8, 16, 32, 64];

/// What the shell's shim is rendered from.
#[derive(Clone, Debug, Serialize)]
pub struct ShellShimContext {
    /// Top module.
    top: String,
    prefix: &'static str,
    beat_bytes: u32,
    trace: Option<ShimTrace>,
}

impl ShellShimContext {
    /// The context for the shell module `top` with beats of `beat_bytes` bytes, with waveforms if asked for.
    ///
    /// # Errors
    /// If `top` is no identifier, or no shell has such beats.
    pub fn new(top: &str, beat_bytes: u32, trace: Option<Waveform>) -> Result<ShellShimContext, TemplateError> {
        let fail = |reason: String| Err(TemplateError::Manifest { reason });
        if !is_identifier(top) {
            return fail(format!("the shell's top module `{top}` is not an identifier"));
        }
        if !BEAT_BYTES.contains(&beat_bytes) {
            return fail(format!("the shell has beats of {beat_bytes} bytes; 8, 16, 32 and 64 are known"));
        }
        Ok(ShellShimContext { top: top.into(), prefix: PREFIX, beat_bytes, trace: trace.map(ShimTrace::of) })
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
        render("shell_shim.cpp", include_str!("../simulation/shell_shim.cpp.j2"), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shim_names_every_port_of_the_shell() {
        let shim = ShellShimContext::new("net_axi", 16, None).unwrap().shim().unwrap();
        for port in ["aclk", "aresetn", "irq", "s_axi_awaddr", "s_axi_rready", "s_axis_tkeep", "m_axis_tlast"] {
            assert!(shim.contains(&format!("&model_.{port};")), "{port}:\n{shim}");
        }
        assert!(shim.contains("sizeof(Vmodel::s_axis_tdata) == 16"), "{shim}");
        assert!(!shim.contains("waveform"), "{shim}");
        assert!(ShellShimContext::new("net", 8, Some(Waveform::Fst))
            .unwrap()
            .shim()
            .unwrap()
            .contains("VerilatedFstC"));
    }

    #[test]
    fn tops_and_beats_that_no_shell_has_are_refused() {
        assert!(ShellShimContext::new("net;axi", 8, None).unwrap_err().to_string().contains("`net;axi`"));
        assert!(ShellShimContext::new("net_axi", 12, None).unwrap_err().to_string().contains("12 bytes"));
    }
}
