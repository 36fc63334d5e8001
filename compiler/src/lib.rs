//! systole-compiler
