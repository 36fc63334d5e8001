//! Lowering of ONNX's real-valued tensors: what happens between integers.
//!
//! A product of integer tensors and integer weights opens *pending accumulators*: its real value is a
//! function of them. So do averages, sums of two tensors, and operators on the elements of one. Real
//! operators extend that function; a quantizer closes it into one integer operator with a QONNX
//! formula; where the network ends first, the accumulators leave the accelerator and the rest of the
//! function runs on the host.
//!
//! Operators between DequantizeLinear and QuantizeLinear, and the QLinear operators, become a
//! [`PendingFloat`] instead, which is closed into one integer operator with ONNX Runtime's formula.

mod accumulate;
mod arg_max;
mod border;
mod close;
mod elementwise;
mod floating;
mod geometry;
mod joins;
mod linear;
mod open;
mod order;
mod pending;
mod requantize;
mod sum;
mod tail;
mod values;

pub use close::Quantizer;
pub use floating::{Dequantized, Divisor, FloatProduct, FloatSource, PendingFloat, ProductScales};
pub use geometry::Geometry;
pub use open::QuantizedTensor;
pub use pending::{AccumulatorKind, Accumulators, PendingReal};
pub use requantize::{stored, Target};
pub(crate) use values::placed;
