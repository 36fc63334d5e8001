//! Systole turns a quantized neural network into a pipelined dataflow accelerator: Verilog that is
//! bit-exact to the network, and the software around it.
//!
//! This package is the `systole` command line and this facade, which re-exports every crate under
//! its room's name and adds what ties two of them together ([`mod@reference`], [`npy`]).
//!
//! ```no_run
//! use systole::compiler::frontend::FrontOptions;
//! use systole::compiler::passes::pipeline;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bytes = std::fs::read("model.tflite")?;
//! let front = FrontOptions { name: "model".into(), ..FrontOptions::default() };
//! let compiled = pipeline::compile(&bytes, &front, &Default::default(), &mut |_, _| Ok(()))?;
//! println!("{} cycles a sample", compiled.figures.steady.interval());
//! # Ok(())
//! # }
//! ```

pub mod npy;
pub mod reference;

pub use systole_arith as arith;
pub use systole_bundle as bundle;
pub use systole_compiler as compiler;
pub use systole_hdl as hdl;
pub use systole_host as host;
pub use systole_sim as sim;
pub use systole_templates as templates;
