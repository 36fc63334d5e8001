//! The proof that a hardware form equals a step function.

use super::{Affine, Requantizer, Thresholds};
use crate::step::Step;
use thiserror::Error;

/// Why a form is not certified.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Counterexample {
    /// The form differs at an accumulator.
    #[error("channel {channel}, raw accumulator {raw}: expected {expected}, the {form} form gives {got}")]
    Value {
        /// Form.
        form: &'static str,
        /// Output channel.
        channel: usize,
        /// Raw accumulator.
        raw: i64,
        /// The step's output.
        expected: i64,
        /// The form's output.
        got: i64,
    },
    /// A list of the form does not have one entry a channel, or a number is out of its range.
    #[error("the {form} form is malformed: {what}; compile the model again")]
    Malformed {
        /// Form.
        form: &'static str,
        /// What is wrong.
        what: &'static str,
    },
}

pub(super) fn certify(form: &Requantizer, step: &Step) -> Result<(), Counterexample> {
    let malformed = |what| Counterexample::Malformed { form: form.name(), what };
    if step.channels.len() != form.channels() {
        return Err(malformed("its channels are not the step's"));
    }
    match form {
        Requantizer::Linear(_) => {}
        Requantizer::Thresholds(thresholds) => check_thresholds(thresholds).map_err(malformed)?,
        Requantizer::Search(thresholds) => {
            check_thresholds(thresholds).map_err(malformed)?;
            if !(thresholds.count() + 1).is_power_of_two() {
                return Err(malformed("its thresholds a channel are no power of two less one"));
            }
        }
        Requantizer::Affine(affine) => check_affine(affine).map_err(malformed)?,
    }
    for (channel, function) in step.channels.iter().enumerate() {
        let mut points = function.decisive_points();
        if let Requantizer::Affine(affine) = form {
            let pivot = affine.pivot[channel];
            let corrected = affine.corrections[channel].iter().map(|correction| correction.at);
            let beside = corrected.flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)]);
            let extra = beside.chain([pivot.saturating_sub(1), pivot]);
            points.extend(extra.filter(|&raw| function.domain.contains(raw)));
        }
        for raw in points {
            let (expected, got) = (function.evaluate(step.increment, raw), form.evaluate(channel, raw));
            if expected != got {
                return Err(Counterexample::Value { form: form.name(), channel, raw, expected, got });
            }
        }
    }
    Ok(())
}

fn check_thresholds(thresholds: &Thresholds) -> Result<(), &'static str> {
    let channels = thresholds.base.len();
    if thresholds.falling.len() != channels || thresholds.thresholds.len() != channels {
        return Err("a list does not have one entry a channel");
    }
    if thresholds.thresholds.iter().any(|row| row.len() != thresholds.count()) {
        return Err("channels differ in their number of thresholds");
    }
    if !thresholds.thresholds.iter().all(|row| row.is_sorted()) {
        return Err("thresholds are not ascending");
    }
    Ok(())
}

fn check_affine(affine: &Affine) -> Result<(), &'static str> {
    let channels = affine.multipliers.len();
    let lists = [affine.pivot.len(), affine.bias_negative.len(), affine.bias_positive.len(), affine.corrections.len()];
    if lists.into_iter().any(|length| length != channels) {
        return Err("a list does not have one entry a channel");
    }
    if affine.shift > 62 || (affine.shift == 0 && affine.rounding == super::ShiftRounding::HalfEven) {
        return Err("its shift is not within 0 to 62, or 1 to 62 with rounding to even");
    }
    if affine.clamp.0 > affine.clamp.1 {
        return Err("its clamp is empty");
    }
    Ok(())
}
