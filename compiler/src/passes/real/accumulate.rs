//! The integer operators of pending accumulators.

use super::close::formula_error;
use super::pending::{AccumulatorKind, Accumulators, PendingReal};
use super::sum::SUM_LIMIT;
use crate::diagnostic::CompileError;
use crate::ops::onnx::integer_weights::WEIGHT_BITS;
use crate::passes::lowering::Lowering;
use crate::quant::{weight_type, Dense, Depthwise, Join, Map, Pool, PoolKind, QuantOp, TensorId};
use ndarray::Array2;
use num_rational::BigRational;
use std::sync::Arc;
use systole_arith::formula::{self, Qonnx, RealOp};
use systole_arith::join::WeightedSum;
use systole_arith::table::Rescale;
use systole_arith::{Formula, IntType, JoinFormula, Range, TableFormula, Window};

/// Most bits of both sides of a table.
const TABLE_BITS: u32 = 12;

/// Most channels of a tensor that is too wide for a table: the identity matrix that stands for one
/// has their square of weights.
const IDENTITY_CHANNELS: usize = 1024;

/// What turns the real function into integers, and their type.
pub(super) type Closing = (formula::Quantizer, IntType);

impl Lowering<'_> {
    /// Adds the operator of accumulators that `closing` quantizes and the maxima behind it. `real` names
    /// the result's scale and zero point.
    ///
    /// # Errors
    /// If there is no exact integer operator.
    pub(super) fn add_closed(
        &mut self,
        pending: &PendingReal,
        closing: &Closing,
        (name, range): (String, Range),
        real: (&BigRational, i64),
    ) -> Result<TensorId, CompileError> {
        let source = &pending.source;
        if pending.falls {
            return Err(CompileError::node(
                &source.node,
                "its maximum over windows is multiplied by a negative number before it is quantized",
                "put the quantizer in front of the pooling",
            ));
        }
        // A product of single pixels takes the shape that its readers see.
        let any_shape = matches!(&source.kind, AccumulatorKind::Product { geometry, .. } if geometry.is_pixels());
        let shape = match any_shape && pending.maxima.is_empty() {
            true => &pending.shape,
            false => &source.shape,
        };
        let (op, inputs) = self.operator(pending, Some(closing))?;
        let mut tensor = self.add_tensor(name.clone(), shape.clone(), closing.1, range, Some(real))?;
        self.add_node(&source.node, op, inputs, tensor);
        for (window, layout) in &pending.maxima {
            let pooled = self.add_tensor(name.clone(), layout.shape().to_vec(), closing.1, range, Some(real))?;
            self.add_node(&source.node, QuantOp::Pool(maximum(*window)), vec![tensor], pooled);
            tensor = pooled;
        }
        if self.tensor(&source.node, tensor)?.shape != pending.shape {
            tensor = self.reshape(&source.node, tensor, pending.shape.clone())?;
        }
        self.layouts.insert(tensor, pending.layout.clone());
        Ok(tensor)
    }

    /// The accumulators themselves as a tensor of the accelerator; made once.
    ///
    /// # Errors
    /// If they are no tensor of the accelerator, or too wide.
    pub(super) fn accumulators_of(&mut self, node: &str, real: &PendingReal) -> Result<TensorId, CompileError> {
        let source = &real.source;
        if let AccumulatorKind::Elements { .. } = source.kind {
            return Ok(source.input);
        }
        if let Some(made) = self.nodes.iter().find(|n| n.name == source.node && gives_accumulators(&n.op)) {
            return Ok(made.output);
        }
        let (op, inputs) = self.operator(real, None)?;
        let ranges = self.accumulators(node, real)?;
        let range = ranges.iter().fold(Range::point(0), |hull, range| hull.hull(*range));
        let element = IntType::Signed(range.signed_bits());
        if element.bits() > 48 {
            return Err(CompileError::node(
                &source.node,
                format!("its sums need {} bits, of 48", element.bits()),
                "quantize inputs or weights to fewer bits",
            ));
        }
        let tensor = self.add_tensor(source.tensor.clone(), source.shape.clone(), element, range, None)?;
        self.add_node(&source.node, op, inputs, tensor);
        Ok(tensor)
    }

    /// The operator and its operands; without `closing` it gives the accumulators.
    fn operator(
        &self,
        real: &PendingReal,
        closing: Option<&Closing>,
    ) -> Result<(QuantOp, Vec<TensorId>), CompileError> {
        let Accumulators { node, input, input_zero_point, .. } = &real.source;
        let (input, input_zero_point) = (*input, *input_zero_point);
        let formula = |channels: usize, chain: Vec<RealOp>| match closing {
            None => Ok(Formula::Identity { channels }),
            Some((quantizer, element)) => Qonnx::new(channels, chain, quantizer.clone(), *element)
                .map(Formula::Qonnx)
                .map_err(|e| formula_error(node, &e.to_string())),
        };
        let of_channels = || formula(real.channels(), real.chain.clone());
        let uniform = real.uniform_chain();
        let by_channel = |what: &str| {
            let cause = format!("{what} is scaled by other numbers in each channel before it is quantized");
            CompileError::node(node, cause, "quantize it first, or give all channels one scale and offset")
        };
        let op = match &real.source.kind {
            AccumulatorKind::Product { geometry, weights } => {
                geometry.operator(product(weights, input_zero_point, of_channels()?))
            }
            AccumulatorKind::Elements { channels } => {
                let range = self.tensor(node, input)?.range;
                let narrow = |range: Range| range.hi.abs_diff(range.lo) < 1 << TABLE_BITS;
                match closing.is_some_and(|(_, element)| narrow(range) && element.bits() <= TABLE_BITS) {
                    true => {
                        let formula = match uniform {
                            Some(chain) => formula(1, chain)?,
                            None => of_channels()?,
                        };
                        let formula = TableFormula::Rescale(Rescale { input_zero_point, formula });
                        QuantOp::Map(Map { formula, table: None })
                    }
                    false if *channels > IDENTITY_CHANNELS => {
                        return Err(CompileError::node(
                            node,
                            format!(
                                "it requantizes {channels} channels of `{}`, whose values are {range}",
                                self.tensor(node, input)?.name
                            ),
                            format!(
                                "quantize to at most {TABLE_BITS} bits on both sides, or at most {IDENTITY_CHANNELS} \
                                 channels, or the sums in front of it once to the final width"
                            ),
                        ))
                    }
                    false => {
                        let identity = Arc::new(Array2::eye(*channels));
                        QuantOp::Dense(product(&identity, input_zero_point, of_channels()?))
                    }
                }
            }
            AccumulatorKind::Taps { window, counts, by_count } => match uniform {
                Some(chain) => QuantOp::Pool(Pool {
                    window: *window,
                    kind: PoolKind::Sum,
                    input_zero_point,
                    counts: counts.clone(),
                    formula: formula(counts.len(), chain)?,
                    map: None,
                }),
                None if *by_count => return Err(by_channel("an average whose divisor varies at the border")),
                None => {
                    let source = self.tensor(node, input)?;
                    if window.reads_padding() && !source.element.contains(input_zero_point) {
                        return Err(by_channel("an average over padding of binary values"));
                    }
                    let ones = Arc::new(Array2::ones((source.channels(), window.taps())));
                    let product = product(&ones, input_zero_point, of_channels()?);
                    QuantOp::Depthwise(Depthwise { window: *window, product })
                }
            },
            AccumulatorKind::Sum { other, sum } => {
                let chain = uniform.ok_or_else(|| by_channel("a sum of two tensors"))?;
                if closing.is_none() {
                    return Err(CompileError::node(
                        node,
                        "its sum of two tensors leaves the network without a quantizer",
                        "put a Quant behind it",
                    ));
                }
                let ranges = [self.tensor(node, input)?.range, self.tensor(node, *other)?.range];
                let (sum, formula) = match sum.narrowed(ranges, &chain, |chain| formula(1, chain).ok()) {
                    Some(narrowed) => narrowed,
                    None if sum.fits() => (*sum, formula(1, chain)?),
                    None => {
                        let [left, right] = sum.factors;
                        return Err(CompileError::node(
                            node,
                            format!("it adds two tensors whose scales are {left} and {right} times one number"),
                            format!("quantize both with one scale, or scales in a ratio of integers up to {SUM_LIMIT}"),
                        ));
                    }
                };
                let ([left, right], offset) = (sum.factors, sum.offset());
                let formula = JoinFormula::WeightedSum(WeightedSum { left, right, offset, formula });
                return Ok((QuantOp::Join(Join { formula, map: None }), vec![input, *other]));
            }
        };
        Ok((op, vec![input]))
    }

    /// Accumulators that can be reached, one range for each function of the chain.
    ///
    /// # Errors
    /// If they need more than 64 bits.
    pub(super) fn accumulators(&self, node: &str, real: &PendingReal) -> Result<Vec<Range>, CompileError> {
        let source = &real.source;
        let input = self.tensor(node, source.input)?.range;
        let zero = i128::from(source.input_zero_point);
        let (lo, hi) = (i128::from(input.lo) - zero, i128::from(input.hi) - zero);
        let times = |(lo, hi): (i128, i128), factor: i128| {
            let (a, b) = (lo * factor, hi * factor);
            (a.min(b), a.max(b))
        };
        let bounds: Vec<(i128, i128)> = match &source.kind {
            AccumulatorKind::Product { weights, geometry } => {
                let (lo, hi) = if geometry.reads_padding() { (lo.min(0), hi.max(0)) } else { (lo, hi) };
                let row = |row: ndarray::ArrayView1<i64>| {
                    let ranges = row.iter().map(|&w| times((lo, hi), i128::from(w)));
                    ranges.fold((0, 0), |sum, range| (sum.0 + range.0, sum.1 + range.1))
                };
                weights.outer_iter().map(row).collect()
            }
            AccumulatorKind::Elements { channels } => vec![(lo, hi); *channels],
            AccumulatorKind::Taps { counts, by_count, .. } => {
                let of_count = |&count: &usize| times((lo, hi), count as i128);
                match by_count {
                    true => counts.iter().map(of_count).collect(),
                    false => {
                        let ranges = counts.iter().map(of_count);
                        let hull = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0));
                        vec![hull; real.channels()]
                    }
                }
            }
            AccumulatorKind::Sum { other, sum } => {
                let second = self.tensor(node, *other)?.range;
                let offset = i128::from(sum.offset());
                let a = times((i128::from(input.lo), i128::from(input.hi)), i128::from(sum.factors[0]));
                let b = times((i128::from(second.lo), i128::from(second.hi)), i128::from(sum.factors[1]));
                vec![(a.0 + b.0 + offset, a.1 + b.1 + offset)]
            }
        };
        let range = |(lo, hi): (i128, i128)| Some(Range::new(i64::try_from(lo).ok()?, i64::try_from(hi).ok()?));
        bounds.into_iter().map(range).collect::<Option<Vec<_>>>().ok_or_else(|| {
            CompileError::node(&source.node, "its sums need more than 64 bits", "quantize to fewer bits")
        })
    }
}

/// Whether an operator gives accumulators as they are.
fn gives_accumulators(op: &QuantOp) -> bool {
    let formula = match op {
        QuantOp::Pool(Pool { kind: PoolKind::Sum, formula, .. }) => Some(formula),
        _ => op.product().map(|product| &product.formula),
    };
    matches!(formula, Some(Formula::Identity { .. }))
}

/// The maximum of each channel over a window.
pub(crate) fn maximum(window: Window) -> Pool {
    Pool {
        counts: Pool::counts(&window),
        window,
        kind: PoolKind::Max,
        input_zero_point: 0,
        formula: Formula::Identity { channels: 1 },
        map: None,
    }
}

fn product(weights: &Arc<Array2<i64>>, input_zero_point: i64, formula: Formula) -> Dense {
    Dense {
        weights: weights.as_ref().clone(),
        weight_type: weight_type(weights.iter().copied(), IntType::Signed(WEIGHT_BITS)),
        input_zero_point,
        bias: vec![0; weights.nrows()],
        formula,
        map: None,
    }
}
