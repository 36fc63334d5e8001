//! Rounding primitives.
