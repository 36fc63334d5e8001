//! Operations at the border, executed by the host.
/// Border
#[derive(Clone, Debug)]
pub enum BorderOp {}
