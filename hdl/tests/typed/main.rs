//! The typed layer's Verilog: golden texts, lint, and random modules in Verilator.

mod examples;
mod golden;
mod guarantees;
mod random;
mod simulator;
