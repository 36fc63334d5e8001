//! What stands behind the DMA engine of a board.

use crate::error::SimError;

/// What one call of a device moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Clock cycles that passed.
    pub cycles: u64,
    /// Bytes taken from the host.
    pub taken: usize,
    /// Bytes given to the host.
    pub given: usize,
    /// Whether the last beat given carries TLAST.
    pub ended: bool,
    /// Times that the interrupt line rose.
    pub interrupts: u64,
}

/// A device with the board contract: 32-bit registers, a stream of beats each way, an interrupt line.
///
/// Time passes in calls only. Errors are those of a device that stopped for good.
pub trait Device: Send {
    /// Bytes of a beat, both ways.
    fn beat_bytes(&self) -> usize;

    /// Reads the register at byte offset `offset`.
    ///
    /// # Errors
    /// If the device has stopped.
    fn read(&mut self, offset: u32) -> Result<(u32, Moved), SimError>;

    /// Writes the register at byte offset `offset`.
    ///
    /// # Errors
    /// If the device has stopped.
    fn write(&mut self, offset: u32, value: u32) -> Result<Moved, SimError>;

    /// Runs at most `cycles` cycles. The host offers `input`, whose final beat carries TLAST if `last`, and takes as
    /// many whole beats as fit `output`. Returns early when all of `input` is taken, behind an output
    /// beat with TLAST, and when `output` is full.
    ///
    /// # Errors
    /// If the device has stopped.
    fn run(&mut self, cycles: u64, input: &[u8], last: bool, output: &mut [u8]) -> Result<Moved, SimError>;

    /// The reset line, held for some cycles.
    ///
    /// # Errors
    /// If the device has stopped.
    fn reset(&mut self) -> Result<(), SimError>;

    /// Whether more cycles can change anything while the host neither sends nor takes.
    fn moves_by_itself(&self) -> bool;

    /// Holds back beats both ways at random, as `seed` says, or no longer.
    fn stall(&mut self, seed: Option<u64>);
}
