//! From the formula's accumulator to the raw one that hardware holds.

use super::{Step, StepChannel, StepError};
use crate::int_type::Range;

impl Step {
    /// The same function over raw accumulators, where `acc = stride * raw + offsets[channel]`:
    /// `edge' = ceil((edge - offset) / stride)`.
    ///
    /// # Errors
    /// If `stride` is not positive, a list does not have one entry a channel, or a raw accumulator
    /// leads out of the step's domain.
    pub fn pull_back(&self, stride: i64, offsets: &[i64], raw_domains: &[Range]) -> Result<Step, StepError> {
        if stride < 1 {
            return Err(StepError::Stride { stride });
        }
        let channels = self.channels.len();
        for (what, given) in [("offsets", offsets.len()), ("raw accumulator ranges", raw_domains.len())] {
            if given != channels {
                return Err(StepError::Count { what, given, channels });
            }
        }
        let pulled = self.channels.iter().zip(offsets).zip(raw_domains).enumerate();
        let pulled = pulled.map(|(channel, ((step, &offset), &domain))| {
            pull_back_channel(step, self.increment, stride, offset, domain).ok_or(StepError::RawDomain {
                channel,
                lo: domain.lo,
                hi: domain.hi,
            })
        });
        Ok(Step { channels: pulled.collect::<Result<_, _>>()?, ..*self })
    }
}

fn pull_back_channel(
    step: &StepChannel,
    increment: i64,
    stride: i64,
    offset: i64,
    domain: Range,
) -> Option<StepChannel> {
    let accumulator = |raw: i64| raw.checked_mul(stride)?.checked_add(offset).filter(|&acc| step.domain.contains(acc));
    let start = step.evaluate(increment, accumulator(domain.lo)?);
    accumulator(domain.hi)?;
    let edges = step
        .edges
        .iter()
        .map(|&edge| edge.checked_sub(offset).map(|distance| num_integer::div_ceil(distance, stride)))
        .filter(|edge| edge.is_none_or(|edge| domain.lo < edge && edge <= domain.hi))
        .collect::<Option<Vec<_>>>()?;
    let direction = if edges.is_empty() { super::Direction::Rising } else { step.direction };
    Some(StepChannel { domain, start, direction, edges })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int_type::IntType;
    use crate::step::Direction;
    use proptest::prelude::*;

    fn step(direction: Direction) -> Step {
        let start = if direction == Direction::Rising { 0 } else { 3 };
        let channel = StepChannel { domain: Range::new(-20, 20), start, direction, edges: vec![-3, 4, 4] };
        Step { output: IntType::Unsigned(2), increment: 1, channels: vec![channel] }
    }

    #[test]
    fn raw_domains_that_leave_the_step_are_refused_by_channel() {
        let error = step(Direction::Rising).pull_back(2, &[1], &[Range::new(0, 10)]).unwrap_err();
        assert_eq!(error, StepError::RawDomain { channel: 0, lo: 0, hi: 10 });
        assert!(step(Direction::Rising).pull_back(1, &[i64::MAX], &[Range::new(0, 1)]).is_err());
        assert!(step(Direction::Rising).pull_back(0, &[0], &[Range::new(0, 1)]).is_err());
        assert!(step(Direction::Rising).pull_back(1, &[], &[Range::new(0, 1)]).is_err());
    }

    proptest! {
        #[test]
        fn a_step_over_raw_accumulators_is_the_step_at_their_accumulators(
            stride in 1i64..4, offset in -5i64..5, lo in -4i64..4, width in 0i64..4, falling in any::<bool>(),
        ) {
            let step = step(if falling { Direction::Falling } else { Direction::Rising });
            let domain = Range::new(lo, (lo + width).min(4));
            prop_assume!(domain.lo <= domain.hi);
            let raw = step.pull_back(stride, &[offset], &[domain]).unwrap();
            prop_assert_eq!(raw.verify(), Ok(()));
            for at in domain.lo..=domain.hi {
                prop_assert_eq!(raw.evaluate(0, at), step.evaluate(0, stride * at + offset));
            }
        }
    }
}
