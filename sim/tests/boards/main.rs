//! Simulated boards without a driver: transfers, faults, device nodes.

mod engine;
mod frames;
#[cfg(all(feature = "fuse", target_os = "linux"))]
mod nodes;
