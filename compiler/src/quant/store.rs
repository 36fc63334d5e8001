//! A network on disk: `graph.json`, and `weights.npz` with one array `[M, C]` a product.

use super::{Border, QuantError, QuantGraph, QuantNode, QuantTensor};
use crate::profile::Profile;
use ndarray::{Array2, Ix2};
use npyz::WriterBuilder;
use serde::{Deserialize, Serialize};
use std::io::{Seek, Write};
use std::path::Path;
use systole_bundle::Array;

/// Version of the stored form; a reader refuses another.
const FORMAT: u32 = 2;
/// File of everything but the weights.
const GRAPH: &str = "graph.json";
/// File of the weights.
const WEIGHTS: &str = "weights.npz";

/// What `graph.json` holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    name: String,
    profile: Profile,
    tensors: Vec<QuantTensor>,
    nodes: Vec<QuantNode>,
    inputs: Vec<Border>,
    outputs: Vec<Border>,
}

/// Name of a node's array: its place in `graph.json`.
fn key(place: usize) -> String {
    format!("node{place}_weights")
}

fn failed(path: &Path, cause: impl std::fmt::Display) -> QuantError {
    QuantError::Store { path: path.into(), cause: cause.to_string() }
}

impl QuantGraph {
    /// Writes the network into the folder `dir`, which is made where it is missing. The same network
    /// gives the same bytes.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), QuantError> {
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
        let path = dir.join(GRAPH);
        let nodes: Vec<QuantNode> = self.nodes.node_weights().cloned().collect();
        let stored = Stored {
            format: FORMAT,
            name: self.name.clone(),
            profile: self.profile,
            tensors: self.tensors.clone(),
            nodes,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        };
        let mut text = serde_json::to_string_pretty(&stored).map_err(|error| failed(&path, error))?;
        text.push('\n');
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;

        let path = dir.join(WEIGHTS);
        let file = std::fs::File::create(&path).map_err(|error| failed(&path, error))?;
        let mut archive = npyz::npz::NpzWriter::new(std::io::BufWriter::new(file));
        for (place, node) in stored.nodes.iter().enumerate() {
            if let Some(dense) = node.op.product() {
                write_weights(&mut archive, &key(place), &dense.weights).map_err(|error| failed(&path, error))?;
            }
        }
        archive
            .zip_writer()
            .finish()
            .map_err(|error| failed(&path, error))?
            .flush()
            .map_err(|error| failed(&path, error))
    }

    /// Reads the network in the folder `dir` and checks it.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a guarantee does not hold.
    pub fn load(dir: &Path) -> Result<QuantGraph, QuantError> {
        let path = dir.join(GRAPH);
        let text = std::fs::read(&path).map_err(|error| failed(&path, error))?;
        let mut stored: Stored = serde_json::from_slice(&text)
            .map_err(|error| failed(&path, format!("{error}; compile the model again")))?;
        if stored.format != FORMAT {
            return Err(failed(
                &path,
                format!("format {}, this program reads {FORMAT}; compile the model again", stored.format),
            ));
        }
        let path = dir.join(WEIGHTS);
        for (place, node) in stored.nodes.iter_mut().enumerate() {
            if let Some(dense) = node.op.product_mut() {
                dense.weights = read_weights(&path, &key(place))?;
            }
        }
        let Stored { name, profile, tensors, nodes, inputs, outputs, .. } = stored;
        let mut graph = QuantGraph::new(name, profile, tensors, nodes, inputs, outputs)?;
        graph.check_tensors()?;
        graph.derive_maps()?;
        graph.check()?;
        Ok(graph)
    }

    /// Exact maps follow from formulas, weights and ranges: they are not stored.
    fn derive_maps(&mut self) -> Result<(), QuantError> {
        for node in self.nodes.node_weights_mut() {
            let operands: Option<Vec<&QuantTensor>> =
                node.inputs.iter().map(|id| self.tensors.get(id.0 as usize)).collect();
            if let Some(operands) = operands {
                node.op.derive(&operands)?;
            }
        }
        Ok(())
    }
}

fn read_weights(path: &Path, key: &str) -> Result<Array2<i64>, QuantError> {
    match Array::read_npz(path, key).map_err(|error| QuantError::Array(error.to_string()))? {
        Array::Int(values, _) => {
            let rank = values.ndim();
            values
                .into_dimensionality::<Ix2>()
                .map_err(|_| failed(path, format!("array `{key}` has {rank} dimensions, not 2")))
        }
        Array::Float(_) => Err(failed(path, format!("array `{key}` holds floats, not integers"))),
    }
}

/// Writes weights in the narrowest of NumPy's signed types that holds them.
fn write_weights<W: Write + Seek>(
    archive: &mut npyz::npz::NpzWriter<W>,
    key: &str,
    weights: &Array2<i64>,
) -> std::io::Result<()> {
    fn write<T, W>(
        archive: &mut npyz::npz::NpzWriter<W>,
        key: &str,
        weights: &Array2<i64>,
        convert: impl Fn(i64) -> T,
    ) -> std::io::Result<()>
    where
        T: npyz::Serialize + npyz::AutoSerialize,
        W: Write + Seek,
    {
        let shape: Vec<u64> = weights.shape().iter().map(|&dim| dim as u64).collect();
        // A fixed time: the same network must give the same bytes.
        let options = zip::write::FileOptions::default()
            .last_modified_time(zip::DateTime::default())
            .compression_method(zip::CompressionMethod::Stored);
        let mut writer = archive.array(key, options)?.default_dtype().shape(&shape).begin_nd()?;
        writer.extend(weights.iter().map(|&w| convert(w)))?;
        writer.finish()
    }
    match weights.iter().all(|&w| i8::try_from(w).is_ok()) {
        true => write(archive, key, weights, |w| w as i8),
        false => write(archive, key, weights, |w| w),
    }
}
