//! What can go wrong around a simulation, and the exit status that each cause maps to.

use std::path::PathBuf;
use systole_bundle::BundleError;
use systole_templates::TemplateError;

/// A failure to build, load or run a simulation.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// A tool is not installed.
    #[error("{tool} is missing: {looked}; install it with `{install}`")]
    ToolMissing {
        /// What it is.
        tool: &'static str,
        /// Where it was looked for.
        looked: String,
        /// Command that installs it here.
        install: String,
    },
    /// A tool is too old or does not answer as it should.
    #[error("{tool} `{path}`: {reason}; install it with `{install}`, or name another one in {variable}")]
    ToolUnfit {
        /// What it is.
        tool: &'static str,
        /// The executable.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// Environment variable that names another.
        variable: &'static str,
        /// Command that installs it here.
        install: String,
    },
    /// The bundle's manifest cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle's manifest describes no accelerator that can be simulated.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A figure in the manifest is malformed.
    #[error("manifest, {field}: `{found}` is not {wanted}; compile the model again")]
    Manifest {
        /// Path of the field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The bundle has no Verilog.
    #[error("{folder}: no `.v` file; compile the model again")]
    NoVerilog {
        /// Folder that was searched.
        folder: PathBuf,
    },
    /// The bundle has no register shell, and a board is one.
    #[error("{bundle}: the bundle was compiled without a register shell; compile the model again with `--shell axi`")]
    NoShell {
        /// The bundle's folder.
        bundle: PathBuf,
    },
    /// A board's nodes cannot be mounted.
    #[error("{folder}: a board cannot be mounted here: {reason}; give an empty folder that nothing is mounted on")]
    Mount {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A file or folder cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Verilator, the compiler or the linker rejects its input.
    #[error("{step} failed ({status}):\n{output}")]
    Build {
        /// Which tool at which file.
        step: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// A built model cannot be loaded.
    #[error("{path}: {reason}; delete the file to build it again")]
    Load {
        /// The shared object.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The model cannot start: a ROM image is missing or does not fit its memory.
    #[error("the accelerator cannot start: {reason}")]
    Start {
        /// The cause.
        reason: String,
    },
    /// The model stopped in the middle of a run.
    #[error("the accelerator stopped: {reason}")]
    Stopped {
        /// The cause.
        reason: String,
    },
    /// The beats handed in are not whole samples.
    #[error("{found} bytes of input, {samples} samples take {expected}; pack whole samples with `Stream::pack`")]
    InputSize {
        /// Bytes handed in.
        found: usize,
        /// Samples announced.
        samples: usize,
        /// Bytes they take.
        expected: usize,
    },
    /// A waveform was asked for in a format that is not written.
    #[error("{path}: waveforms are written as .vcd or .fst; give the file one of these endings")]
    WaveformFormat {
        /// The file asked for.
        path: PathBuf,
    },
    /// No folder for cached builds.
    #[error("no folder to keep built models in: set SYSTOLE_CACHE, XDG_CACHE_HOME or HOME")]
    NoCacheFolder,
}

impl SimError {
    /// Exit status by the command line's contract: 1 a check failed, 2 bad input, 3 a tool is missing.
    pub fn exit_status(&self) -> u8 {
        match self {
            SimError::ToolMissing { .. } | SimError::ToolUnfit { .. } => 3,
            SimError::Stopped { .. } => 1,
            SimError::Bundle(_)
            | SimError::Template(_)
            | SimError::Manifest { .. }
            | SimError::NoVerilog { .. }
            | SimError::NoShell { .. }
            | SimError::Mount { .. }
            | SimError::Io { .. }
            | SimError::Build { .. }
            | SimError::Load { .. }
            | SimError::Start { .. }
            | SimError::InputSize { .. }
            | SimError::WaveformFormat { .. }
            | SimError::NoCacheFolder => 2,
        }
    }

    /// An [`SimError::Io`] about `path`, for `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> SimError {
        let path = path.into();
        move |source| SimError::Io { path, source }
    }
}
