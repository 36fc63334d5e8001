//! What a step function demands of an affine one: bounds on its value at single accumulators.

use super::affine::ShiftRounding;
use super::line::{Corridor, Point};
use crate::int_type::Range;
use crate::step::{Direction, StepChannel};

/// A demand on the value at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    /// Place: the raw accumulator, negated on falling channels, so that values always rise.
    pub x: i64,
    /// At least (lower) or at most (upper) this output.
    pub value: i64,
    /// Whether a correction at this place already lets the value miss by one.
    pub corrected: bool,
}

/// The demands on one piece of a channel's domain; each piece may have its own bias.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Places of the piece.
    pub places: Range,
    pub lower: Vec<Bound>,
    pub upper: Vec<Bound>,
}

/// Which side a bound is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Lower,
    Upper,
}

/// The pieces of a channel: its whole domain, or the parts below and from the pivot on.
pub(super) fn pieces(step: &StepChannel, clamp: (i64, i64), pivot: Option<i64>) -> Vec<Piece> {
    let Range { lo, hi } = step.domain;
    match pivot {
        Some(pivot) if lo < pivot && pivot <= hi => {
            vec![piece(step, clamp, Range::new(lo, pivot - 1)), piece(step, clamp, Range::new(pivot, hi))]
        }
        _ => vec![piece(step, clamp, step.domain)],
    }
}

fn piece(step: &StepChannel, clamp: (i64, i64), part: Range) -> Piece {
    let first = step.edges.partition_point(|&edge| edge <= part.lo);
    let last = step.edges.partition_point(|&edge| edge <= part.hi);
    let sign = step.direction.sign();
    let bound = |raw: i64, passed: usize| {
        let x = if step.direction == Direction::Rising { raw } else { -raw };
        Bound { x, value: step.start + sign * passed as i64, corrected: false }
    };
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut passed = first;
    while passed < last {
        let edge = step.edges[passed];
        before.push(bound(edge - 1, passed));
        passed = step.edges.partition_point(|&other| other <= edge);
        after.push(bound(edge, passed));
    }
    let (begin, end) = (bound(part.lo, first), bound(part.hi, last));
    // On falling channels the side behind an edge is the lower one, in value and in place.
    let (places, mut lower, mut upper, least, greatest) = match step.direction {
        Direction::Rising => (part, after, before, begin, end),
        Direction::Falling => (Range::new(-part.hi, -part.lo), before, after, end, begin),
    };
    if least.value > clamp.0 {
        lower.push(least);
    }
    if greatest.value < clamp.1 {
        upper.push(greatest);
    }
    Piece { places, lower, upper }
}

impl Piece {
    /// The corridor of sums that the shift turns into values within the bounds.
    pub fn corridor(&self, shift: u32, rounding: ShiftRounding) -> Corridor {
        // The least sum that gives at least `value`.
        let least = |value: i64| {
            let exact = i128::from(value) << shift;
            match rounding {
                ShiftRounding::Floor => exact,
                // A tie below an odd value goes to the even one under it.
                ShiftRounding::HalfEven => exact - (1i128 << shift >> 1) + i128::from(value & 1),
            }
        };
        Corridor {
            lower: self.lower.iter().map(|bound| Point { x: bound.x, y: least(bound.value) }).collect(),
            upper: self.upper.iter().map(|bound| Point { x: bound.x, y: least(bound.value + 1) - 1 }).collect(),
        }
    }

    /// The same demands on lines for sums that are rounded toward minus infinity, without the bounds
    /// that others imply: only the corners of the convex hulls, whatever the shift, since values and
    /// sums then differ by a factor and a constant.
    pub fn corners(&self) -> Piece {
        let rising = |value: i64| i128::from(value);
        let falling = |value: i64| -i128::from(value);
        Piece { places: self.places, lower: corners(&self.lower, rising), upper: corners(&self.upper, falling) }
    }

    /// Lets the value miss a bound by one at its place, to be corrected there: the bound itself moves
    /// on to the next place. None where a correction is already there.
    pub fn relaxed(&self, side: Side, index: usize, clamp: (i64, i64)) -> Option<Piece> {
        let mut relaxed = self.clone();
        let bounds = match side {
            Side::Lower => &mut relaxed.lower,
            Side::Upper => &mut relaxed.upper,
        };
        let bound = *bounds.get(index)?;
        if bound.corrected {
            return None;
        }
        bounds.swap_remove(index);
        let (missed, next) = match side {
            Side::Lower => (bound.value - 1, bound.x + 1),
            Side::Upper => (bound.value + 1, bound.x - 1),
        };
        // At the clamp's own ends every sum is good enough.
        if clamp.0 < missed && missed < clamp.1 {
            bounds.push(Bound { value: missed, corrected: true, ..bound });
        }
        if self.places.contains(next) {
            bounds.push(Bound { x: next, value: bound.value, corrected: false });
        }
        Some(relaxed)
    }
}

/// The corners of the upper convex hull of `(x, height(value))`, by Andrew's monotone chain.
fn corners(bounds: &[Bound], height: impl Fn(i64) -> i128) -> Vec<Bound> {
    let mut sorted = bounds.to_vec();
    sorted.sort_unstable_by_key(|bound| (bound.x, height(bound.value)));
    let mut chain: Vec<Bound> = Vec::new();
    for bound in sorted {
        while let Some(&last) = chain.last() {
            let implied = match chain.len().checked_sub(2).map(|index| chain[index]) {
                _ if last.x == bound.x => true,
                // On or below the segment from the corner before it to the new bound.
                Some(before) => {
                    let run = |to: Bound| i128::from(to.x) - i128::from(before.x);
                    let rise = |to: Bound| height(to.value) - height(before.value);
                    rise(last) * run(bound) <= rise(bound) * run(last)
                }
                None => false,
            };
            if !implied {
                break;
            }
            chain.pop();
        }
        chain.push(bound);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_edge_bounds_both_of_its_sides_and_the_clamp_spares_the_ends() {
        let step =
            StepChannel { domain: Range::new(-10, 10), start: 0, direction: Direction::Rising, edges: vec![-2, 5, 5] };
        let whole = &pieces(&step, (0, 3), None)[0];
        let of = |bounds: &[Bound]| bounds.iter().map(|bound| (bound.x, bound.value)).collect::<Vec<_>>();
        assert_eq!(of(&whole.lower), [(-2, 1), (5, 3)]);
        assert_eq!(of(&whole.upper), [(-3, 0), (4, 1)]);
        let split = pieces(&step, (-1, 4), Some(0));
        assert_eq!(of(&split[0].lower), [(-2, 1), (-10, 0)]);
        assert_eq!(of(&split[0].upper), [(-3, 0), (-1, 1)]);
        assert_eq!(of(&split[1].lower), [(5, 3), (0, 1)]);
        assert_eq!(of(&split[1].upper), [(4, 1), (10, 3)]);
    }

    proptest! {
        #[test]
        fn corners_bound_every_line_as_all_points_do(
            values in prop::collection::vec((-30i64..30, -30i64..30), 1..30), slope in -9i128..9,
        ) {
            let bounds: Vec<_> = values.iter().map(|&(x, value)| Bound { x, value, corrected: false }).collect();
            let piece = Piece { places: Range::new(-30, 30), lower: bounds.clone(), upper: bounds };
            let (all, few) = (piece.corridor(4, ShiftRounding::Floor), piece.corners().corridor(4, ShiftRounding::Floor));
            let offset = |point: &Point| point.y - slope * i128::from(point.x);
            prop_assert_eq!(all.lower.iter().map(offset).max(), few.lower.iter().map(offset).max());
            prop_assert_eq!(all.upper.iter().map(offset).min(), few.upper.iter().map(offset).min());
        }
    }

    #[test]
    fn falling_channels_are_mirrored() {
        let step = StepChannel { domain: Range::new(-10, 10), start: 1, direction: Direction::Falling, edges: vec![4] };
        let whole = &pieces(&step, (0, 1), None)[0];
        assert_eq!((whole.lower[0].x, whole.lower[0].value), (-3, 1));
        assert_eq!((whole.upper[0].x, whole.upper[0].value), (-4, 0));
    }

    #[test]
    fn rounding_to_even_moves_the_bounds_of_odd_values() {
        let step = StepChannel { domain: Range::new(0, 10), start: 0, direction: Direction::Rising, edges: vec![4, 8] };
        let corridor = pieces(&step, (0, 2), None)[0].corridor(3, ShiftRounding::HalfEven);
        // 1 needs a sum above the tie at 4, 2 takes the tie at 12.
        assert_eq!(corridor.lower.iter().map(|point| point.y).collect::<Vec<_>>(), [5, 12]);
        assert_eq!(corridor.upper.iter().map(|point| point.y).collect::<Vec<_>>(), [4, 11]);
    }
}
