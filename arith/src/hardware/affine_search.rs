//! The narrowest affine form of a stage.
//!
//! Feasibility of a channel is monotone in the shift, because (M, B, S) and (2M, 2B, S + 1) compute the
//! same; so the least shift of a stage is found by bisection, and at that shift every channel takes
//! its least multiplier. Forms are tried from the cheapest on: one bias, two biases (the double rounding
//! of the runtimes is symmetric about zero), rounding to even instead of toward minus infinity, and
//! a few corrected accumulators (float32 rescaling misplaces single edges).

use super::affine::{Affine, Correction, ShiftRounding};
use super::bounds::{pieces, Piece, Side};
use super::line::{flattest, Conflict, Corridor, Line};
use crate::step::{Direction, Step, StepChannel};
use rayon::prelude::*;

/// Greatest shift that is tried.
pub const MAX_SHIFT: u32 = 52;
/// Most corrected accumulators a channel.
pub const MAX_CORRECTIONS: usize = 4;

/// Shift bits that a second bias must save before it is taken where one would do.
const SECOND_BIAS_WORTH: u32 = 2;
/// Channels that one task searches.
const CHANNELS_A_TASK: usize = 16;

/// What the channels may use.
#[derive(Clone, Copy, Debug)]
struct Freedom<'a> {
    rounding: ShiftRounding,
    two_biases: bool,
    /// Corrected accumulators, one number a channel; empty for none at all.
    corrections: &'a [usize],
}

/// A channel's constants; `multiplier` and biases as in [`Affine`].
struct Constants {
    multiplier: i64,
    bias_negative: i64,
    bias_positive: i64,
    corrections: Vec<Correction>,
}

/// A stage whose affine form is searched.
struct Stage<'a> {
    step: &'a Step,
    pivots: &'a [i64],
    clamp: (i64, i64),
    /// Each channel's demands on its whole domain and on its parts, reduced to their corners.
    corners: Vec<[Vec<Piece>; 2]>,
}

/// The cheapest exact affine form of a step, none where there is none within the limits.
pub(super) fn search(step: &Step, pivots: &[i64]) -> Option<Affine> {
    let hull = step.output_hull()?;
    let clamp = (hull.lo, hull.hi);
    let corners = |(channel, &pivot): (&StepChannel, &i64)| {
        [None, Some(pivot)].map(|pivot| pieces(channel, clamp, pivot).iter().map(Piece::corners).collect())
    };
    let channels = step.channels.par_iter().zip(pivots).with_min_len(CHANNELS_A_TASK);
    let stage = Stage { step, pivots, clamp, corners: channels.map(corners).collect() };
    let roundings = [ShiftRounding::Floor, ShiftRounding::HalfEven];
    let exact = roundings.into_iter().find_map(|rounding| {
        let freedom = Freedom { rounding, two_biases: true, corrections: &[] };
        let two = stage.least_shift(freedom)?;
        // Whatever one bias can do, two can: this is never the smaller shift.
        let one = stage.least_shift(Freedom { two_biases: false, ..freedom });
        let shift = one.filter(|&one| one <= two + SECOND_BIAS_WORTH).unwrap_or(two);
        stage.form(shift, freedom)
    });
    exact.or_else(|| {
        roundings.into_iter().find_map(|rounding| {
            let corrections = stage.corrections_needed(rounding)?;
            let freedom = Freedom { rounding, two_biases: true, corrections: &corrections };
            stage.form(stage.least_shift(freedom)?, freedom)
        })
    })
}

impl Stage<'_> {
    /// The fewest corrections of each channel, which the greatest shift allows; none if a channel needs
    /// more than [`MAX_CORRECTIONS`].
    fn corrections_needed(&self, rounding: ShiftRounding) -> Option<Vec<usize>> {
        let fewest = |channel: usize| {
            (0..=MAX_CORRECTIONS)
                .find(|&corrections| self.line(channel, MAX_SHIFT, rounding, true, corrections).is_some())
        };
        (0..self.step.channels.len()).into_par_iter().with_min_len(CHANNELS_A_TASK).map(fewest).collect()
    }

    /// The least shift at which every channel has constants.
    fn least_shift(&self, freedom: Freedom) -> Option<u32> {
        let first = if freedom.rounding == ShiftRounding::HalfEven { 1 } else { 0 };
        let indices: Vec<usize> = (0..self.step.channels.len()).collect();
        let of_task = |channels: &[usize]| {
            channels.iter().try_fold(first, |shift, &channel| {
                let feasible = |shift| self.fits(channel, shift, freedom).is_some();
                if feasible(shift) {
                    return Some(shift);
                }
                if shift >= MAX_SHIFT || !feasible(MAX_SHIFT) {
                    return None;
                }
                let (mut below, mut above) = (shift, MAX_SHIFT);
                while above - below > 1 {
                    let middle = below + (above - below) / 2;
                    if feasible(middle) {
                        above = middle;
                    } else {
                        below = middle;
                    }
                }
                Some(above)
            })
        };
        indices.par_chunks(CHANNELS_A_TASK).map(of_task).try_reduce(|| first, |a, b| Some(a.max(b)))
    }

    /// The form with every channel's least multiplier at a shift.
    fn form(&self, shift: u32, freedom: Freedom) -> Option<Affine> {
        let constants = (0..self.step.channels.len())
            .into_par_iter()
            .with_min_len(CHANNELS_A_TASK)
            .map(|channel| self.constants(channel, shift, freedom))
            .collect::<Option<Vec<_>>>()?;
        Some(Affine {
            multipliers: constants.iter().map(|channel| channel.multiplier).collect(),
            pivot: self.pivots.to_vec(),
            bias_negative: constants.iter().map(|channel| channel.bias_negative).collect(),
            bias_positive: constants.iter().map(|channel| channel.bias_positive).collect(),
            shift,
            rounding: freedom.rounding,
            clamp: self.clamp,
            corrections: constants.into_iter().map(|channel| channel.corrections).collect(),
        })
    }

    /// A line for a channel within the stage's freedom.
    fn fits(&self, channel: usize, shift: u32, freedom: Freedom) -> Option<(Line, Vec<i64>)> {
        let corrections = freedom.corrections.get(channel).copied().unwrap_or(0);
        self.line(channel, shift, freedom.rounding, freedom.two_biases, corrections)
    }

    /// A line for a channel with at most that many corrections, of one piece if that will do.
    fn line(
        &self,
        channel: usize,
        shift: u32,
        rounding: ShiftRounding,
        two_biases: bool,
        corrections: usize,
    ) -> Option<(Line, Vec<i64>)> {
        if rounding == ShiftRounding::Floor && corrections == 0 {
            let [one, two] = &self.corners[channel];
            let whole = self.solve(one, shift, rounding, 0);
            return whole.or_else(|| two_biases.then(|| self.solve(two, shift, rounding, 0)).flatten());
        }
        let step = &self.step.channels[channel];
        let one = pieces(step, self.clamp, None);
        self.solve(&one, shift, rounding, corrections).or_else(|| {
            let two = two_biases.then(|| pieces(step, self.clamp, Some(self.pivots[channel])))?;
            self.solve(&two, shift, rounding, corrections)
        })
    }

    /// A channel's constants at a shift.
    fn constants(&self, channel: usize, shift: u32, freedom: Freedom) -> Option<Constants> {
        let (line, places) = self.fits(channel, shift, freedom)?;
        self.finish(channel, shift, freedom.rounding, &line, &places)
    }

    /// A line through the corridors of the pieces, of which up to `corrections` bounds may be relaxed;
    /// with it the places of the relaxed bounds. Every way out of a conflict relaxes one of its bounds, so
    /// that trying each of them misses no solution.
    fn solve(
        &self,
        pieces: &[Piece],
        shift: u32,
        rounding: ShiftRounding,
        corrections: usize,
    ) -> Option<(Line, Vec<i64>)> {
        let corridors: Vec<Corridor> = pieces.iter().map(|piece| piece.corridor(shift, rounding)).collect();
        let Conflict(pairs) = match flattest(&corridors) {
            Ok(line) => return Some((line, Vec::new())),
            Err(conflict) => conflict,
        };
        let remaining = corrections.checked_sub(1)?;
        let choices = pairs
            .iter()
            .flat_map(|pair| [(pair.corridor, Side::Lower, pair.lower), (pair.corridor, Side::Upper, pair.upper)]);
        choices.into_iter().find_map(|(index, side, bound)| {
            let piece = &pieces[index];
            let place = match side {
                Side::Lower => piece.lower[bound].x,
                Side::Upper => piece.upper[bound].x,
            };
            let mut relaxed = pieces.to_vec();
            relaxed[index] = piece.relaxed(side, bound, self.clamp)?;
            let (line, mut places) = self.solve(&relaxed, shift, rounding, remaining)?;
            places.push(place);
            Some((line, places))
        })
    }

    /// Turns a line into constants of 64 bits, and relaxed places into the corrections that are needed.
    fn finish(
        &self,
        channel: usize,
        shift: u32,
        rounding: ShiftRounding,
        line: &Line,
        places: &[i64],
    ) -> Option<Constants> {
        let step = &self.step.channels[channel];
        let sign = i128::from(step.direction.sign());
        let biases: Vec<i64> = line
            .offsets
            .iter()
            .map(|&interval| i64::try_from(nearest_to_zero(interval)).ok())
            .collect::<Option<_>>()?;
        let (&bias_negative, &bias_positive) = (biases.first()?, biases.last()?);
        let multiplier = i64::try_from(sign * line.slope).ok()?;
        let mut one = Affine {
            multipliers: vec![multiplier],
            pivot: vec![self.pivots[channel]],
            bias_negative: vec![bias_negative],
            bias_positive: vec![bias_positive],
            shift,
            rounding,
            clamp: self.clamp,
            corrections: vec![Vec::new()],
        };
        // Hardware adds in at most 64 bits.
        one.sum_range(0, step.domain)?;
        let mut corrections = Vec::new();
        for &place in places {
            let at = if step.direction == Direction::Rising { place } else { -place };
            let delta = step.evaluate(self.step.increment, at) - one.uncorrected(0, at);
            if delta != 0 {
                corrections.push(Correction { at, delta });
            }
        }
        // One place may have been relaxed on both sides.
        corrections.sort_unstable_by_key(|correction| correction.at);
        corrections.dedup();
        one.corrections = vec![corrections];
        Some(Constants { multiplier, bias_negative, bias_positive, corrections: one.corrections.pop()? })
    }
}

/// The number of the smallest magnitude in an interval.
fn nearest_to_zero((least, greatest): (Option<i128>, Option<i128>)) -> i128 {
    let raised = least.map_or(0, |least| least.max(0));
    greatest.map_or(raised, |greatest| raised.min(greatest))
}
