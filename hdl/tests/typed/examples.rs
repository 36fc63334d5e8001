//! Small modules for golden texts and lint.
