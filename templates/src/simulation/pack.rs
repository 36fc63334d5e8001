//! Several accelerators side by side in one top module, so that one Verilator build serves them all.

use super::{render, top_of};
use crate::TemplateError;
use serde::Serialize;
use systole_bundle::{Manifest, StreamKind};

/// The top module.
pub const TOP: &str = "pack";

/// Name of the instance of accelerator number `index`; its ports have it in front.
pub(super) fn instance(index: usize) -> String {
    format!("core{index}")
}

#[derive(Debug, Serialize)]
struct Member {
    instance: String,
    module: String,
    input_bits: u64,
    output_bits: u64,
}

/// Verilog of the top module: each accelerator with a clock, a reset and ports of its own.
///
/// # Errors
/// If a manifest does not describe one accelerator with one input and one output.
pub fn verilog(manifests: &[&Manifest]) -> Result<String, TemplateError> {
    let member = |(index, manifest): (usize, &&Manifest)| {
        let bits = |kind: StreamKind| {
            let port = manifest.streams.iter().find(|stream| stream.kind == kind).map(|stream| stream.beat_bits());
            port.filter(|&bits| bits > 0).ok_or_else(|| TemplateError::Manifest {
                reason: format!("there is no {kind:?} stream with a payload"),
            })
        };
        let module = top_of(manifest)?;
        let (input_bits, output_bits) = (bits(StreamKind::Input)?, bits(StreamKind::Output)?);
        Ok(Member { instance: instance(index), module, input_bits, output_bits })
    };
    let members = manifests.iter().enumerate().map(member).collect::<Result<Vec<_>, TemplateError>>()?;
    let context = std::collections::BTreeMap::from([("members", members)]);
    render("pack.v", include_str!("../../simulation/pack.v.j2"), &context)
}
