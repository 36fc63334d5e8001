//! TFLite files -> [`Graph`].
//!
//! The flatbuffer is read by field number with every offset checked (`flatbuffer`); the schema's
//! generated code would be some 20,000 lines whose accessors trust the file. The whole reachable
//! structure is walked (`model`), so that a damaged or truncated file is refused before anything
//! is made of it, and the records become operators (`operators`) and a graph (`import`).

mod dilation;
mod flatbuffer;
mod import;
mod model;
mod operators;
mod schema;
mod shapes;

use crate::diagnostic::CompileError;
use crate::graph::Graph;

/// Whether `bytes` begin as a TFLite file does.
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(schema::IDENTIFIER)
}

/// Imports a TFLite file as a network called `name`.
///
/// # Errors
/// If the file is damaged, has operators that are not supported (all of them are named), or does
/// not fit together.
pub fn read(bytes: &[u8], name: &str) -> Result<Graph, CompileError> {
    let model = model::Model::read(bytes)?;
    let graph = import::import(&model, name)?;
    graph.check()?;
    Ok(graph)
}
