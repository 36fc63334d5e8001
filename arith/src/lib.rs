//! Exact integer arithmetic of quantized networks: integer types and ranges, the rounding
//! primitives and requantization formulas of the supported runtimes, the canonical [`Step`] form
//! of a requantization with its hardware forms, and the border operations that run on the host.
//!
//! Nothing here depends on a graph or on hardware. Every function states its source.

pub mod border;
pub mod formula;
pub mod hardware;
pub mod int_type;
pub mod join;
pub mod real;
pub mod rounding;
pub mod step;
pub mod table;
pub mod window;

pub use border::BorderOp;
pub use formula::Formula;
pub use hardware::Requantizer;
pub use int_type::{IntType, Range};
pub use join::{JoinFormula, JoinMap};
pub use step::{Direction, Step, StepChannel};
pub use table::{Table, TableFormula};
pub use window::{Window, WindowError};
