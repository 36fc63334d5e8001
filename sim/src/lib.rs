//! Verilator builds, bit-exact verification and simulated boards.
//!
//! A bundle's Verilog is translated by Verilator, compiled with a fixed harness into a shared
//! object that is cached by content ([`build`]), loaded, and driven many cycles a call
//! ([`model`]). [`figures`] measures latency and initiation interval; [`verify`] compares every
//! stream with the software reference. [`board`] puts a register shell, simulated alike, behind what a driver
//! talks to.

pub mod board;
pub mod build;
pub mod cache;
mod compile;
pub mod error;
mod ffi;
pub mod figures;
pub mod model;
pub mod run;
#[cfg(feature = "verilated")]
pub mod static_runtime;
pub mod verify;
pub mod verilator;

pub use build::{BuildStep, ShellSimulator, Simulator};
pub use cache::Cache;
pub use error::SimError;
pub use figures::Figures;
pub use model::Model;
pub use run::{RunEnd, RunResult, RunSpec, Violation};
pub use verilator::Toolchain;
