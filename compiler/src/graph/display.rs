//! An imported network as text: one line a tensor and a node, the same from run to run.

use super::{Graph, Tensor, TensorId};
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "imported network `{}`, {:?}", self.name, self.format)?;
        for (index, tensor) in self.tensors.iter().enumerate() {
            writeln!(f, "  tensor %{index} {tensor}")?;
        }
        let list = |ids: &[TensorId]| ids.iter().map(|id| format!("%{}", id.0)).collect::<Vec<_>>().join(", ");
        writeln!(f, "  input  {}", list(&self.inputs))?;
        for index in self.topological_order().map_err(|_| fmt::Error)? {
            let node = &self.nodes[index];
            let operand = |id: &Option<TensorId>| id.map_or_else(|| "none".to_string(), |id| format!("%{}", id.0));
            let inputs: Vec<String> = node.inputs.iter().map(operand).collect();
            writeln!(f, "  node   {} <- {} `{}` {:?}", list(&node.outputs), inputs.join(", "), node.name, node.op)?;
        }
        writeln!(f, "  output {}", list(&self.outputs))
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {:?} {}", self.name, self.shape, self.element.name())?;
        if self.constant.is_some() {
            write!(f, " constant")?;
        }
        match &self.quantization {
            None => Ok(()),
            Some(quantization) => match (quantization.scales.as_slice(), quantization.zero_points.as_slice()) {
                ([scale], [zero_point]) => write!(f, ", scale {scale}, zero point {zero_point}"),
                (scales, _) => write!(f, ", {} scales along dimension {}", scales.len(), quantization.axis),
            },
        }
    }
}
