//! Requantization formulas exactly as the named runtimes compute them.
/// Formula
#[derive(Clone, Debug)]
pub enum Formula {}
