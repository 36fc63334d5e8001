//! Operators of imported networks: a closed enum, one file an operator.
//!
//! An operator's file holds its attributes, shape inference, reference evaluation, its lowering to
//! integers, and a generator of random cases for the tests.

/// An operator with its attributes.
#[derive(Clone, Debug)]
pub enum Op {
    // TFLite
    // FullyConnected(fully_connected::FullyConnected),
    // Softmax(softmax::Softmax),
    // Quantize(quantize::Quantize), Dequantize(dequantize::Dequantize),
    // both
    // Reshape(reshape::Reshape)
    // ONNX / QONNX
    // MatMul, Gemm, Add/Sub/Mul/Div (one Arithmetic file), BatchNormalization, Relu, Sign, Identity,
    // Quant, BipolarQuant, Trunc, TopK, ArgMax, Transpose, Flatten, shape arithmetic ...
}
