//! Execution of the host's operations at the borders.

use super::{Border, QuantError, QuantGraph, QuantTensor};
use ndarray::{ArrayD, IxDyn};
use systole_arith::border::BorderValue;

impl QuantGraph {
    /// Turns the host's tensor of one sample (the border's `host_shape`) into the accelerator's.
    /// `input` counts the network's inputs.
    ///
    /// # Errors
    /// If there is no such input, or the value has another shape or type than the border.
    pub fn run_border_in(&self, input: usize, host: BorderValue) -> Result<ArrayD<i64>, QuantError> {
        let border = nth(&self.inputs, input, "input")?;
        let subject = || format!("input `{}`", border.host_name);
        let (shape, kind) = describe(&host);
        let elements = |shape: &[usize]| shape.iter().product::<usize>();
        if elements(shape) != elements(&border.host_shape) || (kind == "float32") != (border.host_type == "float32") {
            return Err(QuantError::data(
                subject(),
                format!("{kind} of shape {shape:?}, the model takes {} {:?}", border.host_type, border.host_shape),
            ));
        }
        let host = under_shape(host, &border.host_shape).ok_or_else(|| QuantError::data(subject(), "misshapen"))?;
        let value = execute(border, host)?;
        let tensor = self.tensor(border.tensor);
        match under_shape(value, &tensor.shape) {
            Some(BorderValue::Int(elements)) => {
                check_elements(&subject(), tensor, &elements)?;
                Ok(elements)
            }
            _ => Err(QuantError::data(
                subject(),
                format!("its border operations do not give integers of shape {:?}", tensor.shape),
            )),
        }
    }

    /// Turns the accelerator's tensor of one sample into the host's. `output` counts the network's
    /// outputs.
    ///
    /// # Errors
    /// If there is no such output, or the elements do not fit its tensor.
    pub fn run_border_out(&self, output: usize, elements: &ArrayD<i64>) -> Result<BorderValue, QuantError> {
        let border = nth(&self.outputs, output, "output")?;
        let tensor = self.tensor(border.tensor);
        let subject = format!("output `{}`", border.host_name);
        let misfit = || QuantError::data(&subject, format!("{} elements for shape {:?}", elements.len(), tensor.shape));
        check_elements(&subject, tensor, elements)?;
        let value = under_shape(BorderValue::Int(elements.clone()), &tensor.shape).ok_or_else(misfit)?;
        let value = execute(border, value)?;
        under_shape(value, &border.host_shape).ok_or_else(|| {
            QuantError::data(&subject, format!("its border operations do not give shape {:?}", border.host_shape))
        })
    }
}

fn nth<'b>(borders: &'b [Border], index: usize, what: &str) -> Result<&'b Border, QuantError> {
    borders.get(index).ok_or_else(|| {
        QuantError::data(format!("{what} {index}"), format!("the network has {} of them", borders.len()))
    })
}

fn execute(border: &Border, value: BorderValue) -> Result<BorderValue, QuantError> {
    border.operations.iter().try_fold(value, |value, operation| {
        operation.apply(value).map_err(|error| {
            QuantError::data(format!("border `{}`, operation `{operation}`", border.host_name), error.to_string())
        })
    })
}

fn check_elements(subject: &str, tensor: &QuantTensor, elements: &ArrayD<i64>) -> Result<(), QuantError> {
    match elements.iter().find(|&&v| !tensor.element.contains(v)) {
        Some(value) => Err(QuantError::data(subject, format!("value {value} is no {}", tensor.element))),
        None => Ok(()),
    }
}

fn describe(value: &BorderValue) -> (&[usize], &'static str) {
    match value {
        BorderValue::Float(values) => (values.shape(), "float32"),
        BorderValue::Int(values) => (values.shape(), "integers"),
    }
}

/// The elements in order under another shape; none where their number differs.
fn under_shape(value: BorderValue, shape: &[usize]) -> Option<BorderValue> {
    fn shaped<T: Clone>(values: ArrayD<T>, shape: &[usize]) -> Option<ArrayD<T>> {
        ArrayD::from_shape_vec(IxDyn(shape), values.iter().cloned().collect()).ok()
    }
    Some(match value {
        BorderValue::Float(values) => BorderValue::Float(shaped(values, shape)?),
        BorderValue::Int(values) => BorderValue::Int(shaped(values, shape)?),
    })
}
