//! Front ends: a model file's bytes -> [`Graph`].

pub mod onnx;
pub mod tflite;

use crate::diagnostic::CompileError;
use crate::graph::{Format, Graph};
use crate::passes::lowering::{ArgMaxPlace, InputType};
use crate::passes::{derive_exact_maps, fold_constants, lower_to_integers};
use crate::profile::Profile;
use crate::quant::QuantGraph;
use std::collections::HashMap;

/// What the user says about the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrontOptions {
    /// Name of the design, such as the file's stem.
    pub name: String,
    /// Whose results are reproduced; by default that of the file format.
    pub profile: Option<Profile>,
    /// Border types by input name, for inputs without a quantizer.
    pub input_types: HashMap<String, InputType>,
    /// Where ArgMax is executed.
    pub arg_max: ArgMaxPlace,
}

impl FrontOptions {
    /// The profile for a format: as chosen, or the format's own.
    ///
    /// # Errors
    /// If the profile's runtime does not read the format.
    pub fn profile(&self, format: Format) -> Result<Profile, CompileError> {
        let profile = self.profile.unwrap_or(match format {
            Format::Tflite => Profile::Tflm,
            Format::Onnx => Profile::Ort,
            Format::Qonnx => Profile::Qonnx,
        });
        let of_tflite = matches!(profile, Profile::Tflm | Profile::LitertRef | Profile::LitertOpt | Profile::Xnnpack);
        match (format == Format::Tflite) == of_tflite {
            true => Ok(profile),
            false => Err(CompileError::model(
                format!("profile {profile} does not run {} files", if of_tflite { "ONNX" } else { "TFLite" }),
                if of_tflite { "use ort or qonnx" } else { "use tflm, litert-ref, litert-opt or xnnpack" },
            )),
        }
    }
}

/// Reads a model file, whose format its content tells: TFLite files have `TFL3` at byte 4, all
/// others are read as ONNX.
///
/// # Errors
/// If the file is damaged or holds what cannot be compiled, or the profile is of another format.
pub fn import(bytes: &[u8], options: &FrontOptions) -> Result<Graph, CompileError> {
    let graph = match tflite::is_tflite(bytes) {
        true => tflite::read(bytes, &options.name)?,
        false => onnx::import(bytes, &options.name)?,
    };
    options.profile(graph.format)?;
    Ok(graph)
}

/// From a model file to the software reference: the front half of the compiler, without dumps.
///
/// # Errors
/// As the passes'.
pub fn compile_front(bytes: &[u8], options: &FrontOptions) -> Result<QuantGraph, CompileError> {
    let mut graph = import(bytes, options)?;
    fold_constants::run(&mut graph)?;
    let mut quant = lower_to_integers::run(&graph, options)?;
    derive_exact_maps::run(&mut quant)?;
    quant.verify().map_err(|cause| CompileError::Internal { pass: "derive_exact_maps", cause })?;
    Ok(quant)
}
