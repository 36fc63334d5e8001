//! Typed hardware whose widths are known at run time, on RustHDL's traits.
//!
//! A [`ModuleBuilder`] collects signals, expressions, registers, memories and instances; its `build`
//! gives a [`Module`] whose guarantees hold: every expression knows its width and sign and nothing is
//! widened unless asked for, every signal has exactly one driver, no combinational loop exists (also
//! through instances). A module is a RustHDL block: RustHDL's own checks run on it, and its Verilog
//! is printed by a walk of RustHDL's `Probe`.
//!
//! ```
//! use systole_hdl::typed::{bit, emit, uint, Evaluator, Expr, ModuleBuilder};
//!
//! let mut m = ModuleBuilder::new("tick");
//! m.comment("Counts enabled cycles modulo 10.");
//! let enable = m.input("enable", bit());
//! let wraps = m.output("wraps", bit());
//! let count = m.register("count", uint(4));
//! let last = m.let_("last", count.expr().eq(Expr::lit(uint(4), 9)));
//! m.reset(count, 0);
//! m.clock_if(count, enable, Expr::mux(last, Expr::lit(uint(4), 0), count + Expr::lit(uint(4), 1)));
//! m.assign(wraps, last & enable);
//! let tick = m.build()?;
//!
//! let mut tb = Evaluator::new(&tick);
//! tb.set("areset", 1u32);
//! tb.clock();
//! tb.set("areset", 0u32);
//! tb.set("enable", 1u32);
//! for _ in 0..9 {
//!     assert_eq!(tb.get_u64("wraps"), 0);
//!     tb.clock();
//! }
//! assert_eq!(tb.get_u64("wraps"), 1);
//! assert!(emit(&tick)?[0].text.contains("module tick ("));
//! # Ok::<(), systole_hdl::typed::HdlError>(())
//! ```

mod builder;
mod clocked;
mod constants;
mod emit;
mod error;
mod evaluator;
mod expr;
mod finish;
mod layout;
mod legalize;
mod lower;
mod memory;
mod module;
mod names;
mod operators;
mod ops;
mod print;
mod rusthdl;
mod select;
mod types;
mod verify;
mod verilog;

pub use builder::{Memory, ModuleBuilder};
pub use emit::{emit, rom_files, RomFile, VerilogFile};
pub use error::HdlError;
pub use evaluator::Evaluator;
pub use expr::{Expr, Signal};
pub use memory::{MemorySpec, MemoryStyle, RomImage};
pub use module::{Direction, Module, Port};
pub use names::identifier;
pub use types::{address_bits, bit, sint, uint, HwType};
