//! `cargo xtask demo`: the networks of `examples/` from model file to answers.

use crate::{setup, step};

/// A network of `examples/` and its held-out images.
struct Network {
    name: &'static str,
    model: &'static str,
    vectors: &'static str,
    /// The array of `vectors` that holds what the model's runtime answers.
    answers: &'static str,
    /// Images that are verified; all of them go through the accelerator afterwards.
    verified: &'static str,
}

/// A small perceptron, and a convolutional network with a residual and two depthwise blocks.
const NETWORKS: [Network; 2] = [
    Network {
        name: "digits",
        model: "examples/digits/digits.onnx",
        vectors: "examples/digits/test.npz",
        answers: "output",
        verified: "360",
    },
    Network {
        name: "mnist",
        model: "examples/mnist/mnist.tflite",
        vectors: "examples/mnist/test.npz",
        answers: "output_tflm",
        verified: "64",
    },
];

/// Compiles, verifies and runs the networks, and says where everything lies.
///
/// # Errors
/// If a step fails.
pub fn run() -> Result<(), String> {
    setup::run()?;
    step::run(&mut step::cargo(&["build", "--release", "--package", "systole", "--bins", "--examples"]))?;
    NETWORKS.iter().try_for_each(Network::demonstrate)?;
    println!();
    for network in &NETWORKS {
        let bundle = network.bundle();
        println!("{:<8} Verilog {bundle}/rtl, report {bundle}/report.md, answers {}", network.name, network.output());
    }
    Ok(())
}

impl Network {
    fn bundle(&self) -> String {
        format!("target/demo/{}", self.name)
    }

    fn output(&self) -> String {
        format!("target/demo/{}_output.npy", self.name)
    }

    fn demonstrate(&self) -> Result<(), String> {
        let (bundle, output) = (self.bundle(), self.output());
        let images = [self.vectors, "--input-key", "input"];
        let compile = ["compile", self.model, "-o", &bundle];
        let verify = [&["verify", &bundle, "--vectors"], &images[..]].concat();
        let expected = ["--expect-key", self.answers, "--samples", self.verified];
        let run = [&["run", &bundle, "--input"], &images[..], &["--output", &output]].concat();
        let example = ["run", "--quiet", "--release", "--example", "accuracy", "--"];
        step::run(&mut step::systole(&compile))?;
        step::run(&mut step::systole(&[&verify[..], &expected].concat()))?;
        step::run(&mut step::systole(&run))?;
        step::run(&mut step::cargo(&[&example[..], &[&bundle, self.vectors, &output]].concat()))
    }
}
