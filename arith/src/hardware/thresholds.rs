//! Counting the thresholds that an accumulator has passed.

use crate::int_type::Range;
use crate::step::{Direction, Step};
use serde::{Deserialize, Serialize};

/// Threshold form: `q[c] = base[c] + increment * #{k : raw >= t[c][k]}` when not `falling[c]`, and
/// `q[c] = base[c] + increment * #{k : raw < t[c][k]}` when falling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Distance of levels (2 for bipolar).
    pub increment: i64,
    /// Least output a channel.
    pub base: Vec<i64>,
    /// Sense a channel.
    pub falling: Vec<bool>,
    /// Ascending thresholds, `[channel][level]`; every channel has the same number. Channels with
    /// fewer are filled so that the filling never counts: rising ones behind the others with one more
    /// than the greatest raw accumulator of all channels (which may take a bit more than the
    /// accumulators), falling ones in front with the least.
    pub thresholds: Vec<Vec<i64>>,
}

impl Thresholds {
    /// The form of a step with `count` thresholds a channel, at least [`Step::levels`].
    pub(super) fn of(step: &Step, count: usize) -> Self {
        let hull = step.domain_hull().unwrap_or(Range::point(0));
        let falling: Vec<bool> = step.channels.iter().map(|channel| channel.direction == Direction::Falling).collect();
        let base = step.channels.iter().map(|channel| channel.output_range(step.increment).lo).collect();
        let fill = |(channel, &falling): (&crate::step::StepChannel, &bool)| {
            let filling = count.saturating_sub(channel.edges.len());
            if falling {
                std::iter::repeat_n(hull.lo, filling).chain(channel.edges.iter().copied()).collect()
            } else {
                let never = hull.hi.saturating_add(1);
                channel.edges.iter().copied().chain(std::iter::repeat_n(never, filling)).collect()
            }
        };
        let thresholds = step.channels.iter().zip(&falling).map(fill).collect();
        Thresholds { increment: step.increment, base, falling, thresholds }
    }

    /// Thresholds a channel.
    pub fn count(&self) -> usize {
        self.thresholds.first().map_or(0, Vec::len)
    }

    /// Least and greatest threshold; none without any.
    pub fn threshold_range(&self) -> Option<Range> {
        self.thresholds.iter().flatten().map(|&threshold| Range::point(threshold)).reduce(Range::hull)
    }

    pub(super) fn evaluate(&self, channel: usize, raw: i64) -> i64 {
        let passed = self.thresholds[channel].iter().filter(|&&threshold| raw >= threshold).count();
        let counted = if self.falling[channel] { self.thresholds[channel].len() - passed } else { passed };
        self.base[channel].saturating_add(self.increment.saturating_mul(counted as i64))
    }
}
