//! The frames on a board, in the order in which they were sent and are answered.

use super::request::{Job, Verdict};
use super::{Fault, Geometry, RequestError, Statistics};
use crate::transport::{DmaBuffer, TransferError};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use systole_bundle::frame::{Expected, FrameHeader, HEADER_BYTES};

/// What a board is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Frames go out and answers come in.
    Running,
    /// The board is being reset; requests wait.
    Recovering,
    /// The board was given up for this reason.
    Failed(RequestError),
    /// The owner closed it.
    Closed,
}

/// Requests by how far they are, and the buffers of finished transfers.
pub struct Window {
    pub phase: Phase,
    /// Not sent yet, in order; those to be sent again first.
    pub pending: VecDeque<Job>,
    /// On the board, in order of their sequence.
    pub in_flight: VecDeque<Job>,
    /// Answered, but neither the header behind the answer nor the shell has confirmed it yet.
    pub held: Option<(Job, Vec<u8>)>,
    /// Number of the reset since which sequences count.
    pub epoch: u32,
    /// Sequence of the next frame.
    pub next_sequence: u32,
    /// Number of the recovery since which tags count; transfers of earlier ones only give their buffer back.
    pub generation: u32,
    /// Transfers that have not completed.
    pub transfers: usize,
    /// Why the stream is broken, until the board's thread sees to it.
    pub fault: Option<Fault>,
    /// Recoveries since the last good answer.
    pub barren: u32,
    pub to_board: Vec<DmaBuffer>,
    pub from_board: Vec<DmaBuffer>,
    /// Credits that the board has and no posted buffer backs.
    pub spare_credit: u32,
    /// What the shell's counter of input beats must read once all frames of this epoch are taken.
    pub beats_in: u64,
    pub statistics: Statistics,
    /// When deadlines were looked at last.
    expired: Option<Instant>,
    /// When the first request came.
    pub begun: Option<Instant>,
}

/// What a board's state is when an epoch begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub epoch: u32,
    /// Credits that are left.
    pub spare_credit: u32,
    /// The shell's counter of input beats.
    pub beats_in: u64,
}

/// What an answer was.
pub enum Answer {
    /// The one that was due.
    Taken,
    /// One of an earlier epoch; a buffer must be posted in place of the one that it filled.
    Stale,
}

impl Window {
    pub fn new() -> Window {
        Window {
            phase: Phase::Running,
            pending: VecDeque::new(),
            in_flight: VecDeque::new(),
            held: None,
            epoch: 0,
            next_sequence: 0,
            generation: 0,
            transfers: 0,
            fault: None,
            barren: 0,
            to_board: Vec::new(),
            from_board: Vec::new(),
            spare_credit: 0,
            beats_in: 0,
            statistics: Statistics::default(),
            expired: None,
            begun: None,
        }
    }

    /// Requests on the board or in front of it.
    pub fn outstanding(&self) -> usize {
        self.pending.len() + self.in_flight.len() + usize::from(self.held.is_some())
    }

    /// Whether the board's thread has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.in_flight.is_empty()
            && self.held.is_none()
            && self.transfers == 0
            && self.fault.is_none()
    }

    /// Takes down why the stream is broken; the first reason counts.
    pub fn break_off(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Ends every request that was taken back or whose time is up, unless that was done less than
    /// `interval` ago.
    pub fn expire(&mut self, now: Instant, interval: Duration, verdicts: &mut Vec<Verdict>) {
        if self.expired.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            return;
        }
        self.expired = Some(now);
        let before = verdicts.len();
        let held = self.held.iter_mut().map(|(job, _)| job);
        let jobs = self.pending.iter_mut().chain(&mut self.in_flight).chain(held);
        verdicts.extend(jobs.filter_map(|job| job.expire(now)));
        self.pending.retain(|job| !job.is_over());
        self.statistics.failed += (verdicts.len() - before) as u64;
    }

    /// Ends every request with `error`.
    pub fn end_all(&mut self, error: &RequestError, verdicts: &mut Vec<Verdict>) {
        let before = verdicts.len();
        let held = self.held.take().map(|(job, _)| job);
        let jobs = held.into_iter().chain(self.in_flight.drain(..)).chain(self.pending.drain(..));
        verdicts.extend(jobs.filter_map(|mut job| job.end(Err(error.clone()))));
        self.statistics.failed += (verdicts.len() - before) as u64;
    }

    /// Puts what was on the board back to the front of the queue, in order, to be sent again. The fault
    /// counts against the one that was next to be answered; it ends when it has met more than `retries`.
    pub fn take_back(&mut self, fault: &Fault, retries: u32, verdicts: &mut Vec<Verdict>) {
        let held = self.held.take().map(|(job, _)| job);
        let mut jobs: VecDeque<Job> = held.into_iter().chain(self.in_flight.drain(..)).collect();
        if let Some(next) = jobs.front_mut() {
            next.faults += 1;
            if next.faults > retries {
                let error = RequestError::Retries { attempts: next.faults, fault: Box::new(fault.clone()) };
                let verdict = next.end(Err(error));
                self.statistics.failed += u64::from(verdict.is_some());
                verdicts.extend(verdict);
            }
        }
        jobs.retain(|job| !job.is_over());
        jobs.append(&mut self.pending);
        self.pending = jobs;
    }

    /// Takes the bytes of one answer. Where it is the one that is due, the request that it ends, or
    /// the one whose answer it confirms, is added to `verdicts`.
    pub fn answer(
        &mut self,
        bytes: &[u8],
        design: u32,
        geometry: &Geometry,
        wire_bytes: usize,
        confirm: bool,
        verdicts: &mut Vec<Verdict>,
    ) -> Result<Answer, Fault> {
        let header = FrameHeader::decode(bytes)?;
        let length = HEADER_BYTES as u64 + u64::from(header.length);
        let age = self.epoch.wrapping_sub(header.epoch);
        if header.answer && header.design == design && (1..1 << 31).contains(&age) && length == bytes.len() as u64 {
            self.statistics.stale += 1;
            return Ok(Answer::Stale);
        }
        let Some(due) = self.in_flight.front() else {
            return Err(TransferError::Protocol {
                what: "answer".into(),
                reason: format!("sequence {} came, and no frame is on the board", header.sequence),
            }
            .into());
        };
        header.validate(&Expected {
            answer: true,
            design,
            epoch: self.epoch,
            sequence: self.next_sequence.wrapping_sub(self.in_flight.len() as u32),
            sample_bytes: geometry.out_bytes,
            max_samples: due.samples,
        })?;
        if header.status != 0 {
            return Err(Fault::Reported { bits: header.status, sequence: header.sequence });
        }
        let wanted = HEADER_BYTES + due.samples as usize * geometry.out_bytes as usize;
        if length != wanted as u64 || bytes.len() != wanted {
            return Err(TransferError::Short { what: "answer".into(), moved: length as usize, wanted }.into());
        }
        let beats = unpadded(&bytes[HEADER_BYTES..], geometry.out_bytes as usize, wire_bytes)?;
        self.barren = 0;
        self.statistics.bytes_received += length;
        self.confirm(verdicts);
        self.held = self.in_flight.pop_front().map(|job| (job, beats));
        if !confirm {
            self.confirm(verdicts);
        }
        Ok(Answer::Taken)
    }

    /// Whether an answer is held and no header will come that could confirm it.
    pub fn is_unconfirmed(&self) -> bool {
        let none_follows = self.pending.is_empty() || self.is_cautious();
        self.held.is_some() && self.in_flight.is_empty() && none_follows && self.fault.is_none()
    }

    /// Whether a frame that met several faults is under way. It goes alone, so that its answer needs no
    /// other frame to be confirmed.
    pub fn is_cautious(&self) -> bool {
        self.held.iter().map(|(job, _)| job).chain(self.in_flight.front()).any(|job| job.faults > 1)
    }

    /// Whether another frame may be sent while at most `most` are on the board.
    pub fn has_room(&self, most: usize) -> bool {
        let sound = self.phase == Phase::Running && self.fault.is_none();
        sound && self.in_flight.len() < most && !self.is_cautious()
    }

    /// Hands out the answer that was held.
    pub fn confirm(&mut self, verdicts: &mut Vec<Verdict>) {
        if let Some((job, beats)) = self.held.take() {
            self.finish(job, beats, verdicts);
        }
    }

    /// A new epoch begins.
    pub fn start(&mut self, start: Start) {
        (self.epoch, self.spare_credit, self.beats_in) = (start.epoch, start.spare_credit, start.beats_in);
        self.next_sequence = 0;
    }

    fn finish(&mut self, mut job: Job, beats: Vec<u8>, verdicts: &mut Vec<Verdict>) {
        let (begun, samples) = (job.begun, job.samples);
        if let Some(verdict) = job.end(Ok(beats)) {
            let now = Instant::now();
            self.statistics.answered += 1;
            self.statistics.samples += u64::from(samples);
            self.statistics.latency.record(now.saturating_duration_since(begun));
            self.statistics.busy = self.begun.map(|first| now.saturating_duration_since(first)).unwrap_or_default();
            verdicts.push(verdict);
        }
    }
}

/// The beats of each sample without the zero bytes behind them.
fn unpadded(payload: &[u8], padded: usize, wire_bytes: usize) -> Result<Vec<u8>, Fault> {
    if padded == wire_bytes {
        return Ok(payload.to_vec());
    }
    let mut beats = Vec::with_capacity(payload.len() / padded.max(1) * wire_bytes);
    for (index, sample) in payload.chunks_exact(padded).enumerate() {
        let (data, padding) = sample.split_at(wire_bytes);
        if let Some(at) = padding.iter().position(|&byte| byte != 0) {
            return Err(Fault::Padding { sample: index, byte: wire_bytes + at });
        }
        beats.extend_from_slice(data);
    }
    Ok(beats)
}

/// Lays a request's frame out in `buffer`, which has the frame's length.
pub fn fill(buffer: &mut [u8], header: &FrameHeader, payload: &[u8], padded: usize, wire_bytes: usize) {
    let (head, body) = buffer.split_at_mut(HEADER_BYTES);
    head.copy_from_slice(&header.encode());
    if padded == wire_bytes {
        body.copy_from_slice(payload);
        return;
    }
    for (sample, data) in body.chunks_exact_mut(padded).zip(payload.chunks_exact(wire_bytes)) {
        let (beats, padding) = sample.split_at_mut(wire_bytes);
        beats.copy_from_slice(data);
        padding.fill(0);
    }
}
