//! BatchNormalization in its inference form:
//! `y = gamma[c] * (x - mean[c]) / sqrt(variance[c] + epsilon) + beta[c]`.
//!
//! The channel is dimension 1 of the file's tensor.

use super::operands::{real_values, Operands};
use super::operator::Operator;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Node, Tensor};
use crate::passes::lowering::Lowering;
use ndarray::{ArrayD, Axis};

/// Attributes of a BatchNormalization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormalization {
    /// Added to the variance.
    pub epsilon: f32,
}

/// The four parameters of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    /// Factor behind the normalization; may be negative or 0.
    pub gamma: Vec<f32>,
    /// Offset behind the normalization.
    pub beta: Vec<f32>,
    /// Subtracted first.
    pub mean: Vec<f32>,
    /// Square of the divisor, before epsilon is added.
    pub variance: Vec<f32>,
}

impl BatchNormalization {
    fn parameters(&self, operands: &Operands) -> Result<Parameters, CompileError> {
        let channels = operands.required(0, "input")?.shape.get(1).copied().unwrap_or(0);
        let read = |position, role: &str| {
            let values: Vec<f32> = operands.floats(position, role)?.iter().copied().collect();
            if values.len() != channels {
                return Err(operands.error(
                    format!("{role} has {} values for {channels} channels", values.len()),
                    "give one value a channel",
                ));
            }
            match values.iter().find(|v| !v.is_finite()) {
                Some(v) => Err(operands.error(format!("{role} contains {v}"), "train and export the model again")),
                None => Ok(values),
            }
        };
        let parameters = Parameters {
            gamma: read(1, "scale")?,
            beta: read(2, "bias")?,
            mean: read(3, "mean")?,
            variance: read(4, "variance")?,
        };
        match parameters.variance.iter().find(|&&v| f64::from(v) + f64::from(self.epsilon) <= 0.0) {
            Some(v) => Err(operands.error(
                format!("variance {v} plus epsilon {} is not positive", self.epsilon),
                "train and export the model again",
            )),
            None => Ok(parameters),
        }
    }
}

impl Operator for BatchNormalization {
    fn infer(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let data = operands.required(0, "input")?;
        if data.shape.len() < 2 {
            return Err(operands.error(
                format!("the input has shape {:?}, without a channel dimension", data.shape),
                "normalize a tensor of at least two dimensions",
            ));
        }
        Ok(vec![operands.result(data.shape.clone(), ElementType::Float32)?])
    }

    fn evaluate(&self, operands: &Operands) -> Result<Vec<Tensor>, CompileError> {
        let mut results = self.infer(operands)?;
        let Parameters { gamma, beta, mean, variance } = self.parameters(operands)?;
        let data = operands.required(0, "input")?;
        let mut values: ArrayD<f32> =
            real_values(data).ok_or_else(|| operands.error("the input is not real", "cast it to float"))?;
        let channels = gamma.iter().zip(&beta).zip(&mean).zip(&variance);
        for (mut slice, (((gamma, beta), mean), variance)) in values.axis_iter_mut(Axis(1)).zip(channels) {
            let factor = gamma * (1.0 / (variance + self.epsilon).sqrt());
            let offset = beta - mean * factor;
            slice.mapv_inplace(|x| x * factor + offset);
        }
        results.iter_mut().for_each(|result| result.constant = Some(ConstantData::Float(values.clone())));
        Ok(results)
    }

    fn lower(&self, node: &Node, lowering: &mut Lowering) -> Result<(), CompileError> {
        let operands = lowering.operands(node);
        let parameters = self.parameters(&operands)?;
        lowering.normalize(node, &parameters, self.epsilon)
    }
}
