//! An integer network as text: one line a tensor and a node, the same from run to run.

use super::{Border, QuantGraph, QuantOp, QuantTensor, RangeOrigin};
use std::fmt;

impl fmt::Display for QuantGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "quantized network `{}`, profile {}", self.name, self.profile)?;
        for (index, tensor) in self.tensors.iter().enumerate() {
            writeln!(f, "  tensor %{index} {tensor}")?;
        }
        for border in &self.inputs {
            writeln!(f, "  input  %{} <- {border}", border.tensor.0)?;
        }
        for index in self.order().map_err(|_| fmt::Error)? {
            let node = &self.nodes[index];
            let inputs: Vec<String> = node.inputs.iter().map(|id| format!("%{}", id.0)).collect();
            write!(f, "  node   %{} <- {} ", node.output.0, inputs.join(", "))?;
            write!(f, "{} `{}`", node.op.name(), node.name)?;
            match &node.op {
                QuantOp::Reshape | QuantOp::Concat | QuantOp::ArgMax => writeln!(f)?,
                op => writeln!(f, ": {op}")?,
            }
        }
        for border in &self.outputs {
            writeln!(f, "  output %{} -> {border}", border.tensor.0)?;
        }
        Ok(())
    }
}

impl fmt::Display for QuantTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            RangeOrigin::FromValues => "from values",
            RangeOrigin::FromType => "from type",
        };
        write!(f, "`{}` {:?} {} in {} {origin}", self.name, self.shape, self.element, self.range)?;
        match self.scale {
            Some(scale) => write!(f, ", scale {scale}, zero point {}", self.zero_point),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host `{}` {:?} {}", self.host_name, self.host_shape, self.host_type)?;
        self.operations.iter().try_for_each(|operation| write!(f, "; {operation}"))
    }
}
