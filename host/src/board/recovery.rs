//! Bringing a board back after its stream broke.
//!
//! Nothing resumes inside a frame: all transfers are stopped, the core is reset, a new epoch begins,
//! and what was on the board is sent again. Each recovery without a good answer since the last one
//! is harsher: twice a soft reset with the channels opened anew, then the PCIe function's reset, then
//! the board is given up.

use super::identity::{self, ALL_ONES};
use super::request::Verdict;
use super::service::Shared;
use super::window::{Phase, Start};
use super::{BoardError, Fault, RequestError};
use crate::transport::{Reset, TransferError};
use std::time::{Duration, Instant};
use systole_bundle::registers::{self, ctrl, status};

/// Recoveries by soft reset before the function is reset.
const SOFT_RECOVERIES: u32 = 2;
/// How long one slice of waiting is, between which deadlines are watched.
const SLICE: Duration = Duration::from_millis(20);

impl Shared {
    /// Whether nothing answers at the registers any more.
    fn is_gone(&self) -> bool {
        matches!(
            self.transport.reg_read32(registers::MAGIC.offset),
            Ok(ALL_ONES) | Err(TransferError::Gone { .. } | TransferError::Offline { .. })
        )
    }

    /// Resets the board as harshly as it takes and sends again what was on it, or gives it up.
    pub fn recover(&self, fault: Fault) {
        // Whatever a transfer met: MAGIC tells whether the board is still there.
        let gone = matches!(fault, Fault::Transfer(_)) && self.is_gone();
        let mut verdicts = Vec::new();
        let barren = {
            let mut window = self.lock();
            if window.phase == Phase::Running {
                window.phase = Phase::Recovering;
            }
            window.generation = window.generation.wrapping_add(1);
            window.statistics.recoveries += 1;
            window.barren += 1;
            window.take_back(&fault, self.options.retries, &mut verdicts);
            window.barren
        };
        deliver(verdicts);

        let restarted = self.stop().and_then(|()| self.restart(gone, barren));
        let mut verdicts = Vec::new();
        {
            let mut window = self.lock();
            window.fault = None;
            match restarted {
                Ok(start) => {
                    window.start(start);
                    if window.phase == Phase::Recovering {
                        window.phase = Phase::Running;
                    }
                    self.send(&mut window);
                }
                Err(error) => {
                    let error = RequestError::Failed { fault: Box::new(fault), error: Box::new(error) };
                    window.end_all(&error, &mut verdicts);
                    // What a transfer that cannot be stopped holds on to is never waited for again.
                    window.transfers = 0;
                    if window.phase == Phase::Recovering {
                        window.phase = Phase::Failed(error);
                    }
                }
            }
        }
        deliver(verdicts);
    }

    /// Stops all transfers and takes their buffers back, watching deadlines meanwhile.
    fn stop(&self) -> Result<(), BoardError> {
        let deadline = Instant::now() + self.options.quiesce_timeout;
        while let Err(error) = self.transport.quiesce((Instant::now() + SLICE).min(deadline)) {
            let now = Instant::now();
            let patient = matches!(error, TransferError::Timeout { .. }) && now < deadline;
            if !patient || self.lock().phase == Phase::Closed {
                return Err(error.into());
            }
            self.expire(now);
        }
        let mut done = Vec::new();
        let soon = Instant::now() + self.options.reset_timeout;
        while self.lock().transfers > 0 && Instant::now() < soon {
            if self.transport.complete(&mut done, Instant::now() + SLICE).is_err() {
                break;
            }
            let mut window = self.lock();
            let mut verdicts = Vec::new();
            // Of an earlier generation all of them: their buffers are kept, nothing else.
            done.drain(..).for_each(|completion| self.take(&mut window, completion, &mut verdicts));
        }
        Ok(())
    }

    fn restart(&self, gone: bool, barren: u32) -> Result<Start, BoardError> {
        if !gone && barren <= SOFT_RECOVERIES {
            match self.reset_core(Some(Reset::Channel)) {
                Ok(start) => return Ok(start),
                // No reset makes another design of it.
                Err(error @ (BoardError::WrongDesign { .. } | BoardError::Abi { .. })) => return Err(error),
                Err(_) => (),
            }
        }
        if barren > SOFT_RECOVERIES + 1 {
            return Err(TransferError::Timeout { what: format!("{barren} recoveries without an answer") }.into());
        }
        self.lock().statistics.function_resets += 1;
        self.transport.reset(Reset::Function)?;
        self.reset_core(None)
    }

    /// Resets the core, then the transport as far as asked, and readies the core for frames of a new
    /// epoch, if it still is the design of the bundle.
    pub fn reset_core(&self, transport_too: Option<Reset>) -> Result<Start, BoardError> {
        let transport = &*self.transport;
        let write = |register: registers::Register, value| transport.reg_write32(register.offset, value);
        identity::check(transport, &self.design)?;
        write(registers::CTRL, ctrl::SOFT_RESET.mask())?;
        self.await_reset()?;
        if let Some(level) = transport_too {
            transport.reset(level)?;
        }
        let epoch = transport.reg_read32(registers::EPOCH.offset)?.wrapping_add(1);
        write(registers::EPOCH, epoch)?;
        write(registers::ERROR, u32::MAX)?;
        write(registers::IRQ_MASK, 0)?;
        write(registers::IRQ_STATUS, u32::MAX)?;
        write(registers::WATCHDOG_CYCLES, self.options.watchdog_cycles)?;
        let spare_credit = transport.reg_read32(registers::OUT_CREDIT.offset)?;
        let beats_in = self.beats_in(0)?;
        write(registers::CTRL, self.control)?;
        Ok(Start { epoch, spare_credit, beats_in })
    }

    fn await_reset(&self) -> Result<(), BoardError> {
        let deadline = Instant::now() + self.options.reset_timeout;
        loop {
            let resetting = ctrl::SOFT_RESET.is_set(self.transport.reg_read32(registers::CTRL.offset)?);
            let state = self.transport.reg_read32(registers::STATUS.offset)?;
            if state == ALL_ONES {
                return Err(TransferError::Gone { what: "register STATUS reads all ones in a reset".into() }.into());
            }
            if !resetting && status::RESET_DONE.is_set(state) {
                return Ok(());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(BoardError::ResetStuck(self.options.reset_timeout, state));
            }
            self.expire(now);
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn expire(&self, now: Instant) {
        let mut verdicts = Vec::new();
        self.lock().expire(now, self.options.poll_interval, &mut verdicts);
        deliver(verdicts);
    }
}

fn deliver(verdicts: Vec<Verdict>) {
    verdicts.into_iter().for_each(Verdict::deliver);
}
