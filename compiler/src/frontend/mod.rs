//! Front ends.

pub mod onnx;
