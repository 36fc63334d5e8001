//! Networks on disk: read back unchanged, and damage is a diagnostic.

mod common;

use common::root;
use std::path::{Path, PathBuf};
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::ops::random::Random;
use systole_compiler::{Profile, QuantGraph};

fn compiled(model: &Path, profile: Option<Profile>) -> Option<QuantGraph> {
    let bytes = std::fs::read(model).unwrap();
    compile_front(&bytes, &FrontOptions { name: "stored".into(), profile, ..FrontOptions::default() }).ok()
}

/// Every model of `tests/vectors` that ends in `extension`.
fn models(extension: &str) -> Vec<PathBuf> {
    let families = std::fs::read_dir(root().join("tests/vectors")).unwrap().map(|entry| entry.unwrap().path());
    let files = families.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).unwrap());
    let mut paths: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

fn round_trip(quant: &QuantGraph, name: &str) {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    quant.save(first.path()).unwrap();
    let loaded = QuantGraph::load(first.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(loaded.to_string(), quant.to_string(), "{name}");
    assert_eq!(loaded.tensors, quant.tensors, "{name}");
    assert_eq!((&loaded.inputs, &loaded.outputs), (&quant.inputs, &quant.outputs), "{name}");
    assert!(loaded.nodes.node_weights().eq(quant.nodes.node_weights()), "{name}");
    loaded.save(second.path()).unwrap();
    for file in ["graph.json", "weights.npz"] {
        let read = |dir: &tempfile::TempDir| std::fs::read(dir.path().join(file)).unwrap();
        assert_eq!(read(&first), read(&second), "{name}, {file}");
    }
}

#[test]
fn a_saved_network_is_loaded_equal_and_saved_again_byte_identical() {
    let mut networks = 0;
    let profiles = [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack];
    for (index, model) in models("tflite").iter().enumerate() {
        // Some hold operators that are refused, which is another test's matter.
        if let Some(quant) = compiled(model, Some(profiles[index % profiles.len()])) {
            round_trip(&quant, &model.display().to_string());
            networks += 1;
        }
    }
    for model in models("onnx") {
        // Some need an input type, which is another test's matter.
        if let Some(quant) = compiled(&model, None) {
            round_trip(&quant, &model.display().to_string());
            networks += 1;
        }
    }
    println!("{networks} networks");
    assert!(networks >= 500, "{networks} networks");
}

/// A small network with a layer.
fn layer() -> QuantGraph {
    compiled(&root().join("tests/vectors/networks/net_7_5_1.tflite"), Some(Profile::LitertRef)).unwrap()
}

#[test]
fn damaged_stores_are_refused_without_a_panic() {
    let quant = layer();
    let dir = tempfile::tempdir().unwrap();
    assert!(QuantGraph::load(dir.path()).unwrap_err().to_string().contains("graph.json"));
    quant.save(dir.path()).unwrap();
    let mut refused = 0;
    for file in ["graph.json", "weights.npz"] {
        let path = dir.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        for seed in 0..400 {
            let mut random = Random::new(seed);
            let mut damaged = bytes.clone();
            match seed % 4 {
                0 => damaged.truncate(random.size(0, bytes.len() - 1)),
                _ => {
                    for _ in 0..random.size(1, 4) {
                        let at = random.size(0, bytes.len() - 1);
                        damaged[at] ^= 1 << random.size(0, 7);
                    }
                }
            }
            std::fs::write(&path, &damaged).unwrap();
            match QuantGraph::load(dir.path()) {
                Ok(loaded) => assert_eq!(loaded.verify(), Ok(()), "{file}, seed {seed}"),
                Err(_) => refused += 1,
            }
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(refused > 500, "{refused} of 800 refused");
    assert!(QuantGraph::load(dir.path()).is_ok());
}

#[test]
fn what_is_wrong_with_a_stored_array_is_said_with_its_file_once_and_names_in_order() {
    let quant = layer();
    let dir = tempfile::tempdir().unwrap();
    quant.save(dir.path()).unwrap();
    let weights = dir.path().join("weights.npz");
    let bytes = std::fs::read(&weights).unwrap();
    let place = weights.display().to_string();
    let renamed = bytes.windows(5).position(|name| name == b"node0").expect("a name");
    let mut missing = bytes.clone();
    for start in [renamed, bytes.windows(5).rposition(|name| name == b"node0").expect("a name")] {
        missing[start] = b'm';
    }
    for (damaged, part) in [(&bytes[..bytes.len() / 2], ""), (&missing[..], "it has mode0_weights, node1_weights")] {
        std::fs::write(&weights, damaged).unwrap();
        // The archive's own list of names has another order each time.
        for _ in 0..8 {
            let message = QuantGraph::load(dir.path()).unwrap_err().to_string();
            assert_eq!(message.matches(&place).count(), 1, "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}
