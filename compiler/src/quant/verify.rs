//! The guarantees of an integer network.

use super::{Border, QuantError, QuantGraph, QuantNode, QuantTensor, TensorId};
use petgraph::visit::EdgeRef;
use petgraph::Direction;
use std::collections::HashSet;
use systole_arith::IntType;

/// Bits of the widest element.
const ELEMENT_BITS: u32 = 48;

impl QuantGraph {
    /// Checks every guarantee: ids in range, acyclic, unique names, every tensor with exactly one
    /// source, shapes that fit, ranges within types, weights within theirs, maps that agree with
    /// their formulas, borders that exist.
    ///
    /// # Errors
    /// The first guarantee that does not hold.
    pub fn check(&self) -> Result<(), QuantError> {
        self.check_links()?;
        self.order()?;
        unique("tensor", self.tensors.iter().map(|tensor| tensor.name.as_str()))?;
        unique("node", self.nodes.node_weights().map(|node| node.name.as_str()))?;
        unique("input", self.inputs.iter().map(|border| border.host_name.as_str()))?;
        unique("output", self.outputs.iter().map(|border| border.host_name.as_str()))?;
        self.check_tensors()?;
        self.check_borders()?;
        self.check_sources()?;
        self.nodes.node_weights().try_for_each(|node| self.check_node(node))
    }

    /// [`QuantGraph::check`] with the error as text.
    ///
    /// # Errors
    /// As there.
    pub fn verify(&self) -> Result<(), String> {
        self.check().map_err(String::from)
    }

    /// Types, shapes and ranges of all tensors.
    pub(super) fn check_tensors(&self) -> Result<(), QuantError> {
        self.tensors.iter().try_for_each(check_tensor)
    }

    fn known(&self, subject: &str, id: TensorId) -> Result<&QuantTensor, QuantError> {
        self.tensors
            .get(id.0 as usize)
            .ok_or_else(|| QuantError::broken(subject, format!("it uses tensor {} of {}", id.0, self.tensors.len())))
    }

    /// Ids in range, and an edge for each operand that a node produces.
    fn check_links(&self) -> Result<(), QuantError> {
        let produced: HashSet<TensorId> = self.nodes.node_weights().map(|node| node.output).collect();
        for index in self.nodes.node_indices() {
            let node = &self.nodes[index];
            let subject = format!("node `{}`", node.name);
            node.inputs.iter().chain([&node.output]).try_for_each(|&id| self.known(&subject, id).map(drop))?;
            let mut expected: Vec<TensorId> = node.inputs.iter().copied().filter(|id| produced.contains(id)).collect();
            let mut linked = Vec::new();
            for edge in self.nodes.edges_directed(index, Direction::Incoming) {
                if self.nodes[edge.source()].output != *edge.weight() {
                    return Err(QuantError::broken(
                        subject,
                        "an edge carries a tensor that its source does not produce",
                    ));
                }
                linked.push(*edge.weight());
            }
            expected.sort();
            linked.sort();
            if expected != linked {
                return Err(QuantError::broken(
                    subject,
                    format!("its edges carry {linked:?}, its operands are {expected:?}"),
                ));
            }
        }
        Ok(())
    }

    fn check_borders(&self) -> Result<(), QuantError> {
        if self.inputs.is_empty() || self.outputs.is_empty() {
            let cause = format!("it has {} inputs and {} outputs", self.inputs.len(), self.outputs.len());
            return Err(QuantError::broken(format!("network `{}`", self.name), cause));
        }
        for border in self.inputs.iter().chain(&self.outputs) {
            let subject = format!("border `{}`", border.host_name);
            let tensor = self.known(&subject, border.tensor)?;
            check_plain_border(&subject, border, tensor)?;
        }
        Ok(())
    }

    /// Every tensor comes from exactly one border or node.
    fn check_sources(&self) -> Result<(), QuantError> {
        let mut sources = vec![0usize; self.tensors.len()];
        let fed = self.inputs.iter().map(|border| border.tensor);
        for id in fed.chain(self.nodes.node_weights().map(|node| node.output)) {
            if let Some(count) = sources.get_mut(id.0 as usize) {
                *count += 1;
            }
        }
        match sources.iter().position(|&count| count != 1) {
            Some(index) => Err(QuantError::broken(
                format!("tensor `{}`", self.tensors[index].name),
                format!("it has {} sources, not 1", sources[index]),
            )),
            None => Ok(()),
        }
    }

    fn check_node(&self, node: &QuantNode) -> Result<(), QuantError> {
        let subject = format!("node `{}`", node.name);
        let inputs = node.inputs.iter().map(|&id| self.known(&subject, id)).collect::<Result<Vec<_>, _>>()?;
        node.op.check(&subject, &inputs, self.known(&subject, node.output)?)
    }
}

fn unique<'n>(what: &str, names: impl Iterator<Item = &'n str>) -> Result<(), QuantError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(QuantError::broken(format!("{what} `{name}`"), "two have this name"));
        }
    }
    Ok(())
}

pub(super) fn check_element(subject: &str, element: IntType) -> Result<(), QuantError> {
    match element {
        IntType::Bipolar => Ok(()),
        IntType::Signed(bits) if (1..=ELEMENT_BITS).contains(&bits) => Ok(()),
        IntType::Unsigned(bits) if (1..=32).contains(&bits) => Ok(()),
        _ => Err(QuantError::broken(subject, format!("{element} is no type of a stream"))),
    }
}

fn check_tensor(tensor: &QuantTensor) -> Result<(), QuantError> {
    let subject = format!("tensor `{}`", tensor.name);
    check_element(&subject, tensor.element)?;
    let count = tensor.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    if count.is_none_or(|count| count == 0 || count > i64::MAX as usize) {
        return Err(QuantError::broken(subject, format!("shape {:?} holds no or too many elements", tensor.shape)));
    }
    if tensor.range.lo > tensor.range.hi || !tensor.element.range().contains_range(tensor.range) {
        return Err(QuantError::broken(subject, format!("range {} is not within {}", tensor.range, tensor.element)));
    }
    Ok(())
}

/// Without operations, host and accelerator hold the same elements.
fn check_plain_border(subject: &str, border: &Border, tensor: &QuantTensor) -> Result<(), QuantError> {
    let count = border.host_shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    if border.operations.is_empty() && count != Some(tensor.elements()) {
        return Err(QuantError::broken(
            subject,
            format!("the host has shape {:?}, the accelerator {:?}", border.host_shape, tensor.shape),
        ));
    }
    Ok(())
}
