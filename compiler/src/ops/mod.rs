//! Operators of imported networks: a closed enum, one file an operator.
//!
//! An operator's file holds its attributes, shape inference, reference evaluation, its lowering to
//! integers, and a generator of random cases for the tests.

pub mod onnx;

/// An operator with its attributes.
#[derive(Clone, Debug)]
pub enum Op {
    // TFLite
    // FullyConnected(fully_connected::FullyConnected),
    // Softmax(softmax::Softmax),
    // Quantize(quantize::Quantize), Dequantize(dequantize::Dequantize),
    // both
    // Reshape(reshape::Reshape)
    /// An operator of an ONNX network.
    Onnx(onnx::OnnxOp),
}
