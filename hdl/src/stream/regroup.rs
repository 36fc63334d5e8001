//! Lane regrouping: a stream of `in_lanes` elements a beat becomes one of `out_lanes`.

use super::{BeatSource, StreamEnd};
use crate::timing::{EdgeId, Give, Phase, Take, TokenModel};
use std::collections::BTreeSet;

/// Regroups the lanes of a stream, and its pixels where input and output differ in shape.
///
/// ```text
///            +--------------------------------------+
///  in_lanes  |  slot 0 | slot 1 | ... | slot B-1    |  out_lanes
///  =========>|  written at `fill`   shifted down by |=========>
///            |                      `out_lanes`     |
///            +--------------------------------------+
/// ```
///
/// A beat is written behind the elements already held; whenever `out_lanes` of them are there,
/// they are offered. At the end of an output pixel the fill is rounded up to whole output beats,
/// so a beat never straddles a pixel. Idle lanes leave as 0.
///
/// *Timing*: an element accepted at edge t can leave at edge t+1; a pixel takes
/// max(ceil(C/in_lanes), ceil(C/out_lanes)) cycles. Ready is computed from registers and the
/// output's ready. *Reset* empties it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RegroupSpec {
    /// Channels of an input pixel.
    pub in_channels: usize,
    /// Elements an input beat.
    pub in_lanes: usize,
    /// Channels of an output pixel.
    pub out_channels: usize,
    /// Elements an output beat.
    pub out_lanes: usize,
    /// Bits an element.
    pub element_bits: u32,
    /// Whether idle lanes of the input can be other than 0; they are then masked on entry.
    pub mask_idle_lanes: bool,
}

/// What a block needs that is always ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstalled {
    /// Slots.
    pub slots: usize,
    /// Fills at which an input beat can be written.
    pub places: Vec<usize>,
}

/// A regrouping that the block cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pixels of {in_channels} channels in beats of {in_lanes} cannot become pixels of {out_channels} channels in beats of {out_lanes}: a pixel ends inside an input beat; use lanes that divide {out_channels}")]
pub struct RegroupError {
    in_channels: usize,
    in_lanes: usize,
    out_channels: usize,
    out_lanes: usize,
}

impl RegroupSpec {
    /// Elements that each input beat of one round adds to the fill, the padding at output pixel
    /// ends included. A round is the least whole number of input and output pixels.
    ///
    /// # Errors
    /// If an output pixel that does not fill whole beats ends inside an input beat.
    pub fn added(&self) -> Result<Vec<usize>, RegroupError> {
        let round = self.round_elements();
        let mut added = Vec::new();
        let mut seen = 0;
        while seen < round {
            let pixel_end = (seen / self.in_channels + 1) * self.in_channels;
            let next = (seen + self.in_lanes).min(pixel_end);
            let whole_before = seen / self.out_channels;
            let whole_after = next / self.out_channels;
            let padding = self.out_channels.next_multiple_of(self.out_lanes) - self.out_channels;
            if padding > 0
                && whole_after > whole_before
                && (!next.is_multiple_of(self.out_channels) || whole_after > whole_before + 1)
            {
                return Err(RegroupError {
                    in_channels: self.in_channels,
                    in_lanes: self.in_lanes,
                    out_channels: self.out_channels,
                    out_lanes: self.out_lanes,
                });
            }
            added.push(next - seen + padding * (whole_after - whole_before));
            seen = next;
        }
        Ok(added)
    }

    /// Elements of one round.
    pub(crate) fn round_elements(&self) -> usize {
        self.in_channels / gcd(self.in_channels, self.out_channels) * self.out_channels
    }

    /// Output beats of one round.
    fn round_beats(&self) -> usize {
        self.round_elements() / self.out_channels * self.out_channels.div_ceil(self.out_lanes)
    }

    /// Slots needed so that a pixel takes max(input beats, output beats) cycles when neither side
    /// stalls.
    ///
    /// # Errors
    /// As [`RegroupSpec::added`].
    pub fn slots(&self) -> Result<usize, RegroupError> {
        let added = self.added()?;
        let best = added.len().max(self.round_beats()) as u64;
        let most = added.iter().copied().max().unwrap_or(0);
        let mut slots = most.max(self.out_lanes);
        loop {
            let mut model = TokenModel::new();
            let source = model.edge("source", 2);
            let input = StreamEnd { data: source, space: source, space_delay: 0 };
            let elements = self.take_into(&mut model, input, slots, &added, 1);
            self.give_from(&mut model, elements, 1, &[], &[]);
            if model.steady(8).is_ok_and(|steady| steady.is_within(best)) {
                return Ok(slots);
            }
            slots += 1;
        }
    }

    /// What the block needs when beats come at least `spacing` cycles apart and the output never
    /// stalls, so that it is always ready: the result buffer behind an engine. None if the output
    /// cannot keep up.
    ///
    /// # Errors
    /// As [`RegroupSpec::added`].
    pub fn unstalled(&self, spacing: u64) -> Result<Option<Unstalled>, RegroupError> {
        let added = self.added()?;
        if self.round_beats() as u64 > added.len() as u64 * spacing {
            return Ok(None);
        }
        // The densest arrivals give the greatest fills; they repeat from the second round on. After
        // a gap the fill found is smaller by whole output beats.
        let (mut fill, mut slots) = (0usize, 0usize);
        let mut places = BTreeSet::new();
        for _ in 0..3 {
            for &add in &added {
                let beats_between = ((fill / self.out_lanes) as u64).min(spacing) as usize;
                fill -= beats_between * self.out_lanes;
                places.extend((fill % self.out_lanes..=fill).step_by(self.out_lanes));
                fill += add;
                slots = slots.max(fill);
            }
        }
        Ok(Some(Unstalled { slots, places: places.into_iter().collect() }))
    }

    /// Look-up tables of the block behind an engine whose groups come `spacing` cycles apart: one
    /// a bit for each slot, and half a one for each place that each input bit can be written to.
    /// None if the output cannot keep up.
    pub fn unstalled_cost(&self, spacing: u64) -> Option<u64> {
        let Unstalled { slots, places } = self.unstalled(spacing).ok()??;
        Some(u64::from(self.element_bits) * (slots + self.in_lanes * places.len() / 2) as u64)
    }

    /// Fills at which an input beat can be written, given `slots`.
    pub(crate) fn places(&self, slots: usize, added: &[usize]) -> Vec<usize> {
        let mut places = BTreeSet::new();
        let mut sum = 0;
        for &add in added {
            places.extend((sum % self.out_lanes..=slots - add).step_by(self.out_lanes));
            sum += add;
        }
        places.into_iter().collect()
    }

    /// Timing: the accepting side. Returns the elements held, `(edge, space edge)`.
    pub(crate) fn take_into(
        &self,
        model: &mut TokenModel,
        input: StreamEnd,
        slots: usize,
        added: &[usize],
        rounds_per_sample: u64,
    ) -> Elements {
        let elements = model.edge("regroup elements", 0);
        let space = model.edge("regroup slots", slots as u64);
        let phase = |add: usize| Phase {
            repeat: 1,
            takes: vec![
                Take { edge: input.data, need: 1, consume: 1 },
                Take { edge: space, need: add as u64, consume: add as u64 },
            ],
            gives: vec![
                Give { edge: input.space, count: 1, delay: input.space_delay, stride: 0 },
                Give { edge: elements, count: add as u64, delay: 1, stride: 0 },
            ],
            cycles: 1,
        };
        let (round, rounds) = runs(added, rounds_per_sample, phase);
        model.actor("regroup input", round, rounds);
        Elements { held: elements, space: Some(space) }
    }

    /// Timing: the accepting side where it is always ready. Each token on `input` is a beat.
    pub(crate) fn take_unstalled(
        &self,
        model: &mut TokenModel,
        input: EdgeId,
        added: &[usize],
        rounds_per_sample: u64,
    ) -> Elements {
        let elements = model.edge("result elements", 0);
        let phase = |add: usize| Phase {
            repeat: 1,
            takes: vec![Take { edge: input, need: 1, consume: 1 }],
            gives: vec![Give { edge: elements, count: add as u64, delay: 1, stride: 0 }],
            cycles: 1,
        };
        let (round, rounds) = runs(added, rounds_per_sample, phase);
        model.actor("result buffer input", round, rounds);
        Elements { held: elements, space: None }
    }

    /// Timing: the offering side, an actor that fires at every output beat with further `takes`
    /// and `gives`.
    pub(crate) fn give_from(
        &self,
        model: &mut TokenModel,
        elements: Elements,
        rounds_per_sample: u64,
        takes: &[Take],
        gives: &[Give],
    ) {
        let beat = self.beat(elements);
        let all_takes = std::iter::once(beat.take).chain(takes.iter().copied()).collect();
        let all_gives = gives.iter().copied().chain(beat.give).collect();
        let repeat = self.round_beats() as u64 * rounds_per_sample;
        let phase = Phase { repeat, takes: all_takes, gives: all_gives, cycles: 1 };
        model.actor("regroup output", vec![phase], 1);
    }

    /// What one output beat takes from the elements held, and gives back.
    pub(crate) fn beat(&self, elements: Elements) -> BeatSource {
        let lanes = self.out_lanes as u64;
        // The place of a beat that leaves can be written at the same edge.
        let place = |edge| Give { edge, count: lanes, delay: 0, stride: 0 };
        BeatSource { take: Take { edge: elements.held, need: lanes, consume: lanes }, give: elements.space.map(place) }
    }

    /// Timing of the whole block behind `input`: an actor that fires at every output beat of a
    /// sample of `elements`, with further `takes` and `gives`.
    ///
    /// # Errors
    /// As [`RegroupSpec::added`].
    pub fn add_to(
        &self,
        model: &mut TokenModel,
        input: StreamEnd,
        elements: usize,
        takes: &[Take],
        gives: &[Give],
    ) -> Result<(), RegroupError> {
        let rounds = self.rounds_per_sample(elements);
        let held = self.take_into(model, input, self.slots()?, &self.added()?, rounds);
        self.give_from(model, held, rounds, takes, gives);
        Ok(())
    }

    /// Rounds that a sample of `elements` takes.
    pub(crate) fn rounds_per_sample(&self, elements: usize) -> u64 {
        (elements / self.round_elements()) as u64
    }
}

/// A round with equal neighbours as one phase, and how often it runs; a round of equal beats runs once.
fn runs(added: &[usize], rounds: u64, phase: impl Fn(usize) -> Phase) -> (Vec<Phase>, u64) {
    let mut round: Vec<Phase> = Vec::new();
    for chunk in added.chunk_by(|a, b| a == b) {
        round.push(Phase { repeat: chunk.len() as u64, ..phase(chunk[0]) });
    }
    match round.as_mut_slice() {
        [only] => {
            only.repeat *= rounds;
            (round, 1)
        }
        _ => (round, rounds),
    }
}

/// Elements held by a regrouping block in a token model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements {
    /// One token an element.
    pub held: EdgeId,
    /// One token a free slot; none where the block is always ready.
    pub space: Option<EdgeId>,
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(channels: usize, p: usize, s: usize) -> RegroupSpec {
        RegroupSpec {
            in_channels: channels,
            in_lanes: p,
            out_channels: channels,
            out_lanes: s,
            element_bits: 8,
            mask_idle_lanes: false,
        }
    }

    #[test]
    fn every_pair_of_lanes_reaches_the_greater_number_of_beats_with_less_than_three_beats_of_slots() {
        for channels in 1..=13 {
            for p in 1..=channels {
                for s in 1..=channels {
                    let slots = spec(channels, p, s).slots().unwrap();
                    assert!(slots <= 2 * p + 2 * s, "C={channels} p={p} s={s}: {slots} slots");
                }
            }
        }
    }

    #[test]
    fn padding_rounds_each_pixel_up_to_whole_output_beats() {
        assert_eq!(spec(11, 3, 5).added(), Ok(vec![3, 3, 3, 6]));
        assert_eq!(spec(10, 5, 3).added(), Ok(vec![5, 7]));
    }

    #[test]
    fn a_pixel_that_ends_inside_a_beat_needs_lanes_that_divide_it() {
        let reshape =
            |out_lanes| RegroupSpec { in_channels: 12, in_lanes: 5, out_channels: 4, out_lanes, ..spec(1, 1, 1) };
        assert!(reshape(3).added().is_err());
        assert_eq!(reshape(2).added(), Ok(vec![5, 5, 2]));
    }
}
