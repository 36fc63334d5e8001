//! Elementwise operators on integers: functions of one element and of two, and concatenation.

use super::{QuantError, QuantTensor};
use ndarray::{concatenate, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use systole_arith::{IntType, JoinFormula, JoinMap, Range, Table, TableFormula};

/// `y = formula(channel, x)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Map {
    /// What the profile computes.
    pub formula: TableFormula,
    /// The same function over all reachable operands. Derived, so it is not stored.
    #[serde(skip)]
    pub table: Option<Table>,
}

/// `y = formula(a, b)`, element by element of two tensors of one shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// What the profile computes.
    pub formula: JoinFormula,
    /// The same function in canonical form over all reachable pairs. Derived, so it is not stored.
    #[serde(skip)]
    pub map: Option<JoinMap>,
}

impl Map {
    /// Fills the table; gives range and type of the results.
    pub(super) fn derive(&mut self, input: &QuantTensor) -> Result<(Range, IntType), QuantError> {
        let table = Table::derive(&self.formula, input.range)?;
        let result = (table.output_range().unwrap_or(table.output.range()), table.output);
        self.table = Some(table);
        Ok(result)
    }

    /// Checks shapes and table.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        let channels = self.formula.channels();
        if input.shape != output.shape || (channels != 1 && channels != input.channels()) {
            return Err(QuantError::broken(
                subject,
                format!("{channels} functions turn {:?} into {:?}", input.shape, output.shape),
            ));
        }
        let mut fresh = Map { table: None, ..self.clone() };
        let derived = fresh.derive(input)?;
        check_derived(subject, fresh.table == self.table, derived, output)
    }

    /// `[pixels, C]` -> `[pixels, C]`.
    pub(super) fn run(&self, pixels: ArrayView2<i64>) -> Array2<i64> {
        let one = self.formula.channels() == 1;
        Array2::from_shape_fn(pixels.raw_dim(), |(pixel, channel)| {
            self.formula.evaluate(if one { 0 } else { channel }, pixels[[pixel, channel]])
        })
    }
}

impl Join {
    /// Fills the map; gives range and type of the results.
    pub(super) fn derive(&mut self, left: &QuantTensor, right: &QuantTensor) -> Result<(Range, IntType), QuantError> {
        let map = JoinMap::derive(&self.formula, left.range, right.range)?;
        let result = (map.step.output_hull().unwrap_or(map.step.output.range()), map.step.output);
        self.map = Some(map);
        Ok(result)
    }

    /// Checks shapes and map.
    pub(super) fn check(
        &self,
        subject: &str,
        (left, right): (&QuantTensor, &QuantTensor),
        output: &QuantTensor,
    ) -> Result<(), QuantError> {
        if left.shape != right.shape || left.shape != output.shape {
            return Err(QuantError::broken(
                subject,
                format!("it joins {:?} and {:?} into {:?}", left.shape, right.shape, output.shape),
            ));
        }
        let mut fresh = Join { map: None, ..self.clone() };
        let derived = fresh.derive(left, right)?;
        check_derived(subject, fresh.map == self.map, derived, output)
    }

    /// `[pixels, C]` and `[pixels, C]` -> `[pixels, C]`.
    pub(super) fn run(&self, left: ArrayView2<i64>, right: ArrayView2<i64>) -> Array2<i64> {
        ndarray::Zip::from(left).and(right).map_collect(|&a, &b| self.formula.evaluate(a, b))
    }
}

fn check_derived(
    subject: &str,
    map_is_derived: bool,
    derived: (Range, IntType),
    output: &QuantTensor,
) -> Result<(), QuantError> {
    if !map_is_derived {
        return Err(QuantError::broken(subject, "its exact map is not that of its formula"));
    }
    match derived == (output.range, output.element) {
        true => Ok(()),
        false => Err(QuantError::broken(
            subject,
            format!("output `{}` is {} {}, not {derived:?}", output.name, output.element, output.range),
        )),
    }
}

/// Type and range that hold every operand of a concatenation.
pub(super) fn concatenated(inputs: &[&QuantTensor]) -> Option<(Range, IntType)> {
    let (first, rest) = inputs.split_first()?;
    let range = rest.iter().fold(first.range, |range, tensor| range.hull(tensor.range));
    rest.iter().all(|tensor| tensor.element == first.element).then_some((range, first.element))
}

/// Checks a concatenation along the channels.
pub(super) fn check_concat(subject: &str, inputs: &[&QuantTensor], output: &QuantTensor) -> Result<(), QuantError> {
    let channels: usize = inputs.iter().map(|tensor| tensor.channels()).sum();
    let leading = |tensor: &QuantTensor| tensor.shape.split_last().map(|(_, rest)| rest.to_vec());
    let fits = inputs.iter().all(|tensor| leading(tensor) == leading(output)) && channels == output.channels();
    match fits && concatenated(inputs) == Some((output.range, output.element)) {
        true => Ok(()),
        false => Err(QuantError::broken(
            subject,
            format!("tensors of {channels} channels do not make `{}` {:?}", output.name, output.shape),
        )),
    }
}

/// `[pixels, C0]`, `[pixels, C1]`, ... -> `[pixels, C0 + C1 + ...]`; none where pixels differ.
pub(super) fn run_concat(inputs: &[ArrayView2<i64>]) -> Option<Array2<i64>> {
    concatenate(Axis(1), inputs).ok()
}
