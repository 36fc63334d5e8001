//! systole-hdl
