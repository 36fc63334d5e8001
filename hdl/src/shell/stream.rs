//! The data path: from request beats to answer beats, the core between.

use super::parser::ERROR_BITS;
use super::{ShellError, ShellSpec, FIFO_DEPTH, PAYLOAD_DEPTH};
use crate::stream::{FifoSpec, RegroupSpec};
use crate::typed::{bit, uint, Expr, Module, ModuleBuilder, Signal};
use std::sync::Arc;

/// Entries of the buffers that register a handshake.
const BUFFER_DEPTH: usize = 2;

/// Wires of one stream.
#[derive(Clone, Copy)]
struct Wires {
    valid: Signal,
    ready: Signal,
    data: Signal,
}

impl Wires {
    fn new(m: &mut ModuleBuilder, name: &str, bits: u32) -> Wires {
        Wires {
            valid: m.wire(format!("{name}_valid"), bit()),
            ready: m.wire(format!("{name}_ready"), bit()),
            data: m.wire(format!("{name}_data"), uint(bits)),
        }
    }

    /// A beat moves.
    fn moves(&self) -> Expr {
        self.valid & self.ready
    }
}

impl ShellSpec {
    /// The data path around `core`. Ports: `restart`, its reset; `in_*` (with `in_keep`) and `out_*`
    /// (with `out_last`); `admit`, `halt`, `epoch`, `fault` and `fault_sequence` of the parser;
    /// `allowed`, `begins` and `status` of the builder; `occupied`: a frame is inside; `oldest`: the
    /// sequence of the oldest, or of the next; `moved`: a beat moved at one of the four ends.
    pub(super) fn stream(&self, core: &Arc<Module>) -> Result<Arc<Module>, ShellError> {
        let mut m = ModuleBuilder::new(self.part("stream"));
        m.comment(format!("Frames of requests to frames of answers through the core `{}`.", self.design));
        m.comment(format!(
            "A sample is {} bytes towards the core and {} from it, padded to {} and {}.",
            self.input.sample_bytes(),
            self.output.sample_bytes(),
            self.in_bytes(),
            self.out_bytes()
        ));
        let restart = m.input("restart", bit());
        m.drive_reset(restart);
        let (in_valid, in_ready) = (m.input("in_valid", bit()), m.output("in_ready", bit()));
        let in_data = m.input("in_data", uint(self.beat_bits()));
        let in_keep = m.input("in_keep", uint(self.beat_bytes as u32));
        let [admit, halt, allowed] = ["admit", "halt", "allowed"].map(|name| m.input(name, bit()));
        let epoch = m.input("epoch", uint(32));
        let status = m.input("status", uint(ERROR_BITS));
        let fault = m.output("fault", uint(ERROR_BITS));
        let sequence = m.output("fault_sequence", uint(32));
        let begin = m.output("begins", bit());

        // Frames inside: from their accepted header to their last answer beat.
        let samples_bits = self.samples_bits();
        let entering = Wires::new(&mut m, "accepted", 64 + samples_bits);
        let account = Wires::new(&mut m, "account", 64 + samples_bits);
        self.fifo(&mut m, "frames_inside", FIFO_DEPTH, entering, account)?;
        let samples = m.wire("accepted_samples", uint(samples_bits));
        m.assign(entering.data, Expr::concat(&[epoch, sequence, samples]));

        let payload = Wires::new(&mut m, "payload", self.beat_bits());
        let mid_frame = m.wire("mid_frame", bit());
        m.instance(
            "parser",
            &self.parser()?,
            &[
                ("in_valid", in_valid),
                ("in_data", in_data),
                ("in_keep", in_keep),
                ("in_ready", in_ready),
                ("admit", admit),
                ("halt", halt),
                ("epoch", epoch),
                ("account_ready", entering.ready),
                ("accept", entering.valid),
                ("sequence_number", sequence),
                ("samples", samples),
                ("out_valid", payload.valid),
                ("out_data", payload.data),
                ("out_ready", payload.ready),
                ("fault", fault),
                ("mid_frame", mid_frame),
            ],
        );
        let buffered = Wires::new(&mut m, "buffered", self.beat_bits());
        self.fifo(&mut m, "payload_buffer", PAYLOAD_DEPTH, payload, buffered)?;
        let core_in = Wires::new(&mut m, "core_in", self.input.beat_bytes as u32 * 8);
        self.regroup(&mut m, "unpack", self.unpack(), buffered, core_in)?;

        let core_out = Wires::new(&mut m, "core_out", self.output.beat_bytes as u32 * 8);
        let core_last = m.wire("core_out_last", bit());
        m.instance(
            "core",
            core,
            &[
                ("aresetn", !restart),
                ("s_axis_tvalid", core_in.valid.expr()),
                ("s_axis_tready", core_in.ready.expr()),
                ("s_axis_tdata", core_in.data.expr()),
                ("s_axis_tlast", super::flag::constant(false)),
                ("m_axis_tvalid", core_out.valid.expr()),
                ("m_axis_tready", core_out.ready.expr()),
                ("m_axis_tdata", core_out.data.expr()),
                ("m_axis_tlast", core_last.expr()),
            ],
        );

        let packed = Wires::new(&mut m, "packed", self.beat_bits());
        self.regroup(&mut m, "pack", self.pack(), core_out, packed)?;
        let results = Wires::new(&mut m, "results", self.beat_bits());
        self.fifo(&mut m, "result_buffer", PAYLOAD_DEPTH, packed, results)?;
        let answer = Wires::new(&mut m, "answer", self.beat_bits() + 1);
        let (answer_data, answer_last) = (m.wire("answer_beat", uint(self.beat_bits())), m.wire("answer_last", bit()));
        m.assign(answer.data, Expr::concat(&[answer_last, answer_data]));
        let number =
            |name: &str, low: u32, bits: u32, m: &mut ModuleBuilder| m.let_(name, account.data.expr().slice(low, bits));
        let oldest_samples = number("oldest_samples", 0, samples_bits, &mut m);
        let oldest_sequence = number("oldest_sequence", samples_bits, 32, &mut m);
        let oldest_epoch = number("oldest_epoch", samples_bits + 32, 32, &mut m);
        m.instance(
            "builder",
            &self.builder()?,
            &[
                ("account_valid", account.valid),
                ("epoch", oldest_epoch),
                ("sequence_number", oldest_sequence),
                ("samples", oldest_samples),
                ("account_taken", account.ready),
                ("allowed", allowed),
                ("begins", begin),
                ("status", status),
                ("in_valid", results.valid),
                ("in_data", results.data),
                ("in_ready", results.ready),
                ("out_valid", answer.valid),
                ("out_data", answer_data),
                ("out_last", answer_last),
                ("out_ready", answer.ready),
            ],
        );
        let out = Wires::new(&mut m, "leaving", self.beat_bits() + 1);
        self.fifo(&mut m, "answer_buffer", BUFFER_DEPTH, answer, out)?;
        let out_valid = m.output("out_valid", bit());
        let out_data = m.output("out_data", uint(self.beat_bits()));
        let out_last = m.output("out_last", bit());
        let out_ready = m.input("out_ready", bit());
        m.assign(out_valid, out.valid);
        m.assign(out.ready, out_ready);
        m.assign(out_data, out.data.expr().slice(0, self.beat_bits()));
        m.assign(out_last, out.data.expr().msb());

        let inside = m.output("occupied", bit());
        m.assign(inside, mid_frame | account.valid | out.valid);
        let oldest = m.output("oldest", uint(32));
        m.assign(oldest, Expr::mux(account.valid, oldest_sequence, sequence));
        let moved = m.output("moved", bit());
        m.assign(moved, (in_valid & in_ready) | core_in.moves() | core_out.moves() | out.moves());
        Ok(m.build()?)
    }

    fn fifo(&self, m: &mut ModuleBuilder, name: &str, depth: usize, from: Wires, to: Wires) -> Result<(), ShellError> {
        let fifo = FifoSpec { depth, width: u64::from(from.data.ty().width), credited: false };
        connect(m, name, &fifo.module(&self.cells)?, from, to);
        Ok(())
    }

    /// A regrouping block, or wires where there is none.
    fn regroup(
        &self,
        m: &mut ModuleBuilder,
        name: &str,
        block: Option<RegroupSpec>,
        from: Wires,
        to: Wires,
    ) -> Result<(), ShellError> {
        match block {
            Some(block) => connect(m, name, &block.module()?, from, to),
            None => {
                m.assign(to.valid, from.valid);
                m.assign(to.data, from.data);
                m.assign(from.ready, to.ready);
            }
        }
        Ok(())
    }
}

fn connect(m: &mut ModuleBuilder, name: &str, block: &Arc<Module>, from: Wires, to: Wires) {
    m.instance(
        name,
        block,
        &[
            ("in_valid", from.valid),
            ("in_ready", from.ready),
            ("in_data", from.data),
            ("out_valid", to.valid),
            ("out_ready", to.ready),
            ("out_data", to.data),
        ],
    );
}
