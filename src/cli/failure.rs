//! What ends a command early, and how it is told.

use miette::Diagnostic;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use systole::bundle::{ArrayError, BundleError};
use systole::compiler::CompileError;
use systole::host::{BoardError, HostError, InferError, TransferError};
use systole::reference::LoadError;
use systole::sim::verify::VerifyError;
use systole::sim::SimError;
use systole::templates::TemplateError;

/// Why a command did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The model cannot be compiled.
    #[error("{}", compile_message(.0))]
    Compile(#[from] CompileError),
    /// The accelerator cannot be built or simulated.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// The accelerator cannot be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The bundle has no usable reference network.
    #[error(transparent)]
    Reference(#[from] LoadError),
    /// A batch does not fit the accelerator.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A board cannot be used.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The link to a board cannot be opened.
    #[error(transparent)]
    Link(#[from] TransferError),
    /// A batch has no result.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// An array cannot be read.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// A bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A manifest's figures contradict each other.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The arguments do not fit together, or ask for what is not there.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        cause: std::io::Error,
    },
    /// The reader of standard output has gone.
    #[error("standard output is closed")]
    OutputClosed,
}

impl Failure {
    /// A [`Failure::Usage`].
    pub fn usage(message: impl Display, help: impl Display) -> Failure {
        Failure::Usage { message: message.to_string(), help: help.to_string() }
    }

    /// A [`Failure::Io`].
    pub fn io(path: impl AsRef<Path>, cause: std::io::Error) -> Failure {
        Failure::Io { path: path.as_ref().into(), cause }
    }

    /// The exit status: 1 a check failed, 2 bad input or usage, 3 a tool is missing.
    pub fn exit_status(&self) -> u8 {
        match self {
            Failure::Sim(error) => error.exit_status(),
            Failure::Verify(error) => error.exit_status(),
            // What was given fits; the board failed.
            Failure::Infer(InferError::Request { .. }) => 1,
            Failure::Infer(InferError::Host(_))
            | Failure::Board(_)
            | Failure::Link(_)
            | Failure::Reference(_)
            | Failure::Compile(_)
            | Failure::Host(_)
            | Failure::Array(_)
            | Failure::Bundle(_)
            | Failure::Template(_)
            | Failure::Usage { .. }
            | Failure::Io { .. }
            | Failure::OutputClosed => 2,
        }
    }
}

/// The message of a compiler diagnostic without its remedy, which is rendered as help.
fn compile_message(error: &CompileError) -> String {
    match error {
        CompileError::Damaged { format, cause } => format!("{format} file is damaged: {cause}"),
        CompileError::Node { node, cause, .. } => format!("node `{node}`: {cause}"),
        CompileError::Model { cause, .. } => cause.clone(),
        CompileError::Internal { pass, cause } => format!("internal error after pass `{pass}`: {cause}"),
        CompileError::Io { .. } | CompileError::Unsupported(_) => error.to_string(),
    }
}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        Some(Box::new(match self {
            Failure::Compile(CompileError::Damaged { .. }) => "systole::model::damaged",
            Failure::Compile(CompileError::Node { .. }) => "systole::model::node",
            Failure::Compile(CompileError::Unsupported(_)) => "systole::model::unsupported",
            Failure::Compile(CompileError::Model { .. }) => "systole::model",
            Failure::Compile(CompileError::Internal { .. }) => "systole::internal",
            Failure::Sim(_) | Failure::Verify(_) if self.exit_status() == 3 => "systole::tool",
            Failure::Sim(_) | Failure::Verify(VerifyError::Sim(_)) => "systole::simulation",
            Failure::Verify(_) => "systole::verify",
            Failure::Host(_) | Failure::Infer(InferError::Host(_)) => "systole::batch",
            Failure::Board(_) | Failure::Link(_) | Failure::Infer(InferError::Request { .. }) => "systole::board",
            Failure::Array(_) => "systole::array",
            Failure::Bundle(_) | Failure::Template(_) | Failure::Reference(_) => "systole::bundle",
            Failure::Usage { .. } => "systole::usage",
            Failure::Compile(CompileError::Io { .. }) | Failure::Io { .. } | Failure::OutputClosed => "systole::file",
        }))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        match self {
            Failure::Compile(CompileError::Damaged { .. }) => Some(Box::new("export the model again")),
            Failure::Compile(CompileError::Node { remedy, .. } | CompileError::Model { remedy, .. }) => {
                Some(Box::new(remedy))
            }
            Failure::Compile(CompileError::Unsupported(_)) => Some(Box::new(
                "rewrite these operators, or leave them to the host by cutting the model in front of them",
            )),
            Failure::Compile(CompileError::Internal { .. }) => {
                Some(Box::new("this is a bug of the compiler: please report it with the model file"))
            }
            Failure::Bundle(BundleError::Io { .. })
            | Failure::Reference(LoadError::Manifest(BundleError::Io { .. })) => {
                Some(Box::new("give a folder that `systole compile` wrote"))
            }
            Failure::Usage { help, .. } => Some(Box::new(help)),
            _ => None,
        }
    }
}
