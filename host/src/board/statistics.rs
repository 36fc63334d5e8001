//! What driver and shell count.

use crate::transport::{TransferError, Transport};
use std::time::Duration;
use systole_bundle::registers::{self, ctrl, Register};

/// What a driver has counted since its board was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Requests that ended with an answer.
    pub answered: u64,
    /// Requests that ended with an error.
    pub failed: u64,
    /// Samples in answers.
    pub samples: u64,
    /// Bytes of frames sent, repeated ones included.
    pub bytes_sent: u64,
    /// Bytes of answers taken.
    pub bytes_received: u64,
    /// Frames that were sent again.
    pub replays: u64,
    /// Answers of earlier epochs that were dropped.
    pub stale: u64,
    /// Times that the board was reset after a fault.
    pub recoveries: u64,
    /// Those among them that reset the PCIe function.
    pub function_resets: u64,
    /// From the first request to the latest answer.
    pub busy: Duration,
    /// From request to answer.
    pub latency: Latency,
}

impl Statistics {
    /// Samples a second between the first request and the latest answer.
    pub fn throughput(&self) -> f64 {
        match self.busy.is_zero() {
            true => 0.0,
            false => self.samples as f64 / self.busy.as_secs_f64(),
        }
    }
}

/// Buckets a factor of two.
const STEPS: u32 = 4;

/// A histogram of times, in buckets of a quarter of a factor of two, from a microsecond up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    buckets: Vec<u64>,
    most: Duration,
}

impl Latency {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let index = bucket(time);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += 1;
        self.most = self.most.max(time);
    }

    /// Times counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The longest time.
    pub fn most(&self) -> Duration {
        self.most
    }

    /// A time that `share` (0 to 1) of the times do not exceed, at most a quarter too long; none without times.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let index = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(upper(index).min(self.most))
    }

    /// Upper end and count of every bucket that is not empty, shortest first.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.buckets.iter().enumerate().filter(|(_, &count)| count > 0).map(|(index, &count)| (upper(index), count))
    }
}

/// The bucket of a time: 0 below a microsecond, then `STEPS` for each power of two of microseconds.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let Some(power) = micros.checked_ilog2() else { return 0 };
    let quarter = ((u128::from(micros) * u128::from(STEPS)) >> power) as u32 - STEPS;
    (power * STEPS + quarter + 1) as usize
}

/// The end of a bucket, exclusive.
fn upper(index: usize) -> Duration {
    let (power, quarter) = (index as u32 / STEPS, index as u32 % STEPS);
    let micros = (u128::from(STEPS + quarter) << power).div_ceil(u128::from(STEPS));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// The shell's latched counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cycles since reset.
    pub cycles: u64,
    /// Answers sent.
    pub frames: u64,
    /// Beats taken from the host.
    pub beats_in: u64,
    /// Beats sent to the host.
    pub beats_out: u64,
    /// Cycles in which an input beat waited.
    pub stalls_in: u64,
    /// Cycles in which an output beat waited.
    pub stalls_out: u64,
    /// Beats discarded during soft resets.
    pub dropped: u64,
}

impl Counters {
    /// Latches the counters, leaving the other bits of CTRL at `control`, and reads them.
    pub(super) fn read(transport: &dyn Transport, control: u32) -> Result<Counters, TransferError> {
        latch(transport, control)?;
        let read = |counter| latched(transport, counter);
        Ok(Counters {
            cycles: read(registers::CYCLES)?,
            frames: read(registers::FRAMES)?,
            beats_in: read(registers::BEATS_IN)?,
            beats_out: read(registers::BEATS_OUT)?,
            stalls_in: read(registers::STALLS_IN)?,
            stalls_out: read(registers::STALLS_OUT)?,
            dropped: read(registers::DROPPED)?,
        })
    }

    /// As [`Counters::read`], the beats taken from the host alone.
    pub(super) fn read_beats_in(transport: &dyn Transport, control: u32) -> Result<u64, TransferError> {
        latch(transport, control)?;
        latched(transport, registers::BEATS_IN)
    }
}

fn latch(transport: &dyn Transport, control: u32) -> Result<(), TransferError> {
    transport.reg_write32(registers::CTRL.offset, control | ctrl::LATCH_COUNTERS.mask())
}

fn latched(transport: &dyn Transport, counter: Register) -> Result<u64, TransferError> {
    let low = transport.reg_read32(counter.word(0))?;
    Ok(u64::from(transport.reg_read32(counter.word(1))?) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for index in 1..200 {
            let end = upper(index);
            if end.as_micros() > 16 {
                assert_eq!(bucket(end), index + 1, "{end:?}");
                assert_eq!(bucket(end - Duration::from_micros(1)), index, "{end:?}");
            }
        }
    }

    #[test]
    fn quantiles_are_at_most_a_quarter_too_long() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.5), None);
        (1..=1000).for_each(|micros| latency.record(Duration::from_micros(micros)));
        for (share, exact) in [(0.5, 500), (0.9, 900), (0.99, 990), (1.0, 1000)] {
            let found = latency.quantile(share).unwrap().as_micros();
            assert!(found >= exact && found * 4 <= exact * 5, "{share}: {found}");
        }
        assert_eq!(latency.count(), 1000);
        assert_eq!(latency.buckets().map(|(_, count)| count).sum::<u64>(), 1000);
        latency.record(Duration::MAX);
        assert_eq!(latency.most(), Duration::MAX);
    }
}
