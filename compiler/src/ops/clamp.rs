//! Fused activations that no requantization takes in: a map behind the operator.

use super::layer::tflite_profile;
use super::node_view::NodeView;
use crate::diagnostic::CompileError;
use crate::profile::Profile;
use crate::quant::Map;
use systole_arith::formula::{Activation, FixedPoint, OutputStage, TieRule};
use systole_arith::rounding::QuantizedMultiplier;
use systole_arith::table::Rescale;
use systole_arith::{Formula, IntType, TableFormula};

/// The map that clamps int8 values of the result's quantization to the activation's bounds; none where
/// these are the type's own.
///
/// # Errors
/// If the result has other than one scale.
pub(super) fn clamp_map(
    view: &NodeView,
    activation: Activation,
    profile: Profile,
) -> Result<Option<Map>, CompileError> {
    let (scale, zero_point) = view.per_tensor(view.output()?, "output")?;
    let element = IntType::Signed(8);
    let failed = |cause: String| view.error(cause, "calibrate the model again");
    let (lo, hi) = activation
        .clamp(tflite_profile(view, profile)?, element, scale, zero_point)
        .map_err(|error| failed(error.to_string()))?;
    if (lo, hi) == (element.range().lo, element.range().hi) {
        return Ok(None);
    }
    let output = OutputStage::new(element, zero_point, lo, hi).map_err(|error| failed(error.to_string()))?;
    let one = QuantizedMultiplier::new(1.0).map_err(|error| failed(error.to_string()))?;
    let formula = Formula::FixedPoint(FixedPoint { channels: 1, multipliers: vec![one], ties: TieRule::Away, output });
    let formula = TableFormula::Rescale(Rescale { input_zero_point: zero_point, formula });
    Ok(Some(Map { formula, table: None }))
}
