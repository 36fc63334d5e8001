//! The board shell in the typed evaluator, around a small core of known function.

mod bench;
mod control;
mod core;
mod faults;
mod frames;
mod recovery;
mod verilog;
