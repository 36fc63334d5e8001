//! Which input strips have been needed, and which are needed no more, step by step.

use super::WindowSpec;

/// Progress of a window through its input, in strips from the sample's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Strips that must have arrived before each step, those of earlier steps included.
    pub needed: Vec<usize>,
    /// Strips that no step after each one reads, as far as they have been needed: what has not
    /// arrived cannot be freed.
    pub freed: Vec<usize>,
    inputs: usize,
}

impl Progress {
    /// Follows the steps of a window through one sample.
    pub fn new(spec: &WindowSpec) -> Self {
        let window = &spec.window;
        let [rows, columns] = spec.steps();
        let strips_a_row = spec.strips()[1];
        let (inputs, outputs) = (spec.strips().into_iter().product::<usize>(), rows * columns);
        let ends = |axis: usize, at: usize| {
            let mut taps = (0..window.kernel[axis]).filter_map(|tap| window.position(axis, at, tap));
            taps.next().map(|first| (first, taps.next_back().unwrap_or(first)))
        };
        let vertical: Vec<_> = (0..rows).map(|row| ends(0, row)).collect();
        let horizontal: Vec<_> = (0..columns)
            .map(|step| {
                let lanes = step * spec.pixel_lanes..((step + 1) * spec.pixel_lanes).min(window.output()[1]);
                let both = |(a, b): (usize, usize), (c, d): (usize, usize)| (a.min(c), b.max(d));
                let (left, right) = lanes.filter_map(|at| ends(1, at)).reduce(both)?;
                Some((left / spec.banks(), right / spec.banks()))
            })
            .collect();
        // First and last strip of each step; none where it lies in the padding alone.
        let span = |step: usize| {
            let ((top, bottom), (left, right)) = (vertical[step / columns]?, horizontal[step % columns]?);
            Some((top * strips_a_row + left, bottom * strips_a_row + right))
        };
        let mut needed = Vec::with_capacity(outputs);
        // Even a step of padding alone waits for its sample to begin.
        let mut most = 1;
        for index in 0..outputs {
            most = most.max(span(index).map_or(0, |(_, last)| last + 1));
            needed.push(most);
        }
        let mut freed = vec![inputs; outputs];
        let mut least = inputs;
        for index in (1..outputs).rev() {
            least = least.min(span(index).map_or(inputs, |(first, _)| first));
            freed[index - 1] = least;
        }
        for (freed, &needed) in freed.iter_mut().zip(&needed) {
            *freed = needed.min(*freed);
        }
        Progress { needed, freed, inputs }
    }

    /// Strips at the end of a sample that no step reads: the first step of the next sample
    /// passes over them and frees them.
    pub fn unread(&self) -> usize {
        self.inputs - self.needed.last().copied().unwrap_or(0)
    }

    /// Strips that step `index` needs beyond those of the step before it.
    pub fn needs(&self, index: usize) -> u64 {
        match index.checked_sub(1) {
            Some(before) => (self.needed[index] - self.needed[before]) as u64,
            None => (self.needed[0] + self.unread()) as u64,
        }
    }

    /// Strips that step `index` is the last to need.
    pub fn frees(&self, index: usize) -> u64 {
        match index.checked_sub(1) {
            Some(before) => (self.freed[index] - self.freed[before]) as u64,
            None => (self.freed[0] + self.unread()) as u64,
        }
    }

    /// The most strips between what is freed and what is needed.
    pub fn held_at_once(&self) -> usize {
        let later = (1..self.needed.len()).map(|index| self.needed[index] - self.freed[index - 1]);
        later.fold(self.needs(0) as usize, usize::max)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FoldOrder;
    use super::*;
    use systole_arith::Window;

    fn progress(window: Window, pixel_lanes: usize) -> Progress {
        let order = FoldOrder::Vector;
        Progress::new(&WindowSpec { window, words: 1, tap_lanes: 1, pixel_lanes, beat_pixels: 1, order, read_span: 1 })
    }

    #[test]
    fn a_padded_3x3_window_needs_a_row_and_two_pixels_ahead_and_frees_a_row_behind() {
        let window = Window { kernel: [3, 3], pad_before: [1, 1], pad_after: [1, 1], ..Window::pointwise([4, 5]) };
        let progress = progress(window, 1);
        assert_eq!(progress.needed[..6], [7, 8, 9, 10, 10, 12]);
        assert_eq!(progress.freed[..7], [0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((progress.freed[19], progress.unread()), (20, 0));
        let total = |values: &dyn Fn(usize) -> u64| (0..20).map(values).sum::<u64>();
        assert_eq!((total(&|p| progress.needs(p)), total(&|p| progress.frees(p))), (20, 20));
    }

    #[test]
    fn pixels_that_no_window_reads_are_passed_over_in_the_next_sample() {
        let window = Window { stride: [1, 3], ..Window::pointwise([1, 6]) };
        let progress = progress(window, 1);
        assert_eq!(progress.needed, [1, 4]);
        assert_eq!(progress.freed, [1, 4]);
        assert_eq!([progress.frees(0), progress.frees(1)], [3, 3]);
        assert_eq!([progress.needs(0), progress.needs(1)], [3, 3]);
    }

    #[test]
    fn two_windows_at_once_need_strips_of_two_pixels() {
        let window = Window { kernel: [1, 3], pad_before: [0, 1], pad_after: [0, 1], ..Window::pointwise([2, 7]) };
        let progress = progress(window, 2);
        assert_eq!(progress.needed, [2, 3, 4, 4, 6, 7, 8, 8]);
        assert_eq!(progress.freed, [0, 1, 2, 4, 4, 5, 6, 8]);
    }
}
