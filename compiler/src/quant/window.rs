//! Convolutions on integers: the matrix product and the product of each channel alone, on windows.

use super::{Dense, QuantError, QuantTensor};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use systole_arith::formula::ChannelFormula;
use systole_arith::{IntType, Range, Window};

/// `acc[m] = sum over taps t and channels c of (x[t][c] - zero point) * weights[m][t * C + c] + bias[m]`
/// on every window, then `y[m] = formula(m, acc[m])`. Taps in the padding add nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Geometry.
    pub window: Window,
    /// Products of the input without its groups: 1 where every output reads every channel. Weights
    /// of other groups are 0; for reports only.
    pub groups: usize,
    /// The product, weights `[M, T * C]`: taps row-major, channels innermost.
    pub product: Dense,
}

/// `acc[c] = sum over taps t of (x[t][c] - zero point) * weights[c][t] + bias[c]` on every window, then
/// `y[c] = formula(c, acc[c])`. Taps in the padding add nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Depthwise {
    /// Geometry.
    pub window: Window,
    /// The product, weights `[C, T]`: taps row-major.
    pub product: Dense,
}

/// The image `[H, W]` of a tensor: a sequence `[W, C]` is one row.
pub fn image(tensor: &QuantTensor) -> Option<[usize; 2]> {
    match *tensor.shape.as_slice() {
        [rows, columns, _] => Some([rows, columns]),
        [columns, _] => Some([1, columns]),
        _ => None,
    }
}

/// The input as the multipliers see it: padding reads the zero point.
pub fn padded(window: &Window, zero_point: i64, input: &QuantTensor) -> QuantTensor {
    let mut input = input.clone();
    if window.reads_padding() {
        input.range = input.range.hull(Range::point(zero_point));
    }
    input
}

/// Checks that the window slides over `input` and gives `output`.
pub(super) fn check_window(
    subject: &str,
    window: &Window,
    input: &QuantTensor,
    output: &QuantTensor,
) -> Result<(), QuantError> {
    let broken = |cause: String| Err(QuantError::broken(subject, cause));
    window.validate().or_else(|error| broken(error.to_string()))?;
    if image(input) != Some(window.input) || image(output) != Some(window.output()) {
        return broken(format!("window {window} turns {:?} into {:?}", input.shape, output.shape));
    }
    Ok(())
}

/// The zero point that padding reads must be a value of the input's type.
fn check_padding(subject: &str, window: &Window, zero_point: i64, input: IntType) -> Result<(), QuantError> {
    match window.reads_padding() && !input.contains(zero_point) {
        true => Err(QuantError::broken(subject, format!("padding reads {zero_point}, which is no {input}"))),
        false => Ok(()),
    }
}

impl Conv {
    /// Checks geometry and product.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        check_window(subject, &self.window, input, output)?;
        check_padding(subject, &self.window, self.product.input_zero_point, input.element)?;
        let (outputs, inputs) = self.product.weights.dim();
        let taps = self.window.taps();
        if inputs != taps * input.channels() || outputs != output.channels() {
            return Err(QuantError::broken(
                subject,
                format!(
                    "weights [{outputs}, {inputs}] with {taps} taps turn {:?} into {:?}",
                    input.shape, output.shape
                ),
            ));
        }
        self.product.check(subject, &self.input(input), output)
    }

    /// The input as the multipliers see it: padding reads the zero point.
    pub fn input(&self, input: &QuantTensor) -> QuantTensor {
        padded(&self.window, self.product.input_zero_point, input)
    }

    /// `[H * W, C]` -> `[H' * W', M]`.
    pub(super) fn run(&self, formula: &[ChannelFormula], pixels: ArrayView2<i64>) -> Array2<i64> {
        let (taps, channels) = (self.window.taps(), pixels.ncols());
        let zero_point = self.product.input_zero_point;
        let mut columns = Array2::from_elem((self.window.output_pixels(), taps * channels), zero_point);
        for (pixel, mut row) in columns.outer_iter_mut().enumerate() {
            for (tap, mut part) in row.axis_chunks_iter_mut(ndarray::Axis(0), channels).enumerate() {
                if let Some(source) = self.window.source(pixel, tap) {
                    part.assign(&pixels.row(source));
                }
            }
        }
        self.product.run(formula, columns.view())
    }
}

impl Depthwise {
    /// Checks geometry and product.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        check_window(subject, &self.window, input, output)?;
        check_padding(subject, &self.window, self.product.input_zero_point, input.element)?;
        let (outputs, taps) = self.product.weights.dim();
        if taps != self.window.taps() || outputs != output.channels() || outputs != input.channels() {
            return Err(QuantError::broken(
                subject,
                format!("weights [{outputs}, {taps}] turn {:?} into {:?}", input.shape, output.shape),
            ));
        }
        self.product.check(subject, &self.input(input), output)
    }

    /// The input as the multipliers see it: padding reads the zero point.
    pub fn input(&self, input: &QuantTensor) -> QuantTensor {
        padded(&self.window, self.product.input_zero_point, input)
    }

    /// `[H * W, C]` -> `[H' * W', C]`.
    pub(super) fn run(&self, formula: &[ChannelFormula], pixels: ArrayView2<i64>) -> Array2<i64> {
        let Dense { weights, bias, input_zero_point, .. } = &self.product;
        Array2::from_shape_fn((self.window.output_pixels(), pixels.ncols()), |(pixel, channel)| {
            let taps = (0..self.window.taps()).filter_map(|tap| Some((tap, self.window.source(pixel, tap)?)));
            let products =
                taps.map(|(tap, source)| (pixels[[source, channel]] - input_zero_point) * weights[[channel, tap]]);
            formula[channel].evaluate(products.sum::<i64>() + bias[channel])
        })
    }
}
