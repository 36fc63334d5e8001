//! The on-disk contract between generator, simulator and driver.
//!
//! A *bundle* is a folder that holds everything about one accelerator: `manifest.json` (this
//! crate's [`Manifest`]), `network/` (the integer network, the software reference), `rtl/` (the
//! Verilog, its ROM images and a file list) and the reports. Generator, simulator and driver
//! share these types, so that none of them guesses what another wrote.

pub mod array;
pub mod manifest;
pub mod stream;

pub use array::{Array, ArrayError};
pub use manifest::{BundleError, Manifest};
pub use stream::{Stream, StreamKind};
