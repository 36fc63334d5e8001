//! The host's side of an accelerator: what an application links to stream batches to a board.
//!
//! A [`Session`] runs the border operations that the manifest lists on the host's arrays and lays
//! their results out as beats, and the way back. A [`Board`] carries them: frames in order, an
//! in-flight window, deadlines, recovery; [`Boards`] are several behind one queue. Both are
//! [`Accelerator`]s: they take whole batches, streams of batches, and futures. How the bytes reach the board is a [`Transport`]:
//! [`transport::xdma`] drives the XDMA driver's device nodes, others live elsewhere.
//!
//! The dependency tree is small on purpose: applications link this crate.

pub mod board;
mod boards;
mod error;
mod infer;
mod session;
mod ticket;
pub mod transport;
mod value;

pub use board::{Board, BoardError, BoardOptions, RequestError};
pub use boards::Boards;
pub use error::HostError;
pub use infer::{Accelerator, InferError, Pending, Stream, StreamOptions};
pub use session::{Packed, Session};
pub use ticket::{ticket, Promise, Ticket};
pub use transport::{DmaBuffer, TransferError, Transport};
