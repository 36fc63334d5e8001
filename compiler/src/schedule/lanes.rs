//! How many requantizers a stage shares among its output channels.

use systole_hdl::engine::Results;
use systole_hdl::requantize::RequantizeSpec;

/// Look-up tables that one hardware multiplier counts for when costs are compared.
const MULTIPLIER_LUTS: u64 = 200;

/// The number of lanes with the least cost: ceil(M / F) lanes keep up with F cycles a pixel but
/// may need a result buffer of more than a PE group; ceil(PE / G) lanes always drain a group of G
/// cycles before the next. The buffer counts with its registers and its write multiplexers.
///
/// `fits` tells which numbers the next stage can read. None if none of those keeps up.
pub fn choose(
    results: &Results,
    requantize: &dyn Fn(usize) -> RequantizeSpec,
    fits: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let spacing = usize::try_from(results.spacing).unwrap_or(usize::MAX);
    let fewest = results.channels.div_ceil(results.groups().saturating_mul(spacing)).max(1);
    let most = results.pe.div_ceil(spacing).max(fewest);
    let buffer = |lanes: usize| match results.buffer(lanes) {
        None => Some(0),
        Some(block) => block.unstalled_cost(results.spacing),
    };
    let mut best: Option<(u64, usize)> = None;
    for lanes in (fewest..=most).filter(|&lanes| fits(lanes)) {
        // Building a requantizer to ask its cost is the expensive part.
        let Some(buffer) = buffer(lanes).filter(|&cost| best.is_none_or(|(least, _)| cost < least)) else { continue };
        let spec = requantize(lanes);
        let cost = buffer + spec.lut_cost() + MULTIPLIER_LUTS * spec.multipliers();
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, lanes));
        }
    }
    // Where a reshape forbids all of these, more lanes than needed may do.
    let spare = || (most + 1..=results.channels).find(|&lanes| fits(lanes) && buffer(lanes).is_some());
    best.map(|(_, lanes)| lanes).or_else(spare)
}
