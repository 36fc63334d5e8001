//! The register shell around whole networks in Verilator: a fed core runs at the rate of its interval.

mod support;

use num_rational::Ratio;
use std::path::Path;
use support::{repository, run_in, status, stderr, text, Random};
use systole::bundle::frame::{FrameHeader, HEADER_BYTES};
use systole::bundle::registers::{self, ctrl};
use systole::bundle::{DesignHash, Manifest};
use systole::sim::board::Device;
use systole::sim::build::ShellSimulator;
use systole::sim::{Cache, Toolchain};

const FRAMES: u32 = 6;
const SAMPLES: u32 = 5;

/// Compiles `model` with a shell, sends frames without a pause and takes every beat at once. What the samples
/// behind the first answer took must be no more than 1/0.95 of as many intervals.
fn runs_at_its_interval(model: &Path, multipliers: &str) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["compile", text(model), "-o", "bundle", "--shell", "axi", "--max-multipliers", multipliers];
    let output = run_in(folder.path(), &arguments);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    let bundle = folder.path().join("bundle");
    let manifest = Manifest::read(&bundle).unwrap();
    let shell = manifest.shell.clone().unwrap();
    let interval: Ratio<u64> = manifest.predicted.initiation_interval.parse().unwrap();
    let toolchain = Toolchain::discover().unwrap();
    let simulator = ShellSimulator::build(&bundle, &toolchain, &Cache::of_user().unwrap(), &mut |_| ()).unwrap();
    let mut device = simulator.start(1).unwrap();
    device.write(registers::CTRL.offset, ctrl::ENABLE.mask()).unwrap();

    let mut random = Random(17);
    let design = DesignHash::of(&manifest).unwrap().word();
    let mut input = Vec::new();
    for sequence in 0..FRAMES {
        let length = SAMPLES * shell.in_bytes;
        input.extend(FrameHeader { sequence, samples: SAMPLES, length, design, ..FrameHeader::default() }.encode());
        input.extend((0..length).map(|_| random.draw() as u8));
    }
    let mut answer = vec![0; HEADER_BYTES + (SAMPLES * shell.out_bytes) as usize];
    let (mut sent, mut given, mut answers, mut cycles) = (0, 0, 0, 0);
    while answers < FRAMES {
        let moved = device.run(100_000, &input[sent..], false, &mut answer[given..]).unwrap();
        assert!(moved.taken + moved.given > 0, "nothing moves behind answer {answers}");
        sent += moved.taken;
        given += moved.given;
        cycles += if answers > 0 { moved.cycles } else { 0 };
        if moved.ended {
            let header = FrameHeader::decode(&answer).unwrap();
            assert_eq!((header.sequence, header.status, given), (answers, 0, answer.len()));
            (answers, given) = (answers + 1, 0);
        }
    }
    let samples = u64::from((FRAMES - 1) * SAMPLES);
    let share = Ratio::new(samples * interval.numer(), cycles * interval.denom());
    println!("{}: {samples} samples in {cycles} cycles, interval {interval}: {share}", manifest.design);
    assert!(share >= Ratio::new(95, 100), "{}: {samples} samples in {cycles} cycles", manifest.design);
}

#[test]
fn digits_run_at_their_interval() {
    runs_at_its_interval(&repository().join("examples/digits/digits.onnx"), "64");
}

#[test]
fn the_autoencoder_runs_at_its_interval() {
    let model = repository().join("../shared/models/ad01_int8.tflite");
    match model.exists() {
        true => runs_at_its_interval(&model, "512"),
        false => println!("skipped: no ad01_int8 at ../shared/models"),
    }
}
