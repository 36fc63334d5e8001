//! Which input pixels have been needed, and which are needed no more, window by window.

use systole_arith::Window;

/// Progress of a window through its input, in pixels from the sample's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Pixels that must have arrived before each window, those of earlier windows included.
    pub needed: Vec<usize>,
    /// Pixels that no window after each one reads, as far as they have been needed: what has not
    /// arrived cannot be freed.
    pub freed: Vec<usize>,
    inputs: usize,
}

impl Progress {
    /// Follows a window through one sample.
    pub fn new(window: &Window) -> Self {
        let (inputs, outputs) = (window.input_pixels(), window.output_pixels());
        let [rows, columns] = window.output();
        let ends = |axis: usize, at: usize| {
            let mut taps = (0..window.kernel[axis]).filter_map(|tap| window.position(axis, at, tap));
            taps.next().map(|first| (first, taps.next_back().unwrap_or(first)))
        };
        let vertical: Vec<_> = (0..rows).map(|row| ends(0, row)).collect();
        let horizontal: Vec<_> = (0..columns).map(|column| ends(1, column)).collect();
        // First and last pixel of each window; none where it lies in the padding alone.
        let span = |pixel: usize| {
            let ((top, bottom), (left, right)) = (vertical[pixel / columns]?, horizontal[pixel % columns]?);
            Some((top * window.input[1] + left, bottom * window.input[1] + right))
        };
        let mut needed = Vec::with_capacity(outputs);
        // Even a window of padding alone waits for its sample to begin.
        let mut most = 1;
        for pixel in 0..outputs {
            most = most.max(span(pixel).map_or(0, |(_, last)| last + 1));
            needed.push(most);
        }
        let mut freed = vec![inputs; outputs];
        let mut least = inputs;
        for pixel in (1..outputs).rev() {
            least = least.min(span(pixel).map_or(inputs, |(first, _)| first));
            freed[pixel - 1] = least;
        }
        for (freed, &needed) in freed.iter_mut().zip(&needed) {
            *freed = needed.min(*freed);
        }
        Progress { needed, freed, inputs }
    }

    /// Pixels at the end of a sample that no window reads: the first window of the next sample
    /// passes over them and frees them.
    pub fn unread(&self) -> usize {
        self.inputs - self.needed.last().copied().unwrap_or(0)
    }

    /// Pixels that window `pixel` needs beyond those of the window before it.
    pub fn needs(&self, pixel: usize) -> u64 {
        match pixel.checked_sub(1) {
            Some(before) => (self.needed[pixel] - self.needed[before]) as u64,
            None => (self.needed[0] + self.unread()) as u64,
        }
    }

    /// Pixels that window `pixel` is the last to need.
    pub fn frees(&self, pixel: usize) -> u64 {
        match pixel.checked_sub(1) {
            Some(before) => (self.freed[pixel] - self.freed[before]) as u64,
            None => (self.freed[0] + self.unread()) as u64,
        }
    }

    /// The most pixels between what is freed and what is needed.
    pub fn held_at_once(&self) -> usize {
        let later = (1..self.needed.len()).map(|pixel| self.needed[pixel] - self.freed[pixel - 1]);
        later.fold(self.needs(0) as usize, usize::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_3x3_window_needs_a_row_and_two_pixels_ahead_and_frees_a_row_behind() {
        let window = Window { kernel: [3, 3], pad_before: [1, 1], pad_after: [1, 1], ..Window::pointwise([4, 5]) };
        let progress = Progress::new(&window);
        assert_eq!(progress.needed[..6], [7, 8, 9, 10, 10, 12]);
        assert_eq!(progress.freed[..7], [0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((progress.freed[19], progress.unread()), (20, 0));
        let total = |values: &dyn Fn(usize) -> u64| (0..20).map(values).sum::<u64>();
        assert_eq!((total(&|p| progress.needs(p)), total(&|p| progress.frees(p))), (20, 20));
    }

    #[test]
    fn pixels_that_no_window_reads_are_passed_over_in_the_next_sample() {
        let window = Window { stride: [1, 3], ..Window::pointwise([1, 6]) };
        let progress = Progress::new(&window);
        assert_eq!(progress.needed, [1, 4]);
        assert_eq!(progress.freed, [1, 4]);
        assert_eq!([progress.frees(0), progress.frees(1)], [3, 3]);
        assert_eq!([progress.needs(0), progress.needs(1)], [3, 3]);
    }
}
