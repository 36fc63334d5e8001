//! The order of a tensor's elements in the file and in the accelerator.
//!
//! ONNX holds images as `[1, C, H, W]`; the accelerator's streams have the channels innermost,
//! `[H, W, C]`. A [`Layout`] says how the file's order follows from the accelerator's. The host
//! transposes at the borders; in between nothing is moved: Reshape and Transpose only change the
//! layout, and what reads the tensor either finds the order that it needs, permutes its weights, or
//! says that the network cannot be compiled.
//!
//! [`stream_orders`] decides for each tensor of the network, before anything is lowered, in which order
//! the accelerator holds its dimensions.

use crate::graph::{Graph, TensorId};
use crate::ops::onnx::order::{LayoutRole, Link};
use crate::ops::Op;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use systole_arith::BorderOp;

/// Most elements of which an order is written out.
const ORDER_LIMIT: usize = 1 << 24;

/// How the file's elements follow from the accelerator's: those of the accelerator under `shape`,
/// transposed by `permutation`, are in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Shape of one sample as the accelerator holds it, channels innermost.
    shape: Vec<usize>,
    /// Dimension i of the file is dimension `permutation[i]` of `shape`.
    permutation: Vec<usize>,
}

impl Layout {
    /// The file's own order.
    pub fn in_order(shape: &[usize]) -> Self {
        Layout { shape: shape.to_vec(), permutation: (0..shape.len()).collect() }
    }

    /// A sample of the file's `shape`, of which the accelerator holds dimension `order[j]` as its
    /// dimension j. An `order` that does not name every dimension once is the file's own.
    pub fn ordered(shape: &[usize], order: &[usize]) -> Self {
        let dims: Option<Vec<usize>> = order.iter().map(|&axis| shape.get(axis).copied()).collect();
        match (dims, inverse(order)) {
            (Some(dims), Some(permutation)) if dims.len() == shape.len() => Layout { shape: dims, permutation },
            _ => Layout::in_order(shape),
        }
    }

    /// `[C, ...]` of the file held as `[..., C]`.
    pub fn channels_last(shape: &[usize]) -> Self {
        Layout::ordered(shape, &channels_last_order(shape.len()))
    }

    /// Shape of one sample in the accelerator.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether both have their elements in the same order.
    pub fn is_in_order(&self) -> bool {
        self.essence().1.is_sorted()
    }

    /// Whether equal elements of the file lie at equal places in both.
    pub fn same_order(&self, other: &Layout) -> bool {
        let (a, b) = (self.essence(), other.essence());
        let in_order = a.1.is_sorted() && b.1.is_sorted();
        let elements = |layout: &Layout| layout.shape.iter().product::<usize>();
        a == b || in_order && elements(self) == elements(other)
    }

    /// Dimensions other than 1 and their permutation.
    fn essence(&self) -> (Vec<usize>, Vec<usize>) {
        let long: Vec<usize> = (0..self.shape.len()).filter(|&i| self.shape[i] != 1).collect();
        let number = |axis: &usize| long.iter().position(|a| a == axis);
        (long.iter().map(|&i| self.shape[i]).collect(), self.permutation.iter().filter_map(number).collect())
    }

    /// Whether the file's shape is that of this layout, dimension by dimension.
    pub fn is_aligned(&self, file: &[usize]) -> bool {
        self.permutation.iter().map(|&axis| self.shape[axis]).eq(file.iter().copied())
    }

    /// The file's dimension that is innermost in the accelerator; none for a scalar.
    pub fn innermost(&self) -> Option<usize> {
        let last = self.shape.len().checked_sub(1)?;
        self.permutation.iter().position(|&axis| axis == last)
    }

    /// The layout of a tensor that has one element where this one has its innermost dimension.
    pub fn with_one_innermost(&self) -> Layout {
        let mut layout = self.clone();
        if let Some(last) = layout.shape.last_mut() {
            *last = 1;
        }
        layout
    }

    /// The layout behind a transposition in the file: its dimension i was `axes[i]`. None where
    /// that does not name every dimension once.
    pub fn transposed(&self, axes: &[usize]) -> Option<Layout> {
        inverse(axes)?;
        let permutation = axes.iter().map(|&axis| self.permutation.get(axis).copied()).collect::<Option<Vec<_>>>()?;
        (permutation.len() == self.permutation.len()).then(|| Layout { shape: self.shape.clone(), permutation })
    }

    /// Operations of the host that bring the accelerator's elements, of any shape, into the file's
    /// order and its shape `file`.
    pub fn to_file(&self, held: &[usize], file: &[usize]) -> Vec<BorderOp> {
        let mut operations = Vec::new();
        let mut shape = held.to_vec();
        if !self.is_in_order() {
            if shape != self.shape {
                operations.push(BorderOp::Reshape { shape: self.shape.clone() });
            }
            operations.push(BorderOp::Transpose { permutation: self.permutation.clone() });
            shape = self.permutation.iter().map(|&axis| self.shape[axis]).collect();
        }
        if shape != file {
            operations.push(BorderOp::Reshape { shape: file.to_vec() });
        }
        operations
    }

    /// The operation of the host that brings the file's elements into the accelerator's order; none
    /// where nothing moves.
    pub fn from_file(&self) -> Option<BorderOp> {
        match self.is_in_order() {
            true => None,
            false => inverse(&self.permutation).map(|permutation| BorderOp::Transpose { permutation }),
        }
    }

    /// The accelerator's place of each of the file's elements; none beyond 2^24 elements.
    pub fn places(&self) -> Option<Vec<usize>> {
        let count = self.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
        if count > ORDER_LIMIT {
            return None;
        }
        let mut strides = vec![1usize; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let mut places = vec![0usize];
        for &axis in &self.permutation {
            let steps = (0..self.shape[axis]).map(|i| i * strides[axis]);
            places = places.iter().flat_map(|place| steps.clone().map(move |step| place + step)).collect();
        }
        Some(places)
    }
}

/// `[1, 2, ..., 0]`: the channels, the file's first dimension of a sample, innermost.
pub fn channels_last_order(rank: usize) -> Vec<usize> {
    (1..rank).chain((rank > 0).then_some(0)).collect()
}

fn inverse(permutation: &[usize]) -> Option<Vec<usize>> {
    let mut result = vec![None; permutation.len()];
    for (place, &axis) in permutation.iter().enumerate() {
        let slot = result.get_mut(axis)?;
        if slot.replace(place).is_some() {
            return None;
        }
    }
    result.into_iter().collect()
}

/// The order in which the accelerator holds the dimensions of each tensor (of one sample, outermost
/// first); tensors without an entry are held in the file's order.
///
/// Operators on images ask for the channels innermost, matrix products for the file's order.
/// Operators on single elements, and transpositions, carry the order to their neighbours in both
/// directions, nearest first. What is left and has three dimensions or more is an image.
pub fn stream_orders(graph: &Graph) -> HashMap<TensorId, Vec<usize>> {
    let links = links(graph);
    let mut neighbours: HashMap<TensorId, Vec<(TensorId, Vec<usize>)>> = HashMap::new();
    let mut asked: [Vec<TensorId>; 2] = [Vec::new(), Vec::new()];
    let (mut images, mut last) = (Vec::new(), Vec::new());
    for link in links {
        match link {
            LayoutRole::Image(id) => images.push(id),
            LayoutRole::Innermost(id) => asked[1].push(id),
            LayoutRole::Linked(Link { from, to, axes }) => {
                if let Some(back) = inverse(&axes) {
                    neighbours.entry(from).or_default().push((to, axes));
                    neighbours.entry(to).or_default().push((from, back));
                }
                last.extend([from, to]);
            }
        }
    }
    asked[0] = images;
    last.extend(graph.inputs.iter().chain(&graph.outputs));
    last.retain(|&id| rank(graph, id) >= 3);
    let mut orders: HashMap<TensorId, Vec<usize>> = HashMap::new();
    let [images, innermost] = asked;
    spread(graph, &neighbours, &mut orders, &images, channels_last_order);
    spread(graph, &neighbours, &mut orders, &innermost, |rank| (0..rank).collect());
    for id in last {
        spread(graph, &neighbours, &mut orders, &[id], channels_last_order);
    }
    orders
}

/// Dimensions of one sample.
fn rank(graph: &Graph, id: TensorId) -> usize {
    graph.tensor(id).shape.len().saturating_sub(1)
}

fn links(graph: &Graph) -> Vec<LayoutRole> {
    let of_node = |node: &crate::graph::Node| match &node.op {
        Op::Onnx(op) => op.layout_roles(graph, node),
        _ => Vec::new(),
    };
    graph.nodes.node_weights().flat_map(of_node).collect()
}

/// Gives `seeds` without an order the one of their rank, and carries it on.
fn spread(
    graph: &Graph,
    neighbours: &HashMap<TensorId, Vec<(TensorId, Vec<usize>)>>,
    orders: &mut HashMap<TensorId, Vec<usize>>,
    seeds: &[TensorId],
    order: impl Fn(usize) -> Vec<usize>,
) {
    let mut pending: VecDeque<TensorId> = VecDeque::new();
    for &seed in seeds {
        if let Entry::Vacant(slot) = orders.entry(seed) {
            slot.insert(order(rank(graph, seed)));
            pending.push_back(seed);
        }
    }
    while let Some(id) = pending.pop_front() {
        let Some(order) = orders.get(&id).cloned() else { continue };
        for (other, axes) in neighbours.get(&id).map(Vec::as_slice).unwrap_or_default() {
            // Dimension i of the other is dimension axes[i] of this one.
            let place = |axis: &usize| axes.iter().position(|a| a == axis);
            let Some(carried) = order.iter().map(place).collect::<Option<Vec<usize>>>() else { continue };
            if !orders.contains_key(other) && carried.len() == rank(graph, *other) {
                orders.insert(*other, carried);
                pending.push_back(*other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayD;
    use systole_arith::border::BorderValue;

    fn counted(shape: &[usize]) -> BorderValue {
        let count: usize = shape.iter().product();
        BorderValue::Int(ArrayD::from_shape_vec(shape, (0..count as i64).collect()).unwrap())
    }

    #[test]
    fn an_image_enters_channels_innermost_and_leaves_as_it_came() {
        let layout = Layout::channels_last(&[3, 4, 5]);
        assert_eq!(layout.shape(), [4, 5, 3]);
        let inside = layout.from_file().unwrap().apply(counted(&[3, 4, 5])).unwrap();
        let BorderValue::Int(values) = &inside else { panic!() };
        assert_eq!((values.shape(), values[[1, 2, 2]]), ([4, 5, 3].as_slice(), 2 * 20 + 5 + 2));
        let back = BorderOp::run(&layout.to_file(&[4, 5, 3], &[60]), inside).unwrap();
        assert_eq!(back, counted(&[60]));
    }

    #[test]
    fn places_say_where_the_accelerator_holds_each_element_of_the_file() {
        let layout = Layout::channels_last(&[2, 3]);
        assert_eq!(layout.places().unwrap(), [0, 2, 4, 1, 3, 5]);
        let BorderValue::Int(inside) = layout.from_file().unwrap().apply(counted(&[2, 3])).unwrap() else { panic!() };
        let inside: Vec<i64> = inside.into_iter().collect();
        let read: Vec<i64> = layout.places().unwrap().into_iter().map(|place| inside[place]).collect();
        assert_eq!(read, [0, 1, 2, 3, 4, 5]);
        assert_eq!(Layout::channels_last(&[1 << 20, 1 << 20]).places(), None);
    }

    #[test]
    fn one_channel_or_one_pixel_needs_no_transposition() {
        for shape in [[1, 4, 5], [7, 1, 1]] {
            let layout = Layout::channels_last(&shape);
            assert!(layout.is_in_order() && layout.from_file().is_none(), "{shape:?}");
            assert!(layout.same_order(&Layout::in_order(&[shape.iter().product()])));
        }
        assert!(!Layout::channels_last(&[2, 3, 1]).is_in_order());
    }

    #[test]
    fn removing_dimensions_of_one_keeps_the_order_and_flattening_does_not_hide_it() {
        let image = Layout::channels_last(&[4, 1, 6]);
        assert!(image.same_order(&Layout::channels_last(&[4, 6])));
        assert!(!image.same_order(&Layout::in_order(&[24])));
        assert!(!image.same_order(&Layout::channels_last(&[6, 4])));
    }

    #[test]
    fn a_transposition_to_channels_last_in_the_file_is_the_accelerators_own_order() {
        let layout = Layout::channels_last(&[3, 4, 5]).transposed(&[1, 2, 0]).unwrap();
        assert!(layout.is_in_order() && layout.is_aligned(&[4, 5, 3]));
        assert_eq!(layout.innermost(), Some(2));
        assert_eq!(Layout::channels_last(&[3, 4, 5]).innermost(), Some(0));
        assert_eq!(layout.transposed(&[0, 0, 1]), None);
        assert_eq!(layout.transposed(&[0, 1]), None);
    }
}
