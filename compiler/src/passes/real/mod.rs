//! Lowering of ONNX's real-valued tensors: what happens between integers.
//!
//! A product of integer tensors and integer weights opens a *pending product*: its real value is a
//! function of the accumulators. Real operators extend that function; a quantizer closes it into
//! one dense node with a QONNX formula; where the network ends first, the accumulators leave the
//! accelerator and the rest of the function runs on the host.
//!
//! Operators between DequantizeLinear and QuantizeLinear, and the QLinear operators, become a
//! [`PendingFloat`] instead, which is closed into one integer operator with ONNX Runtime's formula.

mod border;
mod close;
mod elementwise;
mod floating;
mod geometry;
mod joins;
mod linear;
mod order;
mod pending;
mod requantize;
mod tail;
mod values;

pub use close::Quantizer;
pub use floating::{Dequantized, Divisor, FloatProduct, FloatSource, PendingFloat, ProductScales};
pub use geometry::Geometry;
pub use pending::{PendingReal, Product};
pub use requantize::{stored, Target};
pub(crate) use values::placed;
