//! From a formula to its step function: the edges are searched, each from a predicted place.

use super::{Direction, Step, StepChannel, StepError, MAX_OUTPUT_BITS};
use crate::formula::{ChannelFormula, Formula};
use crate::int_type::{IntType, Range};
use rayon::prelude::*;

/// Accumulators of more bits than this reach no stage.
const MAX_ACCUMULATOR_BITS: u32 = 48;
/// Channels that one task derives, so that small layers do not pay for distributing them.
const CHANNELS_A_TASK: usize = 32;

impl Step {
    /// The step function of a formula over the accumulators that each channel can reach.
    ///
    /// Formulas are monotone (see [`Formula`]), so each level has one edge; it is searched by
    /// evaluating the formula on both of its sides. The order of what was evaluated is checked.
    ///
    /// # Errors
    /// If the formula is invalid or the identity, its output has more than [`MAX_OUTPUT_BITS`] bits
    /// (beyond, enumerating edges is no certificate that can be afforded), or `domains` does not
    /// hold one interval of at most 48 bits a channel.
    pub fn derive(formula: &Formula, domains: &[Range]) -> Result<Step, StepError> {
        formula.validate()?;
        let output = formula.output_type().ok_or(StepError::Identity)?;
        if output.bits() > MAX_OUTPUT_BITS {
            return Err(StepError::TooWide { bits: output.bits(), limit: MAX_OUTPUT_BITS });
        }
        if domains.len() != formula.channels() {
            let (given, channels) = (domains.len(), formula.channels());
            return Err(StepError::Count { what: "accumulator ranges", given, channels });
        }
        let increment = if output == IntType::Bipolar { 2 } else { 1 };
        let channels = domains
            .par_iter()
            .enumerate()
            .with_min_len(CHANNELS_A_TASK)
            .map(|(channel, &domain)| {
                if domain.lo > domain.hi || domain.signed_bits() > MAX_ACCUMULATOR_BITS {
                    return Err(StepError::Domain { channel, lo: domain.lo, hi: domain.hi });
                }
                derive_channel(&formula.channel(channel), domain, increment)
                    .map_err(|Disorder { acc, got }| StepError::NotMonotone { channel, acc, got })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Step { output, increment, channels })
    }
}

/// An output that breaks the order of the levels.
struct Disorder {
    acc: i64,
    got: i64,
}

fn derive_channel(formula: &ChannelFormula, domain: Range, increment: i64) -> Result<StepChannel, Disorder> {
    let (start, end) = (formula.evaluate(domain.lo), formula.evaluate(domain.hi));
    let direction = if end < start { Direction::Falling } else { Direction::Rising };
    let sign = direction.sign();
    // Levels above the start, whatever the direction: 0 at the domain's begin, `count` at its end.
    let level = |acc: i64| {
        let got = formula.evaluate(acc);
        let above = sign * (got - start);
        if above < 0 || above % increment != 0 {
            Err(Disorder { acc, got })
        } else {
            Ok(above / increment)
        }
    };
    let count = level(domain.hi)?;
    let mut edges: Vec<i64> = Vec::with_capacity(count as usize);
    let spacing = (1.0 / formula.slope()).abs();
    // The first edge found, from which the others are predicted, and how many levels it opens.
    let mut anchor: Option<(i64, i64)> = None;
    let mut below = domain.lo;
    while (edges.len() as i64) < count {
        let wanted = edges.len() as i64 + 1;
        let predicted = anchor.and_then(|(at, opened)| {
            let place = at as f64 + spacing * (wanted - opened) as f64;
            (place.is_finite() && place < domain.hi as f64).then_some(place as i64)
        });
        let edge = search_edge(&level, wanted, below, domain.hi, predicted)?;
        let reached = level(edge)?;
        if reached < wanted || reached > count {
            return Err(Disorder { acc: edge, got: formula.evaluate(edge) });
        }
        edges.resize(reached as usize, edge);
        anchor.get_or_insert((edge, reached));
        below = edge;
    }
    Ok(StepChannel { domain, start, direction, edges })
}

/// The first accumulator in `below + 1 ..= hi` at which at least `wanted` levels are passed, given
/// that `hi` passes them and `below` does not. Without a prediction this is a bisection; with one,
/// steps of doubling length leave the predicted place until they enclose the edge.
fn search_edge(
    level: &impl Fn(i64) -> Result<i64, Disorder>,
    wanted: i64,
    mut below: i64,
    mut above: i64,
    predicted: Option<i64>,
) -> Result<i64, Disorder> {
    if let Some(probe) = predicted.filter(|&probe| below < probe && probe < above) {
        let mut stride = 1;
        if level(probe)? >= wanted {
            above = probe;
            while above - below > stride {
                let next = above - stride;
                if level(next)? < wanted {
                    below = next;
                    break;
                }
                above = next;
                stride *= 2;
            }
        } else {
            below = probe;
            while above - below > stride {
                let next = below + stride;
                if level(next)? >= wanted {
                    above = next;
                    break;
                }
                below = next;
                stride *= 2;
            }
        }
    }
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if level(middle)? >= wanted {
            above = middle;
        } else {
            below = middle;
        }
    }
    Ok(above)
}
