//! The on-disk contract between generator, simulator and driver.
//!
//! A *bundle* is a folder that holds everything about one accelerator: `manifest.json` (this
//! crate's [`Manifest`]), `network/` (the integer network, the software reference), `rtl/` (the
//! Verilog, its ROM images and a file list) and the reports. Generator, simulator and driver
//! share these types, so that none of them guesses what another wrote.
//!
//! What a board and its driver agree on is here too: the register map ([`registers`]), the frames
//! ([`frame`]) and the hashes by which they recognise each other ([`DesignHash`]).

pub mod array;
mod design_hash;
pub mod frame;
pub mod manifest;
pub mod registers;
pub mod stream;

/// Element types and border operations, which stand in the manifest.
pub use systole_arith as arith;

pub use array::Array;
#[cfg(feature = "npz")]
pub use array::ArrayError;
pub use design_hash::DesignHash;
pub use manifest::{BundleError, Manifest};
pub use stream::{Stream, StreamKind};
