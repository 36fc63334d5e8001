//! The pipeline, top to bottom.

pub mod lowering;
