//! What every operator of an ONNX network can do.

use super::operands::Operands;
use crate::diagnostic::CompileError;
use crate::graph::{Node, Tensor};
use crate::passes::lowering::Lowering;

/// An operator of an ONNX network with its attributes.
pub trait Operator {
    /// Shapes and element types of the results, from those of the operands (and from the values of
    /// operands that are shapes).
    ///
    /// # Errors
    /// If the operands do not fit the operator.
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError>;

    /// Values of the results from constant operands, as the QONNX executor computes them: real
    /// numbers in single precision, one rounding an operation.
    ///
    /// # Errors
    /// If the operands do not fit the operator or are not constant.
    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError>;

    /// Consumes the values of the node's operands and defines those of its results.
    ///
    /// # Errors
    /// If the operands have values that the operator does not take.
    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError>;
}
