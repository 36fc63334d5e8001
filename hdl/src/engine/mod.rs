//! Layer engines.

pub mod matrix;

pub use matrix::{MatrixSpec, ProductKind};
