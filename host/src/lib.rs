//! systole-host
