//! Operations at the border, executed by the host.
/// Border
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum BorderOp {}
