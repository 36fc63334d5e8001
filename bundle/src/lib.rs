//! systole-bundle
