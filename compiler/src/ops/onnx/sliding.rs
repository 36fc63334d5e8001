//! The window of a convolution or a pooling, from the attributes that they share: auto_pad,
//! ceil_mode, dilations, kernel_shape, pads and strides (ONNX operator specification).

use super::operands::Operands;
use crate::diagnostic::CompileError;
use systole_arith::Window;

/// Most pixels of a result: bounds what damaged attributes can ask for.
const PIXEL_LIMIT: usize = 1 << 24;

/// How the padding is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoPad {
    /// As the attribute `pads` says; none where it is left out.
    Explicit,
    /// None.
    Valid,
    /// `ceil(input / stride)` output pixels, an odd pixel of padding at the end.
    SameUpper,
    /// The same, an odd pixel of padding at the beginning.
    SameLower,
}

/// The attributes, each with one entry a spatial dimension (pads: all beginnings, then all ends).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sliding {
    /// How the padding is chosen.
    pub auto_pad: AutoPad,
    /// Taps; a convolution may leave them to its weights.
    pub kernel: Option<Vec<i64>>,
    /// Input pixels from one output pixel to the next; 1 where left out.
    pub strides: Option<Vec<i64>>,
    /// Input pixels from one tap to the next; 1 where left out.
    pub dilations: Option<Vec<i64>>,
    /// Padding.
    pub pads: Option<Vec<i64>>,
    /// Whether a last window that leaves the padded image counts.
    pub ceil: bool,
}

impl Sliding {
    /// The window over an image of `spatial` dimensions (one or two; a sequence is an image of one
    /// row) with `kernel` taps.
    ///
    /// # Errors
    /// If there are more dimensions, a list has another length, or a number is out of range.
    pub fn window(&self, operands: &Operands, spatial: &[usize], kernel: &[usize]) -> Result<Window, CompileError> {
        let rank = spatial.len();
        if !(1..=2).contains(&rank) || kernel.len() != rank {
            return Err(operands.error(
                format!("it slides a window of {} dimensions over {rank}", kernel.len()),
                "convolutions and poolings are compiled in one and two dimensions",
            ));
        }
        let pads = match (&self.pads, self.auto_pad) {
            (Some(pads), AutoPad::Explicit) => self.numbers(operands, "pads", pads, 2 * rank, 0)?,
            _ => vec![0; 2 * rank],
        };
        let ones = |list: &Option<Vec<i64>>, name: &str| match list {
            Some(list) => self.numbers(operands, name, list, rank, 1),
            None => Ok(vec![1; rank]),
        };
        let (strides, dilations) = (ones(&self.strides, "strides")?, ones(&self.dilations, "dilations")?);
        let (before, after) = pads.split_at(rank);
        let image = |list: &[usize], unit: usize| match list {
            [rows, columns] => [*rows, *columns],
            [columns] => [unit, *columns],
            _ => [unit; 2],
        };
        let mut window = Window {
            input: image(spatial, 1),
            kernel: image(kernel, 1),
            stride: image(&strides, 1),
            dilation: image(&dilations, 1),
            pad_before: image(before, 0),
            pad_after: image(after, 0),
        };
        let misfit = |e: systole_arith::WindowError| operands.error(e.to_string(), "export the model again");
        if matches!(self.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) {
            (0..2).for_each(|axis| self.pad_to_same(&mut window, axis));
        }
        window.validate().map_err(misfit)?;
        if self.ceil {
            (0..2).for_each(|axis| round_up(&mut window, axis));
            window.validate().map_err(misfit)?;
        }
        match window.output_pixels() <= PIXEL_LIMIT {
            true => Ok(window),
            false => Err(operands.error(
                format!("{window} gives {} pixels", window.output_pixels()),
                format!("use images of at most {PIXEL_LIMIT} pixels and less padding"),
            )),
        }
    }

    /// The taps of a pooling.
    ///
    /// # Errors
    /// If `kernel_shape` is missing or out of range.
    pub fn kernel(&self, operands: &Operands, rank: usize) -> Result<Vec<usize>, CompileError> {
        let kernel = self
            .kernel
            .as_ref()
            .ok_or_else(|| operands.error("attribute `kernel_shape` is missing", "export the model again"))?;
        self.numbers(operands, "kernel_shape", kernel, rank, 1)
    }

    fn numbers(
        &self,
        operands: &Operands,
        name: &str,
        list: &[i64],
        count: usize,
        least: usize,
    ) -> Result<Vec<usize>, CompileError> {
        let number = |&v: &i64| usize::try_from(v).ok().filter(|v| (least..=Window::LIMIT).contains(v));
        match list.iter().map(number).collect::<Option<Vec<usize>>>() {
            Some(numbers) if numbers.len() == count => Ok(numbers),
            _ => Err(operands.error(
                format!("attribute `{name}` is {:?}", &list[..list.len().min(8)]),
                format!("give {count} numbers from {least} to {}", Window::LIMIT),
            )),
        }
    }

    fn pad_to_same(&self, window: &mut Window, axis: usize) {
        let outputs = window.input[axis].div_ceil(window.stride[axis]);
        let reach = (outputs.saturating_sub(1) * window.stride[axis]).saturating_add(window.span(axis));
        let total = reach.saturating_sub(window.input[axis]);
        let (less, more) = (total / 2, total - total / 2);
        (window.pad_before[axis], window.pad_after[axis]) = match self.auto_pad {
            AutoPad::SameLower => (more, less),
            _ => (less, more),
        };
    }
}

/// A last window that begins within the image or the padding in front of it counts, although it leaves
/// the padded image: the padding behind is extended.
fn round_up(window: &mut Window, axis: usize) {
    let last = window.output()[axis] * window.stride[axis];
    let padded = window.input[axis] + window.pad_before[axis] + window.pad_after[axis];
    let whole = last + window.span(axis) == padded + window.stride[axis];
    if !whole && last < window.input[axis] + window.pad_before[axis] {
        window.pad_after[axis] = last + window.span(axis) - window.input[axis] - window.pad_before[axis];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sliding() -> Sliding {
        Sliding { auto_pad: AutoPad::Explicit, kernel: None, strides: None, dilations: None, pads: None, ceil: false }
    }

    fn window(sliding: &Sliding, spatial: &[usize], kernel: &[usize]) -> Result<Window, String> {
        let operands = Operands::new("n", Vec::new());
        sliding.window(&operands, spatial, kernel).map_err(|e| e.to_string())
    }

    #[test]
    fn same_padding_puts_the_odd_pixel_where_it_belongs() {
        let same = |auto_pad| Sliding { auto_pad, strides: Some(vec![2, 2]), ..sliding() };
        let upper = window(&same(AutoPad::SameUpper), &[8, 5], &[3, 3]).unwrap();
        assert_eq!((upper.pad_before, upper.pad_after, upper.output()), ([0, 1], [1, 1], [4, 3]));
        let lower = window(&same(AutoPad::SameLower), &[8, 5], &[3, 3]).unwrap();
        assert_eq!((lower.pad_before, lower.pad_after), ([1, 1], [0, 1]));
    }

    #[test]
    fn a_ceiling_adds_the_window_that_leaves_the_image_and_no_other() {
        let pool = Sliding { strides: Some(vec![2]), ceil: true, ..sliding() };
        assert_eq!(window(&pool, &[6], &[3]).unwrap().output(), [1, 3]);
        assert_eq!(window(&pool, &[5], &[3]).unwrap().output(), [1, 2]);
        let sparse = Sliding { strides: Some(vec![3]), pads: Some(vec![0, 1]), ..pool };
        assert_eq!(window(&sparse, &[5], &[1]).unwrap().output(), [1, 2], "a window in the padding behind");
    }

    #[test]
    fn absurd_attributes_are_refused_by_name() {
        let huge = vec![1i64 << 31; 2];
        for (name, sliding) in [
            ("strides", Sliding { strides: Some(huge.clone()), ..sliding() }),
            ("dilations", Sliding { dilations: Some(huge.clone()), ..sliding() }),
            ("pads", Sliding { pads: Some(vec![0, 0, -1, 0]), ..sliding() }),
            ("strides", Sliding { strides: Some(vec![0, 1]), ..sliding() }),
            ("pads", Sliding { pads: Some(vec![1, 1]), ..sliding() }),
        ] {
            let error = window(&sliding, &[9, 9], &[3, 3]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        let wide = Sliding { dilations: Some(vec![1 << 20; 2]), ..sliding() };
        assert!(window(&wide, &[9, 9], &[1 << 20, 1 << 20]).unwrap_err().contains("spans"));
    }
}
