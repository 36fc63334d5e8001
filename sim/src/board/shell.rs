//! The register shell in Verilator.

use super::device::{Device, Moved};
use super::ffi::{CMoved, RawShell};
use crate::build::ShellSimulator;
use crate::error::SimError;

/// Cycles that the reset line is held.
const RESET_CYCLES: u32 = 16;

/// A register shell around its accelerator, clock by clock.
#[derive(Debug)]
pub struct ShellDevice {
    raw: RawShell,
    beat_bytes: usize,
}

impl ShellSimulator {
    /// Powers a board up: ROM images are read from the bundle, state without a reset gets noise
    /// drawn from `seed`, and the reset line is held once. Boards of one build are independent.
    ///
    /// # Errors
    /// If a ROM image is missing or does not fit its memory, or the built object cannot be loaded.
    pub fn start(&self, seed: u64) -> Result<ShellDevice, SimError> {
        let raw = RawShell::start(&self.object, &self.rom_folder, seed)?;
        let mut device = ShellDevice { raw, beat_bytes: self.shell.beat_bytes as usize };
        device.reset()?;
        Ok(device)
    }
}

impl Device for ShellDevice {
    fn beat_bytes(&self) -> usize {
        self.beat_bytes
    }

    fn read(&mut self, offset: u32) -> Result<(u32, Moved), SimError> {
        self.raw.read(offset).map(|(value, moved)| (value, moved.into()))
    }

    fn write(&mut self, offset: u32, value: u32) -> Result<Moved, SimError> {
        self.raw.write(offset, value).map(Moved::from)
    }

    fn run(&mut self, cycles: u64, input: &[u8], last: bool, output: &mut [u8]) -> Result<Moved, SimError> {
        self.raw.run(cycles, input, last, output).map(Moved::from)
    }

    fn reset(&mut self) -> Result<(), SimError> {
        self.raw.reset(RESET_CYCLES)
    }

    fn moves_by_itself(&self) -> bool {
        true
    }

    fn stall(&mut self, seed: Option<u64>) {
        self.raw.stall(seed);
    }
}

impl From<CMoved> for Moved {
    fn from(moved: CMoved) -> Moved {
        Moved {
            cycles: moved.cycles,
            taken: moved.taken as usize,
            given: moved.given as usize,
            ended: moved.ended != 0,
            interrupts: moved.interrupts,
        }
    }
}
