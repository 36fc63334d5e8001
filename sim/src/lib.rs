//! systole-sim
