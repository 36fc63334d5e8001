//! The compiler: model file -> [`Graph`] -> [`QuantGraph`] -> dataflow -> bundle.
//!
//! Each form adds a guarantee to the one before it, checks it with `verify`, prints itself and can
//! be executed with `interpret`. [`passes::pipeline`] lists the way from the first to the last.

pub mod diagnostic;
pub mod frontend;
pub mod graph;
pub mod ops;
pub mod passes;
pub mod profile;
pub mod quant;

pub use diagnostic::CompileError;
pub use graph::Graph;
pub use profile::Profile;
pub use quant::QuantGraph;
