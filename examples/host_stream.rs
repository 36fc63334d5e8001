//! A host application: streams a batch through a board and prints the class of each sample.
//!
//! It links the driver library alone. The board is behind the XDMA driver's device nodes, real or simulated:
//!
//! ```text
//! systole compile examples/digits/digits.onnx -o digits --shell axi
//! systole board --bundle digits --mount board &
//! cargo run --release --example host_stream -- digits examples/digits/test.npz board/xdma0
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use systole_bundle::{Array, Manifest};
use systole_host::transport::xdma::{XdmaOptions, XdmaTransport};
use systole_host::{Accelerator, Board, BoardOptions, StreamOptions};

/// Samples handed over at a time.
const BATCH: usize = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bundle, inputs, prefix] = arguments.as_slice() else {
        eprintln!("usage: host_stream BUNDLE INPUTS.npy|.npz NODES, such as /dev/xdma0");
        return ExitCode::from(2);
    };
    match stream(Path::new(bundle), Path::new(inputs), Path::new(prefix)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host_stream: {error}");
            ExitCode::FAILURE
        }
    }
}

fn stream(bundle: &Path, inputs: &Path, prefix: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let manifest = Manifest::read(bundle)?;
    let transport = XdmaTransport::open(prefix, XdmaOptions::default())?;
    // A board with another network is refused here.
    let board = Board::open(&manifest, Arc::new(transport), BoardOptions::default())?;

    let batches = batches(&Array::read(inputs, "input")?);
    let options = StreamOptions { timeout: Duration::from_secs(60), ..StreamOptions::default() };
    for answers in board.stream(batches, options) {
        classes(&answers?).iter().for_each(|class| println!("{class}"));
    }
    eprintln!("{:?}", board.statistics());
    Ok(())
}

/// The samples of `[N, ...]`, a few at a time.
fn batches(inputs: &Array) -> Vec<Array> {
    fn cut<T: Clone>(values: &ndarray::ArrayD<T>) -> Vec<ndarray::ArrayD<T>> {
        values.axis_chunks_iter(ndarray::Axis(0), BATCH).map(|batch| batch.to_owned()).collect()
    }
    match inputs {
        Array::Int(values, name) => cut(values).into_iter().map(|batch| Array::Int(batch, name.clone())).collect(),
        Array::Float(values) => cut(values).into_iter().map(Array::Float).collect(),
    }
}

/// The first of the largest elements of each sample.
fn classes(answers: &Array) -> Vec<usize> {
    fn largest<T: PartialOrd + Copy>(values: &ndarray::ArrayD<T>) -> Vec<usize> {
        let sample = |sample: ndarray::ArrayViewD<'_, T>| {
            let best = sample.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
            best.map_or(0, |(class, _)| class)
        };
        values.outer_iter().map(sample).collect()
    }
    match answers {
        Array::Int(values, _) => largest(values),
        Array::Float(values) => largest(values),
    }
}
