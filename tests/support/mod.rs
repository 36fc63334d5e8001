//! What the whole-program tests share.

#![allow(dead_code)] // Every test program includes this module; none uses all of it.

pub mod board;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The command line under test.
pub fn systole() -> Command {
    Command::new(env!("CARGO_BIN_EXE_systole"))
}

/// Runs the command line with `arguments` in `folder`.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    systole().args(arguments).current_dir(folder).output().expect("the command line starts")
}

/// Exit status of a process that no signal ended.
pub fn status(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", stderr(output)))
}

/// What went to standard output.
pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is UTF-8")
}

/// What went to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is UTF-8")
}

/// Model files below `folder`, sorted.
fn models_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "tflite" || ending == "onnx") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Models that belong to the repository.
pub fn committed_models() -> Vec<PathBuf> {
    let mut models = models_below(&repository().join("tests/vectors"));
    models.extend(models_below(&repository().join("examples")));
    assert!(models.len() > 50, "only {} models in tests/vectors and examples", models.len());
    models
}

/// Real networks that may lie beside the repository; says so if they do not.
pub fn neighbouring_models() -> Vec<PathBuf> {
    let folder = repository().join("../shared/models");
    let models = models_below(&folder);
    if models.is_empty() {
        println!("skipped: no real networks at ../shared/models");
    }
    models
}

/// Splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound as u64) as usize
    }
}

/// A copy of `bytes` in which one to eight bytes have other values.
pub fn flip(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.below(damaged.len());
        damaged[at] ^= 1 + random.below(255) as u8;
    }
    damaged
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}
