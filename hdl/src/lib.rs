//! Hardware: a typed run-time layer over RustHDL, stream blocks, layer engines, stages and the top.
//!
//! Widths are known only when a model is read, so hardware is described with [`typed`] modules
//! whose expressions know their width and sign. Each block is a specification (a plain struct) that
//! states its ports, its cost and its exact timing (as actors of a [`timing::TokenModel`]) beside
//! the module it builds, so that nobody copies a formula.

pub mod cells;
pub mod engine;
pub mod memory;
pub mod requantize;
pub mod shell;
pub mod stage;
pub mod stream;
pub mod timing;
pub mod top;
pub mod typed;
