//! Operators of ONNX networks: a closed set, one file a kind.

pub mod activation;
pub mod arithmetic;
pub mod batch_normalization;
pub mod bipolar_quant;
pub mod conv;
pub mod heads;
pub mod integer_weights;
pub mod matmul;
pub mod operands;
pub mod operator;
pub mod order;
pub mod pad;
pub mod pointwise;
pub mod pooling;
pub mod quant;
pub mod quantization;
pub mod quantize_linear;
pub mod quantized_join;
pub mod quantized_matmul;
pub mod quantized_softmax;
pub mod quantizer;
pub mod reduce_mean;
pub mod resize;
pub mod shape_arithmetic;
pub mod sliding;
pub mod transpose;
pub mod trunc;
pub mod view;

pub use operands::Operands;
pub use operator::Operator;

use crate::graph::ElementType;

/// An operator of an ONNX network with its attributes.
#[derive(Clone, Debug, PartialEq)]
pub enum OnnxOp {
    /// MatMul, Gemm.
    MatMul(matmul::MatMul),
    /// Add, Sub, Mul, Div, Pow.
    Arithmetic(arithmetic::Arithmetic),
    /// BatchNormalization.
    BatchNormalization(batch_normalization::BatchNormalization),
    /// Relu, Sign, Identity, Dropout.
    Pointwise(pointwise::Pointwise),
    /// Quant.
    Quant(quant::Quant),
    /// BipolarQuant.
    BipolarQuant(bipolar_quant::BipolarQuant),
    /// Trunc.
    Trunc(trunc::Trunc),
    /// Reshape, Flatten, Squeeze, Unsqueeze.
    View(view::View),
    /// Transpose.
    Transpose(transpose::Transpose),
    /// Softmax, ArgMax, TopK.
    Head(heads::Head),
    /// Conv, QLinearConv, ConvInteger.
    Conv(conv::Conv),
    /// QLinearMatMul, QGemm, MatMulInteger.
    QuantizedMatMul(quantized_matmul::QuantizedMatMul),
    /// QuantizeLinear, DequantizeLinear.
    Linear(quantize_linear::Linear),
    /// MaxPool, AveragePool, their global and QLinear forms.
    Pooling(pooling::Pooling),
    /// Clip, Sigmoid and other functions of one element.
    Activation(activation::Activation),
    /// QLinearAdd, QLinearMul, QLinearConcat.
    QuantizedJoin(quantized_join::QuantizedJoin),
    /// Pad.
    Pad(pad::Pad),
    /// ReduceMean.
    ReduceMean(reduce_mean::ReduceMean),
    /// Resize, Upsample.
    Resize(resize::Resize),
    /// QLinearSoftmax.
    QuantizedSoftmax(quantized_softmax::QuantizedSoftmax),
    /// Shape, Gather, Concat, Slice, Cast, ConstantOfShape, Sqrt, Neg.
    ShapeArithmetic(shape_arithmetic::ShapeArithmetic),
}

impl OnnxOp {
    /// The operator's behaviour.
    pub fn behaviour(&self) -> &dyn Operator {
        match self {
            OnnxOp::MatMul(op) => op,
            OnnxOp::Arithmetic(op) => op,
            OnnxOp::BatchNormalization(op) => op,
            OnnxOp::Pointwise(op) => op,
            OnnxOp::Quant(op) => op,
            OnnxOp::BipolarQuant(op) => op,
            OnnxOp::Trunc(op) => op,
            OnnxOp::View(op) => op,
            OnnxOp::Transpose(op) => op,
            OnnxOp::Head(op) => op,
            OnnxOp::Conv(op) => op,
            OnnxOp::QuantizedMatMul(op) => op,
            OnnxOp::Linear(op) => op,
            OnnxOp::Pooling(op) => op,
            OnnxOp::Activation(op) => op,
            OnnxOp::QuantizedJoin(op) => op,
            OnnxOp::Pad(op) => op,
            OnnxOp::ReduceMean(op) => op,
            OnnxOp::Resize(op) => op,
            OnnxOp::QuantizedSoftmax(op) => op,
            OnnxOp::ShapeArithmetic(op) => op,
        }
    }

    /// Name of the operator in the ONNX specification.
    pub fn name(&self) -> &'static str {
        match self {
            OnnxOp::MatMul(op) => op.name(),
            OnnxOp::Arithmetic(op) => op.name(),
            OnnxOp::BatchNormalization(_) => "BatchNormalization",
            OnnxOp::Pointwise(op) => op.name(),
            OnnxOp::Quant(_) => "Quant",
            OnnxOp::BipolarQuant(_) => "BipolarQuant",
            OnnxOp::Trunc(_) => "Trunc",
            OnnxOp::View(op) => op.name(),
            OnnxOp::Transpose(_) => "Transpose",
            OnnxOp::Head(op) => op.name(),
            OnnxOp::Conv(op) => op.name(),
            OnnxOp::QuantizedMatMul(op) => op.name(),
            OnnxOp::Linear(op) => op.name(),
            OnnxOp::Pooling(op) => op.name(),
            OnnxOp::Activation(op) => op.name(),
            OnnxOp::QuantizedJoin(op) => op.name(),
            OnnxOp::Pad(_) => "Pad",
            OnnxOp::ReduceMean(_) => "ReduceMean",
            OnnxOp::Resize(op) => op.name(),
            OnnxOp::QuantizedSoftmax(_) => "QLinearSoftmax",
            OnnxOp::ShapeArithmetic(op) => op.name(),
        }
    }

    /// Whether the results follow from constant operands without anything the size of a product:
    /// such nodes are folded. A matrix product of two constants is not: its cost has no bound.
    pub fn folds(&self, operands: &Operands) -> bool {
        use shape_arithmetic::ShapeArithmetic;
        match self {
            OnnxOp::MatMul(_)
            | OnnxOp::Conv(_)
            | OnnxOp::QuantizedMatMul(_)
            | OnnxOp::Pooling(_)
            | OnnxOp::Resize(_) => false,
            OnnxOp::ShapeArithmetic(ShapeArithmetic::Shape { .. }) => true,
            _ => operands.present().all(|tensor| tensor.constant.is_some()),
        }
    }

    /// Whether the operator computes shapes: integer constants of a handful of elements.
    pub fn folds_to_a_shape(&self, operands: &Operands) -> bool {
        const SMALL: usize = 1024;
        let small = |tensor: &crate::graph::Tensor| {
            tensor.element != ElementType::Float32
                && tensor.quantization.is_none()
                && tensor.shape.iter().product::<usize>() <= SMALL
        };
        use shape_arithmetic::ShapeArithmetic;
        match self {
            OnnxOp::ShapeArithmetic(ShapeArithmetic::Shape { .. }) => true,
            OnnxOp::ShapeArithmetic(_) | OnnxOp::Arithmetic(_) | OnnxOp::View(_) | OnnxOp::Pointwise(_) => {
                self.folds(operands) && operands.present().all(small)
            }
            _ => false,
        }
    }
}
