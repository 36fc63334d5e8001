//! Memories that stages instantiate.

pub mod rom;

pub use rom::{RomSpec, RomStyle};
