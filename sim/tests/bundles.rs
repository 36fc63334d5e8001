//! What belongs to a bundle and what is shared: ROM images, built objects, waveforms.

mod common;

use common::{cache, tools, Bundle};
use std::fs;
use systole_sim::{RunSpec, SimError, Simulator};

const SAMPLES: usize = 3;

/// The output elements of the tiny design on its samples.
fn output(bundle: &Bundle) -> Vec<i64> {
    let input = bundle.packed(&bundle.samples(SAMPLES));
    let mut model = bundle.start();
    let result = model.run(&RunSpec::new(&input, SAMPLES)).unwrap();
    model.output().unpack(&result.beats[model.output_index()])
}

fn expected(bundle: &Bundle, sum: i64) -> Vec<i64> {
    bundle.samples(SAMPLES).iter().map(|x| (x + sum) % 256).collect()
}

/// The message with which a model on this ROM image does not start.
fn refusal(image: Option<&str>) -> String {
    let bundle = Bundle::tiny([0, 1, 2]);
    match image {
        Some(text) => bundle.write_settings(text),
        None => fs::remove_file(bundle.path().join("rtl/rom/settings.hex")).unwrap(),
    }
    let error = bundle.build().start(1).unwrap_err();
    assert_eq!(error.exit_status(), 2);
    error.to_string()
}

#[test]
fn bundles_of_equal_verilog_share_one_object_and_read_their_own_images() {
    let (first, second) = (Bundle::tiny([0, 1, 2]), Bundle::tiny([0, 30, 40]));
    assert_eq!(output(&first), expected(&first, 3));
    assert_eq!(output(&second), expected(&second, 70));
    let [first, second] = [first.build(), second.build()];
    assert!(first.cached && second.cached);
    assert_eq!(first.object(), second.object());
}

#[test]
fn an_edited_image_is_seen_with_a_warm_cache() {
    let bundle = Bundle::tiny([0, 1, 2]);
    assert_eq!(output(&bundle), expected(&bundle, 3));
    bundle.write_settings("00\n01\n03\n");
    assert!(bundle.build().cached);
    assert_eq!(output(&bundle), expected(&bundle, 4));
}

#[test]
fn models_of_different_bundles_run_side_by_side_on_threads() {
    let bundles = [Bundle::tiny([0, 1, 1]), Bundle::tiny([0, 2, 2]), Bundle::tiny([0, 3, 3])];
    std::thread::scope(|scope| {
        for (i, bundle) in bundles.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(output(bundle), expected(bundle, 2 * (i as i64 + 1)));
                }
            });
        }
    });
}

#[test]
fn an_image_that_is_missing_or_does_not_fit_its_memory_is_refused() {
    let missing = refusal(None);
    assert!(missing.contains("rom/settings.hex` cannot be read; compile the model again"), "{missing}");
    let cases = [
        ("00\n01\n", "holds 2 words, its memory has 3"),
        ("", "holds 0 words, its memory has 3"),
        ("00\n01\n02\n03\n", "holds more than the 3 words of its memory"),
        ("00\n101\n02\n", "has the word `101` at address 1, memory words have 8 bits"),
        ("00\n0g\n02\n", "has the character `g`, which is no digit"),
        ("00\nxx\n02\n", "has the character `x`, which is no digit"),
        ("00\n;\n02\n", "has the character `;` where a word belongs"),
        ("@1 00 01\n", "holds 2 words, its memory has 3"),
    ];
    for (image, reason) in cases {
        let message = refusal(Some(image));
        assert!(message.starts_with("the accelerator cannot start: ROM image `"), "{message}");
        assert!(message.contains(reason), "{image:?}: {message}");
    }
}

#[test]
fn images_may_hold_comments_addresses_and_underscores() {
    let bundle = Bundle::tiny([0, 1, 2]);
    bundle.write_settings("// constants\n@1 0_9 /* second\n stage */ 001\n@0 0\n");
    assert_eq!(output(&bundle), expected(&bundle, 10));
}

#[test]
fn verilog_that_does_not_compile_is_reported_with_the_tools_words() {
    let bundle = Bundle::tiny([0, 1, 2]);
    fs::write(bundle.path().join("rtl/tiny.v"), "module tiny(input wire aclk);\n  wire x = ;\nendmodule\n").unwrap();
    let error = Simulator::build(bundle.path(), tools(), &cache(), None, &mut |_| ()).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, SimError::Build { .. }) && message.contains("verilog/tiny.v:2"), "{message}");
    assert_eq!(error.exit_status(), 2);
}

#[test]
fn a_payload_width_that_differs_from_the_manifest_is_refused() {
    let mut bundle = Bundle::tiny([0, 1, 2]);
    bundle.manifest.streams[1].lane_bits = 9;
    bundle.write_manifest();
    let error = Simulator::build(bundle.path(), tools(), &cache(), None, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("stream a: the payload in the Verilog is not 18 bits wide"), "{error}");
}

#[test]
fn input_that_is_not_whole_samples_is_refused() {
    let bundle = Bundle::tiny([0, 1, 2]);
    let input = bundle.packed(&bundle.samples(2));
    let error = bundle.start().run(&RunSpec::new(&input[..input.len() - 1], 2)).unwrap_err();
    assert_eq!(error.to_string(), "31 bytes of input, 2 samples take 32; pack whole samples with `Stream::pack`");
    assert!(bundle.start().run(&RunSpec::new(&input, 3)).is_err());
}

#[test]
fn progress_is_told_and_can_end_the_run() {
    let bundle = Bundle::tiny([0, 1, 2]);
    let input = bundle.packed(&bundle.samples(1000));
    let spec = RunSpec { progress_cycles: 100, ..RunSpec::new(&input, 1000) };
    let mut seen = Vec::new();
    let result = bundle.start().run_watched(&spec, &mut |progress| {
        seen.push(progress.cycle);
        if seen.len() == 3 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
    assert_eq!(result.unwrap().end, systole_sim::RunEnd::Cancelled);
    assert_eq!(seen, [100, 200, 300]);
}

#[test]
fn a_panic_in_the_progress_function_reaches_its_caller() {
    let bundle = Bundle::tiny([0, 1, 2]);
    let input = bundle.packed(&bundle.samples(1000));
    let mut model = bundle.start();
    let run = std::panic::AssertUnwindSafe(|| {
        model.run_watched(&RunSpec { progress_cycles: 1, ..RunSpec::new(&input, 1000) }, &mut |_| panic!("enough"))
    });
    let panic = std::panic::catch_unwind(run).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"enough"));
}

#[test]
fn waveforms_are_written_in_the_format_of_the_files_ending() {
    let bundle = Bundle::tiny([0, 1, 2]);
    let input = bundle.packed(&bundle.samples(SAMPLES));
    let folder = tempfile::tempdir().unwrap();
    for (name, start) in [("w.vcd", &b"$version"[..]), ("w.fst", &[0u8][..])] {
        let path = folder.path().join(name);
        let simulator = Simulator::build(bundle.path(), tools(), &cache(), Some(&path), &mut |_| ()).unwrap();
        let mut model = simulator.start(1).unwrap();
        model.run(&RunSpec::new(&input, SAMPLES)).unwrap();
        drop(model);
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.starts_with(start), "{name} begins with {:?}", &bytes[..bytes.len().min(16)]);
        if name == "w.vcd" {
            assert!(String::from_utf8(bytes).unwrap().contains("a_valid"));
        }
    }
    let error = Simulator::build(bundle.path(), tools(), &cache(), Some("w.txt".as_ref()), &mut |_| ()).unwrap_err();
    assert_eq!(error.to_string(), "w.txt: waveforms are written as .vcd or .fst; give the file one of these endings");
    let nowhere = folder.path().join("none/w.vcd");
    let simulator = Simulator::build(bundle.path(), tools(), &cache(), Some(&nowhere), &mut |_| ()).unwrap();
    assert!(simulator.start(1).unwrap_err().to_string().contains("none/w.vcd` cannot be written"));
}
