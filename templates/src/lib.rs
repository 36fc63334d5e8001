//! systole-templates
