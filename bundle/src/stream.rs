//! Streams: how a tensor's elements travel in beats.

use serde::{Deserialize, Serialize};
use systole_arith::IntType;

/// Where a stream lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// `s_axis_*` of the top.
    Input,
    /// Between two stages.
    Internal,
    /// `m_axis_*` of the top.
    Output,
}

/// A ready/valid stream: element `i` of a pixel travels in lane `i mod lanes` of beat
/// `i / lanes`, lane 0 in the low bits; a beat never straddles a pixel; idle lanes are 0.
///
/// Where a beat holds several pixels of the tensor, neighbours of a row, these count as one pixel of as many times the
/// channels: its elements are theirs in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Unique name.
    pub name: String,
    /// Where it lies.
    pub kind: StreamKind,
    /// Tensor it carries.
    pub tensor: String,
    /// Stage that drives it; null for an input.
    pub producer: Option<String>,
    /// Stages that read it; empty for an output.
    pub consumers: Vec<String>,
    /// Element type.
    pub element: IntType,
    /// Elements a beat.
    pub lanes: usize,
    /// Bits a lane takes in the payload: the element's own inside, whole bytes at the top's ports.
    pub lane_bits: u32,
    /// Pixels a sample, as the stream joins them.
    pub pixels: usize,
    /// Channels (elements) of such a pixel.
    pub channels: usize,
    /// Beats a sample: `pixels * ceil(channels / lanes)`.
    pub beats: usize,
    /// Payload signal in the top module.
    pub data: String,
    /// Valid signal in the top module.
    pub valid: String,
    /// Ready signal in the top module.
    pub ready: String,
}

impl Stream {
    /// Beats a pixel.
    pub fn beats_per_pixel(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Payload bits of a beat.
    pub fn beat_bits(&self) -> u64 {
        self.lanes as u64 * u64::from(self.lane_bits)
    }

    /// Bytes in which one beat is kept on the host: whole 32-bit words, little-endian.
    pub fn beat_bytes(&self) -> usize {
        (self.beat_bits().div_ceil(32) * 4) as usize
    }

    /// Lays one sample's elements (pixels outermost, channels innermost) out as beats of
    /// [`Stream::beat_bytes`] bytes each.
    ///
    /// Lanes wider than the element (the top's ports) are sign- or zero-extended.
    pub fn pack(&self, elements: &[i64], beats: &mut Vec<u8>) {
        for pixel in elements.chunks(self.channels) {
            for group in pixel.chunks(self.lanes) {
                let start = beats.len();
                beats.resize(start + self.beat_bytes(), 0);
                for (lane, &value) in group.iter().enumerate() {
                    let offset = lane as u64 * u64::from(self.lane_bits);
                    put_bits(&mut beats[start..], offset, self.lane_bits, self.stored(value));
                }
            }
        }
    }

    /// An element as its lane holds it, sign- or zero-extended to the lane's width.
    fn stored(&self, value: i64) -> u64 {
        match self.element {
            IntType::Bipolar => self.element.encode(value),
            _ => value as u64 & u64::MAX >> (64 - self.lane_bits),
        }
    }

    /// Bytes that a beat takes at a port of the top: lanes of whole bytes, nothing between them.
    pub fn wire_beat_bytes(&self) -> usize {
        self.lanes * self.lane_bits.div_ceil(8) as usize
    }

    /// Lays one sample's elements (pixels outermost, channels innermost) out as they cross a port of
    /// the top: beats of [`Stream::wire_beat_bytes`] bytes each, lane 0 first, idle lanes 0, elements
    /// sign- or zero-extended, little-endian.
    pub fn pack_wire(&self, elements: &[i64], wire: &mut Vec<u8>) {
        let lane_bytes = self.lane_bits.div_ceil(8) as usize;
        for pixel in elements.chunks(self.channels) {
            for group in pixel.chunks(self.lanes) {
                let end = wire.len() + self.wire_beat_bytes();
                for &value in group {
                    wire.extend_from_slice(&self.stored(value).to_le_bytes()[..lane_bytes]);
                }
                wire.resize(end, 0);
            }
        }
    }

    /// Elements of whole samples from beats as [`Stream::pack_wire`] lays them out; idle lanes are dropped.
    pub fn unpack_wire(&self, wire: &[u8]) -> Vec<i64> {
        let lane_bytes = self.lane_bits.div_ceil(8) as usize;
        let per_pixel = self.beats_per_pixel();
        let mut elements = Vec::with_capacity(wire.len() / lane_bytes);
        for (index, beat) in wire.chunks_exact(self.wire_beat_bytes()).enumerate() {
            let first = index % per_pixel * self.lanes;
            for lane in beat.chunks_exact(lane_bytes).take(self.channels - first) {
                let mut stored = [0; 8];
                stored[..lane_bytes].copy_from_slice(lane);
                elements.push(self.element.decode(u64::from_le_bytes(stored)));
            }
        }
        elements
    }

    /// Elements of whole samples from beats as [`Stream::pack`] lays them out; idle lanes are dropped.
    pub fn unpack(&self, beats: &[u8]) -> Vec<i64> {
        let per_pixel = self.beats_per_pixel();
        let mut elements = Vec::with_capacity(beats.len() / self.beat_bytes() * self.lanes);
        for (index, beat) in beats.chunks_exact(self.beat_bytes()).enumerate() {
            let first = index % per_pixel * self.lanes;
            for lane in 0..self.lanes.min(self.channels - first) {
                let stored = get_bits(beat, lane as u64 * u64::from(self.lane_bits), self.lane_bits);
                elements.push(self.element.decode(stored));
            }
        }
        elements
    }
}

fn put_bits(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    for bit in 0..u64::from(width) {
        let at = offset + bit;
        bytes[(at / 8) as usize] |= ((value >> bit & 1) as u8) << (at % 8);
    }
}

fn get_bits(bytes: &[u8], offset: u64, width: u32) -> u64 {
    (0..u64::from(width)).fold(0, |value, bit| {
        let at = offset + bit;
        value | u64::from(bytes[(at / 8) as usize] >> (at % 8) & 1) << bit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(element: IntType, lanes: usize, channels: usize, lane_bits: u32) -> Stream {
        Stream {
            name: "s".into(),
            kind: StreamKind::Internal,
            tensor: "t".into(),
            producer: None,
            consumers: vec![],
            element,
            lanes,
            lane_bits,
            pixels: 2,
            channels,
            beats: 2 * channels.div_ceil(lanes),
            data: "d".into(),
            valid: "v".into(),
            ready: "r".into(),
        }
    }

    #[test]
    fn element_i_travels_in_lane_i_mod_lanes_with_lane_0_low() {
        let s = stream(IntType::Signed(4), 3, 4, 4);
        let mut beats = Vec::new();
        s.pack(&[1, -1, 2, 3, 0, 0, 0, -8], &mut beats);
        assert_eq!(beats, [0xf1, 0x02, 0, 0, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x08, 0, 0, 0]);
    }

    #[test]
    fn beats_cross_a_port_in_lanes_of_whole_bytes_one_after_another() {
        let s = stream(IntType::Signed(12), 2, 3, 16);
        let mut wire = Vec::new();
        s.pack_wire(&[1, -1, 2, -2, 0x7ff, -0x800], &mut wire);
        assert_eq!(wire, [1, 0, 0xff, 0xff, 2, 0, 0, 0, 0xfe, 0xff, 0xff, 0x07, 0x00, 0xf8, 0, 0]);
    }

    proptest! {
        #[test]
        fn unpacking_what_was_packed_gives_the_elements(
            lanes in 1usize..9, channels in 1usize..20, bits in 1u32..17, extra in 0u32..9, seed in any::<u64>(), kind in 0..3
        ) {
            let element = match kind { 0 => IntType::Signed(bits), 1 => IntType::Unsigned(bits), _ => IntType::Bipolar };
            let s = stream(element, lanes, channels, element.bits() + extra);
            let values: Vec<i64> = (0..2 * channels as u64)
                .map(|i| element.decode(seed.wrapping_mul(2 * i + 1).rotate_left(17)))
                .collect();
            let mut beats = Vec::new();
            s.pack(&values, &mut beats);
            prop_assert_eq!(beats.len(), s.beats * s.beat_bytes());
            prop_assert_eq!(s.unpack(&beats), values.clone());
            let mut wire = Vec::new();
            s.pack_wire(&values, &mut wire);
            prop_assert_eq!(wire.len(), s.beats * s.wire_beat_bytes());
            prop_assert_eq!(s.unpack_wire(&wire), values);
        }
    }
}
