//! The top module of the shell.

use super::parser::ERROR_BITS;
use super::registers::{shown, CONTROLS};
use super::{axi_lite, counters, credit, errors, interrupt, reset, watchdog, ShellError, ShellSpec};
use crate::typed::{bit, uint, Expr, Module, ModuleBuilder, Signal};
use std::collections::HashMap;
use std::sync::Arc;
use systole_bundle::registers::{status, Field};

impl ShellSpec {
    /// The module `<design>_axi` around the core's module. Ports: `aclk`, `aresetn` (synchronous,
    /// active low), AXI4-Lite `s_axi_*`, AXI4-Stream `s_axis_*` and `m_axis_*` of
    /// [`ShellSpec::beat_bytes`] bytes with TKEEP and TLAST, and `irq` (active high).
    ///
    /// # Errors
    /// If no frame can carry a sample.
    pub fn module(&self, core: &Arc<Module>) -> Result<Arc<Module>, ShellError> {
        self.check()?;
        let mut m = ModuleBuilder::new(self.top());
        m.comment(format!("Board shell of design `{}`.", self.design));
        m.comment("Registers over AXI4-Lite; frames over AXI4-Stream both ways: a header of 64 bytes, then");
        m.comment(format!(
            "samples of {} bytes in and {} bytes out, in beats of {} bytes, at most {} samples a frame.",
            self.in_bytes(),
            self.out_bytes(),
            self.beat_bytes,
            self.max_samples()
        ));
        m.comment("TLAST is ignored on input and marks the last beat of each frame on output.");
        let reset = m.active_low_reset("aresetn");
        m.drive_reset(reset);
        let ends = Ends::new(&mut m, self);
        let controls: HashMap<&str, Signal> =
            CONTROLS.iter().map(|&(name, bits)| (name, m.wire(name, uint(bits)))).collect();
        let shown: HashMap<String, Signal> =
            shown().into_iter().map(|(name, bits)| (name.clone(), m.wire(name, uint(bits)))).collect();
        self.register_bank(&mut m, &controls, &shown)?;
        let [resetting, reset_done, reset_finished, halted, occupied, moved, allowed, begin, raised, expired, overflow] =
            [
                "resetting",
                "reset_done",
                "reset_finished",
                "halted",
                "occupied",
                "moved",
                "allowed",
                "begin_answer",
                "raised",
                "expired",
                "overflow",
            ]
            .map(|name| m.wire(name, bit()));

        m.instance(
            "soft_reset_control",
            &reset::module()?,
            &[
                ("request", controls["soft_reset"]),
                ("in_valid", ends.in_valid),
                ("resetting", resetting),
                ("done", reset_done),
                ("finished", reset_finished),
            ],
        );
        let areset = m.areset();
        let restart = m.let_("restart", areset | resetting);
        let runs = m.let_("runs", controls["enable"] & !controls["drain"] & !halted & !resetting);
        let stream_ready = m.wire("stream_ready", bit());
        m.assign(ends.in_ready, resetting | stream_ready);
        let fault = m.wire("fault", uint(ERROR_BITS));
        let [fault_sequence, oldest] = ["fault_sequence", "oldest"].map(|name| m.wire(name, uint(32)));
        m.instance(
            "stream",
            &self.stream(core)?,
            &[
                ("restart", restart),
                ("in_valid", ends.in_valid),
                ("in_ready", stream_ready),
                ("in_data", ends.in_data),
                ("in_keep", ends.in_keep),
                ("admit", runs),
                ("halt", halted),
                ("epoch", controls["epoch"]),
                ("fault", fault),
                ("fault_sequence", fault_sequence),
                ("allowed", allowed),
                ("begins", begin),
                ("status", shown["error"]),
                ("occupied", occupied),
                ("oldest", oldest),
                ("moved", moved),
                ("out_valid", ends.out_valid),
                ("out_ready", ends.out_ready),
                ("out_data", ends.out_data),
                ("out_last", ends.out_last),
            ],
        );
        m.assign(ends.out_keep, Expr::lit(uint(self.beat_bytes as u32), ends.out_keep.ty().max()));
        m.instance(
            "watchdog",
            &watchdog::module()?,
            &[
                ("limit", controls["watchdog_cycles"]),
                ("occupied", occupied),
                ("moved", moved),
                ("halted", halted),
                ("expired", expired),
            ],
        );
        m.instance(
            "credits",
            &credit::module()?,
            &[
                ("add", controls["add_credit"]),
                ("limits", controls["credit"]),
                ("spend", begin),
                ("restart", resetting),
                ("left", shown["out_credit"]),
                ("allowed", allowed),
                ("overflow", overflow),
            ],
        );
        m.instance(
            "errors",
            &errors::module()?,
            &[
                ("fault", fault),
                ("sequence_number", fault_sequence),
                ("expired", expired),
                ("oldest", oldest),
                ("overflow", overflow),
                ("clear", controls["clear_error"]),
                ("restart", controls["soft_reset"]),
                ("error", shown["error"]),
                ("first_sequence", shown["first_error_seq"]),
                ("halted", halted),
                ("raised", raised),
            ],
        );
        let beat_out = m.let_("beat_out", ends.out_valid & ends.out_ready);
        let answer_sent = m.let_("answer_sent", beat_out & ends.out_last);
        let drained = m.let_("drained", controls["drain"] & !occupied);
        m.instance(
            "interrupts",
            &interrupt::module()?,
            &[
                ("answer_sent", answer_sent),
                ("raised", raised),
                ("reset_finished", reset_finished),
                ("drained", drained),
                ("occupied", occupied),
                ("coalesce", controls["irq_coalesce"]),
                ("mask", controls["irq_mask"]),
                ("clear", controls["clear_irq"]),
                ("status", shown["irq_status"]),
                ("irq", ends.irq),
            ],
        );
        let stall_in = m.let_("stall_in", ends.in_valid & !ends.in_ready);
        let stall_out = m.let_("stall_out", ends.out_valid & !ends.out_ready);
        let beat_in = m.let_("beat_in", ends.in_valid & stream_ready & !resetting);
        let dropped = m.let_("beat_dropped", ends.in_valid & resetting);
        let mut bindings: Vec<(String, Signal)> = [
            ("latch", controls["latch_counters"]),
            ("answer_sent", answer_sent),
            ("beat_in", beat_in),
            ("beat_out", beat_out),
            ("stall_in", stall_in),
            ("stall_out", stall_out),
            ("beat_dropped", dropped),
        ]
        .map(|(name, signal)| (name.to_string(), signal))
        .to_vec();
        bindings.extend(counters::COUNTERS.iter().map(|(counter, _)| {
            let port = counters::port(counter);
            (port.clone(), shown[&port])
        }));
        m.instance("counters", &counters::module()?, &bindings);

        let condition = |field: &Field| match *field {
            status::IDLE => !occupied & !resetting,
            status::RUN => runs.expr(),
            status::DRAINING => controls["drain"] & occupied,
            status::HALTED => halted.expr(),
            status::RESET_DONE => reset_done.expr(),
            status::IN_STALL => stall_in.expr(),
            status::OUT_STALL => stall_out.expr(),
            other => panic!("the shell does not know STATUS.{}", other.name),
        };
        m.assign(shown["status"], Expr::concat(&status::FIELDS.iter().rev().map(condition).collect::<Vec<_>>()));
        Ok(m.build()?)
    }

    fn register_bank(
        &self,
        m: &mut ModuleBuilder,
        controls: &HashMap<&str, Signal>,
        shown: &HashMap<String, Signal>,
    ) -> Result<(), ShellError> {
        let mut bindings: Vec<(String, Signal)> = axi_lite::SIGNALS
            .iter()
            .map(|&(name, bits, driven)| {
                (name.to_string(), if driven { m.output(name, uint(bits)) } else { m.input(name, uint(bits)) })
            })
            .collect();
        bindings.extend(CONTROLS.iter().map(|&(name, _)| (name.to_string(), controls[name])));
        bindings.extend(super::registers::shown().into_iter().map(|(name, _)| (name.clone(), shown[&name])));
        m.instance("registers", &self.registers()?, &bindings);
        Ok(())
    }
}

/// The streams at the shell's ports, and the interrupt line.
struct Ends {
    in_valid: Signal,
    in_ready: Signal,
    in_data: Signal,
    in_keep: Signal,
    out_valid: Signal,
    out_ready: Signal,
    out_data: Signal,
    out_keep: Signal,
    out_last: Signal,
    irq: Signal,
}

impl Ends {
    fn new(m: &mut ModuleBuilder, spec: &ShellSpec) -> Ends {
        m.ignored_input("s_axis_tlast", bit());
        Ends {
            in_data: m.input("s_axis_tdata", uint(spec.beat_bits())),
            in_keep: m.input("s_axis_tkeep", uint(spec.beat_bytes as u32)),
            in_valid: m.input("s_axis_tvalid", bit()),
            in_ready: m.output("s_axis_tready", bit()),
            out_data: m.output("m_axis_tdata", uint(spec.beat_bits())),
            out_keep: m.output("m_axis_tkeep", uint(spec.beat_bytes as u32)),
            out_last: m.output("m_axis_tlast", bit()),
            out_valid: m.output("m_axis_tvalid", bit()),
            out_ready: m.input("m_axis_tready", bit()),
            irq: m.output("irq", bit()),
        }
    }
}
