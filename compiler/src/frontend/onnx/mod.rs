//! ONNX files: QOperator and QDQ networks, and those with QONNX quantizers.
//!
//! Any sequence of bytes gives a graph or a diagnostic; sizes are checked against the bytes that
//! are present before anything is allocated.

mod attributes;
mod constant;
mod import;
mod operators;
pub mod proto;
mod quantized;
mod shapes;

pub use import::import;
