//! The stage's hardware: its blocks and the wires between them.

use super::StageSpec;
use crate::engine::{Beats, CreditGate, Offered};
use crate::stream::RegroupBuildError;
use crate::typed::{bit, uint, Module, ModuleBuilder};
use std::sync::Arc;

/// Name of a stage's stream signal: `in_valid`, `in_1_valid` ...
pub(crate) fn port_name(side: &str, index: usize, signal: &str) -> String {
    match index {
        0 => format!("{side}_{signal}"),
        _ => format!("{side}_{index}_{signal}"),
    }
}

impl StageSpec {
    /// The stage. Ports: `in_valid`, `in_ready`, `in_data`, `out_valid`, `out_ready`, `out_data`; further
    /// streams are `in_1_*`, `out_1_*` ...
    ///
    /// # Errors
    /// If an input cannot be regrouped, which the scheduler excludes.
    pub fn module(&self) -> Result<Arc<Module>, RegroupBuildError> {
        let mut m = ModuleBuilder::new(self.name.clone());
        for comment in &self.comments {
            m.comment(comment.clone());
        }
        let mut offered = Vec::with_capacity(self.inputs.len());
        for (index, ((input, port), regroup)) in
            self.inputs.iter().zip(self.engine.ports()).zip(self.input_regroups()).enumerate()
        {
            let valid = m.input(port_name("in", index, "valid"), bit());
            let ready = m.output(port_name("in", index, "ready"), bit());
            let data = m.input(port_name("in", index, "data"), uint(input.lanes as u32 * port.element_bits));
            let taken = m.wire(port_name("beat", index, "taken"), bit());
            offered.push(match regroup {
                None => {
                    m.assign(ready, taken.expr());
                    Offered { valid, ready: taken, data }
                }
                Some(block) => {
                    let out = Beats::wires(&mut m, &port_name("regrouped", index, "beat"), port.width());
                    m.instance(
                        port_name("input", index, "regroup"),
                        &block.module()?,
                        &[
                            ("in_valid", valid.expr()),
                            ("in_ready", ready.expr()),
                            ("in_data", data.expr()),
                            ("out_valid", out.valid.expr()),
                            ("out_ready", taken.expr()),
                            ("out_data", out.data.expr()),
                        ],
                    );
                    Offered { valid: out.valid, ready: taken, data: out.data }
                }
            });
        }
        let mut outputs = Vec::with_capacity(self.fifo_depths.len());
        let mut returned = Vec::with_capacity(self.fifo_depths.len());
        for index in 0..self.fifo_depths.len() {
            let valid = m.output(port_name("out", index, "valid"), bit());
            let ready = m.input(port_name("out", index, "ready"), bit());
            let data = m.output(port_name("out", index, "data"), uint(self.out_width()));
            let credit = m.let_(port_name("credit", index, "returned"), valid.expr().and(ready.expr()));
            returned.push(credit.expr());
            outputs.push((valid, ready, data));
        }
        let results = self.engine.results();
        let gate = CreditGate { results, lanes: self.out_lanes(), depths: &self.fifo_depths };
        let groups = self.engine.build(&mut m, &offered, gate, &returned)?;
        let grouped = match self.result_buffer() {
            None => groups,
            Some(block) => {
                let out = Beats::wires(&mut m, "grouped", block.out_lanes as u32 * block.element_bits);
                m.instance(
                    "result_buffer",
                    &block.module_unstalled(results.spacing)?,
                    &[
                        ("in_valid", groups.valid.expr()),
                        ("in_data", groups.data.expr()),
                        ("out_valid", out.valid.expr()),
                        ("out_data", out.data.expr()),
                    ],
                );
                out
            }
        };
        let requantized = self.requantizer(&mut m, grouped)?;
        for (index, (valid, ready, data)) in outputs.into_iter().enumerate() {
            m.instance(
                port_name("output", index, "fifo"),
                &self.fifo(index).module(&self.requantize.cells)?,
                &[
                    ("in_valid", requantized.valid.expr()),
                    ("in_data", requantized.data.expr()),
                    ("out_valid", valid.expr()),
                    ("out_data", data.expr()),
                    ("out_ready", ready.expr()),
                ],
            );
        }
        Ok(m.build()?)
    }

    /// The requantizer and the memories of its parameters.
    fn requantizer(&self, m: &mut ModuleBuilder, grouped: Beats) -> Result<Beats, RegroupBuildError> {
        let out = Beats::wires(m, "requantized", self.out_width());
        let mut ports = vec![
            ("in_valid".to_string(), grouped.valid.expr()),
            ("in_data".to_string(), grouped.data.expr()),
            ("out_valid".to_string(), out.valid.expr()),
            ("out_data".to_string(), out.data.expr()),
        ];
        for port in self.requantize.parameter_ports() {
            let rom = port.rom(&self.requantize);
            let address = m.wire(port.address_port.clone(), uint(rom.address_bits()));
            let data = m.wire(port.data_port.clone(), uint(rom.width));
            m.instance(
                format!("{}_rom", port.data_port),
                &rom.module()?,
                &[("address", address.expr()), ("data", data.expr())],
            );
            ports.push((port.address_port, address.expr()));
            ports.push((port.data_port, data.expr()));
        }
        m.instance("requantizer", &self.requantize.module()?, &ports);
        Ok(out)
    }
}
