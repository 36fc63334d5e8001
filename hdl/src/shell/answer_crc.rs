//! The checksum of an answer's header.

use super::parser::ERROR_BITS;
use super::ShellSpec;
use crate::stream::bits_for;
use crate::typed::{uint, Expr, HdlError, Module, ModuleBuilder};
use num_bigint::BigUint;
use std::sync::Arc;
use systole_bundle::frame::{field, FrameHeader};

/// The numbers of an answer's header that change from answer to answer.
#[derive(Clone, Copy)]
enum Number {
    Epoch,
    Sequence,
    Samples,
    Length,
    Status,
}

impl ShellSpec {
    /// Bits of an answer's payload length in bytes.
    pub(super) fn out_length_bits(&self) -> u32 {
        bits_for((self.max_samples() * self.out_bytes()) as u64)
    }

    /// An answer's header of zeros where answers differ.
    pub(super) fn answer(&self) -> FrameHeader {
        FrameHeader { answer: true, design: self.hash.word(), ..FrameHeader::default() }
    }

    /// The block: within the cycle `crc` is the checksum of the answer with the numbers on the ports
    /// `epoch`, `sequence_number`, `samples`, `length` and `status`.
    ///
    /// A checksum of messages of one length is linear up to a constant: each of its bits is a parity
    /// of the bits that change.
    pub(super) fn answer_crc(&self) -> Result<Arc<Module>, HdlError> {
        let mut m = ModuleBuilder::new(self.part("answer_crc"));
        m.comment("CRC-32 of an answer's header: each bit is a parity of the bits in which headers differ.");
        let numbers = [
            ("status", Number::Status, ERROR_BITS),
            ("length", Number::Length, self.out_length_bits()),
            ("samples", Number::Samples, self.samples_bits()),
            ("sequence_number", Number::Sequence, 32),
            ("epoch", Number::Epoch, 32),
        ];
        let inputs: Vec<Expr> = numbers.iter().map(|&(name, _, bits)| m.input(name, uint(bits)).expr()).collect();
        let crc = m.output("crc", uint(32));
        let all = m.let_("numbers", Expr::concat(&inputs));

        let constant = checksum(&self.answer());
        let mut masks: [BigUint; 32] = Default::default();
        let bits = numbers.iter().rev().flat_map(|&(_, number, bits)| (0..bits).map(move |bit| (number, 1u32 << bit)));
        for (place, (number, value)) in bits.enumerate() {
            let change = checksum(&self.answer_with(number, value)) ^ constant;
            for (bit, mask) in masks.iter_mut().enumerate() {
                mask.set_bit(place as u64, change >> bit & 1 == 1);
            }
        }
        let parity = |(bit, mask): (usize, &BigUint)| {
            let parity = all.expr().and(Expr::lit(all.ty(), mask.clone())).reduce_xor();
            parity.xor(super::flag::constant(constant >> bit & 1 == 1))
        };
        m.assign(crc, Expr::concat(&masks.iter().enumerate().rev().map(parity).collect::<Vec<_>>()));
        m.build()
    }

    fn answer_with(&self, number: Number, value: u32) -> FrameHeader {
        let zero = self.answer();
        match number {
            Number::Epoch => FrameHeader { epoch: value, ..zero },
            Number::Sequence => FrameHeader { sequence: value, ..zero },
            Number::Samples => FrameHeader { samples: value, ..zero },
            Number::Length => FrameHeader { length: value, ..zero },
            Number::Status => FrameHeader { status: value, ..zero },
        }
    }
}

/// The last word of the header's bytes.
fn checksum(header: &FrameHeader) -> u32 {
    header.encode()[field::CRC.offset..].iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
