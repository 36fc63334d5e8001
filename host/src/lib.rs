//! The host's side of an accelerator.
//!
//! Today this crate holds what everyone shares who feeds a batch to an accelerator: a [`Session`]
//! runs the border operations that the manifest lists on the host's arrays and lays their results
//! out as beats, and the way back. It knows nothing of how the beats travel; the driver for boards
//! (frames, an in-flight window, transports) comes next and stands on it.
//!
//! The dependency tree is small on purpose: applications link this crate.

mod error;
mod session;
mod value;

pub use error::HostError;
pub use session::{Packed, Session};
