//! Accuracy of a network of `examples/` on its held-out images, from what the accelerator answered.
//!
//! ```text
//! systole compile examples/digits/digits.onnx -o digits
//! systole run digits --input examples/digits/test.npz --output answers.npy
//! cargo run --release --example accuracy -- digits examples/digits/test.npz answers.npy
//! ```

use std::path::Path;
use std::process::ExitCode;
use systole::bundle::{Array, Manifest};
use systole::templates::report::Derived;

/// Clock of the throughput that is printed, in MHz; the one a device reaches is known after place and route.
const CLOCK_MHZ: f64 = 100.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, vectors, answers] = arguments.as_slice() else {
        eprintln!("usage: accuracy BUNDLE VECTORS.npz ANSWERS.npy");
        return ExitCode::from(2);
    };
    match report(Path::new(bundle), Path::new(vectors), Path::new(answers)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("accuracy: {error}");
            ExitCode::from(2)
        }
    }
}

fn report(bundle: &Path, vectors: &Path, answers: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let manifest = Manifest::read(bundle)?;
    let derived = Derived::of(&manifest)?;
    let labels = labels(&Array::read(vectors, "label")?)?;
    let digits = digits(&Array::read(answers, "answers")?)?;
    if labels.len() != digits.len() || labels.is_empty() {
        return Err(format!("{} labels for {} answers", labels.len(), digits.len()).into());
    }
    let right = labels.iter().zip(&digits).filter(|(label, digit)| label == digit).count();
    Ok(format!(
        "accuracy     {:.2} % ({right} of {} held-out images)\n\
         interval     {} cycles an image: {:.0} images a second at {CLOCK_MHZ} MHz\n\
         latency      {} cycles: {:.2} µs at {CLOCK_MHZ} MHz\n\
         multipliers  {}\n",
        100.0 * right as f64 / labels.len() as f64,
        labels.len(),
        manifest.predicted.initiation_interval,
        CLOCK_MHZ * 1e6 / derived.interval(),
        manifest.predicted.latency_cycles,
        manifest.predicted.latency_cycles as f64 / CLOCK_MHZ,
        manifest.totals.multipliers,
    ))
}

/// The digit on each image.
fn labels(array: &Array) -> Result<Vec<usize>, String> {
    match array {
        Array::Int(values, _) => values
            .iter()
            .map(|&label| usize::try_from(label).map_err(|_| format!("label {label} is not a digit")))
            .collect(),
        Array::Float(_) => Err("labels are integers".into()),
    }
}

/// The digit that each row of logits, `[N, 10]`, answers: the first of the largest.
fn digits(array: &Array) -> Result<Vec<usize>, String> {
    match array {
        Array::Float(logits) => logits.outer_iter().map(|row| largest(row.iter())).collect(),
        Array::Int(logits, _) => logits.outer_iter().map(|row| largest(row.iter())).collect(),
    }
}

/// The place of the first of the largest.
fn largest<T: PartialOrd>(row: impl Iterator<Item = T>) -> Result<usize, String> {
    let mut best: Option<(usize, T)> = None;
    for (digit, logit) in row.enumerate() {
        if best.as_ref().is_none_or(|(_, largest)| logit > *largest) {
            best = Some((digit, logit));
        }
    }
    best.map(|(digit, _)| digit).ok_or_else(|| "an image without logits".to_string())
}
