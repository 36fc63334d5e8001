//! Text artefacts that are not RTL, made from minijinja templates with typed contexts.
//!
//! Today these are the C++ which ties a verilated top to a fixed simulation harness
//! ([`simulation`]; a register shell, [`shell`]), the report of a bundle ([`report`]), the C header of the driver
//! ([`c_header`]) and the tables of registers and frames in the documentation ([`board_tables`]).

pub mod board_tables;
pub mod c_header;
pub mod report;
pub mod shell;
pub mod simulation;

/// Why a template cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The manifest says something about a stream that no hardware can have.
    #[error("manifest, stream `{stream}`: {reason}; compile the model again")]
    Stream {
        /// Its name.
        stream: String,
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// The manifest as a whole does not describe one accelerator with one input and one output.
    #[error("manifest: {reason}; compile the model again")]
    Manifest {
        /// What is wrong, with the numbers.
        reason: String,
    },
    /// A source exports something that C has no counterpart for.
    #[error("C interface: {reason}")]
    Source {
        /// What it is.
        reason: String,
    },
    /// The template itself failed.
    #[error("template: {0}")]
    Template(#[from] minijinja::Error),
}
