//! Simulated boards: what a driver finds behind a DMA engine, without a board.
//!
//! ```text
//!   application                      systole board (another process)
//!   driver --- XDMA device nodes --> FUSE nodes ---+
//!   driver --- in process ---------> SimTransport -+--> Board: transfers, faults --> Device
//!                                                       one thread                   registers, beats
//! ```
//!
//! A [`Device`] is clocked hardware: [`ShellDevice`], the register shell in Verilator, or [`NullDevice`],
//! software that answers at once. A [`Board`] puts the DMA engine in front of it: transfers of
//! bytes with deadlines, short counts and errors as the XDMA driver gives them, and the faults
//! that a test asks for ([`Command`]). [`SimTransport`] and [`fuse`] are two ways to it.

mod beats;
mod channel;
mod device;
mod engine;
mod fault;
mod ffi;
#[cfg(all(feature = "fuse", target_os = "linux"))]
pub mod fuse;
mod handle;
mod interrupt;
mod moving;
#[cfg(all(feature = "fuse", target_os = "linux"))]
mod nodes;
mod null;
mod queue;
mod shell;
mod transport;

pub use device::{Device, Moved};
pub use fault::{BeatFault, Command, Direction, NoCommand};
pub use handle::{Board, BoardOptions, Request};
pub use null::{NullDesign, NullDevice};
pub use queue::{BoardError, Done};
pub use shell::ShellDevice;
pub use transport::SimTransport;
