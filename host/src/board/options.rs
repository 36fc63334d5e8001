//! How a board is driven.

use std::time::Duration;

/// Limits and patience of a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardOptions {
    /// Frames on the board at once; at most what the shell keeps account of.
    pub in_flight: usize,
    /// Bytes of a frame, header included, that batches are cut to. One sample always fits.
    pub frame_bytes: usize,
    /// How long the board may move no beat while frames are on it, before it is reset. Shorter than
    /// the kernel module's own timeout (10 s unless it was told otherwise).
    pub stall_timeout: Duration,
    /// How often the state of a quiet board is read, and deadlines and cancellations are looked at.
    pub poll_interval: Duration,
    /// How long stopping all transfers may take, before a board counts as failed. Longer than the
    /// kernel module's own timeout, since a transfer that nothing can stop ends with it.
    pub quiesce_timeout: Duration,
    /// How long a soft reset may take.
    pub reset_timeout: Duration,
    /// How often a request is sent again after resets, before it ends with an error.
    pub retries: u32,
    /// Cycles without a beat after which the shell's watchdog halts it; 0 for never.
    pub watchdog_cycles: u32,
    /// Whether an answer is held back until it is confirmed. A header has a checksum and a payload has
    /// none: beats lost or added in one frame show in the next header, and where none is due, in the
    /// shell's count of beats and in what still waits at its streams. (Beats added to the last answer
    /// behind the shell show nowhere.)
    pub confirm: bool,
}

impl Default for BoardOptions {
    fn default() -> BoardOptions {
        BoardOptions {
            in_flight: 8,
            frame_bytes: 256 << 10,
            stall_timeout: Duration::from_secs(2),
            poll_interval: Duration::from_millis(5),
            quiesce_timeout: Duration::from_secs(12),
            reset_timeout: Duration::from_secs(1),
            retries: 3,
            watchdog_cycles: 1 << 28,
            confirm: true,
        }
    }
}
