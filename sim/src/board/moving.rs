//! Bytes between transfers and the device, and the faults of single beats on the way.

use super::beats::Beats;
use super::device::Moved;
use super::engine::{Engine, SETTLE_CYCLES, SLICE_CYCLES};
use super::fault::BeatFault;
use super::queue::{BoardError, Transfer};
use crate::error::SimError;
use std::time::{Duration, Instant};

/// Wall time that a slice of simulation aims at, between two looks at the inbox.
const SLICE_TIME: Duration = Duration::from_micros(400);
/// Bytes that `c2h hold` keeps back at most.
const MOST_HELD: usize = 1 << 20;
/// What a beat of noise is made of.
const NOISE: u8 = 0xa5;

impl Engine {
    /// One slice of simulation.
    pub fn step(&mut self) -> Result<(), SimError> {
        self.deliver_spill();
        self.play_input_fault();
        self.play_output_fault();
        let beat = self.device.beat_bytes();

        let allowed = |beats: &Beats| usize::try_from(beats.free()).unwrap_or(usize::MAX).saturating_mul(beat);
        let mut from_inject = false;
        let (input, last): (&[u8], bool) = match (self.inject.front(), self.h2c.waiting.front()) {
            (Some((bytes, last)), _) => {
                from_inject = true;
                (bytes, *last)
            }
            (None, Some(send)) if !self.h2c_beats.is_held() => {
                let rest = send.data.get(send.moved..).unwrap_or_default();
                let free = allowed(&self.h2c_beats);
                (rest.get(..free).unwrap_or(rest), rest.len() <= free)
            }
            _ => (&[], false),
        };

        let free = allowed(&self.c2h_beats);
        let mut direct = false;
        let output: &mut [u8] = match self.c2h.waiting.front_mut() {
            _ if self.c2h_beats.is_held() => &mut [],
            _ if self.holding => {
                let room = MOST_HELD.saturating_sub(self.spill.len()).min(free) / beat * beat;
                self.scratch.resize(room.min(1 << 16), 0);
                &mut self.scratch
            }
            None => &mut [],
            Some(receive)
                if self.next.is_none() && self.spill.is_empty() && receive.data.len() - receive.moved >= beat =>
            {
                direct = true;
                let rest = receive.data.get_mut(receive.moved..).unwrap_or_default();
                let room = (rest.len() / beat * beat).min(free);
                rest.get_mut(..room).unwrap_or_default()
            }
            Some(_) if self.spill.len() < beat => {
                self.scratch.resize(beat, 0);
                &mut self.scratch
            }
            Some(_) => &mut [],
        };

        let begin = Instant::now();
        let moved = self.device.run(self.slice, input, last, output)?;
        self.adapt_slice(&moved, begin.elapsed());
        self.pass(&moved);
        self.account_input(from_inject, moved.taken, beat);
        self.account_output(direct, &moved, beat);
        if moved.taken > 0 || moved.given > 0 {
            (self.quiet, self.settle, self.moved) = (0, SETTLE_CYCLES, Instant::now());
        } else {
            self.quiet = self.quiet.saturating_add(1);
            self.settle = self.settle.saturating_sub(moved.cycles.max(1));
        }
        Ok(())
    }

    fn adapt_slice(&mut self, moved: &Moved, time: Duration) {
        // A call that ended early says nothing about the time of a whole slice.
        if moved.cycles >= self.slice {
            let slice = if time < SLICE_TIME { self.slice * 2 } else { self.slice / 2 };
            self.slice = slice.clamp(SLICE_CYCLES.0, SLICE_CYCLES.1);
        }
    }

    fn account_input(&mut self, from_inject: bool, taken: usize, beat: usize) {
        if from_inject {
            if taken > 0 {
                self.inject.pop_front();
            }
        } else if let Some(send) = self.h2c.waiting.front_mut() {
            send.moved += taken;
            self.h2c_beats.pass(taken.div_ceil(beat) as u64);
        }
        self.finish_send();
    }

    fn finish_send(&mut self) {
        if self.inject.is_empty() && self.h2c.waiting.front().is_some_and(|send| send.moved >= send.data.len()) {
            if let Some(send) = self.h2c.waiting.pop_front() {
                send.end(BoardError::Io);
            }
        }
    }

    fn account_output(&mut self, direct: bool, moved: &Moved, beat: usize) {
        if moved.given == 0 {
            return;
        }
        self.c2h_beats.pass((moved.given / beat) as u64);
        if direct {
            if let Some(receive) = self.c2h.waiting.front_mut() {
                receive.moved += moved.given;
                let ended = moved.ended && receive.to_last;
                self.finish_receive(ended);
            }
            return;
        }
        let bytes = self.scratch.get(..moved.given).unwrap_or_default();
        let next = self.next.take();
        if next != Some(BeatFault::Lose) {
            self.spill.extend(bytes);
        }
        if next == Some(BeatFault::Duplicate) {
            self.spill.extend(bytes);
        }
        self.deliver_spill();
        let to_last = self.c2h.waiting.front().is_some_and(|receive| receive.to_last && receive.moved > 0);
        if next == Some(BeatFault::Last) || moved.ended && to_last && !self.holding {
            self.finish_receive(true);
        }
    }

    /// Ends the first transfer from the device if it is full or `ended`.
    fn finish_receive(&mut self, ended: bool) {
        if self.c2h.waiting.front().is_some_and(|receive| ended || receive.moved >= receive.data.len()) {
            if let Some(receive) = self.c2h.waiting.pop_front() {
                receive.end(BoardError::Io);
            }
        }
    }

    fn deliver_spill(&mut self) {
        while !self.spill.is_empty() && !self.holding {
            let Some(receive) = self.c2h.waiting.front_mut() else { return };
            let room = receive.data.get_mut(receive.moved..).unwrap_or_default();
            let count = room.len().min(self.spill.len());
            room.iter_mut().zip(self.spill.drain(..count)).for_each(|(to, from)| *to = from);
            receive.moved += count;
            self.finish_receive(false);
        }
    }

    /// Does what waits for the next beat to the device.
    fn play_input_fault(&mut self) {
        let beat = self.device.beat_bytes();
        while self.inject.is_empty() && !self.h2c_beats.is_held() {
            let Some(send) = self.h2c.waiting.front_mut() else { return };
            let rest = send.data.get(send.moved..).unwrap_or_default();
            let bytes = rest.get(..beat).unwrap_or(rest).to_vec();
            match self.h2c_beats.take() {
                None => return,
                Some(BeatFault::Stall(cycles)) => self.h2c_beats.hold(cycles),
                Some(BeatFault::Extra) => self.inject.push_back((vec![NOISE; beat], false)),
                Some(BeatFault::Duplicate) => self.inject.push_back((bytes, false)),
                Some(fault @ (BeatFault::Lose | BeatFault::Last)) => {
                    send.moved += bytes.len();
                    self.h2c_beats.pass(1);
                    if fault == BeatFault::Last {
                        self.inject.push_back((bytes, true));
                    }
                    self.finish_send();
                }
            }
        }
    }

    /// Does what waits for the next beat from the device.
    fn play_output_fault(&mut self) {
        while self.next.is_none() && !self.c2h_beats.is_held() && !self.c2h.waiting.is_empty() {
            match self.c2h_beats.take() {
                None => return,
                Some(BeatFault::Stall(cycles)) => self.c2h_beats.hold(cycles),
                Some(BeatFault::Extra) => {
                    self.spill.extend(std::iter::repeat_n(NOISE, self.device.beat_bytes()));
                    self.deliver_spill();
                }
                fault => self.next = fault,
            }
        }
    }
}
