//! The pipeline, top to bottom.

pub mod fold_constants;
pub mod keep_nodes;
pub mod lowering;
pub mod real;
