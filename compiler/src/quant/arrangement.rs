//! Operators on integers that only arrange elements: pixels of several tensors in turn, and pixels several times.

use super::window::image;
use super::{QuantError, QuantTensor};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use systole_arith::{IntType, Range};

/// Pixels of several tensors in turn: `runs[0]` of the first, then `runs[1]` of the second, and so on, until all have
/// been taken. Images below each other take one round, beside each other one a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splice {
    /// Pixels a turn of each tensor.
    pub runs: Vec<usize>,
}

/// Each pixel of an image `factors[1]` times along its row, and each row `factors[0]` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// Rows and columns of the input.
    pub image: [usize; 2],
    /// Copies of each row and of each pixel, 1 or more.
    pub factors: [usize; 2],
}

impl Splice {
    /// The operator that puts tensors of `shapes` behind each other along `axis`, which is not the last dimension.
    pub fn along(shapes: &[Vec<usize>], axis: usize) -> Splice {
        let run = |shape: &Vec<usize>| shape.iter().skip(axis).rev().skip(1).product();
        Splice { runs: shapes.iter().map(run).collect() }
    }

    /// Range and type of the result; none where the operands have several types.
    pub(super) fn derive(&self, inputs: &[&QuantTensor]) -> Option<(Range, IntType)> {
        super::elementwise::concatenated(inputs)
    }

    /// Rounds of turns; none where the tensors do not have as many pixels as the turns take.
    fn rounds(&self, pixels: impl Iterator<Item = usize>) -> Option<usize> {
        let pixels: Vec<usize> = pixels.collect();
        let rounds = pixels.first()?.checked_div(*self.runs.first()?)?;
        let taken: Option<Vec<usize>> = self.runs.iter().map(|run| run.checked_mul(rounds)).collect();
        (taken.as_ref() == Some(&pixels) && rounds > 0).then_some(rounds)
    }

    /// Checks operands and result.
    pub(super) fn check(&self, subject: &str, inputs: &[&QuantTensor], output: &QuantTensor) -> Result<(), QuantError> {
        let channels = output.channels();
        let fits = self.rounds(inputs.iter().map(|tensor| tensor.pixels())).is_some()
            && inputs.iter().all(|tensor| tensor.channels() == channels)
            && inputs.iter().map(|tensor| tensor.pixels()).sum::<usize>() == output.pixels();
        match fits && self.derive(inputs) == Some((output.range, output.element)) {
            true => Ok(()),
            false => Err(QuantError::broken(
                subject,
                format!("turns of {:?} pixels do not make `{}` {:?}", self.runs, output.name, output.shape),
            )),
        }
    }

    /// `[pixels, C]` of each tensor -> `[pixels, C]`; none where they do not fit the turns.
    pub(super) fn run(&self, inputs: &[ArrayView2<i64>]) -> Option<Array2<i64>> {
        let rounds = self.rounds(inputs.iter().map(|input| input.nrows()))?;
        let mut rows = Vec::new();
        for round in 0..rounds {
            for (input, run) in inputs.iter().zip(&self.runs) {
                rows.extend((round * run..(round + 1) * run).map(|pixel| input.row(pixel)));
            }
        }
        ndarray::stack(ndarray::Axis(0), &rows).ok()
    }
}

impl Repeat {
    /// Rows and columns of the result.
    pub fn enlarged(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.image[axis].saturating_mul(self.factors[axis]))
    }

    /// Checks geometry and types.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        let fits = image(input) == Some(self.image)
            && self.factors.iter().all(|&factor| factor > 0)
            && image(output) == Some(self.enlarged())
            && (input.channels(), input.element, input.range) == (output.channels(), output.element, output.range);
        match fits {
            true => Ok(()),
            false => Err(QuantError::broken(
                subject,
                format!("factors {:?} do not turn {:?} into {:?}", self.factors, input.shape, output.shape),
            )),
        }
    }

    /// `[H * W, C]` -> `[H' * W', C]`.
    pub(super) fn run(&self, pixels: ArrayView2<i64>) -> Array2<i64> {
        let [rows, columns] = self.enlarged();
        Array2::from_shape_fn((rows * columns, pixels.ncols()), |(pixel, channel)| {
            let (row, column) = (pixel / columns / self.factors[0], pixel % columns / self.factors[1]);
            pixels[[row * self.image[1] + column, channel]]
        })
    }
}

/// Range and type of the index of the greatest of so many channels.
pub(super) fn index_range(channels: usize) -> (Range, IntType) {
    let range = Range::new(0, channels.saturating_sub(1) as i64);
    (range, IntType::smallest_for(range))
}

/// Checks the index of each pixel's greatest channel.
pub(super) fn check_arg_max(subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
    let fits = output.channels() == 1
        && output.pixels() == input.pixels()
        && index_range(input.channels()) == (output.range, output.element);
    match fits {
        true => Ok(()),
        false => Err(QuantError::broken(
            subject,
            format!("indices of {:?} are not `{}` {:?} {}", input.shape, output.name, output.shape, output.range),
        )),
    }
}

/// `[pixels, C]` -> `[pixels, 1]`: the index of the greatest, the first of equal ones.
pub(super) fn run_arg_max(pixels: ArrayView2<i64>) -> Array2<i64> {
    let first_greatest = |row: ndarray::ArrayView1<i64>| {
        let best = row.iter().enumerate().fold((0, None), |(at, greatest), (index, &value)| match greatest {
            Some(greatest) if value <= greatest => (at, Some(greatest)),
            _ => (index, Some(value)),
        });
        best.0 as i64
    };
    Array2::from_shape_fn((pixels.nrows(), 1), |(pixel, _)| first_greatest(pixels.row(pixel)))
}
