//! The software reference on real convolutional networks, where their files are present.

mod common;

use common::{compare, root, run};
use systole_arith::border::BorderValue;
use systole_bundle::Array;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::Profile;

const SAMPLES: usize = 64;

/// Compares all samples of a model under every profile: the accelerator's stream with the runtime's
/// tensor in front of its SOFTMAX, and the host's value with its output.
fn holds(name: &str, classes: usize) {
    let folder = root().join("../shared/models");
    let (model, vectors) = (folder.join(format!("{name}.tflite")), folder.join(format!("{name}.npz")));
    let Ok(bytes) = std::fs::read(&model) else {
        println!("SKIPPED: {} is absent", model.display());
        return;
    };
    let read = |key: &str| Array::read_npz(&vectors, key).unwrap();
    for profile in [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack] {
        let options = FrontOptions { name: name.into(), profile: Some(profile), ..FrontOptions::default() };
        let quant = compile_front(&bytes, &options).unwrap();
        let reference = run(&quant, &read("input")).unwrap();
        let key = profile.name().replace('-', "_");
        let stream: Vec<_> = reference.stream.into_iter().map(BorderValue::Int).collect();
        for (what, got) in [("logits", &stream), ("output", &reference.host)] {
            let result = compare(got, &read(&format!("{what}_{key}")));
            assert_eq!((result.elements, result.mismatches), (SAMPLES * classes, 0), "{name}, {profile}, {what}");
        }
    }
}

#[test]
fn resnet_8_is_reproduced_under_every_profile_where_its_file_is_present() {
    holds("pretrainedResnet_quant", 10);
}

#[test]
fn the_keyword_spotter_is_reproduced_under_every_profile_where_its_file_is_present() {
    holds("kws_ref_model", 12);
}
