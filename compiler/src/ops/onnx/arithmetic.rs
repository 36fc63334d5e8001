//! Elementwise Add, Sub, Mul, Div and Pow with broadcasting (ONNX operator specification).

use super::operands::{broadcast_shape, real_values, Operands};
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::Lowering;
use ndarray::{ArrayD, IxDyn, Zip};

/// Which of the elementwise operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// a / b
    Div,
    /// a to the power of b; on constants only
    Pow,
}

impl Arithmetic {
    /// Name of the operator.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::Add => "Add",
            Arithmetic::Sub => "Sub",
            Arithmetic::Mul => "Mul",
            Arithmetic::Div => "Div",
            Arithmetic::Pow => "Pow",
        }
    }

    fn real(self, a: f32, b: f32) -> f32 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            Arithmetic::Mul => a * b,
            Arithmetic::Div => a / b,
            Arithmetic::Pow => a.powf(b),
        }
    }

    /// None where the result does not exist or does not fit 64 bits.
    fn integer(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Sub => a.checked_sub(b),
            Arithmetic::Mul => a.checked_mul(b),
            Arithmetic::Div => a.checked_div(b),
            Arithmetic::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        }
    }

    fn shape(self, operands: &Operands) -> Result<Vec<usize>, CompileError> {
        let (a, b) = (operands.required(0, "a")?, operands.required(1, "b")?);
        broadcast_shape(&a.shape, &b.shape).ok_or_else(|| {
            operands.error(
                format!("shapes {:?} (`{}`) and {:?} (`{}`) do not broadcast", a.shape, a.name, b.shape, b.name),
                "make the trailing dimensions equal or 1",
            )
        })
    }
}

/// Combines two arrays that broadcast to `shape`.
fn combine<T: Copy, R>(
    operands: &Operands,
    a: &ArrayD<T>,
    b: &ArrayD<T>,
    shape: &[usize],
    f: impl Fn(T, T) -> R,
) -> Result<ArrayD<R>, CompileError> {
    match (a.broadcast(IxDyn(shape)), b.broadcast(IxDyn(shape))) {
        (Some(a), Some(b)) => Ok(Zip::from(a).and(b).map_collect(|&a, &b| f(a, b))),
        _ => Err(operands.error("the operands do not broadcast", "export the model again")),
    }
}

impl Operator for Arithmetic {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let a = operands.required(0, "a")?;
        let element = if a.quantization.is_some() { ElementType::Float32 } else { a.element };
        Ok(vec![operands.result(self.shape(operands)?, element)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let (a, b) = (operands.required(0, "a")?, operands.required(1, "b")?);
        let mut result = operands.result(self.shape(operands)?, a.element)?;
        let shape = result.shape.clone();
        result.constant = Some(match (integers(a), integers(b), real_values(a), real_values(b)) {
            (Some(a), Some(b), _, _) => {
                let values = combine(operands, a, b, &shape, |x, y| self.integer(x, y))?;
                let values: Option<Vec<i64>> = values.into_iter().collect();
                let values = values.and_then(|v| ArrayD::from_shape_vec(IxDyn(&shape), v).ok()).ok_or_else(|| {
                    operands.error(format!("{} of these integers has no 64-bit result", self.name()), "check them")
                })?;
                ConstantData::Int(values)
            }
            (_, _, Some(a), Some(b)) => {
                result.element = ElementType::Float32;
                ConstantData::Float(combine(operands, &a, &b, &shape, |x, y| self.real(x, y))?)
            }
            _ => {
                return Err(operands
                    .error(format!("operands `{}` and `{}` are not of one type", a.name, b.name), "cast one of them"))
            }
        });
        Ok(vec![result])
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        lowering.lower_arithmetic(*self, node)
    }
}

fn integers(tensor: &Tensor) -> Option<&ArrayD<i64>> {
    match (&tensor.constant, &tensor.quantization) {
        (Some(ConstantData::Int(values)), None) => Some(values),
        _ => None,
    }
}
