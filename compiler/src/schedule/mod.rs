//! Scheduling: foldings, requantizer lanes and FIFO depths of a dataflow design.

mod candidates;
pub mod fifo;
mod fifo_search;
pub mod folding;
pub mod lanes;
pub mod plan;

pub use candidates::folded;
pub use folding::{Goal, ScheduleError, StageShape};
