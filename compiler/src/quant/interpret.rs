//! The software reference: exact integers, each profile's own formula.

use super::{QuantError, QuantGraph, QuantOp, QuantTensor};
use ndarray::{Array2, ArrayD, ArrayView2, IxDyn};
use rayon::prelude::*;
use systole_arith::formula::ChannelFormula;

/// Values of every tensor for one sample, by [`TensorId`](super::TensorId), each under its shape.
pub type Values = Vec<ArrayD<i64>>;

/// One node, prepared for many samples.
struct Step<'g> {
    op: &'g QuantOp,
    from: Vec<usize>,
    to: usize,
    formulas: Vec<ChannelFormula>,
}

impl QuantGraph {
    /// Values of all tensors for one sample. `inputs`: one array an input border, in their order, of
    /// the accelerator's tensor (channels innermost), as stored integers.
    ///
    /// # Errors
    /// If there are other than one array an input, or one has another number of elements or holds
    /// values outside its tensor's range.
    pub fn interpret(&self, inputs: &[ArrayD<i64>]) -> Result<Values, QuantError> {
        self.run(&self.prepare()?, inputs)
    }

    /// [`QuantGraph::interpret`] for every sample, on all cores.
    ///
    /// # Errors
    /// As there; the first failing sample's.
    pub fn interpret_batch(&self, samples: &[Vec<ArrayD<i64>>]) -> Result<Vec<Values>, QuantError> {
        let steps = self.prepare()?;
        samples.par_iter().map(|inputs| self.run(&steps, inputs)).collect()
    }

    fn prepare(&self) -> Result<Vec<Step<'_>>, QuantError> {
        self.order()?
            .into_iter()
            .map(|index| {
                let node = &self.nodes[index];
                let subject = || format!("node `{}`", node.name);
                let place = |id: Option<&super::TensorId>| {
                    id.map(|id| id.0 as usize)
                        .filter(|&place| place < self.tensors.len())
                        .ok_or_else(|| QuantError::broken(subject(), "an operand is missing"))
                };
                let from = node.inputs.iter().map(|id| place(Some(id))).collect::<Result<Vec<_>, _>>()?;
                let to = place(Some(&node.output))?;
                if let Some(product) = node.op.product() {
                    if product.formula.channels() != product.outputs() || product.bias.len() != product.outputs() {
                        return Err(QuantError::broken(subject(), "formula and bias do not fit the weights"));
                    }
                }
                Ok(Step { op: &node.op, from, to, formulas: node.op.prepare() })
            })
            .collect()
    }

    fn run(&self, steps: &[Step<'_>], inputs: &[ArrayD<i64>]) -> Result<Values, QuantError> {
        if inputs.len() != self.inputs.len() {
            let cause = format!("{} arrays for {} inputs", inputs.len(), self.inputs.len());
            return Err(QuantError::data(format!("network `{}`", self.name), cause));
        }
        let mut values: Values = self.tensors.iter().map(|_| ArrayD::zeros(IxDyn(&[0]))).collect();
        for (border, input) in self.inputs.iter().zip(inputs) {
            let tensor = self.tensor(border.tensor);
            values[border.tensor.0 as usize] = stored_input(tensor, input)?;
        }
        for Step { op, from, to, formulas } in steps {
            let operands = from
                .iter()
                .map(|&place| matrix(&self.tensors[place], &values[place]))
                .collect::<Result<Vec<_>, _>>()?;
            let views: Vec<ArrayView2<i64>> = operands.iter().map(|operand| operand.view()).collect();
            let result = op.run(formulas, &views)?;
            values[*to] = shaped(&self.tensors[*to], result.into_iter())?;
        }
        Ok(values)
    }
}

fn shaped(tensor: &QuantTensor, values: impl Iterator<Item = i64>) -> Result<ArrayD<i64>, QuantError> {
    let values: Vec<i64> = values.collect();
    let count = values.len();
    ArrayD::from_shape_vec(IxDyn(&tensor.shape), values).map_err(|_| {
        QuantError::data(format!("tensor `{}`", tensor.name), format!("{count} elements for shape {:?}", tensor.shape))
    })
}

/// The elements as `[pixels, C]`.
fn matrix(tensor: &QuantTensor, values: &ArrayD<i64>) -> Result<Array2<i64>, QuantError> {
    let channels = tensor.channels();
    let pixels = values.len() / channels.max(1);
    Array2::from_shape_vec((pixels, channels), values.iter().copied().collect()).map_err(|_| {
        let cause = format!("{} elements are no pixels of {channels} channels", values.len());
        QuantError::data(format!("tensor `{}`", tensor.name), cause)
    })
}

/// An input under its tensor's shape, every element in its range.
fn stored_input(tensor: &QuantTensor, input: &ArrayD<i64>) -> Result<ArrayD<i64>, QuantError> {
    if let Some(value) = input.iter().find(|&&v| !tensor.range.contains(v) || !tensor.element.contains(v)) {
        return Err(QuantError::data(
            format!("tensor `{}`", tensor.name),
            format!("value {value} is not a {} in {}", tensor.element, tensor.range),
        ));
    }
    shaped(tensor, input.iter().copied())
}
