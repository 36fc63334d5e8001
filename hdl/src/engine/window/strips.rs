//! Neighbouring pixels side by side: the banks of a line buffer from which several windows are read at once.

use super::WindowSpec;

/// Where a tap of one of the windows of a step lies, from the step's origin on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TapPlace {
    /// The bank that holds it.
    pub bank: usize,
    /// Its strip's distance from the one of the step's origin: the first unpadded column of the first tap's row.
    pub strip: i64,
}

/// A *strip* is as many neighbouring pixels of an input row as there are banks, one in each; the last of a row may
/// hold fewer. A *step* computes `pixel_lanes` neighbouring windows of an output row; the last of a row may compute
/// fewer. From one step to the next the windows move by whole strips, so that each tap stays in its bank.
impl WindowSpec {
    /// Banks of the line buffer: the pixels by which a step moves, or one where pixels come and go one by one.
    pub fn banks(&self) -> usize {
        match (self.pixel_lanes, self.beat_pixels) {
            (1, 1) => 1,
            (lanes, _) => lanes * self.window.stride[1],
        }
    }

    /// Whether beats fill whole strips, or whole parts of one, and rows: a beat never straddles either.
    pub fn takes_beats_of(&self, pixels: usize) -> bool {
        let banks = self.pixel_lanes * self.window.stride[1];
        pixels == 1 || (self.words == 1 && banks.is_multiple_of(pixels) && self.window.input[1].is_multiple_of(pixels))
    }

    /// Rows of the input and strips of a row.
    pub(crate) fn strips(&self) -> [usize; 2] {
        [self.window.input[0], self.window.input[1].div_ceil(self.banks())]
    }

    /// Rows of the output and steps of a row.
    pub(crate) fn steps(&self) -> [usize; 2] {
        let [rows, columns] = self.window.output();
        [rows, columns.div_ceil(self.pixel_lanes)]
    }

    /// Steps a sample.
    pub fn steps_per_sample(&self) -> usize {
        self.steps().into_iter().product()
    }

    /// Strips by which the windows move from one step to the next.
    pub(crate) fn strips_per_step(&self) -> usize {
        self.pixel_lanes * self.window.stride[1] / self.banks()
    }

    /// Input beats of a full strip.
    pub(crate) fn strip_beats(&self) -> usize {
        self.banks() / self.beat_pixels * self.words
    }

    /// Input beats of a row.
    pub(crate) fn row_beats(&self) -> usize {
        self.window.input[1] / self.beat_pixels * self.words
    }

    /// Beats that the last strip of a row has less than a full one.
    pub(crate) fn missing_beats(&self) -> usize {
        self.strips()[1] * self.strip_beats() - self.row_beats()
    }

    /// Input beats a sample.
    pub fn input_beats(&self) -> usize {
        self.window.input[0] * self.row_beats()
    }

    /// Strips that have begun after so many beats of a sample, the one under way included.
    pub(crate) fn strips_begun(&self, beats: i64) -> i64 {
        let (row, strip) = (self.row_beats() as i64, self.strip_beats() as i64);
        beats.div_euclid(row) * self.strips()[1] as i64 + beats.rem_euclid(row) / strip + 1
    }

    /// Beats of a sample up to the end of strip `strips - 1`.
    pub(crate) fn beats_of(&self, strips: usize) -> usize {
        let columns = self.strips()[1];
        let row_beats = self.row_beats();
        strips / columns * row_beats + (strips % columns * self.strip_beats()).min(row_beats)
    }

    /// Place of tap `tap` of the window that pixel lane `lane` reads.
    pub(crate) fn tap_place(&self, lane: usize, tap: usize) -> TapPlace {
        let window = &self.window;
        let (row, column) = (tap / window.kernel[1], tap % window.kernel[1]);
        let column = (lane * window.stride[1] + column * window.dilation[1]) as i64 - window.pad_before[1] as i64;
        let (banks, columns) = (self.banks() as i64, self.strips()[1] as i64);
        let rows = (row * window.dilation[0]) as i64;
        TapPlace { bank: column.rem_euclid(banks) as usize, strip: rows * columns + column.div_euclid(banks) }
    }

    /// Distance, in strips, at which `bank` is read for tap `tap`: of whichever lane reads it there.
    pub(crate) fn bank_strip(&self, bank: usize, tap: usize) -> i64 {
        let first = self.tap_place(0, tap);
        // Later lanes wrap around to the banks below the first one's, one strip on.
        first.strip + i64::from(bank < first.bank)
    }

    /// The taps that a tap lane reads, fold by fold.
    pub(crate) fn taps_of_lane(&self, lane: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.tap_folds()).map(move |fold| (fold * self.tap_lanes + lane).min(self.window.taps() - 1))
    }

    /// For each fold, the bank that a tap lane reads for the first pixel lane; the next lane's is `stride` on.
    pub(crate) fn first_banks(&self, lane: usize) -> Vec<usize> {
        self.taps_of_lane(lane).map(|tap| self.tap_place(0, tap).bank).collect()
    }

    /// Whether tap row or column `tap` (`axis` 0 or 1) of pixel lane `lane` is padding in step `step` along the axis.
    pub(crate) fn is_padding(&self, axis: usize, step: usize, lane: usize, tap: usize) -> bool {
        let output = if axis == 0 { step } else { step * self.pixel_lanes + lane };
        self.window.position(axis, output, tap).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::FoldOrder;
    use super::*;
    use systole_arith::Window;

    #[test]
    fn the_lanes_of_a_step_read_a_tap_in_banks_of_their_own_where_the_image_has_its_pixel() {
        for (stride, dilation, pad, lanes) in [(1, 1, 1, 3), (2, 1, 0, 2), (3, 2, 2, 4), (1, 3, 4, 5)] {
            let window = Window {
                kernel: [2, 3],
                stride: [1, stride],
                dilation: [1, dilation],
                pad_before: [1, pad],
                pad_after: [0, pad],
                ..Window::pointwise([4, 23])
            };
            let order = FoldOrder::Matrix { groups: 1 };
            let (tap_lanes, beat_pixels) = (1, 1);
            let spec = WindowSpec { window, words: 1, tap_lanes, pixel_lanes: lanes, beat_pixels, order, read_span: 1 };
            let [rows, steps] = spec.steps();
            for (row, step, tap) in (0..rows).flat_map(|r| (0..steps).flat_map(move |s| (0..6).map(move |t| (r, s, t))))
            {
                let mut read = Vec::new();
                for lane in (0..lanes).filter(|lane| step * lanes + lane < window.output()[1]) {
                    let place = spec.tap_place(lane, tap);
                    assert_eq!(place.strip, spec.bank_strip(place.bank, tap));
                    read.push(place.bank);
                    let pixel = row * window.output()[1] + step * lanes + lane;
                    let Some(source) = window.source(pixel, tap) else { continue };
                    let (y, x) = ((source / 23) as i64, source % 23);
                    let origin = (row as i64 - 1) * spec.strips()[1] as i64 + (step * spec.strips_per_step()) as i64;
                    assert_eq!(place.bank, x % spec.banks());
                    assert_eq!(origin + place.strip, y * spec.strips()[1] as i64 + (x / spec.banks()) as i64);
                }
                let count = read.len();
                read.sort_unstable();
                read.dedup();
                assert_eq!(read.len(), count, "two lanes read one bank");
            }
        }
    }
}
