//! What every operator of an integer network can do: one place where the closed set is matched.

use super::arrangement::{check_arg_max, index_range, run_arg_max};
use super::elementwise::{check_concat, concatenated, run_concat};
use super::{Conv, Dense, Depthwise, Join, Map, Pad, Pool, QuantError, QuantTensor, Repeat, Splice};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::fmt;
use systole_arith::formula::ChannelFormula;
use systole_arith::{IntType, Range};

/// Integer operators: a closed set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum QuantOp {
    /// Matrix product on each pixel, bias, requantization.
    Dense(Dense),
    /// Matrix product on each window.
    Conv(Conv),
    /// Product of each channel alone on each window.
    Depthwise(Depthwise),
    /// Maximum or sum of each channel on each window.
    Pool(Pool),
    /// Pixels of one value around an image.
    Pad(Pad),
    /// A function of one element.
    Map(Map),
    /// A function of two elements.
    Join(Join),
    /// The channels of several tensors behind each other.
    Concat,
    /// Pixels of several tensors in turn.
    Splice(Splice),
    /// Pixels and rows of an image several times.
    Repeat(Repeat),
    /// The index of each pixel's greatest channel, the first of equal ones.
    ArgMax,
    /// The same elements in the same order under another shape.
    Reshape,
}

impl QuantOp {
    /// Name for listings and reports.
    pub fn name(&self) -> &'static str {
        match self {
            QuantOp::Dense(_) => "dense",
            QuantOp::Conv(_) => "conv",
            QuantOp::Depthwise(_) => "depthwise",
            QuantOp::Pool(_) => "pool",
            QuantOp::Pad(_) => "pad",
            QuantOp::Map(_) => "map",
            QuantOp::Join(_) => "join",
            QuantOp::Concat => "concat",
            QuantOp::Splice(_) => "splice",
            QuantOp::Repeat(_) => "repeat",
            QuantOp::ArgMax => "arg_max",
            QuantOp::Reshape => "reshape",
        }
    }

    /// The concatenation of tensors of these shapes along a dimension.
    pub fn behind_each_other(shapes: &[Vec<usize>], axis: usize) -> QuantOp {
        match shapes.first().is_some_and(|shape| axis + 1 < shape.len()) {
            true => QuantOp::Splice(Splice::along(shapes, axis)),
            false => QuantOp::Concat,
        }
    }

    /// The product of an operator with weights.
    pub fn product(&self) -> Option<&Dense> {
        match self {
            QuantOp::Dense(product)
            | QuantOp::Conv(Conv { product, .. })
            | QuantOp::Depthwise(Depthwise { product, .. }) => Some(product),
            _ => None,
        }
    }

    /// As [`QuantOp::product`], to be changed.
    pub fn product_mut(&mut self) -> Option<&mut Dense> {
        match self {
            QuantOp::Dense(product)
            | QuantOp::Conv(Conv { product, .. })
            | QuantOp::Depthwise(Depthwise { product, .. }) => Some(product),
            _ => None,
        }
    }

    /// Derives exact maps from the operands' ranges; gives range and type of the result.
    ///
    /// # Errors
    /// If accumulators or outputs are too wide, or operands are missing.
    pub fn derive(&mut self, inputs: &[&QuantTensor]) -> Result<(Range, IntType), QuantError> {
        let several_types = || QuantError::broken("concatenation", "its operands are of several types");
        match (self, inputs) {
            (QuantOp::Dense(product), [input]) => product.derive(input),
            (QuantOp::Conv(conv), [input]) => {
                let input = conv.input(input);
                conv.product.derive(&input)
            }
            (QuantOp::Depthwise(conv), [input]) => {
                let input = conv.input(input);
                conv.product.derive(&input)
            }
            (QuantOp::Pool(pool), [input]) => pool.derive(input),
            (QuantOp::Pad(pad), [input]) => Ok((pad.range(input), input.element)),
            (QuantOp::Map(map), [input]) => map.derive(input),
            (QuantOp::Join(join), [left, right]) => join.derive(left, right),
            (QuantOp::Concat, inputs) => concatenated(inputs).ok_or_else(several_types),
            (QuantOp::Splice(splice), inputs) => splice.derive(inputs).ok_or_else(several_types),
            (QuantOp::ArgMax, [input]) => Ok(index_range(input.channels())),
            (QuantOp::Repeat(_) | QuantOp::Reshape, [input]) => Ok((input.range, input.element)),
            (op, inputs) => Err(op.miscounted("operator", inputs.len())),
        }
    }

    /// Checks the operator against its tensors.
    ///
    /// # Errors
    /// The first guarantee that does not hold, naming `subject`.
    pub(super) fn check(&self, subject: &str, inputs: &[&QuantTensor], output: &QuantTensor) -> Result<(), QuantError> {
        match (self, inputs) {
            (QuantOp::Dense(product), [input]) => {
                let (outputs, columns) = product.weights.dim();
                if input.channels() != columns || output.channels() != outputs || input.pixels() != output.pixels() {
                    let cause =
                        format!("weights [{outputs}, {columns}] turn {:?} into {:?}", input.shape, output.shape);
                    return Err(QuantError::broken(subject, cause));
                }
                product.check(subject, input, output)
            }
            (QuantOp::Conv(conv), [input]) => conv.check(subject, input, output),
            (QuantOp::Depthwise(conv), [input]) => conv.check(subject, input, output),
            (QuantOp::Pool(pool), [input]) => pool.check(subject, input, output),
            (QuantOp::Pad(pad), [input]) => pad.check(subject, input, output),
            (QuantOp::Map(map), [input]) => map.check(subject, input, output),
            (QuantOp::Join(join), [left, right]) => join.check(subject, (left, right), output),
            (QuantOp::Concat, [_, ..]) => check_concat(subject, inputs, output),
            (QuantOp::Splice(splice), [_, ..]) => splice.check(subject, inputs, output),
            (QuantOp::Repeat(repeat), [input]) => repeat.check(subject, input, output),
            (QuantOp::ArgMax, [input]) => check_arg_max(subject, input, output),
            (QuantOp::Reshape, [input]) => {
                let same = |a: &QuantTensor| (a.elements(), a.element, a.range);
                match same(input) == same(output) {
                    true => Ok(()),
                    false => Err(QuantError::broken(
                        subject,
                        format!(
                            "it turns {:?} {} {} into {:?} {} {}",
                            input.shape, input.element, input.range, output.shape, output.element, output.range
                        ),
                    )),
                }
            }
            (op, inputs) => Err(op.miscounted(subject, inputs.len())),
        }
    }

    /// One channel's formulas, prepared for many samples.
    pub(super) fn prepare(&self) -> Vec<ChannelFormula> {
        let formula = self.product().map(|product| &product.formula);
        formula.map_or(Vec::new(), |formula| (0..formula.channels()).map(|channel| formula.channel(channel)).collect())
    }

    /// The result of one sample, each tensor as `[pixels, C]`; `formulas` are [`QuantOp::prepare`]'s.
    pub(super) fn run(
        &self,
        formulas: &[ChannelFormula],
        inputs: &[ArrayView2<i64>],
    ) -> Result<Array2<i64>, QuantError> {
        match (self, inputs) {
            (QuantOp::Dense(product), [input]) => Ok(product.run(formulas, *input)),
            (QuantOp::Conv(conv), [input]) => Ok(conv.run(formulas, *input)),
            (QuantOp::Depthwise(conv), [input]) => Ok(conv.run(formulas, *input)),
            (QuantOp::Pool(pool), [input]) => Ok(pool.run(*input)),
            (QuantOp::Pad(pad), [input]) => Ok(pad.run(*input)),
            (QuantOp::Map(map), [input]) => Ok(map.run(*input)),
            (QuantOp::Join(join), [left, right]) => Ok(join.run(*left, *right)),
            (QuantOp::Concat, inputs) => {
                run_concat(inputs).ok_or_else(|| QuantError::broken("concatenation", "its operands differ in pixels"))
            }
            (QuantOp::Splice(splice), inputs) => {
                splice.run(inputs).ok_or_else(|| QuantError::broken("splice", "its operands do not fit its turns"))
            }
            (QuantOp::Repeat(repeat), [input]) => Ok(repeat.run(*input)),
            (QuantOp::ArgMax, [input]) => Ok(run_arg_max(*input)),
            (QuantOp::Reshape, [input]) => Ok(input.to_owned()),
            (op, inputs) => Err(op.miscounted("operator", inputs.len())),
        }
    }

    fn miscounted(&self, subject: &str, count: usize) -> QuantError {
        QuantError::broken(subject, format!("{} takes other than {count} operands", self.name()))
    }
}

impl fmt::Display for QuantOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuantOp::Dense(product) => product.fmt(f),
            QuantOp::Conv(conv) => write!(f, "{}, {} group(s), {}", conv.window, conv.groups, conv.product),
            QuantOp::Depthwise(conv) => write!(f, "{}, {}", conv.window, conv.product),
            QuantOp::Pool(pool) => write!(f, "{:?} {}, {}", pool.kind, pool.window, pool.formula),
            QuantOp::Pad(pad) => write!(f, "{} with {}", pad.window, pad.value),
            QuantOp::Map(map) => map.formula.fmt(f),
            QuantOp::Join(join) => join.formula.fmt(f),
            QuantOp::Splice(splice) => write!(f, "{:?} pixels in turn", splice.runs),
            QuantOp::Repeat(Repeat { factors: [rows, columns], .. }) => write!(f, "{rows} rows x {columns} columns"),
            QuantOp::Concat | QuantOp::ArgMax | QuantOp::Reshape => Ok(()),
        }
    }
}
