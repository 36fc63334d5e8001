//! The flattest integer line through a corridor.

/// A bound on a line at one place, `y` in units of the shifted sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub x: i64,
    pub y: i128,
}

/// A corridor: `slope * x + offset` must be at least `y` at every lower point and at most `y` at every
/// upper one.
#[derive(Clone, Debug, Default)]
pub(super) struct Corridor {
    pub lower: Vec<Point>,
    pub upper: Vec<Point>,
}

/// A slope for all corridors with, for each of them, the offsets that keep it inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub slope: i128,
    /// Least and greatest offset a corridor; none where it has no bound on that side.
    pub offsets: Vec<(Option<i128>, Option<i128>)>,
}

/// A lower and an upper point of one corridor, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub corridor: usize,
    pub lower: usize,
    pub upper: usize,
}

/// Pairs that no integer slope >= 0 satisfies together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict(pub Vec<Pair>);

/// The least integer slope >= 0 with which one line a corridor, all of that slope, keeps within it.
///
/// A pair of a lower point l and an upper point u demands `slope * (l.x - u.x) >= l.y - u.y`. The widest
/// violated pair at the present slope either has `l.x <= u.x`, and then no greater slope
/// satisfies it, or sets the next slope: Newton's method on the concave gap between the bounds of
/// the offset, from the left. Every slope passed over violates a pair, so the first one that violates
/// none is the least.
pub(super) fn flattest(corridors: &[Corridor]) -> Result<Line, Conflict> {
    let mut slope = 0i128;
    let mut forced_by = None;
    loop {
        let mut offsets = Vec::with_capacity(corridors.len());
        let mut widest: Option<(i128, Pair)> = None;
        for (corridor, points) in corridors.iter().enumerate() {
            let offset = |point: &Point| point.y - slope * i128::from(point.x);
            let least = points.lower.iter().map(offset).enumerate().max_by_key(|&(_, offset)| offset);
            let greatest = points.upper.iter().map(offset).enumerate().min_by_key(|&(_, offset)| offset);
            if let (Some((lower, least)), Some((upper, greatest))) = (least, greatest) {
                let gap = least - greatest;
                if gap > widest.map_or(0, |(gap, _)| gap) {
                    widest = Some((gap, Pair { corridor, lower, upper }));
                }
            }
            offsets.push((least.map(|(_, offset)| offset), greatest.map(|(_, offset)| offset)));
        }
        let Some((_, pair)) = widest else { return Ok(Line { slope, offsets }) };
        let (lower, upper) = (corridors[pair.corridor].lower[pair.lower], corridors[pair.corridor].upper[pair.upper]);
        let run = i128::from(lower.x) - i128::from(upper.x);
        if run <= 0 {
            return Err(Conflict(forced_by.into_iter().chain([pair]).collect()));
        }
        slope = num_integer::div_ceil(lower.y - upper.y, run);
        forced_by = Some(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn satisfied(corridor: &Corridor, slope: i128) -> bool {
        corridor
            .lower
            .iter()
            .all(|l| corridor.upper.iter().all(|u| slope * (i128::from(l.x) - i128::from(u.x)) >= l.y - u.y))
    }

    fn points() -> impl Strategy<Value = Vec<Point>> {
        prop::collection::vec((-20i64..20, -40i128..40).prop_map(|(x, y)| Point { x, y }), 0..6)
    }

    proptest! {
        #[test]
        fn the_slope_is_the_least_and_a_conflict_is_one(lower in points(), upper in points(), more in points()) {
            let corridors = [Corridor { lower, upper: upper.clone() }, Corridor { lower: more, upper }];
            let brute = (0..200i128).find(|&slope| corridors.iter().all(|corridor| satisfied(corridor, slope)));
            match flattest(&corridors) {
                Ok(line) => {
                    prop_assert_eq!(brute, Some(line.slope));
                    for (least, greatest) in line.offsets {
                        prop_assert!(least.zip(greatest).is_none_or(|(least, greatest)| least <= greatest));
                    }
                }
                Err(Conflict(pairs)) => {
                    let only: Vec<_> = pairs
                        .iter()
                        .map(|pair| Corridor {
                            lower: vec![corridors[pair.corridor].lower[pair.lower]],
                            upper: vec![corridors[pair.corridor].upper[pair.upper]],
                        })
                        .collect();
                    prop_assert!(!(0..200).any(|slope| only.iter().all(|corridor| satisfied(corridor, slope))));
                }
            }
        }
    }
}
