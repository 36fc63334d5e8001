//! Geometry of a sliding window: which input pixels each output pixel reads.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A window that slides over an image of `input` pixels. All pairs are `[vertical, horizontal]`;
/// a sequence (1-D) is an image of one row.
///
/// Tap (ky, kx) of output pixel (oy, ox) lies at row `oy * stride + ky * dilation - pad_before` and
/// the column likewise; where that is outside the image, the tap is padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Taps.
    pub kernel: [usize; 2],
    /// Input pixels from one output pixel to the next.
    pub stride: [usize; 2],
    /// Input pixels from one tap to the next.
    pub dilation: [usize; 2],
    /// Padding above and to the left.
    pub pad_before: [usize; 2],
    /// Padding below and to the right.
    pub pad_after: [usize; 2],
}

/// A window that reads nothing, or too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A dimension of 0, or one beyond what any network needs.
    #[error("{window}: every size must be from 1 to {}; check the attributes of the layer", Window::LIMIT)]
    Size {
        /// The window.
        window: Window,
    },
    /// The window is larger than the padded image.
    #[error("{window}: the window spans {span} of {padded} padded pixels; use a smaller kernel or more padding")]
    Span {
        /// The window.
        window: Window,
        /// Pixels that the window spans.
        span: usize,
        /// Pixels of the padded image.
        padded: usize,
    },
}

impl Window {
    /// Greatest size in any dimension.
    pub const LIMIT: usize = 1 << 20;

    /// The window of one tap that visits every pixel.
    pub fn pointwise(input: [usize; 2]) -> Self {
        Window { input, kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad_before: [0; 2], pad_after: [0; 2] }
    }

    /// The window that covers the whole image once.
    pub fn global(input: [usize; 2]) -> Self {
        Window { kernel: input, ..Window::pointwise(input) }
    }

    /// Checks sizes.
    ///
    /// # Errors
    /// If a size is 0 or above [`Window::LIMIT`], or the window does not fit into the padded image.
    pub fn validate(&self) -> Result<(), WindowError> {
        for axis in 0..2 {
            let positive = [self.input[axis], self.kernel[axis], self.stride[axis], self.dilation[axis]];
            let padding = [self.pad_before[axis], self.pad_after[axis]];
            if positive.iter().any(|&n| n == 0 || n > Self::LIMIT) || padding.iter().any(|&n| n > Self::LIMIT) {
                return Err(WindowError::Size { window: *self });
            }
            let (span, padded) = (self.span(axis), self.padded(axis));
            if span > padded {
                return Err(WindowError::Span { window: *self, span, padded });
            }
        }
        Ok(())
    }

    /// Input pixels from the first tap to the last along an axis, both included.
    pub fn span(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    fn padded(&self, axis: usize) -> usize {
        self.input[axis] + self.pad_before[axis] + self.pad_after[axis]
    }

    /// Rows and columns of the output.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.padded(axis) - self.span(axis)) / self.stride[axis] + 1)
    }

    /// Pixels of the input.
    pub fn input_pixels(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Pixels of the output.
    pub fn output_pixels(&self) -> usize {
        let [rows, columns] = self.output();
        rows * columns
    }

    /// Taps of the window.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Where a tap of output index `output` lies along an axis; none in the padding.
    pub fn position(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        let padded = output * self.stride[axis] + tap * self.dilation[axis];
        padded.checked_sub(self.pad_before[axis]).filter(|&at| at < self.input[axis])
    }

    /// Index of the input pixel that tap `tap` (row-major in the kernel) of output pixel `pixel`
    /// (row-major) reads; none in the padding.
    pub fn source(&self, pixel: usize, tap: usize) -> Option<usize> {
        let columns = self.output()[1];
        let row = self.position(0, pixel / columns, tap / self.kernel[1])?;
        let column = self.position(1, pixel % columns, tap % self.kernel[1])?;
        Some(row * self.input[1] + column)
    }

    /// Taps of an output pixel that are not padding.
    pub fn real_taps(&self, pixel: usize) -> usize {
        let columns = self.output()[1];
        let along = |axis: usize, at: usize| {
            (0..self.kernel[axis]).filter(|&tap| self.position(axis, at, tap).is_some()).count()
        };
        along(0, pixel / columns) * along(1, pixel % columns)
    }

    /// Whether some tap of some output pixel is padding.
    pub fn reads_padding(&self) -> bool {
        let output = self.output();
        (0..2).any(|axis| {
            let last = (output[axis] - 1) * self.stride[axis] + self.span(axis);
            self.pad_before[axis] > 0 || last > self.input[axis] + self.pad_before[axis]
        })
    }

    /// Whether its one output pixel reads every input pixel once.
    pub fn is_global(&self) -> bool {
        self.kernel == self.input
            && self.output_pixels() == 1
            && self.span(0) == self.input[0]
            && self.span(1) == self.input[1]
            && !self.reads_padding()
    }

    /// Whether it is [`Window::pointwise`]: every pixel once, one tap.
    pub fn is_pointwise(&self) -> bool {
        *self == Window::pointwise(self.input)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { input, kernel, stride, dilation, pad_before, pad_after } = self;
        write!(f, "{}x{} on {}x{}", kernel[0], kernel[1], input[0], input[1])?;
        if *stride != [1, 1] {
            write!(f, ", stride {}x{}", stride[0], stride[1])?;
        }
        if *dilation != [1, 1] {
            write!(f, ", dilation {}x{}", dilation[0], dilation[1])?;
        }
        if (*pad_before, *pad_after) != ([0, 0], [0, 0]) {
            write!(f, ", padding {},{}..{},{}", pad_before[0], pad_before[1], pad_after[0], pad_after[1])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(input: usize, kernel: usize, stride: usize, dilation: usize, pads: [usize; 2]) -> Window {
        Window {
            input: [1, input],
            kernel: [1, kernel],
            stride: [1, stride],
            dilation: [1, dilation],
            pad_before: [0, pads[0]],
            pad_after: [0, pads[1]],
        }
    }

    #[test]
    fn taps_lie_stride_and_dilation_apart_and_padding_reads_nothing() {
        let w = window(7, 3, 2, 2, [2, 1]);
        assert_eq!(w.output(), [1, 3]);
        let row = |pixel| (0..3).map(|tap| w.source(pixel, tap)).collect::<Vec<_>>();
        assert_eq!(row(0), [None, Some(0), Some(2)]);
        assert_eq!(row(1), [Some(0), Some(2), Some(4)]);
        assert_eq!(row(2), [Some(2), Some(4), Some(6)]);
        assert_eq!(w.real_taps(0), 2);
        assert!(w.reads_padding());
        assert!(!window(7, 3, 2, 1, [0, 1]).reads_padding(), "no output pixel reaches the padding");
    }

    #[test]
    fn a_window_beyond_the_padded_image_is_refused_with_both_sizes() {
        let error = window(4, 3, 1, 3, [1, 1]).validate().unwrap_err();
        assert!(error.to_string().contains("spans 7 of 6"), "{error}");
        assert!(window(4, 0, 1, 1, [0, 0]).validate().is_err());
    }
}
