//! The integer network of a bundle as the software reference of verification.

use crate::arith::border::{exact_tail, expected_integer, AffineTail, BorderValue, TopKOutput};
use crate::arith::BorderOp;
use crate::bundle::{Array, BundleError, Manifest};
use crate::compiler::quant::{QuantError, QuantGraph};
use crate::host::{HostError, Session};
use crate::sim::verify::{HostOutput, Reference, ReferenceError, TensorValues};
use ndarray::{ArrayD, IxDyn};
use std::path::Path;

/// A bundle's network, evaluated by [`QuantGraph::interpret_batch`]: exact integers, each
/// profile's own formula, nothing of the hardware. Border operations are those of a [`Session`].
#[derive(Debug)]
pub struct NetworkReference {
    network: QuantGraph,
    session: Session,
    /// From the output stream's integers to floats, where an exact affine function does that.
    tail: Option<AffineTail>,
    host_output: HostOutput,
    /// Where the stream has each of the host's elements; none where both are in one order.
    places: Option<Vec<usize>>,
}

/// Why a bundle has no reference.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] BundleError),
    /// The manifest's borders cannot be executed.
    #[error(transparent)]
    Border(#[from] HostError),
    /// The network cannot be read.
    #[error(transparent)]
    Network(#[from] QuantError),
}

impl NetworkReference {
    /// The reference of the bundle in folder `bundle`, read and checked.
    ///
    /// # Errors
    /// If the manifest or `network/` is missing or damaged.
    pub fn load(bundle: &Path) -> Result<NetworkReference, LoadError> {
        let manifest = Manifest::read(bundle)?;
        let network = QuantGraph::load(&bundle.join("network"))?;
        Ok(NetworkReference::new(network, Session::new(&manifest)?))
    }

    /// The reference of a network behind the borders of `session`.
    pub fn new(network: QuantGraph, session: Session) -> NetworkReference {
        let operations = &session.output().operations;
        let (tail, host_output) = (affine_part(operations), comparison(operations));
        let places = places(operations, &session.output_tensor().shape);
        NetworkReference { network, session, tail, host_output, places }
    }
}

/// The operations in front of the first that discards or mixes elements.
fn of_single_elements(operations: &[BorderOp]) -> &[BorderOp] {
    let mixes = |op: &BorderOp| matches!(op, BorderOp::Softmax | BorderOp::ArgMax { .. } | BorderOp::TopK { .. });
    operations.split(mixes).next().unwrap_or_default()
}

/// Where a stream of the tensor's `shape` has each element of what the operations on single elements give; none
/// where they keep the order.
fn places(operations: &[BorderOp], shape: &[usize]) -> Option<Vec<usize>> {
    let moves = |op: &&BorderOp| matches!(op, BorderOp::Transpose { .. } | BorderOp::Reshape { .. });
    let moving: Vec<BorderOp> = of_single_elements(operations).iter().filter(moves).cloned().collect();
    if !moving.iter().any(|op| matches!(op, BorderOp::Transpose { .. })) {
        return None;
    }
    let count: usize = shape.iter().product();
    let counted = ArrayD::from_shape_vec(IxDyn(shape), (0..count as i64).collect()).ok()?;
    match BorderOp::run(&moving, BorderValue::Int(counted)).ok()? {
        BorderValue::Int(places) => places.iter().map(|&place| usize::try_from(place).ok()).collect(),
        BorderValue::Float(_) => None,
    }
}

/// The affine function in front of the first operation that discards or mixes elements.
fn affine_part(operations: &[BorderOp]) -> Option<AffineTail> {
    exact_tail(of_single_elements(operations))
}

/// How an expectation of what `operations` give is compared.
///
/// An [`BorderOp::Affine`] is rounded once where a runtime rounds after each of its operations, so
/// that its floats differ in the last place; they are compared as the integers behind them. All
/// other operations but the float softmax reproduce a runtime's own roundings.
fn comparison(operations: &[BorderOp]) -> HostOutput {
    let incomparable = |why: &str| HostOutput::Incomparable(why.to_string());
    if operations.iter().any(|op| matches!(op, BorderOp::Softmax)) {
        return incomparable("a float softmax follows, whose exponentials differ between libraries in the last place");
    }
    if !operations.iter().any(|op| matches!(op, BorderOp::Affine(_))) {
        return HostOutput::Exact;
    }
    match operations.last() {
        Some(BorderOp::ArgMax { .. } | BorderOp::TopK { output: TopKOutput::Indices, .. }) => HostOutput::Exact,
        _ if exact_tail(operations).is_some() => HostOutput::Affine,
        _ => incomparable("its floats do not determine the integers behind them"),
    }
}

impl Reference for NetworkReference {
    fn accept(&self, host: &Array) -> Result<Vec<Vec<i64>>, ReferenceError> {
        self.session.accept(host).map_err(failed)
    }

    fn run(&self, inputs: &[Vec<i64>]) -> Result<Vec<TensorValues>, ReferenceError> {
        let [border] = self.network.inputs.as_slice() else {
            return Err(ReferenceError(format!("the network has {} inputs, not 1", self.network.inputs.len())));
        };
        let shape = &self.network.tensor(border.tensor).shape;
        let sample = |elements: &Vec<i64>| {
            let sample = ArrayD::from_shape_vec(IxDyn(shape), elements.clone());
            sample.map(|sample| vec![sample]).map_err(|_| {
                ReferenceError(format!("a sample of {} elements for an input of shape {shape:?}", elements.len()))
            })
        };
        let samples = inputs.iter().map(sample).collect::<Result<Vec<_>, _>>()?;
        let batch = self.network.interpret_batch(&samples).map_err(failed)?;
        let named = |values: Vec<ArrayD<i64>>| {
            let names = self.network.tensors.iter().map(|tensor| tensor.name.clone());
            names.zip(values.into_iter().map(|value| value.into_iter().collect())).collect()
        };
        Ok(batch.into_iter().map(named).collect())
    }

    fn deliver(&self, outputs: &[Vec<i64>]) -> Result<Array, ReferenceError> {
        self.session.deliver(outputs).map_err(failed)
    }

    fn host_output(&self) -> HostOutput {
        self.host_output.clone()
    }

    fn stream_place(&self, element: usize) -> usize {
        self.places.as_ref().and_then(|places| places.get(element).copied()).unwrap_or(element)
    }

    fn integer_behind(&self, element: usize, value: f32) -> Option<i64> {
        let channels = self.session.output_tensor().shape.last().copied().filter(|&channels| channels > 0)?;
        expected_integer(self.tail.as_ref()?, element % channels, value).ok()
    }
}

fn failed(error: impl std::fmt::Display) -> ReferenceError {
    ReferenceError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_rational::BigRational;

    fn affine() -> BorderOp {
        let ratio = |n: i64| vec![BigRational::new(n.into(), 4.into())];
        BorderOp::Affine(AffineTail::new(ratio(1), ratio(3)))
    }

    fn top_k(output: TopKOutput) -> BorderOp {
        BorderOp::TopK { count: 1, output }
    }

    #[test]
    fn floats_of_an_affine_tail_are_compared_as_integers_and_selections_exactly() {
        let reshape = || BorderOp::Reshape { shape: vec![1, 10] };
        assert_eq!(comparison(&[]), HostOutput::Exact);
        assert_eq!(comparison(&[reshape(), affine()]), HostOutput::Affine);
        assert_eq!(comparison(&[affine(), BorderOp::ArgMax { keep_axis: false }]), HostOutput::Exact);
        assert_eq!(comparison(&[affine(), top_k(TopKOutput::Indices)]), HostOutput::Exact);
        assert_eq!(comparison(&[BorderOp::ToFloat]), HostOutput::Exact);
    }

    #[test]
    fn what_does_not_determine_the_integers_is_not_compared_but_said() {
        for operations in [
            vec![affine(), BorderOp::Softmax],
            vec![affine(), BorderOp::Relu],
            vec![affine(), top_k(TopKOutput::Values)],
        ] {
            assert!(matches!(comparison(&operations), HostOutput::Incomparable(_)), "{operations:?}");
        }
    }

    #[test]
    fn floats_of_an_image_are_compared_with_the_elements_that_the_host_turned() {
        let turned =
            [affine(), BorderOp::Transpose { permutation: vec![2, 0, 1] }, BorderOp::Reshape { shape: vec![6] }];
        assert_eq!(comparison(&turned), HostOutput::Affine);
        assert_eq!(places(&turned, &[1, 3, 2]), Some(vec![0, 2, 4, 1, 3, 5]));
        assert_eq!(places(&[affine(), BorderOp::Softmax, turned[1].clone()], &[1, 3, 2]), None);
        assert_eq!(places(&turned[..1], &[1, 3, 2]), None);
    }

    #[test]
    fn logits_in_front_of_a_softmax_have_an_affine_part() {
        assert!(affine_part(&[affine(), BorderOp::Softmax]).is_some());
        assert!(affine_part(&[affine(), affine()]).is_none());
        assert!(affine_part(&[BorderOp::Softmax]).is_none());
    }
}
