//! Pooling and padding on integers: windows without weights.

use super::window::{check_window, padded};
use super::{QuantError, QuantTensor};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use systole_arith::formula::ChannelFormula;
use systole_arith::{Formula, IntType, Range, Step, Window};

/// What a pooling computes from the taps of a window that are not padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// The greatest.
    Max,
    /// The sum.
    Sum,
}

/// Maximum: `y = max of x`. Sum: `acc = sum of (x - zero point)`, then `y = formula(class, acc)`, where
/// the class of an output pixel is the place of its number of real taps in `counts`: an average
/// at the border divides by another number. Each channel alone; taps in the padding are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Geometry.
    pub window: Window,
    /// What is computed.
    pub kind: PoolKind,
    /// Stored input value that stands for 0 in a sum.
    pub input_zero_point: i64,
    /// Numbers of real taps that occur, ascending; one channel of the formula each.
    pub counts: Vec<usize>,
    /// What the profile computes from a sum; the identity for a maximum.
    pub formula: Formula,
    /// The formula in canonical form; none for the identity. Derived, so it is not stored.
    #[serde(skip)]
    pub map: Option<Step>,
}

impl Pool {
    /// Numbers of real taps that occur in a window's output, ascending.
    pub fn counts(window: &Window) -> Vec<usize> {
        let output = window.output();
        let along = |axis: usize| distinct((0..output[axis]).map(|at| real_taps(window, axis, at)));
        let columns = along(1);
        distinct(along(0).into_iter().flat_map(|rows| columns.iter().map(move |columns| rows * columns)))
    }

    /// The class of an output pixel.
    pub fn class(&self, pixel: usize) -> usize {
        self.counts.binary_search(&self.window.real_taps(pixel)).unwrap_or(0)
    }

    /// What each class's accumulator can be for stored inputs in `input`.
    pub fn accumulator_ranges(&self, input: Range) -> Vec<Range> {
        let centred = (input.lo - self.input_zero_point, input.hi - self.input_zero_point);
        let times = |count: usize| Range::new(centred.0 * count as i64, centred.1 * count as i64);
        self.counts.iter().map(|&count| times(count)).collect()
    }

    /// Fills the map; gives range and type of the results.
    pub(super) fn derive(&mut self, input: &QuantTensor) -> Result<(Range, IntType), QuantError> {
        if self.kind == PoolKind::Max {
            return Ok((input.range, input.element));
        }
        let reachable = self.accumulator_ranges(input.range);
        if let Formula::Identity { .. } = self.formula {
            let hull = reachable.into_iter().reduce(Range::hull).unwrap_or(Range::point(0));
            return Ok((hull, IntType::Signed(hull.signed_bits())));
        }
        let map = Step::derive(&self.formula, &reachable)?;
        let result = (map.output_hull().unwrap_or(map.output.range()), map.output);
        self.map = Some(map);
        Ok(result)
    }

    /// Checks geometry, classes and map.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        check_window(subject, &self.window, input, output)?;
        let broken = |cause: String| Err(QuantError::broken(subject, cause));
        if input.channels() != output.channels() {
            return broken(format!("it turns {:?} into {:?}", input.shape, output.shape));
        }
        if self.counts != Pool::counts(&self.window) || self.counts.first() == Some(&0) {
            return broken(format!("{:?} real taps are not those of window {}", self.counts, self.window));
        }
        self.formula.validate().or_else(|error| broken(error.to_string()))?;
        let identity = matches!(self.formula, Formula::Identity { .. });
        let derived = match (self.kind, identity) {
            (PoolKind::Max, false) => return broken("a maximum has a formula".into()),
            (PoolKind::Max, true) => (input.range, input.element),
            (PoolKind::Sum, _) => {
                if self.formula.channels() != self.counts.len() {
                    return broken(format!("{} formulas for {} counts", self.formula.channels(), self.counts.len()));
                }
                let mut fresh = Pool { map: None, ..self.clone() };
                let derived = fresh.derive(input)?;
                if fresh.map != self.map {
                    return broken("its exact map is not that of its formula".into());
                }
                derived
            }
        };
        match derived == (output.range, output.element) {
            true => Ok(()),
            false => {
                broken(format!("output `{}` is {} {}, not {derived:?}", output.name, output.element, output.range))
            }
        }
    }

    /// `[H * W, C]` -> `[H' * W', C]`.
    pub(super) fn run(&self, pixels: ArrayView2<i64>) -> Array2<i64> {
        let classes: Vec<ChannelFormula> =
            (0..self.formula.channels()).map(|class| self.formula.channel(class)).collect();
        Array2::from_shape_fn((self.window.output_pixels(), pixels.ncols()), |(pixel, channel)| {
            let sources = (0..self.window.taps()).filter_map(|tap| self.window.source(pixel, tap));
            let taps = sources.map(|source| pixels[[source, channel]]);
            match self.kind {
                PoolKind::Max => taps.max().unwrap_or(0),
                PoolKind::Sum => classes[self.class(pixel)].evaluate(taps.map(|x| x - self.input_zero_point).sum()),
            }
        })
    }
}

/// The numbers in ascending order, each once.
fn distinct(numbers: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Taps of output index `at` along an axis that are not padding, without a walk over the taps: kernels
/// and images of a file may be large.
fn real_taps(window: &Window, axis: usize, at: usize) -> usize {
    let first = at * window.stride[axis];
    let taps_up_to =
        |place: usize| place.saturating_sub(first).div_ceil(window.dilation[axis]).min(window.kernel[axis]);
    taps_up_to(window.pad_before[axis] + window.input[axis]) - taps_up_to(window.pad_before[axis])
}

/// Pixels of one value around an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pad {
    /// A window of one tap whose padding is what is added.
    pub window: Window,
    /// Stored value of the added pixels.
    pub value: i64,
}

impl Pad {
    /// Range of the results.
    pub(super) fn range(&self, input: &QuantTensor) -> Range {
        padded(&self.window, self.value, input).range
    }

    /// Checks geometry and value.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        check_window(subject, &self.window, input, output)?;
        let fits = self.window.taps() == 1
            && input.element.contains(self.value)
            && output.element == input.element
            && output.channels() == input.channels()
            && output.range == self.range(input);
        match fits {
            true => Ok(()),
            false => Err(QuantError::broken(subject, format!("padding with {} does not fit its tensors", self.value))),
        }
    }

    /// `[H * W, C]` -> `[H' * W', C]`.
    pub(super) fn run(&self, pixels: ArrayView2<i64>) -> Array2<i64> {
        Array2::from_shape_fn((self.window.output_pixels(), pixels.ncols()), |(pixel, channel)| {
            self.window.source(pixel, 0).map_or(self.value, |source| pixels[[source, channel]])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::random::Random;

    #[test]
    fn counts_of_real_taps_are_those_of_every_output_pixel() {
        let random = &mut Random::new(5);
        for _ in 0..300 {
            let Ok((window, _)) = random.window(9, true) else { panic!("a window that does not fit") };
            let every = distinct((0..window.output_pixels()).map(|pixel| window.real_taps(pixel)));
            assert_eq!(Pool::counts(&window), every, "{window}");
        }
    }
}
