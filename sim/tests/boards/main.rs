//! Simulated boards: transfers and faults, device nodes, and the driver in front of both.

#[path = "../common/mod.rs"]
mod common;
mod driver;
mod engine;
mod frames;
#[cfg(all(feature = "fuse", target_os = "linux"))]
mod nodes;
