//! Lowering of QONNX's real-valued tensors: what happens between integers.
//!
//! A product of integer tensors and integer weights opens a *pending product*: its real value is a
//! function of the accumulators. Real operators extend that function; a quantizer closes it into
//! one dense node with a QONNX formula; where the network ends first, the accumulators leave the
//! accelerator and the rest of the function runs on the host.

mod border;
mod close;
mod elementwise;
mod order;
mod pending;
mod tail;
mod values;

pub use close::Quantizer;
pub use pending::{PendingReal, Product};
