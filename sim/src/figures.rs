//! Latency and initiation interval, measured by their definitions.
//!
//! *Latency*: cycle of the last output beat minus cycle of the first input beat of one sample
//! sent alone after reset. *Initiation interval*: distance between the first input beats of
//! consecutive samples once the pattern of distances repeats; if it repeats every `k` samples, the total over `k` divided
//! by `k`. In both runs the source is always valid and the sink always ready.

use crate::error::SimError;
use crate::model::Model;
use crate::run::{RunEnd, RunSpec, Violation};
use num_integer::Integer;
use std::fmt;
use systole_bundle::manifest::Predicted;

/// Cycles over a number of samples, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Cycles.
    pub cycles: u64,
    /// Samples they take in.
    pub samples: u64,
}

impl Interval {
    /// `cycles` over `samples`, reduced. None if either is 0.
    pub fn new(cycles: u64, samples: u64) -> Option<Interval> {
        let divisor = cycles.gcd(&samples);
        (cycles > 0 && samples > 0).then(|| Interval { cycles: cycles / divisor, samples: samples / divisor })
    }

    /// Reads `p` or `p/q`.
    pub fn parse(text: &str) -> Option<Interval> {
        let (cycles, samples) = text.split_once('/').unwrap_or((text, "1"));
        Interval::new(cycles.trim().parse().ok()?, samples.trim().parse().ok()?)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.samples {
            1 => write!(f, "{}", self.cycles),
            _ => write!(f, "{}/{}", self.cycles, self.samples),
        }
    }
}

/// Measured figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Latency in cycles; none if the sample did not come out.
    pub latency: Option<u64>,
    /// Initiation interval; none if the distances did not repeat within the run.
    pub interval: Option<Interval>,
    /// Cycles simulated.
    pub cycles: u64,
    /// Rules of streams that were broken on the way.
    pub violations: Vec<Violation>,
}

/// Most samples that the interval is measured over.
const MOST_SAMPLES: u64 = 1 << 16;

/// Samples that show the predicted pattern twice after its warm-up.
pub fn samples_needed(predicted: &Predicted) -> u64 {
    predicted.warm_up_samples.saturating_add(predicted.period_samples.max(1).saturating_mul(2)).saturating_add(1)
}

/// Measures both figures with two runs, each after a reset. `samples` holds at least one packed
/// sample; they are sent round and round as often as the pattern needs.
///
/// # Errors
/// If `samples` holds no whole sample or the model stops.
pub fn measure(model: &mut Model, samples: &[u8], predicted: &Predicted) -> Result<Figures, SimError> {
    let sample_bytes = model.input().beats.saturating_mul(model.input().beat_bytes());
    let size = |expected| SimError::InputSize { found: samples.len(), samples: 1, expected };
    let first = samples.get(..sample_bytes).filter(|first| !first.is_empty()).ok_or_else(|| size(sample_bytes))?;

    model.reset()?;
    let alone = model.run(&RunSpec::new(first, 1))?;
    let latency = match (alone.end, alone.input_edges.first(), alone.output_edges.last()) {
        (RunEnd::Done, Some(first), Some(last)) => last.checked_sub(*first),
        _ => None,
    };
    let mut figures = Figures { latency, interval: None, cycles: alone.cycles, violations: alone.violations };
    if alone.end != RunEnd::Done {
        return Ok(figures);
    }

    let needed = samples_needed(predicted);
    let count = usize::try_from(needed).ok().filter(|_| needed <= MOST_SAMPLES).ok_or_else(|| SimError::Manifest {
        field: "predicted.period_samples and warm_up_samples",
        found: format!("{} and {}", predicted.period_samples, predicted.warm_up_samples),
        wanted: "small enough to see the pattern twice within 65,536 samples",
    })?;
    let whole = samples.chunks_exact(sample_bytes);
    let input: Vec<u8> = whole.cycle().take(count).flatten().copied().collect();
    model.reset()?;
    let run = model.run(&RunSpec::new(&input, count))?;
    let beats = model.input().beats;
    let first_edges: Vec<u64> = run.input_edges.iter().step_by(beats).copied().collect();
    if run.end == RunEnd::Done {
        figures.interval = repeating_interval(&first_edges, predicted.warm_up_samples, predicted.period_samples);
    }
    figures.cycles += run.cycles;
    figures.violations.extend(run.violations);
    Ok(figures)
}

/// The interval of samples whose first beats moved in the cycles `edges`: their distances behind the first `warm_up` must
/// show a pattern of `period` samples at least twice. None otherwise.
pub fn repeating_interval(edges: &[u64], warm_up: u64, period: u64) -> Option<Interval> {
    let (warm_up, period) = (usize::try_from(warm_up).ok()?, usize::try_from(period).ok()?);
    let steady: Vec<u64> = edges.windows(2).skip(warm_up).map(|pair| pair[1] - pair[0]).collect();
    let repeats = period > 0
        && steady.len() / 2 >= period
        && steady.iter().zip(steady.iter().skip(period)).all(|(now, later)| now == later);
    let total = steady.iter().take(period).sum();
    repeats.then(|| Interval::new(total, period as u64)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_fractions_in_lowest_terms() {
        assert_eq!(Interval::parse("1792").unwrap().to_string(), "1792");
        assert_eq!(Interval::parse("14/4").unwrap().to_string(), "7/2");
        assert_eq!(Interval::parse("14/4"), Interval::parse("7/2"));
        for malformed in ["", "0", "3/0", "-1", "x/2", "1.5"] {
            assert_eq!(Interval::parse(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn a_pattern_of_several_samples_is_averaged_over_its_period() {
        // Distances 9 | 3, 4, 3, 4 behind a warm-up of one.
        assert_eq!(repeating_interval(&[0, 9, 12, 16, 19, 23], 1, 2), Interval::new(7, 2));
    }

    #[test]
    fn distances_that_do_not_repeat_give_no_interval() {
        assert_eq!(repeating_interval(&[0, 9, 12, 16, 19, 24], 1, 2), None);
        assert_eq!(repeating_interval(&[0, 3, 6], 0, 2), None, "the pattern was not seen twice");
        assert_eq!(repeating_interval(&[0, 3, 6], 0, 0), None);
    }
}
