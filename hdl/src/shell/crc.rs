//! CRC-32 over the beats of a header.

use crate::typed::{uint, Expr, HdlError, Module, ModuleBuilder};
use num_bigint::BigUint;
use std::sync::Arc;
use systole_bundle::frame::CRC_POLYNOMIAL;

/// What the register of a CRC holds after a message and its own checksum, little-endian: the same
/// for every message (W. W. Peterson and D. T. Brown, 1961).
pub(super) fn residue() -> u32 {
    // The checksum of the empty message is 0.
    after(u32::MAX, 0, 32)
}

/// The register after `bits` further bits of a message, the lowest first.
fn after(register: u32, message: u64, bits: u32) -> u32 {
    (0..bits).fold(register, |register, at| {
        let feedback = (register ^ (message >> at) as u32) & 1;
        (register >> 1) ^ (CRC_POLYNOMIAL * feedback)
    })
}

/// For each bit of the register after `bits` bits of a message: on which bits of the message it
/// depends, those of the register before being added to the message's first 32.
fn dependences(bits: u32) -> [BigUint; 32] {
    let mut masks: [BigUint; 32] = Default::default();
    // A set bit at place p is a register of 1 at place p and a message of zeros behind it.
    let mut register = after(0, 1, 1);
    for place in (0..bits).rev() {
        for (bit, mask) in masks.iter_mut().enumerate() {
            mask.set_bit(u64::from(place), register >> bit & 1 == 1);
        }
        register = after(register, 0, 1);
    }
    masks
}

/// One step of a CRC-32 (IEEE 802.3, reflected) over a beat of `bytes`, at least 4, the lowest
/// first: within the cycle `next` is the register `crc` after `data`. Each bit is one parity.
pub(super) fn step(bytes: usize) -> Result<Arc<Module>, HdlError> {
    let bits = bytes as u32 * 8;
    let mut m = ModuleBuilder::new(format!("crc32_step_{bytes}"));
    m.comment(format!("One step of CRC-32 (IEEE 802.3, reflected) over {bytes} bytes, the lowest first."));
    let crc = m.input("crc", uint(32));
    let data = m.input("data", uint(bits));
    let next = m.output("next", uint(32));
    let mixed = m.let_("mixed", data ^ crc.expr().extend(bits));
    let parity = |mask: &BigUint| mixed.expr().and(Expr::lit(mixed.ty(), mask.clone())).reduce_xor();
    let parities: Vec<Expr> = dependences(bits).iter().rev().map(parity).collect();
    m.assign(next, Expr::concat(&parities));
    m.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed::Evaluator;
    use systole_bundle::frame::{crc32, FrameHeader};

    #[test]
    fn steps_over_a_header_give_its_checksum_and_over_the_checksum_the_residue() {
        let header = FrameHeader {
            answer: false,
            epoch: 0xdead_beef,
            sequence: 77,
            samples: 3,
            length: 960,
            ..FrameHeader::default()
        }
        .encode();
        for width in super::super::BEAT_BYTES {
            let mut hardware = Evaluator::new(&step(width).unwrap());
            let mut run = |bytes: &[u8]| {
                bytes.chunks(width).fold(u32::MAX, |crc, beat| {
                    hardware.set("crc", crc);
                    hardware.set("data", BigUint::from_bytes_le(beat));
                    hardware.get_u64("next") as u32
                })
            };
            assert_eq!(run(&header), residue(), "{width} bytes a beat");
            let message: Vec<u8> = (0..width as u8 * 3).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(!run(&message), crc32(&message), "{width} bytes a beat");
        }
    }
}
