//! Where a product with weights reads its input: on each pixel, or on windows.

use crate::diagnostic::CompileError;
use crate::ops::onnx::Operands;
use crate::quant::{Conv, Dense, Depthwise, QuantOp};
use ndarray::{Array2, ArrayD, Axis};
use systole_arith::Window;

/// Most weights of a grouped convolution whose other groups are written out as zeros.
const EXPANDED_LIMIT: usize = 1 << 24;

/// Where a product reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// On each pixel, or each row of features.
    Pixels,
    /// On windows over all channels.
    Windows {
        /// Geometry.
        window: Window,
        /// Groups of channels; weights of other groups are 0.
        groups: usize,
    },
    /// On windows, each channel alone.
    Depthwise {
        /// Geometry.
        window: Window,
    },
}

impl Geometry {
    /// The geometry of a convolution.
    pub fn of(window: Window, channels: usize, outputs: usize, groups: usize) -> Self {
        match groups {
            1 if window.is_pointwise() => Geometry::Pixels,
            _ if groups > 1 && groups == channels && groups == outputs => Geometry::Depthwise { window },
            _ => Geometry::Windows { window, groups },
        }
    }

    /// Whether it reads each pixel alone.
    pub fn is_pixels(&self) -> bool {
        matches!(self, Geometry::Pixels)
    }

    /// Its window; none on single pixels.
    pub fn window(&self) -> Option<Window> {
        match self {
            Geometry::Pixels => None,
            Geometry::Windows { window, .. } | Geometry::Depthwise { window } => Some(*window),
        }
    }

    /// Whether some tap lies in the padding.
    pub fn reads_padding(&self) -> bool {
        self.window().is_some_and(|window| window.reads_padding())
    }

    /// The operator of a product.
    pub fn operator(self, product: Dense) -> QuantOp {
        match self {
            Geometry::Pixels => QuantOp::Dense(product),
            Geometry::Windows { window, groups } => QuantOp::Conv(Conv { window, groups, product }),
            Geometry::Depthwise { window } => QuantOp::Depthwise(Depthwise { window, product }),
        }
    }

    /// Weights `[M, C / groups, taps...]` of the file as the operator's matrix: `[M, taps * C]` with the
    /// channels innermost, zero in other groups, or `[C, taps]` of a depthwise convolution.
    ///
    /// # Errors
    /// If the groups do not divide the outputs, or the matrix would be too large.
    pub fn matrix(self, operands: &Operands, weights: &ArrayD<i64>) -> Result<Array2<i64>, CompileError> {
        let misfit = || operands.error("the weights do not fit the convolution", "export the model again");
        let (Some(&outputs), Some(&inputs)) = (weights.shape().first(), weights.shape().get(1)) else {
            return Err(misfit());
        };
        let taps: usize = weights.shape().iter().skip(2).product();
        let groups = match self {
            Geometry::Windows { groups, .. } => groups,
            Geometry::Pixels => 1,
            Geometry::Depthwise { .. } => {
                let rows = weights.iter().copied().collect();
                return Array2::from_shape_vec((outputs, taps), rows).map_err(|_| misfit());
            }
        };
        let channels = inputs.saturating_mul(groups);
        let columns = channels.saturating_mul(taps);
        let expands = groups > 1 && columns.saturating_mul(outputs) > EXPANDED_LIMIT;
        if expands || groups == 0 || !outputs.is_multiple_of(groups) {
            return Err(operands.error(
                format!("its {groups} groups make a matrix of {outputs} x {columns} weights"),
                format!("use groups that divide the outputs, and at most {EXPANDED_LIMIT} weights"),
            ));
        }
        let mut matrix = Array2::zeros((outputs, columns));
        for (m, (row, filter)) in matrix.outer_iter_mut().zip(weights.axis_iter(Axis(0))).enumerate() {
            let first = m / (outputs / groups) * inputs;
            let mut row = row;
            // The file's order is channels, then taps.
            for (place, &weight) in filter.iter().enumerate() {
                let (channel, tap) = (place / taps.max(1), place % taps.max(1));
                if let Some(slot) = row.get_mut(tap * channels + first + channel) {
                    *slot = weight;
                }
            }
        }
        Ok(matrix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::IxDyn;

    fn window(kernel: [usize; 2]) -> Window {
        Window { kernel, ..Window::pointwise([4, 4]) }
    }

    fn counted(shape: &[usize]) -> ArrayD<i64> {
        let count: usize = shape.iter().product();
        ArrayD::from_shape_vec(IxDyn(shape), (1..=count as i64).collect()).unwrap()
    }

    #[test]
    fn groups_are_written_out_with_channels_innermost() {
        let operands = Operands::new("n", Vec::new());
        let geometry = Geometry::of(window([1, 2]), 4, 2, 2);
        let matrix = geometry.matrix(&operands, &counted(&[2, 2, 1, 2])).unwrap();
        assert_eq!(matrix.row(0).to_vec(), [1, 3, 0, 0, 2, 4, 0, 0]);
        assert_eq!(matrix.row(1).to_vec(), [0, 0, 5, 7, 0, 0, 6, 8]);
    }

    #[test]
    fn a_convolution_of_single_channels_is_depthwise_and_of_single_pixels_a_product() {
        let operands = Operands::new("n", Vec::new());
        let depthwise = Geometry::of(window([1, 2]), 3, 3, 3);
        assert!(matches!(depthwise, Geometry::Depthwise { .. }));
        assert_eq!(depthwise.matrix(&operands, &counted(&[3, 1, 1, 2])).unwrap().row(2).to_vec(), [5, 6]);
        assert_eq!(Geometry::of(window([1, 1]), 3, 5, 1), Geometry::Pixels);
        assert!(matches!(Geometry::of(window([1, 1]), 1, 1, 1), Geometry::Pixels));
        assert!(matches!(Geometry::of(window([1, 2]), 3, 6, 3), Geometry::Windows { groups: 3, .. }));
    }

    #[test]
    fn groups_that_would_fill_the_memory_are_refused() {
        let operands = Operands::new("n", Vec::new());
        let geometry = Geometry::Windows { window: window([1, 1]), groups: 1 << 31 };
        assert!(geometry.matrix(&operands, &counted(&[2, 1, 1, 1])).is_err());
    }
}
