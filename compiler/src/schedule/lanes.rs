//! How many requantizers a matrix stage shares among its output channels.

use systole_hdl::engine::MatrixSpec;
use systole_hdl::requantize::RequantizeSpec;
use systole_hdl::stage::result_buffer;

/// Look-up tables that one hardware multiplier counts for when costs are compared.
const MULTIPLIER_LUTS: u64 = 200;

/// The number of lanes with the least cost: ceil(M / F) lanes keep up with F cycles a pixel but
/// may need a result buffer of more than a PE group; ceil(PE / G) lanes always drain a group of G
/// cycles before the next. The buffer counts with its registers and its write multiplexers.
pub fn choose(matrix: &MatrixSpec, requantize: &dyn Fn(usize) -> RequantizeSpec) -> usize {
    let fewest = matrix.outputs.div_ceil(matrix.groups() * matrix.folds()).max(1);
    let most = matrix.pe.div_ceil(matrix.folds()).max(fewest);
    let cost = |lanes: usize| {
        let spec = requantize(lanes);
        let buffer = match result_buffer(matrix, lanes) {
            None => Some(0),
            Some(block) => block.unstalled_cost(matrix.folds() as u64),
        };
        buffer.map(|luts| luts + spec.lut_cost() + MULTIPLIER_LUTS * spec.multipliers())
    };
    (fewest..=most).filter_map(|lanes| cost(lanes).map(|cost| (cost, lanes))).min().map_or(most, |(_, lanes)| lanes)
}
