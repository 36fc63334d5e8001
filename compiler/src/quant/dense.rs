//! The matrix product on integers.

use super::verify::check_element;
use super::{QuantError, QuantTensor};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::fmt;
use systole_arith::formula::ChannelFormula;
use systole_arith::hardware::Linear;
use systole_arith::{Formula, IntType, Range, Requantizer, Step};

/// Bits of the widest accumulator.
pub const ACCUMULATOR_BITS: u32 = 48;

/// `acc[m] = sum over c of (x[c] - input_zero_point) * weights[m][c] + bias[m]` on every pixel,
/// then `y[m] = formula(m, acc[m])`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// Integer weights, `[M, C]`. Stored beside the graph, not in its JSON.
    #[serde(skip)]
    pub weights: Array2<i64>,
    /// Type of the weights as stored.
    pub weight_type: IntType,
    /// Stored input value that stands for 0.
    pub input_zero_point: i64,
    /// Added to each output channel, `[M]`.
    pub bias: Vec<i64>,
    /// What the profile computes from an accumulator.
    pub formula: Formula,
    /// The same function in canonical form over the reachable accumulators; none where the
    /// formula is the identity. Derived, so it is not stored either.
    #[serde(skip)]
    pub map: Option<Step>,
}

/// The narrowest type that holds all weights, and no wider than the file says.
///
/// Weights that are all -1 or +1 are bipolar. Others are two's complement even where none is
/// negative, unless the file's type is unsigned.
pub fn weight_type(weights: impl Iterator<Item = i64> + Clone, stated: IntType) -> IntType {
    if stated == IntType::Bipolar || weights.clone().all(|w| w == 1 || w == -1) {
        return IntType::Bipolar;
    }
    let range = weights.fold(Range::point(0), |range, w| range.hull(Range::point(w)));
    let narrowest = match (stated, range.lo >= 0) {
        (IntType::Unsigned(_), true) => IntType::smallest_for(range),
        _ => IntType::Signed(range.signed_bits()),
    };
    if narrowest.bits() < stated.bits() {
        narrowest
    } else {
        stated
    }
}

/// Sum in 128 bits as a range of at most [`ACCUMULATOR_BITS`] bits.
fn bounded(channel: usize, lo: i128, hi: i128) -> Result<Range, QuantError> {
    let limit = 1i128 << (ACCUMULATOR_BITS - 1);
    match (i64::try_from(lo), i64::try_from(hi)) {
        (Ok(least), Ok(greatest)) if lo >= -limit && hi < limit => Ok(Range::new(least, greatest)),
        _ => Err(QuantError::Accumulator { channel, reach: lo.abs().max(hi.abs()), limit: ACCUMULATOR_BITS }),
    }
}

impl Dense {
    /// Output channels M.
    pub fn outputs(&self) -> usize {
        self.weights.nrows()
    }

    /// Input channels C.
    pub fn inputs(&self) -> usize {
        self.weights.ncols()
    }

    /// `sum over c of w[channel][c]`.
    fn weight_sum(&self, channel: usize) -> i128 {
        self.weights.row(channel).iter().map(|&w| i128::from(w)).sum()
    }

    /// Least and greatest `sum over c of x[c] * w[channel][c]` for stored inputs in `input`.
    fn product_range(&self, channel: usize, input: Range) -> (i128, i128) {
        let (lo, hi) = (i128::from(input.lo), i128::from(input.hi));
        self.weights.row(channel).iter().fold((0, 0), |(least, greatest), &w| {
            let (a, b) = (lo * i128::from(w), hi * i128::from(w));
            (least + a.min(b), greatest + a.max(b))
        })
    }

    /// What is added to the sum of products: `bias - zero point * sum of weights`.
    fn product_offset(&self, channel: usize) -> i128 {
        let bias = self.bias.get(channel).copied().unwrap_or(0);
        i128::from(bias) - i128::from(self.input_zero_point) * self.weight_sum(channel)
    }

    /// Values that the formula's accumulator of an output channel (below M) can take for stored
    /// inputs in `input`, from the actual weights.
    ///
    /// # Errors
    /// If they take more than [`ACCUMULATOR_BITS`] bits.
    pub fn accumulator_range(&self, channel: usize, input: Range) -> Result<Range, QuantError> {
        let (lo, hi) = self.product_range(channel, input);
        let offset = self.product_offset(channel);
        bounded(channel, lo + offset, hi + offset)
    }

    /// [`Dense::accumulator_range`] of every output channel.
    ///
    /// # Errors
    /// As there.
    pub fn accumulator_ranges(&self, input: Range) -> Result<Vec<Range>, QuantError> {
        (0..self.outputs()).map(|channel| self.accumulator_range(channel, input)).collect()
    }

    /// Fills [`Dense::map`] for stored inputs in `input`: none for the identity.
    ///
    /// # Errors
    /// If accumulators or outputs are too wide for an exact map.
    pub fn derive_map(&mut self, input: Range) -> Result<(), QuantError> {
        let reachable = self.accumulator_ranges(input)?;
        self.map = match self.formula {
            Formula::Identity { .. } => None,
            _ => Some(Step::derive(&self.formula, &reachable)?),
        };
        Ok(())
    }

    /// Values that the outputs take for stored inputs in `input`, once the map is derived; none
    /// without outputs.
    ///
    /// # Errors
    /// As [`Dense::accumulator_range`].
    pub fn output_range(&self, input: Range) -> Result<Option<Range>, QuantError> {
        match &self.map {
            Some(map) => Ok(map.output_hull()),
            None => Ok(self.accumulator_ranges(input)?.into_iter().reduce(Range::hull)),
        }
    }

    /// Whether products are agreements of two bits: bipolar inputs and weights.
    pub fn is_xnor(&self, input: IntType) -> bool {
        input == IntType::Bipolar && self.weight_type == IntType::Bipolar
    }

    /// `acc = stride * raw + offset`: 2 where raw accumulators count agreeing bits, else 1.
    pub fn raw_stride(&self, input: IntType) -> i64 {
        if self.is_xnor(input) {
            2
        } else {
            1
        }
    }

    /// The offset of an output channel (below M) in `acc = stride * raw + offset`.
    ///
    /// # Errors
    /// If it takes more than [`ACCUMULATOR_BITS`] bits.
    pub fn raw_offset(&self, channel: usize, input: IntType) -> Result<i64, QuantError> {
        let disagreements = if self.is_xnor(input) { self.inputs() as i128 } else { 0 };
        let offset = self.product_offset(channel) - disagreements;
        bounded(channel, offset, offset).map(|range| range.lo)
    }

    /// Values that the raw accumulator of an output channel (below M) can take: the sum of stored
    /// inputs times stored weights, or the number of agreeing bits.
    ///
    /// # Errors
    /// If they take more than [`ACCUMULATOR_BITS`] bits.
    pub fn raw_channel_range(&self, channel: usize, input: &QuantTensor) -> Result<Range, QuantError> {
        let (lo, hi) = self.product_range(channel, input.range);
        match self.is_xnor(input.element) {
            // The sum of products is 2 * agreements - C.
            true => {
                let inputs = self.inputs() as i128;
                let halved = |sum: i128| (sum + inputs).div_euclid(2);
                bounded(channel, halved(lo), halved(hi))
            }
            false => bounded(channel, lo, hi),
        }
    }

    /// Values that the raw accumulators can take, 0 and every partial sum's end included.
    ///
    /// # Errors
    /// As [`Dense::raw_channel_range`].
    pub fn raw_range(&self, input: &QuantTensor) -> Result<Range, QuantError> {
        (0..self.outputs()).try_fold(Range::point(0), |hull, channel| {
            self.raw_channel_range(channel, input).map(|range| hull.hull(range))
        })
    }

    /// The cheapest exact hardware form of the requantization on raw accumulators.
    ///
    /// # Errors
    /// If accumulators are too wide, or the map is missing.
    pub fn hardware_form(&self, input: &QuantTensor) -> Result<Requantizer, QuantError> {
        let stride = self.raw_stride(input.element);
        let offsets = (0..self.outputs())
            .map(|channel| self.raw_offset(channel, input.element))
            .collect::<Result<Vec<_>, _>>()?;
        let Some(map) = &self.map else {
            return match self.formula {
                Formula::Identity { .. } => Ok(Requantizer::Linear(Linear { stride, offsets })),
                _ => Err(QuantError::broken("requantization", "its exact map has not been derived")),
            };
        };
        let domains =
            (0..self.outputs()).map(|channel| self.raw_channel_range(channel, input)).collect::<Result<Vec<_>, _>>()?;
        let raw = map
            .pull_back(stride, &offsets, &domains)
            .map_err(|error| QuantError::broken("requantization", error.to_string()))?;
        let pivots = systole_arith::hardware::pivots(stride, &offsets);
        Requantizer::search(&raw, &pivots).map_err(|error| QuantError::broken("requantization", error.to_string()))
    }

    /// Checks the product on `input`, as the multipliers see it, against its result.
    ///
    /// # Errors
    /// The first guarantee that does not hold, naming `subject`.
    pub(super) fn check(&self, subject: &str, input: &QuantTensor, output: &QuantTensor) -> Result<(), QuantError> {
        let broken = |cause: String| Err(QuantError::broken(subject, cause));
        let (outputs, inputs) = self.weights.dim();
        if outputs == 0 || inputs == 0 {
            return broken(format!("weights have shape [{outputs}, {inputs}]"));
        }
        if self.bias.len() != outputs || self.formula.channels() != outputs {
            return broken(format!(
                "{} biases and {} channels of the formula for {outputs} outputs",
                self.bias.len(),
                self.formula.channels()
            ));
        }
        check_element(subject, self.weight_type)?;
        if let Some(weight) = self.weights.iter().find(|&&w| !self.weight_type.contains(w)) {
            return broken(format!("weight {weight} is no {}", self.weight_type));
        }
        self.formula.validate().or_else(|error| broken(error.to_string()))?;
        let reachable = self.accumulator_ranges(input.range)?;
        self.raw_range(input)?;
        let produced = match (&self.map, &self.formula) {
            (None, Formula::Identity { .. }) => reachable.into_iter().reduce(Range::hull),
            (Some(_), Formula::Identity { .. }) => return broken("the identity has an exact map".into()),
            (None, _) => return broken("its exact map has not been derived".into()),
            (Some(map), formula) => Some(check_map(subject, map, formula, &reachable, output)?),
        };
        match produced {
            Some(range) if range == output.range => Ok(()),
            _ => broken(format!(
                "output `{}` has range {}, the accumulators give {produced:?}",
                output.name, output.range
            )),
        }
    }

    /// `[pixels, C]` -> `[pixels, M]`.
    pub(super) fn run(&self, formula: &[ChannelFormula], rows: ArrayView2<i64>) -> Array2<i64> {
        let centred = rows.mapv(|x| x - self.input_zero_point);
        let mut result = centred.dot(&self.weights.t());
        for mut row in result.outer_iter_mut() {
            for ((acc, bias), formula) in row.iter_mut().zip(&self.bias).zip(formula) {
                *acc = formula.evaluate(*acc + bias);
            }
        }
        result
    }

    /// Fills [`Dense::map`]; gives range and type of the results.
    ///
    /// # Errors
    /// As [`Dense::derive_map`], and without outputs.
    pub(super) fn derive(&mut self, input: &QuantTensor) -> Result<(Range, IntType), QuantError> {
        self.derive_map(input.range)?;
        let range = self.output_range(input.range)?;
        let range = range.ok_or_else(|| QuantError::broken("product", "it has no outputs"))?;
        Ok((range, self.map.as_ref().map_or(IntType::Signed(range.signed_bits()), |map| map.output)))
    }
}

impl fmt::Display for Dense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outputs, inputs) = self.weights.dim();
        write!(f, "[{outputs}, {inputs}] {} weights, input zero point {}", self.weight_type, self.input_zero_point)?;
        write!(f, "; {}", self.formula)?;
        match &self.map {
            Some(map) => write!(f, "; {} edges", map.channels.iter().map(|channel| channel.edges.len()).sum::<usize>()),
            None => Ok(()),
        }
    }
}

/// The map is the formula over the reachable accumulators; returns the outputs it gives.
fn check_map(
    subject: &str,
    map: &Step,
    formula: &Formula,
    reachable: &[Range],
    output: &QuantTensor,
) -> Result<Range, QuantError> {
    let broken = |cause: String| QuantError::broken(subject, cause);
    map.verify().map_err(|error| broken(error.to_string()))?;
    let domains = map.channels.iter().map(|channel| channel.domain);
    if map.output != output.element || Some(map.output) != formula.output_type() {
        return Err(broken(format!("its map gives {}, `{}` is {}", map.output, output.name, output.element)));
    }
    if map.channels.len() != reachable.len() || !domains.eq(reachable.iter().copied()) {
        return Err(broken("its map covers other accumulators than the weights and inputs reach".into()));
    }
    let channels: Vec<_> = (0..reachable.len()).map(|channel| formula.channel(channel)).collect();
    map.agrees_with(|channel, acc| channels[channel].evaluate(acc))
        .map_err(|disagreement| broken(disagreement.to_string()))?;
    map.output_hull().ok_or_else(|| broken("its map has no channels".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::random::Random;
    use crate::quant::RangeOrigin;
    use proptest::prelude::*;

    fn dense(weights: Array2<i64>, weight_type: IntType, input_zero_point: i64, bias: Vec<i64>) -> Dense {
        let formula = Formula::Identity { channels: weights.nrows() };
        Dense { weights, weight_type, input_zero_point, bias, formula, map: None }
    }

    fn input(element: IntType, range: Range) -> QuantTensor {
        QuantTensor {
            name: "x".into(),
            shape: vec![1],
            element,
            range,
            origin: RangeOrigin::FromType,
            scale: None,
            zero_point: 0,
        }
    }

    #[test]
    fn weights_get_the_narrowest_type_that_holds_them() {
        let of = |weights: &[i64], stated| weight_type(weights.iter().copied(), stated);
        assert_eq!(of(&[1, -1, 1], IntType::Signed(8)), IntType::Bipolar);
        assert_eq!(of(&[1, -1, 0], IntType::Signed(8)), IntType::Signed(2));
        assert_eq!(of(&[-128, 3], IntType::Signed(8)), IntType::Signed(8));
        assert_eq!(of(&[0, 3], IntType::Signed(4)), IntType::Signed(3));
        assert_eq!(of(&[0, 3], IntType::Unsigned(4)), IntType::Unsigned(2));
        assert_eq!(of(&[0], IntType::Signed(8)), IntType::Signed(1));
    }

    #[test]
    fn accumulators_beyond_48_bits_are_refused_with_the_channel() {
        let wide = dense(Array2::from_elem((2, 3), 1 << 30), IntType::Signed(32), 0, vec![0, 0]);
        assert!(wide.accumulator_range(1, Range::new(0, 1 << 12)).is_ok());
        let error = wide.accumulator_range(1, Range::new(0, 1 << 20)).unwrap_err();
        assert!(matches!(error, QuantError::Accumulator { channel: 1, limit: 48, .. }), "{error}");
        let extreme = dense(Array2::from_elem((1, 4), i64::MIN), IntType::Signed(48), i64::MIN, vec![i64::MAX]);
        assert!(extreme.accumulator_range(0, Range::new(i64::MIN, i64::MAX)).is_err());
    }

    proptest! {
        #[test]
        fn raw_accumulators_and_the_formulas_differ_by_stride_and_offset(
            seed in any::<u64>(), columns in 1usize..12, xnor in any::<bool>()
        ) {
            let mut random = Random::new(seed);
            let bipolar = |random: &mut Random| random.within(0, 1) * 2 - 1;
            let (element, weight_type) = match xnor {
                true => (IntType::Bipolar, IntType::Bipolar),
                false => (IntType::Signed(4), IntType::Signed(5)),
            };
            let weights = Array2::from_shape_fn((3, columns), |_| match xnor {
                true => bipolar(&mut random),
                false => random.within(-16, 15),
            });
            let zero_point = if xnor { 0 } else { random.within(-8, 7) };
            let bias: Vec<i64> = (0..3).map(|_| random.within(-99, 99)).collect();
            let dense = dense(weights, weight_type, zero_point, bias);
            let x: Vec<i64> = (0..columns).map(|_| match xnor {
                true => bipolar(&mut random),
                false => random.within(-8, 7),
            }).collect();
            let tensor = input(element, element.range());
            for channel in 0..3 {
                let row = dense.weights.row(channel);
                let acc: i64 = x.iter().zip(row).map(|(x, w)| (x - zero_point) * w).sum::<i64>() + dense.bias[channel];
                let raw: i64 = match xnor {
                    true => x.iter().zip(row).filter(|(x, w)| x == w).count() as i64,
                    false => x.iter().zip(row).map(|(x, w)| x * w).sum(),
                };
                prop_assert_eq!(acc, dense.raw_stride(element) * raw + dense.raw_offset(channel, element).unwrap());
                prop_assert!(dense.accumulator_range(channel, tensor.range).unwrap().contains(acc));
                prop_assert!(dense.raw_channel_range(channel, &tensor).unwrap().contains(raw));
                prop_assert!(dense.raw_range(&tensor).unwrap().contains(raw));
            }
        }

        #[test]
        fn both_ends_of_an_accumulators_range_are_reached(seed in any::<u64>(), columns in 1usize..6) {
            let mut random = Random::new(seed);
            let weights = Array2::from_shape_fn((1, columns), |_| random.within(-8, 7));
            let dense = dense(weights, IntType::Signed(4), random.within(-4, 3), vec![random.within(-9, 9)]);
            let range = Range::new(-4, 3);
            let extreme = |greatest: bool| -> i64 {
                let term = |&w: &i64| (if (w >= 0) == greatest { range.hi } else { range.lo } - dense.input_zero_point) * w;
                dense.weights.row(0).iter().map(term).sum::<i64>() + dense.bias[0]
            };
            prop_assert_eq!(dense.accumulator_range(0, range).unwrap(), Range::new(extreme(false), extreme(true)));
        }
    }
}
