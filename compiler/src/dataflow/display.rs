//! Text form of a schedule: one line a node, deterministic and diffable.

use super::{DataflowGraph, Folding, Node};
use std::fmt;

impl fmt::Display for DataflowGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dataflow {} profile {}", self.name, self.profile)?;
        for index in self.order() {
            match &self.graph[index] {
                Node::Input(port) => write!(f, "  input {} host `{}`", port.prefix, port.border.host_name)?,
                Node::Output(port) => {
                    write!(f, "  output {} host `{}` lanes {}", port.prefix, port.border.host_name, port.lanes)?
                }
                Node::Stage(stage) => {
                    let results = stage.spec.engine.results();
                    write!(
                        f,
                        "  stage {} engine{} {} [{}] {} acc int{} cycles {} latency {}",
                        stage.name,
                        stage.engine.0,
                        stage.op,
                        results.channels,
                        stage.folding,
                        results.bits,
                        stage.timing.interval,
                        stage.timing.latency
                    )?;
                }
            }
            for edge in self.channels_into(index) {
                write!(f, " <- {}", self.graph[edge].name)?;
            }
            for edge in self.channels_out_of(index) {
                let channel = &self.graph[edge];
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

impl fmt::Display for Folding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |f: &mut fmt::Formatter<'_>, what: &str, count: usize| match count == 1 {
            true => Ok(()),
            false => write!(f, " {what} {count}"),
        };
        match *self {
            Folding::Matrix { pe, simd, taps, pixels, beat_pixels } => {
                write!(f, "pe {pe} simd {simd}")?;
                more(f, "taps", taps)?;
                more(f, "pixels", pixels)?;
                more(f, "input pixels", beat_pixels)
            }
            Folding::Vector { lanes, taps, pixels, beat_pixels } => {
                write!(f, "lanes {lanes} taps {taps}")?;
                more(f, "pixels", pixels)?;
                more(f, "input pixels", beat_pixels)
            }
            Folding::Lanes { lanes } => write!(f, "lanes {lanes}"),
        }
    }
}
