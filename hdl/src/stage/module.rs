//! The stage's hardware: its blocks and the wires between them.

use super::MatrixStageSpec;
use crate::engine::matrix::{delay, ControlSpec};
use crate::memory::RomSpec;
use crate::stream::RegroupBuildError;
use crate::typed::{bit, uint, Expr, Module, ModuleBuilder, Signal};
use std::sync::Arc;

/// A valid/payload pair inside a stage.
#[derive(Clone, Copy)]
struct Beats {
    valid: Signal,
    data: Signal,
}

impl MatrixStageSpec {
    /// The stage. Ports: `in_valid`, `in_ready`, `in_data`, `out_valid`, `out_ready`, `out_data`.
    ///
    /// # Errors
    /// If the input cannot be regrouped, which the scheduler excludes.
    pub fn module(&self) -> Result<Arc<Module>, RegroupBuildError> {
        let matrix = &self.matrix;
        let mut m = ModuleBuilder::new(self.name.clone());
        for comment in &self.comments {
            m.comment(comment.clone());
        }
        let in_valid = m.input("in_valid", bit());
        let in_ready = m.output("in_ready", bit());
        let in_data = m.input("in_data", uint(self.in_lanes as u32 * matrix.input.bits()));
        let out_valid = m.output("out_valid", bit());
        let out_ready = m.input("out_ready", bit());
        let fifo = self.fifo();
        let out_data = m.output("out_data", uint(fifo.width as u32));

        let folds_ready = m.wire("folds_ready", bit());
        let folds = match self.input_regroup() {
            None => {
                m.assign(in_ready, folds_ready.expr());
                Beats { valid: in_valid, data: in_data }
            }
            Some(block) => {
                let out = wires(&mut m, "regrouped", block.out_lanes as u32 * block.element_bits);
                let module = block.module()?;
                m.instance(
                    "input_regroup",
                    &module,
                    &[
                        ("in_valid", in_valid.expr()),
                        ("in_ready", in_ready.expr()),
                        ("in_data", in_data.expr()),
                        ("out_valid", out.valid.expr()),
                        ("out_ready", folds_ready.expr()),
                        ("out_data", out.data.expr()),
                    ],
                );
                out
            }
        };

        let credit = m.let_("credit", out_valid.expr().and(out_ready.expr()));
        let control = ControlSpec { matrix, lanes: self.out_lanes(), fifo_depth: self.fifo_depth };
        let module = control.module()?;
        let replay_type = uint(control.replay_address_bits());
        let flag = |m: &mut ModuleBuilder, name: &str| m.wire(name, bit());
        let (write, issue) = (flag(&mut m, "write"), flag(&mut m, "issue"));
        let (first, last) = (flag(&mut m, "first"), flag(&mut m, "last"));
        let write_address = m.wire("write_address", replay_type);
        let read_address = m.wire("read_address", replay_type);
        let weight_address = m.wire("weight_address", uint(control.weight_address_bits()));
        m.instance(
            "control",
            &module,
            &[
                ("in_valid", folds.valid.expr()),
                ("in_ready", folds_ready.expr()),
                ("credit", credit.expr()),
                ("write", write.expr()),
                ("write_address", write_address.expr()),
                ("issue", issue.expr()),
                ("first", first.expr()),
                ("last", last.expr()),
                ("read_address", read_address.expr()),
                ("weight_address", weight_address.expr()),
            ],
        );

        let sums = self.hops(&mut m, folds.data, write, write_address, read_address, weight_address)?;
        let wait = matrix.latency() as usize - 1;
        let valid = delay(&mut m, "sums_valid", issue, wait, true);
        let first = delay(&mut m, "sums_first", first, wait, false);
        let last = delay(&mut m, "sums_last", last, wait, false);
        let results = wires(&mut m, "results", matrix.pe as u32 * matrix.accumulator_bits);
        m.instance(
            "accumulators",
            &matrix.accumulator_module()?,
            &[
                ("valid", valid.expr()),
                ("first", first.expr()),
                ("last", last.expr()),
                ("sums", sums.expr()),
                ("out_valid", results.valid.expr()),
                ("out_data", results.data.expr()),
            ],
        );
        let grouped = match self.result_buffer() {
            None => results,
            Some(block) => {
                let out = wires(&mut m, "grouped", block.out_lanes as u32 * block.element_bits);
                m.instance(
                    "result_buffer",
                    &block.module_unstalled(matrix.folds() as u64)?,
                    &[
                        ("in_valid", results.valid.expr()),
                        ("in_data", results.data.expr()),
                        ("out_valid", out.valid.expr()),
                        ("out_data", out.data.expr()),
                    ],
                );
                out
            }
        };
        let requantized = self.requantizer(&mut m, grouped, fifo.width as u32)?;
        m.instance(
            "output_fifo",
            &fifo.module(&matrix.cells)?,
            &[
                ("in_valid", requantized.valid.expr()),
                ("in_data", requantized.data.expr()),
                ("out_valid", out_valid.expr()),
                ("out_data", out_data.expr()),
                ("out_ready", out_ready.expr()),
            ],
        );
        Ok(m.build()?)
    }

    /// The systolic chain and the weight memories beside it. Returns the last hop's sums.
    fn hops(
        &self,
        m: &mut ModuleBuilder,
        data: Signal,
        write: Signal,
        write_address: Signal,
        mut read_address: Signal,
        mut weight_address: Signal,
    ) -> Result<Signal, RegroupBuildError> {
        let matrix = &self.matrix;
        let sums_type = uint(matrix.pe as u32 * matrix.accumulator_bits);
        let input_bits = matrix.input.bits();
        let mut sums: Option<Signal> = None;
        for hop in 0..matrix.hops() {
            if hop > 0 {
                read_address = delay_named(m, &format!("read_address_{hop}"), read_address);
                weight_address = delay_named(m, &format!("weight_address_{hop}"), weight_address);
            }
            let lanes = matrix.lanes_of_hop(hop);
            let rom = self.weight_rom(hop);
            let weights = m.wire(format!("weights_{hop}"), uint(rom.width));
            m.instance(
                format!("weight_rom_{hop}"),
                &rom.module()?,
                &[("address", weight_address.expr()), ("data", weights.expr())],
            );
            let after = m.wire(format!("sums_{hop}"), sums_type);
            let low = (hop * matrix.hop_lanes()) as u32 * input_bits;
            m.instance(
                format!("hop_{hop}"),
                &matrix.hop_module(hop)?,
                &[
                    ("write", write.expr()),
                    ("write_address", write_address.expr()),
                    ("write_data", data.expr().slice(low, lanes as u32 * input_bits)),
                    ("read_address", read_address.expr()),
                    ("weights", weights.expr()),
                    ("sums_in", sums.map_or(Expr::lit(sums_type, 0), |signal| signal.expr())),
                    ("sums_out", after.expr()),
                ],
            );
            sums = Some(after);
        }
        Ok(sums.expect("a chain has at least one hop"))
    }

    /// The weight memory beside hop `hop`.
    pub fn weight_rom(&self, hop: usize) -> RomSpec {
        let words = self.matrix.weight_words(hop, &|output, input| self.weights[[output, input]]);
        let width = (self.matrix.pe * self.matrix.lanes_of_hop(hop)) as u32 * self.matrix.weight.bits();
        RomSpec::new(format!("{}_weights_{hop}", self.name), words, width, &self.matrix.cells)
    }

    /// The requantizer and the memories of its parameters.
    fn requantizer(&self, m: &mut ModuleBuilder, grouped: Beats, width: u32) -> Result<Beats, RegroupBuildError> {
        let out = wires(m, "requantized", width);
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
        let ports: Vec<(&str, Expr)> = ports.iter().map(|(name, expr)| (name.as_str(), expr.clone())).collect();
        m.instance("requantizer", &self.requantize.module()?, &ports);
        Ok(out)
    }
}

fn wires(m: &mut ModuleBuilder, name: &str, width: u32) -> Beats {
    Beats { valid: m.wire(format!("{name}_valid"), bit()), data: m.wire(format!("{name}_data"), uint(width)) }
}

fn delay_named(m: &mut ModuleBuilder, name: &str, signal: Signal) -> Signal {
    let register = m.register(name, signal.ty());
    m.clock(register, signal.expr());
    register
}
