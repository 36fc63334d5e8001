//! Text form of a schedule: one line a node, deterministic and diffable.

use super::{DataflowGraph, Folding, Node};
use std::fmt;

impl fmt::Display for DataflowGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dataflow {} profile {}", self.name, self.profile)?;
        for index in self.order() {
            let read = self.channel_into(index);
            let written = self.channel_out_of(index);
            match &self.graph[index] {
                Node::Input(port) => write!(f, "  input {} host `{}`", port.prefix, port.border.host_name)?,
                Node::Output(port) => {
                    write!(f, "  output {} host `{}` lanes {}", port.prefix, port.border.host_name, port.lanes)?
                }
                Node::Stage(stage) => {
                    let Folding::Matrix { pe, simd } = stage.folding;
                    let matrix = &stage.spec.matrix;
                    write!(
                        f,
                        "  stage {} engine{} {} [{}x{}] pe {pe} simd {simd} acc int{} cycles {} latency {}",
                        stage.name,
                        stage.engine.0,
                        stage.op,
                        matrix.outputs,
                        matrix.inputs,
                        matrix.accumulator_bits,
                        stage.timing.interval,
                        stage.timing.latency
                    )?;
                }
            }
            if let Some(channel) = read {
                write!(f, " <- {}", channel.name)?;
            }
            if let Some(channel) = written {
                let shape: Vec<String> = channel.tensor.shape.iter().map(|d| d.to_string()).collect();
                write!(
                    f,
                    " -> {}: {}[{}] lanes {} fifo {}",
                    channel.name,
                    channel.tensor.element,
                    shape.join(","),
                    channel.lanes,
                    channel.fifo_depth
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
