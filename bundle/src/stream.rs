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
        let mask = u64::MAX >> (64 - self.lane_bits);
        for pixel in elements.chunks(self.channels) {
            for group in pixel.chunks(self.lanes) {
                let start = beats.len();
                beats.resize(start + self.beat_bytes(), 0);
                for (lane, &value) in group.iter().enumerate() {
                    let stored = match self.element {
                        IntType::Bipolar => self.element.encode(value),
                        _ => value as u64 & mask,
                    };
                    put_bits(&mut beats[start..], lane as u64 * u64::from(self.lane_bits), self.lane_bits, stored);
                }
            }
        }
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
            prop_assert_eq!(s.unpack(&beats), values);
        }
    }
}
