//! The frame builder: answers out.

use super::flag::{constant, drive_flag, up};
use super::parser::ERROR_BITS;
use super::ShellSpec;
use crate::stream::bits_for;
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder, Signal};
use std::sync::Arc;
use systole_bundle::frame::{field, HeaderField, HEADER_BYTES};

impl ShellSpec {
    /// The builder.
    ///
    /// Ports: `account_valid`, `epoch`, `sequence_number`, `samples` of the oldest frame inside, which
    /// `account_taken` removes; `allowed`: an answer may begin, which `begins` tells; `status`, bits of
    /// ERROR for its header; `in_*`, payload beats of the core's results; `out_*` with `out_last`.
    ///
    /// An answer begins when its first payload beat is there: two cycles to make the header, its
    /// beats, then `samples` x beats of payload.
    pub(super) fn builder(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(self.part("builder"));
        m.comment(format!(
            "Frame builder: an answer is a header of {} beats and {} payload beats a sample.",
            self.header_beats(),
            self.out_bytes() / self.beat_bytes
        ));
        m.comment("It begins when its first payload beat is there; its header is made in two cycles.");
        let ports = Ports::new(&mut m, self);
        let [idle, measure, seal, in_header, in_payload] =
            ["idle", "in_measure", "in_seal", "in_header", "in_payload"].map(|name| m.register(name, bit()));
        m.reset(idle, 1);
        [measure, seal, in_header, in_payload].iter().for_each(|&state| m.reset(state, 0));

        let begin = m.let_("begin_answer", idle & ports.account_valid & ports.in_valid & ports.allowed);
        m.assign(ports.begin, begin);
        let status = m.register("status_then", uint(ERROR_BITS));
        m.clock_if(status, begin, ports.status);
        let bytes = Expr::lit(uint(bits_for(self.out_bytes() as u64)), self.out_bytes() as u64);
        let product = ports.samples.expr().mul(bytes).resize(self.out_length_bits());
        let length = m.registered("payload_length", product);
        let crc_now = m.wire("crc_now", uint(32));
        m.instance(
            "answer_crc",
            &self.answer_crc()?,
            &[
                ("status", status),
                ("length", length),
                ("samples", ports.samples),
                ("sequence_number", ports.sequence),
                ("epoch", ports.epoch),
                ("crc", crc_now),
            ],
        );
        let crc = m.registered("header_crc", crc_now);

        let beats = self.header_beats();
        let (header_count, at_last) = match beats {
            1 => (None, constant(true)),
            _ => {
                let count = m.register("header_count", uint(beats.ilog2()));
                m.reset(count, 0);
                (Some(count), count.expr().reduce_and())
            }
        };
        let header_beat = m.let_("header_beat", in_header & ports.out_ready);
        if let Some(count) = header_count {
            m.clock_if(count, header_beat, up(count));
        }
        let header_end = m.let_("header_end", header_beat & at_last);
        let payload_beat = m.let_("payload_beat", in_payload & ports.in_valid & ports.out_ready);
        let left_type = uint(bits_for((self.max_samples() * self.out_bytes() / self.beat_bytes) as u64));
        let left = m.register("beats_left", left_type);
        let all = length.expr().slice(self.beat_bytes.ilog2(), left_type.width);
        let fewer = left - Expr::lit(left_type, 1);
        m.clock_if(left, seal | payload_beat, Expr::mux(seal, all, fewer));
        let at_last_beat = m.let_("at_last_beat", left.expr().eq(Expr::lit(left_type, 1)));
        let last = m.let_("last_beat", payload_beat & at_last_beat);
        m.assign(ports.account_taken, last);

        drive_flag(&mut m, idle, last, begin);
        m.clock(measure, begin);
        m.clock(seal, measure);
        drive_flag(&mut m, in_header, seal, header_end);
        drive_flag(&mut m, in_payload, header_end, last);

        let header = m.let_("header", self.header_bits(&ports, status, length, crc));
        let chosen = match header_count {
            None => header.expr(),
            Some(count) => {
                let part = |index: usize| header.expr().slice(index as u32 * self.beat_bits(), self.beat_bits());
                (0..beats - 1).rev().fold(part(beats - 1), |rest, index| {
                    Expr::mux(count.expr().eq(Expr::lit(count.ty(), index as u64)), part(index), rest)
                })
            }
        };
        m.assign(ports.in_ready, in_payload & ports.out_ready);
        m.assign(ports.out_valid, in_header | (in_payload & ports.in_valid));
        let header_now = m.let_("header_now", chosen);
        m.assign(ports.out_data, Expr::mux(in_header, header_now, ports.in_data));
        m.assign(ports.out_last, in_payload & at_last_beat);
        m.build()
    }

    /// The header's bytes, byte 0 lowest.
    fn header_bits(&self, ports: &Ports, status: Signal, length: Signal, crc: Signal) -> Expr {
        let fixed = num_bigint::BigUint::from_bytes_le(&self.answer().encode()[..field::CRC.offset]);
        let fixed = Expr::lit(uint(HEADER_BYTES as u32 * 8), fixed);
        let variable = |place: HeaderField| match place {
            field::EPOCH => Some(ports.epoch),
            field::SEQUENCE => Some(ports.sequence),
            field::SAMPLES => Some(ports.samples),
            field::LENGTH => Some(length),
            field::STATUS => Some(status),
            field::CRC => Some(crc),
            _ => None,
        };
        let parts = field::FIELDS.iter().rev().map(|&place| {
            let width = place.bytes as u32 * 8;
            variable(place)
                .map_or_else(|| fixed.slice(place.offset as u32 * 8, width), |signal| signal.expr().extend(width))
        });
        Expr::concat(&parts.collect::<Vec<_>>())
    }
}

struct Ports {
    account_valid: Signal,
    epoch: Signal,
    sequence: Signal,
    samples: Signal,
    account_taken: Signal,
    allowed: Signal,
    begin: Signal,
    status: Signal,
    in_valid: Signal,
    in_data: Signal,
    in_ready: Signal,
    out_valid: Signal,
    out_data: Signal,
    out_last: Signal,
    out_ready: Signal,
}

impl Ports {
    fn new(m: &mut ModuleBuilder, spec: &ShellSpec) -> Ports {
        Ports {
            account_valid: m.input("account_valid", bit()),
            epoch: m.input("epoch", uint(32)),
            sequence: m.input("sequence_number", uint(32)),
            samples: m.input("samples", uint(spec.samples_bits())),
            account_taken: m.output("account_taken", bit()),
            allowed: m.input("allowed", bit()),
            begin: m.output("begins", bit()),
            status: m.input("status", uint(ERROR_BITS)),
            in_valid: m.input("in_valid", bit()),
            in_data: m.input("in_data", uint(spec.beat_bits())),
            in_ready: m.output("in_ready", bit()),
            out_valid: m.output("out_valid", bit()),
            out_data: m.output("out_data", uint(spec.beat_bits())),
            out_last: m.output("out_last", bit()),
            out_ready: m.input("out_ready", bit()),
        }
    }
}
