//! Bundles with a register shell, their software reference, and boards served by `systole board`.

use super::{repository, run_in, status, stderr, systole, text, Random};
use ndarray::{ArrayD, IxDyn};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use systole::bundle::{Array, Manifest};
use systole::reference::NetworkReference;
use systole::sim::verify::Reference;

/// Compiles `model` with a register shell to `folder/NAME`.
pub fn compile(folder: &Path, name: &str, model: &Path, multipliers: u32) -> PathBuf {
    let multipliers = multipliers.to_string();
    let arguments = ["compile", text(model), "-o", name, "--shell", "axi", "--max-multipliers", &multipliers];
    let output = run_in(folder, &arguments);
    assert_eq!(status(&output), 0, "{}", stderr(&output));
    folder.join(name)
}

/// The digits network, of which there is always a copy.
pub fn digits() -> PathBuf {
    repository().join("examples/digits/digits.onnx")
}

/// `samples` images of `[N, 64]` float32: each pixel is that of some test image, by `seed`.
pub fn digit_images(seed: u64, samples: usize) -> Array {
    let test = Array::read(&repository().join("examples/digits/test.npz"), "input").unwrap();
    let Array::Float(test) = test else { panic!("images are floats") };
    let mut random = Random(seed);
    let images = test.shape()[0];
    let pixels = (0..samples * 64).map(|index| test[[random.below(images), index % 64]]).collect();
    Array::Float(ArrayD::from_shape_vec(IxDyn(&[samples, 64]), pixels).unwrap())
}

/// What the bundle's integer network makes of `inputs`: the software reference, no hardware.
pub fn expected(bundle: &Path, inputs: &Array) -> Array {
    let reference = NetworkReference::load(bundle).unwrap();
    let tensor = Manifest::read(bundle).unwrap().output_border[0].tensor.clone();
    let accepted = reference.accept(inputs).unwrap();
    let outputs: Vec<Vec<i64>> =
        reference.run(&accepted).unwrap().into_iter().map(|mut values| values.remove(&tensor).unwrap()).collect();
    reference.deliver(&outputs).unwrap()
}

/// A board in a process of its own.
pub struct Served {
    child: Child,
    folder: tempfile::TempDir,
}

impl Served {
    /// Serves `bundle`; `arguments` go to `systole board`. The nodes are there when this returns.
    pub fn start(bundle: &Path, arguments: &[&str]) -> Served {
        let folder = tempfile::tempdir().unwrap();
        let mut command = systole();
        command.args(["board", "--bundle", text(bundle), "--mount", text(folder.path())]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("xdma0"), "the board says where it is: `{line}`");
        Served { child, folder }
    }

    /// Where the nodes are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The board for `--board`.
    pub fn name(&self) -> String {
        format!("xdma:{}", self.folder.path().join("xdma0").display())
    }

    /// Transfers to the board so far, as its control file tells.
    pub fn transfers(&self) -> u64 {
        let state = std::fs::read_to_string(self.folder.path().join("control")).unwrap();
        let line = state.lines().find(|line| line.starts_with("h2c transfers")).unwrap();
        line.split(' ').nth(2).unwrap().parse().unwrap()
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the board did not end in 20 s");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal("TERM");
            let _ = self.child.wait();
        }
        // A board that was killed leaves its mount behind.
        if std::fs::metadata(self.folder.path()).is_err() {
            let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
        }
    }
}

/// Whether boards can be served here; says so if not.
#[cfg(all(feature = "fuse", target_os = "linux"))]
pub fn has_fuse() -> bool {
    match systole::sim::board::fuse::usable() {
        Ok(()) => true,
        Err(error) => {
            println!("skipped: {error}");
            false
        }
    }
}
