//! The pipeline, top to bottom.

pub mod fold_constants;
pub mod lowering;
pub mod real;
