//! A core whose answers are computed by hand: byte sums.

use std::sync::Arc;
use systole_bundle::DesignHash;
use systole_hdl::cells::Cells;
use systole_hdl::shell::{CoreStream, ShellSpec};
use systole_hdl::typed::{address_bits, bit, uint, Expr, Module, ModuleBuilder};

/// Ports as every design has them.
pub const HASH: DesignHash =
    DesignHash { structure: [0x0102_0304, 5, 6, 0x8000_0007], parameter: [0xf0e0_d0c0, 9, 10, 11] };

/// Figures of a test core.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub in_bytes: usize,
    pub in_beats: usize,
    pub out_bytes: usize,
    pub out_beats: usize,
    /// Bytes of the shell's beats.
    pub beat_bytes: usize,
}

impl Shape {
    pub fn spec(self) -> ShellSpec {
        ShellSpec {
            design: "sums".into(),
            input: CoreStream { beat_bytes: self.in_bytes, beats: self.in_beats },
            output: CoreStream { beat_bytes: self.out_bytes, beats: self.out_beats },
            beat_bytes: self.beat_bytes,
            hash: HASH,
            cells: Cells::default(),
        }
    }

    /// The core's answer to a sample's bytes: output beat k holds in byte j the sum of all input
    /// bytes, each weighted by its beat's number, plus 16 k + j, modulo 256.
    pub fn answer(self, sample: &[u8]) -> Vec<u8> {
        let weighted = sample.iter().enumerate().map(|(at, &byte)| (at / self.in_bytes + 1) as u32 * u32::from(byte));
        let sum = weighted.fold(0u32, |sum, term| sum.wrapping_add(term)) as u8;
        (0..self.out_bytes * self.out_beats)
            .map(|at| sum.wrapping_add((at / self.out_bytes * 16 + at % self.out_bytes) as u8))
            .collect()
    }

    /// The core: takes a sample's beats, then gives its answer's; nothing overlaps.
    pub fn module(self) -> Arc<Module> {
        let mut m = ModuleBuilder::new("sums");
        let reset = m.active_low_reset("aresetn");
        m.drive_reset(reset);
        let in_data = m.input("s_axis_tdata", uint(self.in_bytes as u32 * 8));
        let in_valid = m.input("s_axis_tvalid", bit());
        let in_ready = m.output("s_axis_tready", bit());
        m.ignored_input("s_axis_tlast", bit());
        let out_data = m.output("m_axis_tdata", uint(self.out_bytes as u32 * 8));
        let out_valid = m.output_register("m_axis_tvalid", bit());
        let out_ready = m.input("m_axis_tready", bit());
        let out_last = m.output("m_axis_tlast", bit());

        let count_type = uint(address_bits(self.in_beats.max(self.out_beats)).max(8));
        let literal = |value: usize| Expr::lit(count_type, value as u64);
        let count = m.register("count", count_type);
        m.assign(in_ready, !out_valid);
        let taken = m.let_("taken", in_valid & in_ready);
        let given = m.let_("given", out_valid & out_ready);
        let in_last = m.let_("in_last", taken & count.expr().eq(literal(self.in_beats - 1)));
        let at_last = m.let_("at_last", count.expr().eq(literal(self.out_beats - 1)));
        m.assign(out_last, at_last);
        let gone = m.let_("gone", given & at_last);
        m.reset(count, 0);
        m.clock_if(count, taken | given, Expr::mux(in_last | gone, literal(0), count + literal(1)));
        m.reset(out_valid, 0);
        m.clock_if(out_valid, in_last | gone, in_last);

        let bytes = (0..self.in_bytes as u32).map(|byte| in_data.expr().slice(8 * byte, 8));
        let beat_sum = bytes.reduce(|a, b| a + b).unwrap();
        let term = beat_sum.mul((count + literal(1)).truncate(8)).truncate(8);
        let sum = m.register("sum", uint(8));
        m.reset(sum, 0);
        m.clock_if(sum, taken | gone, Expr::mux(gone, Expr::zero(uint(8)), sum + term));
        let lane = |byte: usize| {
            let beat = count.expr().truncate(4);
            sum + Expr::concat(&[beat, Expr::zero(uint(4))]) + Expr::lit(uint(8), byte as u64)
        };
        m.assign(out_data, Expr::concat(&(0..self.out_bytes).rev().map(lane).collect::<Vec<_>>()));
        m.build().unwrap()
    }
}
