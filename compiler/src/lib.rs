//! The compiler: model file -> [`Graph`] -> [`QuantGraph`] -> dataflow -> bundle.
//!
//! Each form adds a guarantee to the one before it, checks it with `verify`, prints itself and can
//! be executed with `interpret`. [`passes::pipeline`] lists the way from the first to the last.

pub mod dataflow;
pub mod diagnostic;
pub mod emit;
pub mod frontend;
pub mod graph;
pub mod ops;
pub mod passes;
pub mod profile;
pub mod quant;
pub mod schedule;

pub use dataflow::DataflowGraph;
pub use diagnostic::CompileError;
pub use graph::Graph;
pub use profile::Profile;
pub use quant::QuantGraph;
