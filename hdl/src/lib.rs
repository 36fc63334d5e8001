//! systole-hdl

pub mod cells;
pub mod engine;
pub mod stream;
pub mod timing;
