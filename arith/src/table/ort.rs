//! Functions of one quantized element as ONNX Runtime computes them: DequantizeLinear, float32
//! operations, QuantizeLinear.

use super::ort_math::{hard_sigmoid, hard_swish, sigmoid, tanh};
use super::TableFormula;
use crate::formula::{check_scale, quantize, FloatOp, FormulaError, OrtQuantization, OutputStage};
use crate::int_type::IntType;
use crate::real::text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A float32 operation of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case")]
pub enum OrtFunction {
    /// An operation with constants, Relu and Clip.
    Arithmetic {
        /// The operation.
        operation: FloatOp,
    },
    /// `x >= 0 ? x : x * slope`: LeakyRelu (one slope for all) and PRelu (one a channel).
    LeakyRelu {
        /// One for all channels or one for each.
        #[serde(with = "text::singles")]
        slope: Vec<f32>,
    },
    /// Sigmoid, by the runtime's rational approximation.
    Sigmoid,
    /// Tanh, by the runtime's rational approximation.
    Tanh,
    /// `max(0, min(1, f32(f32(alpha * x) + beta)))`
    HardSigmoid {
        /// Factor.
        #[serde(with = "text::single")]
        alpha: f32,
        /// Summand.
        #[serde(with = "text::single")]
        beta: f32,
    },
    /// `x * HardSigmoid(x)` with alpha = f32(1/6) and beta = 0.5.
    HardSwish,
}

impl OrtFunction {
    fn apply(&self, channel: usize, x: f32) -> f32 {
        match self {
            OrtFunction::Arithmetic { operation } => operation.apply(channel, x),
            OrtFunction::LeakyRelu { .. } if x >= 0.0 => x,
            OrtFunction::LeakyRelu { slope } => x * slope[if slope.len() == 1 { 0 } else { channel }],
            OrtFunction::Sigmoid => sigmoid(x),
            OrtFunction::Tanh => tanh(x),
            OrtFunction::HardSigmoid { alpha, beta } => hard_sigmoid(x, *alpha, *beta),
            OrtFunction::HardSwish => hard_swish(x),
        }
    }

    fn validate(&self, channels: usize) -> Result<(), FormulaError> {
        let finite = |what, values: &[f32]| match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(FormulaError::Scale { what, index, value: values[index].into() }),
            None => Ok(()),
        };
        match self {
            OrtFunction::Arithmetic { operation } => operation.validate(channels),
            OrtFunction::LeakyRelu { slope } if slope.len() != 1 && slope.len() != channels => {
                Err(FormulaError::Length { what: "slopes", length: slope.len(), channels })
            }
            OrtFunction::LeakyRelu { slope } => finite("slope", slope),
            OrtFunction::HardSigmoid { alpha, beta } => finite("hard sigmoid's", &[*alpha, *beta]),
            OrtFunction::Sigmoid | OrtFunction::Tanh | OrtFunction::HardSwish => Ok(()),
        }
    }
}

impl fmt::Display for OrtFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrtFunction::Arithmetic { operation } => operation.fmt(f),
            OrtFunction::LeakyRelu { slope } => write!(f, "leaky relu {slope:?}"),
            OrtFunction::Sigmoid => write!(f, "sigmoid"),
            OrtFunction::Tanh => write!(f, "tanh"),
            OrtFunction::HardSigmoid { alpha, beta } => write!(f, "hard sigmoid {alpha:e} {beta:e}"),
            OrtFunction::HardSwish => write!(f, "hard swish"),
        }
    }
}

/// `QuantizeLinear(functions(f32((x - zx) * sx)))`: QLinearSigmoid, QLinearLeakyRelu, the operands of QLinearConcat, and every
/// activation between DequantizeLinear and QuantizeLinear. Without functions it is a requantization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrtTable {
    /// Functions: 1 for all channels, or one for each.
    pub channels: usize,
    /// Of the operand.
    pub input: OrtQuantization,
    /// First to last.
    pub functions: Vec<OrtFunction>,
    /// Scale of the result.
    #[serde(with = "text::single")]
    pub output_scale: f32,
    /// Zero point and clamp of the result.
    pub output: OutputStage,
}

impl TableFormula {
    /// An [`OrtTable`] from the file's scales.
    ///
    /// # Errors
    /// If there is no channel, a scale is not positive and finite, a constant is not finite, a list has neither one entry
    /// nor one a channel, or a zero point is out of range.
    pub fn ort(
        channels: usize,
        functions: Vec<OrtFunction>,
        input: OrtQuantization,
        output: OrtQuantization,
        element: IntType,
    ) -> Result<TableFormula, FormulaError> {
        let (output_scale, output) = (output.scale, output.stage(element)?);
        let table = OrtTable { channels, input, functions, output_scale, output };
        table.validate().map(|()| TableFormula::Ort(table))
    }
}

impl OrtTable {
    pub(super) fn evaluate(&self, channel: usize, x: i64) -> i64 {
        let real = (x - self.input.zero_point) as f32 * self.input.scale;
        let result = self.functions.iter().fold(real, |x, function| function.apply(channel, x));
        quantize(result, self.output_scale, self.output)
    }

    pub(super) fn validate(&self) -> Result<(), FormulaError> {
        if self.channels == 0 {
            return Err(FormulaError::NoChannels);
        }
        self.input.check("input")?;
        check_scale("output", 0, self.output_scale)?;
        self.functions.iter().try_for_each(|function| function.validate(self.channels))?;
        self.output.validate()
    }
}

impl fmt::Display for OrtTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "float32 (x - {}) x {:e}", self.input.zero_point, self.input.scale)?;
        self.functions.iter().try_for_each(|function| write!(f, ", {function}"))?;
        write!(f, ", / {:e}, half even, {}", self.output_scale, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    const INPUT: OrtQuantization = OrtQuantization { scale: 0.5, zero_point: -3 };
    const OUTPUT: OrtQuantization = OrtQuantization { scale: 0.25, zero_point: 1 };

    fn table(channels: usize, functions: Vec<OrtFunction>) -> Result<TableFormula, FormulaError> {
        TableFormula::ort(channels, functions, INPUT, OUTPUT, IntType::Signed(8))
    }

    #[test]
    fn slopes_of_a_prelu_belong_to_channels() {
        let formula = table(2, vec![OrtFunction::LeakyRelu { slope: vec![0.5, -1.0] }]).unwrap();
        let derived = Table::derive(&formula, IntType::Signed(8).range()).unwrap();
        assert_eq!([derived.evaluate(0, -7), derived.evaluate(1, -7), derived.evaluate(1, 1)], [-3, 9, 9]);
        assert_eq!((derived.lowest, derived.values[0].len()), (-128, 256));
    }

    #[test]
    fn a_table_without_functions_requantizes() {
        let formula = table(1, vec![]).unwrap();
        assert_eq!([-128, -3, -2, 127].map(|x| formula.evaluate(0, x)), [-128, 1, 3, 127]);
    }

    #[test]
    fn constants_of_a_wrong_count_or_kind_are_refused() {
        assert!(table(3, vec![OrtFunction::LeakyRelu { slope: vec![0.5; 2] }]).is_err());
        assert!(table(1, vec![OrtFunction::HardSigmoid { alpha: f32::INFINITY, beta: 0.0 }]).is_err());
        assert!(table(0, vec![]).is_err());
    }
}
