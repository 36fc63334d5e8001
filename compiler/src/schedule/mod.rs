//! Scheduling: foldings, requantizer lanes and FIFO depths of a dataflow design.

pub mod fifo;
mod fifo_search;
pub mod folding;
pub mod lanes;
pub mod plan;

pub use folding::{folded, Goal, ScheduleError, StageShape};
