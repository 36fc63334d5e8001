//! `manifest.json`: what a bundle holds, for those who simulate it, drive it or read about it.

use crate::stream::Stream;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use systole_arith::{BorderOp, IntType, Range};

/// Version of the manifest's own layout; a reader refuses another.
pub const FORMAT: u32 = 1;

/// Everything that generator, simulator and driver agree on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout version, [`FORMAT`].
    pub format: u32,
    /// Name and version of the program that wrote the bundle.
    pub generator: String,
    /// Name of the design: the model's file stem as an identifier.
    pub design: String,
    /// Arithmetic profile, by its command-line name.
    pub profile: String,
    /// Hash of the hardware's structure (Verilog text), 128 bits in hexadecimal.
    pub structure_hash: String,
    /// Hash of the parameters (ROM images), 128 bits in hexadecimal.
    pub parameter_hash: String,
    /// Version `major.minor` of the register map that the shell serves; null without a shell.
    pub register_map: Option<String>,
    /// Register shell around the accelerator; null without one.
    #[serde(default)]
    pub shell: Option<Shell>,
    /// Accelerators of this network: a list of one today.
    pub devices: Vec<Device>,
    /// Tensors that appear on streams.
    pub tensors: Vec<Tensor>,
    /// Every ready/valid stream: the inputs, those between stages, the outputs.
    pub streams: Vec<Stream>,
    /// Operations the host runs in front of each input stream, in order.
    pub input_border: Vec<Border>,
    /// Operations the host runs behind each output stream, in order.
    pub output_border: Vec<Border>,
    /// Pipeline stages in data order.
    pub stages: Vec<Stage>,
    /// First-in first-out buffers between stages.
    pub fifos: Vec<Fifo>,
    /// Figures that simulation must meet to the cycle.
    pub predicted: Predicted,
    /// Totals over the design.
    pub totals: Totals,
}

/// The register shell around an accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shell {
    /// What it is: `axi`, registers over AXI4-Lite and frames over AXI4-Stream.
    pub kind: String,
    /// Top module of its Verilog, around that of the device.
    pub top: String,
    /// Bytes of a beat, both ways.
    pub beat_bytes: u32,
    /// Payload bytes of a sample to the board, whole beats.
    pub in_bytes: u32,
    /// Payload bytes of a sample from the board, whole beats.
    pub out_bytes: u32,
    /// Samples that a frame can have.
    pub max_samples: u32,
    /// Frames that the shell keeps account of at once.
    pub fifo_depth: u32,
    /// Version `major.minor` of its register map.
    pub register_map_version: String,
}

/// One accelerator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Name, `device0`.
    pub name: String,
    /// Top module of its Verilog.
    pub top: String,
}

/// A tensor that travels on a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tensor {
    /// Name in the network.
    pub name: String,
    /// Shape of one sample, channels innermost, without the batch dimension.
    pub shape: Vec<usize>,
    /// Meaning of the dimensions, such as `HWC` or `C`.
    pub layout: String,
    /// Element type.
    pub element: IntType,
    /// Values that can occur.
    pub range: Range,
    /// Real value of one step, where the file gives one.
    pub scale: Option<f64>,
    /// Stored value that stands for 0.
    pub zero_point: i64,
}

/// Operations at one border and the host's tensor on its far side.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Border {
    /// Tensor on the stream's side.
    pub tensor: String,
    /// Name of the host's tensor, as the model file has it.
    pub host_name: String,
    /// Shape of one sample on the host's side, as the model file lays it out.
    pub host_shape: Vec<usize>,
    /// Element type on the host's side: `float32`, `int8`, `int64` ...
    pub host_type: String,
    /// Operations in order of execution.
    pub operations: Vec<BorderOp>,
}

/// One pipeline stage, as planned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stage {
    /// Name, unique, an identifier; also its Verilog module.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Hardware engine.
    pub engine: String,
    /// Tensor it produces.
    pub output: String,
    /// Ways the work is folded.
    pub folding: FoldingFigures,
    /// Output channels computed in parallel.
    pub pe: usize,
    /// Products an output channel computes in parallel.
    pub simd: usize,
    /// Multiply-accumulate lanes.
    pub multipliers: u64,
    /// Multipliers outside the multiply-accumulate lanes.
    pub requantize_multipliers: u64,
    /// Form of the requantizer.
    pub requantizer: String,
    /// Products of the dense loop nest a sample.
    pub macs: u64,
    /// Cycles a sample occupies the stage.
    pub cycles: u64,
    /// Cycles a sample in which the stage starts a fold.
    pub busy_cycles: u64,
    /// Bits of all memories, weights included.
    pub memory_bits: u64,
    /// Bits of weights as stored.
    pub weight_bits: u64,
    /// Accumulator width in bits.
    pub accumulator_bits: u32,
}

/// Parallelism of a stage along each folded dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldingFigures {
    /// Output channels a cycle.
    pub output_channels: usize,
    /// Input channels a cycle.
    pub input_channels: usize,
    /// Window taps a cycle.
    pub taps: usize,
    /// Output pixels a cycle.
    pub pixels: usize,
}

/// One FIFO.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fifo {
    /// Stream it buffers.
    pub stream: String,
    /// Entries (beats).
    pub depth: usize,
    /// Bits an entry.
    pub width: u64,
    /// Entries the memory has once rounded to its geometry.
    pub rounded_depth: usize,
    /// Memory it is made of.
    pub memory: String,
}

/// Figures of the token simulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicted {
    /// Cycles a sample in steady state, as an exact fraction `p/q` or a whole number.
    pub initiation_interval: String,
    /// Samples after which the pattern of input cycles repeats.
    pub period_samples: u64,
    /// Samples before the pattern begins.
    pub warm_up_samples: u64,
    /// Cycles from the first input beat to the last output beat of one sample alone.
    pub latency_cycles: u64,
}

/// Sums over the design.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Totals {
    /// Products of the dense loop nests.
    pub macs: u64,
    /// Multiply-accumulate lanes.
    pub multipliers: u64,
    /// Every other multiplier.
    pub requantize_multipliers: u64,
    /// Bits of all FIFOs, at their exact depths.
    pub fifo_bits: u64,
    /// Bits of weights as stored.
    pub weight_bits: u64,
    /// Multiplier budget that the folding was found for, if one was given.
    pub budget: Option<u64>,
}

/// Why a bundle cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// `manifest.json` is not a manifest.
    #[error("{path}: not a manifest: {source}; compile the model again")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// The manifest has another layout.
    #[error("{path}: manifest format {found}, this program reads {FORMAT}; compile the model again")]
    Format {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: u32,
    },
}

impl Manifest {
    /// Reads `dir/manifest.json`.
    ///
    /// # Errors
    /// If the file is missing, is not a manifest, or has another format version.
    pub fn read(dir: &Path) -> Result<Manifest, BundleError> {
        let path = dir.join("manifest.json");
        let text = std::fs::read(&path).map_err(|source| BundleError::Io { path: path.clone(), source })?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|source| BundleError::Malformed { path: path.clone(), source })?;
        if manifest.format != FORMAT {
            return Err(BundleError::Format { path, found: manifest.format });
        }
        Ok(manifest)
    }

    /// The text of `manifest.json`: deterministic, indented, with a final newline.
    pub fn to_json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("a manifest holds no map with keys that are not strings");
        text.push('\n');
        text
    }

    /// The stream of a name.
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().find(|stream| stream.name == name)
    }

    /// The tensor of a name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}
