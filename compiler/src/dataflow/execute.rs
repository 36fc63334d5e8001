//! What each stage's hardware computes: raw results of the engine's width, then the requantizer's form.

use super::Stage;
use systole_arith::IntType;
use systole_hdl::engine::{Engine, MatrixEngine, ProductKind, Reduction, VectorEngine, VectorOp};

impl Stage {
    /// One sample through the stage as its hardware computes it. `inputs`: the elements of each input
    /// stream in order.
    pub fn execute(&self, inputs: &[&[i64]]) -> Vec<i64> {
        let engine = &self.spec.engine;
        let exact = match (engine, inputs) {
            (Engine::Matrix(engine), [input]) => matrix(engine, input),
            (Engine::Vector(engine), [input]) => vector(engine, input),
            (Engine::Pass(_), [input]) => input.to_vec(),
            (Engine::Join(engine), [left, right]) => {
                left.iter().zip(*right).map(|(&a, &b)| engine.combine.evaluate(a, b)).collect()
            }
            (Engine::Concat(engine), inputs) => {
                let turns = engine.turns.shapes();
                let round = |round: usize| {
                    let parts = inputs.iter().zip(&turns);
                    parts.flat_map(move |(input, (channels, pixels))| {
                        input[round * channels * pixels..][..channels * pixels].iter().copied()
                    })
                };
                (0..engine.rounds).flat_map(round).collect()
            }
            (Engine::Repeat(engine), [input]) => {
                let ([rows, columns], [down, across]) = (engine.image, engine.factors);
                let pixel = |row: usize, column: usize| {
                    input[(row / down * columns + column / across) * engine.channels..][..engine.channels]
                        .iter()
                        .copied()
                };
                let row = |row: usize| (0..columns * across).flat_map(move |column| pixel(row, column));
                (0..rows * down).flat_map(row).collect()
            }
            (Engine::ArgMax(engine), [input]) => input
                .chunks(engine.channels)
                .map(|pixel| {
                    let greatest = pixel.iter().max();
                    pixel.iter().position(|value| Some(value) == greatest).unwrap_or(0) as i64
                })
                .collect(),
            (Engine::Reduce(engine), [input]) => (0..engine.channels)
                .map(|channel| {
                    let pixels = input.iter().skip(channel).step_by(engine.channels).copied();
                    match engine.reduction {
                        Reduction::Sum => pixels.sum(),
                        Reduction::Max => pixels.max().unwrap_or(0),
                    }
                })
                .collect(),
            (engine, inputs) => panic!("a {} engine does not read {} streams", engine.name(), inputs.len()),
        };
        let (results, requantize) = (engine.results(), &self.spec.requantize);
        let wrap = IntType::Signed(results.bits);
        let wrapped = exact.into_iter().map(|value| wrap.decode(value as u64)).enumerate();
        wrapped.map(|(place, raw)| requantize.form.evaluate(place % requantize.channels, raw)).collect()
    }
}

fn matrix(engine: &MatrixEngine, input: &[i64]) -> Vec<i64> {
    let spec = &engine.spec;
    let mut results = Vec::with_capacity(spec.pixels * spec.outputs);
    let mut taps = vec![0; spec.taps() * spec.inputs];
    for pixel in 0..spec.pixels {
        for (tap, word) in taps.chunks_mut(spec.inputs).enumerate() {
            let source = spec.window.map_or(Some(pixel), |window| window.source(pixel, tap));
            match source {
                Some(source) => word.copy_from_slice(&input[source * spec.inputs..][..spec.inputs]),
                None => word.fill(spec.padding),
            }
        }
        results.extend(engine.weights.rows().into_iter().map(|weights| match spec.product_kind() {
            ProductKind::Xnor => taps.iter().zip(weights).filter(|(x, w)| x == w).count() as i64,
            _ => taps.iter().zip(weights).map(|(x, w)| x * w).sum(),
        }));
    }
    results
}

fn vector(engine: &VectorEngine, input: &[i64]) -> Vec<i64> {
    let spec = &engine.spec;
    let mut results = Vec::with_capacity(spec.window.output_pixels() * spec.channels);
    for pixel in 0..spec.window.output_pixels() {
        for channel in 0..spec.channels {
            let taps = (0..spec.window.taps()).map(|tap| {
                let source = spec.window.source(pixel, tap);
                (tap, source.map_or(spec.padding, |source| input[source * spec.channels + channel]))
            });
            results.push(match (spec.op, &engine.weights) {
                (VectorOp::Multiply(weight), Some(weights)) => match ProductKind::of(spec.input, weight) {
                    ProductKind::Xnor => taps.filter(|&(tap, x)| x == weights[[channel, tap]]).count() as i64,
                    _ => taps.map(|(tap, x)| x * weights[[channel, tap]]).sum(),
                },
                (VectorOp::Reduce(Reduction::Max), _) => taps.map(|(_, x)| x).max().unwrap_or(0),
                _ => taps.map(|(_, x)| x).sum(),
            });
        }
    }
    results
}
