//! Verilator's runtime linked into the process itself, by the crate `verilated` (feature
//! `verilated`, off by default).
//!
//! Models are loaded from shared objects, each with a runtime of its own; this one serves code that calls
//! Verilator's API from Rust without a model: its version, random reset, plus arguments, the VCD
//! writer ([`verilated`] itself is re-exported).
//!
//! The crate predates Verilator 5. It compiles with a force-included header of this package:
//! `CXXFLAGS="-include $PWD/sim/verilated/systole_verilated_compat.h"` in the environment of
//! `cargo build --features verilated`.

use crate::verilator::Version;

pub use verilated;

/// Version of the runtime in this process, that of the Verilator it was built with.
///
/// None where Verilator's package states none.
pub fn version() -> Option<Version> {
    Version::parse(&verilated::product_version().to_string_lossy())
}
