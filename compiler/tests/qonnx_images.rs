//! Operators on quantized images that the stored networks do not have, against exact arithmetic on
//! multiples of powers of two; what is refused; hostile attributes.

mod onnx_builder;

use ndarray::{ArrayD, IxDyn};
use onnx_builder::{int, text, value_info, Model};
use std::time::{Duration, Instant};
use systole_arith::border::BorderValue;
use systole_arith::BorderOp;
use systole_compiler::frontend::onnx::proto::AttributeProto;
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::ops::random::Random;
use systole_compiler::{CompileError, QuantGraph};

const CHANNELS: usize = 3;
const SIDE: usize = 5;

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { name: Some(name.into()), ints: values.to_vec(), r#type: Some(7), ..AttributeProto::default() }
}

/// `x [1, 3, 5, 5] -> Quant in steps of 1/4, 4 bits -> q`; what follows is the test's.
fn image() -> Model {
    let mut model = Model::new();
    model.input("x", &[1, CHANNELS as i64, SIDE as i64, SIDE as i64]).output("y", &[]);
    model.graph().output[0].r#type = None;
    model.scalar("scale", 0.25).scalar("zero", 0.0).scalar("bits", 4.0).scalar("wide", 8.0);
    model.quant("input_quant", "x", "q");
    model
}

/// A Quant of 8 bits in steps of `scale`.
fn quant(model: &mut Model, name: &str, from: &str, to: &str, scale: f32) {
    let step = format!("{name}_scale");
    model.scalar(&step, scale);
    model.quant(name, from, to);
    let node = model.graph().node.last_mut().unwrap();
    (node.input[1], node.input[3]) = (step, "wide".into());
}

fn compile(model: &Model) -> Result<QuantGraph, CompileError> {
    compile_front(&model.bytes(), &FrontOptions::default())
}

fn accepted(model: &Model) -> QuantGraph {
    compile(model).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(model: &Model, parts: &[&str]) {
    let start = Instant::now();
    let message = match compile(model) {
        Ok(graph) => panic!("accepted:\n{graph}"),
        Err(error @ CompileError::Internal { .. }) => panic!("{error}"),
        Err(error) => error.to_string(),
    };
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    parts.iter().for_each(|part| assert!(message.contains(part), "`{part}` is missing in: {message}"));
}

fn ops(graph: &QuantGraph) -> Vec<&'static str> {
    graph.order().unwrap().into_iter().map(|index| graph.nodes[index].op.name()).collect()
}

/// A sample of quarters in the input quantizer's range, `[C][H * W]`.
fn sample(random: &mut Random) -> Vec<Vec<f64>> {
    (0..CHANNELS).map(|_| (0..SIDE * SIDE).map(|_| random.within(-8, 7) as f64 / 4.0).collect()).collect()
}

/// Real results of a network for an image, in the file's order.
fn run(graph: &QuantGraph, image: &[Vec<f64>]) -> Vec<f64> {
    let values = image.iter().flatten().map(|&v| v as f32).collect();
    let host = ArrayD::from_shape_vec(IxDyn(&[CHANNELS, SIDE, SIDE]), values).unwrap();
    let stored = graph.run_border_in(0, BorderValue::Float(host)).unwrap();
    let values = graph.interpret_batch(&[vec![stored]]).unwrap();
    let border = &graph.outputs[0];
    let stream = values[0][border.tensor.0 as usize].clone();
    match BorderOp::run(&border.operations, BorderValue::Int(stream)).unwrap() {
        BorderValue::Float(result) => result.iter().map(|&v| f64::from(v)).collect(),
        BorderValue::Int(_) => panic!("integers"),
    }
}

/// `clip(round half to even(v / scale))`, 8 bits, times the scale.
fn quantized(v: f64, scale: f64) -> f64 {
    (v / scale).clamp(-128.0, 127.0).round_ties_even() * scale
}

/// Compares a network with a function of the image over random samples.
fn check(model: &Model, f: impl Fn(&[Vec<f64>]) -> Vec<f64>) -> QuantGraph {
    let graph = accepted(model);
    let random = &mut Random::new(11);
    for _ in 0..20 {
        let image = sample(random);
        assert_eq!(run(&graph, &image), f(&image));
    }
    graph
}

/// Sum and number of the pixels of a window of `size`, one pixel of padding around the image.
fn taps(channel: &[f64], row: usize, column: usize, size: usize) -> (f64, usize) {
    let (mut sum, mut count) = (0.0, 0);
    for y in row..row + size {
        for x in column..column + size {
            if (1..=SIDE).contains(&y) && (1..=SIDE).contains(&x) {
                sum += channel[(y - 1) * SIDE + x - 1];
                count += 1;
            }
        }
    }
    (sum, count)
}

#[test]
fn an_average_divides_by_the_pixels_within_the_image_or_by_all() {
    for include in [false, true] {
        let mut model = image();
        model.node("pool", "AveragePool", &["q"], &["p"]).attribute =
            vec![ints("kernel_shape", &[2, 2]), ints("pads", &[1, 1, 1, 1]), int("count_include_pad", include as i64)];
        quant(&mut model, "out", "p", "y", 0.0625);
        let graph = check(&model, |image| {
            let pixels = |channel: &Vec<f64>| {
                let windows = (0..=SIDE).flat_map(|row| (0..=SIDE).map(move |column| (row, column)));
                let means = windows.map(|(row, column)| taps(channel, row, column, 2));
                let of = |(sum, count)| quantized(sum / if include { 4.0 } else { count as f64 }, 0.0625);
                means.map(of).collect::<Vec<f64>>()
            };
            image.iter().flat_map(pixels).collect()
        });
        assert_eq!(ops(&graph), ["pool"]);
    }
}

#[test]
fn a_mean_over_rows_and_columns_feeds_a_product_without_a_quantizer() {
    for (keep, flatten) in [(0, false), (1, true)] {
        let mut model = image();
        model.node("mean", "ReduceMean", &["q"], &["m"]).attribute = vec![ints("axes", &[2, 3]), int("keepdims", keep)];
        model.floats("w", &[3, 2], &[1.0, -2.0, 3.0, 0.0, -1.0, 4.0]);
        if flatten {
            model.node("flat", "Flatten", &["m"], &["f"]);
        }
        model.node("product", "MatMul", &[if flatten { "f" } else { "m" }, "w"], &["p"]);
        quant(&mut model, "out", "p", "y", 0.125);
        let weights = [[1.0, -2.0], [3.0, 0.0], [-1.0, 4.0]];
        check(&model, |image| {
            let means: Vec<f64> = image.iter().map(|channel| channel.iter().sum()).collect();
            let dot = |m: usize| (0..CHANNELS).map(|c| means[c] * weights[c][m]).sum::<f64>();
            // Sums of quarters over 25 pixels: the quotient decides no tie wrongly in float64.
            (0..2).map(|m| quantized(dot(m) / 25.0, 0.125)).collect()
        });
    }
}

#[test]
fn a_mean_over_columns_alone_keeps_the_rows() {
    let mut model = image();
    model.node("mean", "ReduceMean", &["q"], &["m"]).attribute = vec![ints("axes", &[-1]), int("keepdims", 0)];
    quant(&mut model, "out", "m", "y", 0.125);
    let graph = check(&model, |image| {
        let row = |pixels: &[f64]| quantized(pixels.iter().sum::<f64>() / 5.0, 0.125);
        image.iter().flat_map(|channel| channel.chunks(SIDE).map(row).collect::<Vec<f64>>()).collect()
    });
    assert_eq!(graph.outputs[0].host_shape, [CHANNELS, SIDE]);
}

#[test]
fn an_average_with_a_function_for_each_channel_is_a_depthwise_sum() {
    let mut model = image();
    model.node("pool", "GlobalAveragePool", &["q"], &["p"]);
    model.floats("factors", &[3, 1, 1], &[1.0, -2.0, 0.5]);
    model.node("scaled", "Mul", &["p", "factors"], &["s"]);
    quant(&mut model, "out", "s", "y", 0.0625);
    let graph = check(&model, |image| {
        let sums = image.iter().zip([1.0, -2.0, 0.5]).map(|(channel, f)| channel.iter().sum::<f64>() * f);
        sums.map(|sum| quantized(sum / 25.0, 0.0625)).collect()
    });
    assert_eq!(ops(&graph), ["depthwise"]);
}

#[test]
fn a_maximum_in_front_of_the_quantizer_is_taken_behind_it() {
    let network = |factor: f32| {
        let mut model = image();
        model.floats("w", &[2, 3, 1, 1], &[1.0, -1.0, 2.0, -2.0, 1.0, 0.0]);
        model.node("conv", "Conv", &["q", "w"], &["c"]);
        model.node("pool", "MaxPool", &["c"], &["p"]).attribute =
            vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
        model.scalar("factor", factor);
        model.node("scaled", "Mul", &["p", "factor"], &["s"]);
        model.node("relu", "Relu", &["s"], &["r"]);
        quant(&mut model, "out", "r", "y", 0.5);
        model
    };
    let weights = [[1.0, -1.0, 2.0], [-2.0, 1.0, 0.0]];
    let graph = check(&network(1.5), |image| {
        let sums = |m: usize, p: usize| (0..CHANNELS).map(|c| weights[m][c] * image[c][p]).sum::<f64>();
        let mut result = Vec::new();
        for m in 0..2 {
            for (row, column) in (0..3).flat_map(|row| (0..3).map(move |column| (2 * row, 2 * column))) {
                let near = |p: &usize| (p / SIDE).abs_diff(row) <= 1 && (p % SIDE).abs_diff(column) <= 1;
                let greatest = (0..SIDE * SIDE).filter(near).map(|p| sums(m, p)).fold(f64::NEG_INFINITY, f64::max);
                result.push(quantized((greatest * 1.5).max(0.0), 0.5));
            }
        }
        result
    });
    assert_eq!(ops(&graph), ["dense", "pool"]);
    refusal(&network(-1.5), &["`conv`", "negative", "in front of the pooling"]);
}

#[test]
fn padding_with_a_constant_and_functions_of_single_elements_are_exact() {
    let mut model = image();
    model.ints("pads", &[0, 0, 1, 0, 0, 0, 0, 2]).scalar("constant", -0.5);
    model.node("pad", "Pad", &["q", "pads", "constant"], &["p"]);
    model.floats("offset", &[3, 1, 1], &[0.3, -0.7, 1.1]);
    model.node("add", "Add", &["p", "offset"], &["a"]);
    model.node("relu", "Relu", &["a"], &["r"]);
    quant(&mut model, "out", "r", "y", 0.125);
    let graph = check(&model, |image| {
        let mut result = Vec::new();
        for (channel, offset) in image.iter().zip([0.3f32, -0.7, 1.1]) {
            for (row, column) in (0..=SIDE).flat_map(|row| (0..SIDE + 2).map(move |column| (row, column))) {
                let inside = row > 0 && column < SIDE;
                let value = if inside { channel[(row - 1) * SIDE + column] } else { -0.5 };
                result.push(quantized((value + f64::from(offset)).max(0.0), 0.125));
            }
        }
        result
    });
    assert_eq!(ops(&graph), ["pad", "map"]);
}

#[test]
fn channels_are_concatenated_and_differences_taken() {
    let mut model = image();
    model.node("both", "Concat", &["q", "q"], &["c"]).attribute = vec![int("axis", 1)];
    quant(&mut model, "coarse", "c", "d", 0.375);
    model.node("difference", "Sub", &["c", "d"], &["e"]);
    quant(&mut model, "out", "e", "y", 0.0625);
    let graph = check(&model, |image| {
        let each = |v: f64| quantized(v - quantized(v, 0.375), 0.0625);
        image.iter().chain(image).flatten().map(|&v| each(v)).collect()
    });
    assert_eq!(ops(&graph), ["concat", "map", "join"]);
}

#[test]
fn an_image_flattened_in_front_of_its_quantizer_meets_permuted_weights() {
    let mut model = image();
    model.floats("w", &[2, 1, 5, 4], &(0..40).map(|i| f32::from(i as i8 % 7 - 3)).collect::<Vec<f32>>());
    model.floats("ones", &[1, 3, 1, 1], &[1.0, -1.0, 2.0]);
    model.node("mix", "Conv", &["q", "ones"], &["mixed"]);
    quant(&mut model, "mixed_quant", "mixed", "m", 0.25);
    model.node("conv", "Conv", &["m", "w"], &["c"]);
    model.node("flat", "Flatten", &["c"], &["f"]);
    quant(&mut model, "flat_quant", "f", "g", 1.0);
    model.floats("v", &[4, 1], &[1.0, 2.0, -3.0, 4.0]);
    model.node("product", "MatMul", &["g", "v"], &["p"]);
    quant(&mut model, "out", "p", "y", 2.0);
    check(&model, |image| {
        let mixed = |p: usize| quantized(image[0][p] - image[1][p] + 2.0 * image[2][p], 0.25);
        let weight = |m: usize, tap: usize| ((m * 20 + tap) % 7) as f64 - 3.0;
        let mut sum = 0.0;
        for (i, v) in [1.0, 2.0, -3.0, 4.0].into_iter().enumerate() {
            let (m, column) = (i / 2, i % 2);
            let taps = (0..20).map(|tap| weight(m, tap) * mixed(tap / 4 * SIDE + tap % 4 + column));
            sum += v * quantized(taps.sum(), 1.0);
        }
        vec![quantized(sum, 2.0)]
    });
}

#[test]
fn a_grouped_convolution_with_two_outputs_a_channel_reads_its_own_channel_alone() {
    let mut model = image();
    let weights: Vec<f32> = (0..6 * 4).map(|i| f32::from(i as i8 % 5 - 2)).collect();
    model.floats("w", &[6, 1, 2, 2], &weights).floats("b", &[6], &[0.0, 0.1, -0.3, 1.0, 2.0, -4.0]);
    model.node("conv", "Conv", &["q", "w", "b"], &["c"]).attribute =
        vec![int("group", 3), ints("dilations", &[3, 2]), text("auto_pad", "SAME_LOWER")];
    quant(&mut model, "out", "c", "y", 0.25);
    let graph = check(&model, |image| {
        let mut result = Vec::new();
        for (m, bias) in [0.0f32, 0.1, -0.3, 1.0, 2.0, -4.0].into_iter().enumerate() {
            for (row, column) in (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (row, column))) {
                let mut sum = f64::from(bias);
                for tap in 0..4 {
                    // Three rows of padding, two of them above; two columns, one on either side.
                    let (y, x) = ((row + tap / 2 * 3).checked_sub(2), (column + tap % 2 * 2).checked_sub(1));
                    if let (Some(y @ 0..SIDE), Some(x @ 0..SIDE)) = (y, x) {
                        sum += f64::from(weights[m * 4 + tap]) * image[m / 2][y * SIDE + x];
                    }
                }
                result.push(quantized(sum, 0.25));
            }
        }
        result
    });
    assert_eq!(ops(&graph), ["conv"]);
}

#[test]
fn a_concatenation_of_two_quantizations_is_refused_with_both() {
    let mut model = image();
    quant(&mut model, "other", "q", "o", 0.5);
    model.node("both", "Concat", &["q", "o"], &["y"]).attribute = vec![int("axis", 1)];
    refusal(&model, &["`both`", "steps of 0.25", "steps of 0.5", "one quantizer"]);
}

#[test]
fn padding_of_binary_images_is_refused_with_a_remedy() {
    let binary = |pads: &[i64]| {
        let mut model = image();
        model.node("sign", "BipolarQuant", &["q", "scale"], &["b"]).domain = Some("qonnx.custom_op.general".into());
        model.floats("w", &[1, 3, 3, 3], &[1.0; 27]);
        model.node("conv", "Conv", &["b", "w"], &["c"]).attribute = vec![ints("pads", pads)];
        quant(&mut model, "out", "c", "y", 0.5);
        model
    };
    refusal(&binary(&[1, 1, 1, 1]), &["`conv`", "padding reads 0", "leave out the padding"]);
    assert_eq!(ops(&accepted(&binary(&[0, 0, 0, 0]))), ["map", "conv"]);
}

#[test]
fn what_has_no_exact_integer_form_is_refused_by_node() {
    let mut tail = image();
    tail.node("sum", "Add", &["q", "r"], &["y"]);
    tail.graph().node.insert(1, Model::new().quant("second", "q", "r").graph().node[0].clone());
    tail.graph().node[1].input[3] = "wide".into();
    refusal(&tail, &["`sum`", "without a quantizer", "put a Quant behind it"]);
    let mut border = image();
    border.node("pool", "AveragePool", &["q"], &["y"]).attribute =
        vec![ints("kernel_shape", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
    refusal(&border, &["`pool`", "divisor varies", "put a Quant behind it"]);
    let mut samples = image();
    samples.node("stack", "Concat", &["q", "q"], &["y"]).attribute = vec![int("axis", 0)];
    refusal(&samples, &["`stack`"]);
    let mut channels = image();
    channels.node("mean", "ReduceMean", &["q"], &["y"]).attribute = vec![ints("axes", &[1])];
    refusal(&channels, &["`mean`", "rows and columns"]);
    let mut between = image();
    between.ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]).scalar("constant", 0.1);
    between.node("pad", "Pad", &["q", "pads", "constant"], &["y"]);
    refusal(&between, &["`pad`", "no value of"]);
    let mut mirrored = image();
    mirrored.node("pad", "Pad", &["q", "zero"], &["y"]).attribute = vec![text("mode", "reflect")];
    refusal(&mirrored, &["`pad`", "reflect"]);
}

#[test]
fn hostile_attributes_are_refused_in_little_time() {
    let huge = 1i64 << 31;
    let conv = |attributes: Vec<AttributeProto>| {
        let mut model = image();
        model.floats("w", &[3, 1, 3, 3], &[1.0; 27]);
        model.node("layer", "Conv", &["q", "w"], &["c"]).attribute = attributes;
        quant(&mut model, "out", "c", "y", 0.5);
        model
    };
    assert_eq!(ops(&accepted(&conv(vec![int("group", 3)]))), ["depthwise"]);
    for attributes in [
        vec![int("group", 3), ints("strides", &[huge, 1])],
        vec![int("group", 3), ints("pads", &[huge, huge, huge, huge])],
        vec![int("group", 3), ints("pads", &[1 << 20, 1 << 20, 1 << 20, 1 << 20])],
        vec![int("group", 3), ints("dilations", &[0, 1])],
        vec![int("group", i64::MIN)],
        vec![int("group", 0)],
        vec![int("group", 2)],
    ] {
        refusal(&conv(attributes), &["`layer`"]);
    }
    let pool = |attributes: Vec<AttributeProto>| {
        let mut model = image();
        model.node("layer", "AveragePool", &["q"], &["p"]).attribute = attributes;
        quant(&mut model, "out", "p", "y", 0.5);
        model
    };
    let wide = 4000;
    for attributes in [
        vec![ints("kernel_shape", &[huge, huge])],
        vec![ints("kernel_shape", &[0, 1])],
        vec![ints("kernel_shape", &[1, 1]), ints("pads", &[1, 1, 1, 1])],
        vec![ints("kernel_shape", &[1 << 20, 1 << 20]), ints("pads", &[(1 << 20) - 1; 4])],
        vec![ints("kernel_shape", &[wide, wide]), ints("pads", &[wide - 1; 4]), ints("dilations", &[huge, 1])],
    ] {
        refusal(&pool(attributes), &["`layer`"]);
    }
    for pads in
        [vec![0, 0, huge, 0, 0, 0, 0, 0], vec![0, 0, -1, 0, 0, 0, 0, 0], vec![1; 8], vec![0; 7], vec![1 << 20; 8]]
    {
        let mut model = image();
        model.ints("pads", &pads);
        model.node("layer", "Pad", &["q", "pads"], &["y"]);
        refusal(&model, &["`layer`"]);
    }
    let mut far = image();
    far.node("layer", "ReduceMean", &["q"], &["y"]).attribute = vec![ints("axes", &[i64::MIN])];
    refusal(&far, &["`layer`"]);
    let mut typed = image();
    typed.graph().output[0] = value_info("y", &[1, 3, 1, 1]);
    typed.node("layer", "ReduceMean", &["q"], &["y"]).attribute = vec![ints("axes", &[2, 3, 3])];
    assert_eq!(ops(&accepted(&typed)), ["pool"], "an axis named twice is one axis");
}

#[test]
fn a_sum_of_images_of_one_pixel_tells_channels_from_pixels() {
    let network = |factors: &[f32]| {
        let mut model = image();
        model.node("most", "GlobalMaxPool", &["q"], &["m"]);
        model.floats("ones", &[3, 3, 1, 1], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
        model.node("mix", "Conv", &["m", "ones"], &["mixed"]);
        quant(&mut model, "mixed_quant", "mixed", "n", 0.25);
        model.node("sum", "Add", &["n", "m"], &["s"]);
        model.floats("factors", &[1, 3, 1, 1], factors);
        model.node("scaled", "Mul", &["s", "factors"], &["t"]);
        quant(&mut model, "out", "t", "y", 0.125);
        model
    };
    let graph = check(&network(&[0.5; 3]), |image| {
        let most: Vec<f64> = image.iter().map(|c| c.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect();
        let mixed = [most[0] + most[2], most[1], most[0] + most[1] + most[2]].map(|v| quantized(v, 0.25));
        mixed.iter().zip(&most).map(|(a, b)| quantized((a + b) * 0.5, 0.125)).collect()
    });
    assert!(ops(&graph).contains(&"join"), "{graph}");
    refusal(&network(&[2.0, -0.5, 1.0]), &["`sum`", "other numbers in each channel", "quantize it first"]);
}

#[test]
fn tensors_behind_one_quantizer_are_concatenated_though_it_leaves_one_of_them_narrow() {
    let mut model = image();
    model.floats("ones", &[2, 3, 1, 1], &[1.0, 1.0, 1.0, -3.0, 2.0, 0.5]);
    model.node("mix", "Conv", &["q", "ones"], &["mixed"]);
    quant(&mut model, "wide", "mixed", "m", 0.25);
    // 4 bits already, in the same steps.
    quant(&mut model, "same", "q", "n", 0.25);
    model.node("both", "Concat", &["m", "n"], &["c"]).attribute = vec![int("axis", 1)];
    quant(&mut model, "out", "c", "y", 0.5);
    let graph = check(&model, |image| {
        let pixel = |f: [f64; 3], p: usize| quantized((0..CHANNELS).map(|c| f[c] * image[c][p]).sum(), 0.25);
        let channel = |f: [f64; 3]| (0..SIDE * SIDE).map(|p| pixel(f, p)).collect::<Vec<f64>>();
        let mixed = [channel([1.0, 1.0, 1.0]), channel([-3.0, 2.0, 0.5])];
        mixed.iter().chain(image).flatten().map(|&v| quantized(v, 0.5)).collect()
    });
    assert!(ops(&graph).contains(&"concat"), "{graph}");
}
