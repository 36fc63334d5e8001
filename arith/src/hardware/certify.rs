//! The proof that a hardware form equals a step function.

use super::{Affine, Lookup, Requantizer, Thresholds};
use crate::step::Step;
use crate::table::Table;
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
    check_form(form).map_err(malformed)?;
    for (channel, function) in step.channels.iter().enumerate() {
        let mut points = function.decisive_points();
        match form {
            Requantizer::Affine(affine) => {
                let pivot = affine.pivot[channel];
                let corrected = affine.corrections[channel].iter().map(|correction| correction.at);
                let beside = corrected.flat_map(|at| [at.saturating_sub(1), at, at.saturating_add(1)]);
                let extra = beside.chain([pivot.saturating_sub(1), pivot]);
                points.extend(extra.filter(|&raw| function.domain.contains(raw)));
            }
            Requantizer::Table(table) => {
                if !table.domain().is_some_and(|domain| domain.contains_range(function.domain)) {
                    return Err(malformed("a domain leaves its table"));
                }
                points = (function.domain.lo..=function.domain.hi).collect();
            }
            Requantizer::Linear(_) | Requantizer::Thresholds(_) | Requantizer::Search(_) => {}
        }
        compare(form, channel, points.into_iter().map(|raw| (raw, function.evaluate(step.increment, raw))))?;
    }
    Ok(())
}

pub(super) fn certify_table(form: &Requantizer, table: &Table) -> Result<(), Counterexample> {
    let malformed = |what| Counterexample::Malformed { form: form.name(), what };
    if table.values.len() != 1 && table.values.len() != form.channels() {
        return Err(malformed("its channels are not the table's"));
    }
    check_form(form).map_err(malformed)?;
    for channel in 0..form.channels() {
        let Some(function) = table.values.get(if table.values.len() == 1 { 0 } else { channel }) else { continue };
        compare(form, channel, (table.lowest..).zip(function.iter().copied()))?;
    }
    Ok(())
}

/// Compares a channel of a form with `(raw, expected)` points.
fn compare(
    form: &Requantizer,
    channel: usize,
    mut points: impl Iterator<Item = (i64, i64)>,
) -> Result<(), Counterexample> {
    let differs = points.find_map(|(raw, expected)| {
        let got = form.evaluate(channel, raw);
        (got != expected).then_some(Counterexample::Value { form: form.name(), channel, raw, expected, got })
    });
    differs.map_or(Ok(()), Err)
}

/// Checks lists and numbers, so that the form can be evaluated in each of its channels.
fn check_form(form: &Requantizer) -> Result<(), &'static str> {
    match form {
        Requantizer::Linear(_) => Ok(()),
        Requantizer::Thresholds(thresholds) => check_thresholds(thresholds),
        Requantizer::Search(thresholds) => {
            check_thresholds(thresholds)?;
            match (thresholds.count() + 1).is_power_of_two() {
                true => Ok(()),
                false => Err("its thresholds a channel are no power of two less one"),
            }
        }
        Requantizer::Affine(affine) => check_affine(affine),
        Requantizer::Table(table) => check_table(table),
    }
}

fn check_table(table: &Lookup) -> Result<(), &'static str> {
    if table.values.len() != 1 && table.values.len() != table.channels {
        return Err("it has neither one list of values nor one a channel");
    }
    if table.domain().is_none() || table.values.iter().any(|list| list.len() != table.entries()) {
        return Err("its lists of values are empty or differ in length");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::int_type::{IntType, Range};
    use crate::step::{Direction, StepChannel};

    fn table(values: Vec<Vec<i64>>) -> Table {
        Table { lowest: -2, values, output: IntType::Signed(8) }
    }

    #[test]
    fn a_table_is_certified_against_what_it_was_made_of_and_nothing_else() {
        let source = table(vec![vec![5, -1, 7, 0], vec![5, -1, 7, 1]]);
        let form = Requantizer::table(&source, 2).unwrap();
        assert_eq!(form.to_string(), "table, 4 entries a channel");
        assert_eq!((form.evaluate(0, 1), form.evaluate(1, 1), form.evaluate(1, -2)), (0, 1, 5));
        let other = table(vec![vec![5, -1, 7, 0]]);
        let error = form.certify_table(&other).unwrap_err();
        assert_eq!(error, Counterexample::Value { form: "table", channel: 1, raw: 1, expected: 0, got: 1 });
        assert!(Requantizer::table(&source, 3).is_err());
        assert!(Requantizer::table(&table(vec![vec![1, 2], vec![3]]), 2).is_err());
        assert!(Requantizer::table(&table(vec![vec![]]), 1).is_err());
    }

    #[test]
    fn one_function_serves_all_channels() {
        let form = Requantizer::table(&table(vec![vec![3, 2, 9]]), 5).unwrap();
        assert_eq!((form.channels(), form.evaluate(4, 0)), (5, 9));
        assert_eq!(form.to_string(), "table, 3 entries for all channels");
    }

    #[test]
    fn a_table_equals_a_step_only_if_it_does_at_every_accumulator() {
        let channel = |domain| StepChannel { domain, start: 0, direction: Direction::Rising, edges: vec![0, 1] };
        let step = |domain| Step { output: IntType::Signed(8), increment: 1, channels: vec![channel(domain)] };
        let domain = Range::new(-2, 7);
        let values: Vec<i64> = (-2..=7).map(|raw| step(domain).evaluate(0, raw)).collect();
        let form = Requantizer::table(&table(vec![values.clone()]), 1).unwrap();
        assert_eq!(form.certify(&step(domain)), Ok(()));
        assert!(matches!(form.certify(&step(Range::new(-2, 8))), Err(Counterexample::Malformed { .. })));
        let mut bent = values;
        bent[6] = 9;
        let form = Requantizer::table(&table(vec![bent]), 1).unwrap();
        assert!(matches!(form.certify(&step(domain)), Err(Counterexample::Value { raw: 4, .. })));
    }

    #[test]
    fn other_forms_are_certified_against_tables_too() {
        let identity = Requantizer::linear(1, vec![3, 3]);
        assert_eq!(identity.certify_table(&table(vec![vec![1, 2, 3, 4]])), Ok(()));
        assert!(identity.certify_table(&table(vec![vec![1, 2, 3, 5]])).is_err());
    }
}
