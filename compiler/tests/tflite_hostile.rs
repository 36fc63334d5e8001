//! Hostile attributes and damaged files of image networks: a verified network or a diagnostic that names
//! the node, in bounded time and memory.

mod common;
mod tflite_builder;

use common::root;
use std::time::{Duration, Instant};
use systole_compiler::frontend::{compile_front, FrontOptions};
use systole_compiler::ops::random::Random;
use systole_compiler::{CompileError, QuantGraph};
use tflite_builder::*;

const EXTREMES: [i32; 9] = [i32::MIN, -1, 0, 2, 7, 1 << 16, 1 << 20, (1 << 20) + 1, i32::MAX];

fn int(value: i32) -> Field {
    Field::Scalar(value.to_le_bytes().into())
}

/// The network, or the diagnostic's words.
fn compiled(bytes: &[u8]) -> Result<QuantGraph, String> {
    let start = Instant::now();
    let result = compile_front(bytes, &FrontOptions { name: "model".into(), ..FrontOptions::default() });
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    match result {
        Ok(quant) => {
            assert_eq!(quant.verify(), Ok(()));
            Ok(quant)
        }
        Err(CompileError::Internal { pass, cause }) => panic!("internal error after {pass}: {cause}"),
        Err(error) => Err(error.to_string()),
    }
}

/// An operator on int8 `[1, 5, 5, 4]`, its constants, and a result of this shape.
fn model(code: i32, options: (u8, Vec<Field>), constants: &[(&[i32], i8, Vec<u8>)], output: &[i32]) -> Model {
    let mut model = Model::layer();
    model.tensors = vec![tensor("x", &[1, 5, 5, 4], INT8, 0, 0.5, 3), tensor("y", output, INT8, 0, 0.5, 3)];
    model.buffers = vec![vec![]];
    let mut inputs = vec![0];
    for (shape, element, data) in constants {
        inputs.push(model.tensors.len() as i32);
        model.tensors.push(tensor("", shape, *element, model.buffers.len() as u32, 0.5, 0));
        model.buffers.push(data.clone());
    }
    model.operators = vec![OperatorSpec { code, inputs, outputs: vec![1], options }];
    (model.inputs, model.outputs) = (vec![0], vec![1]);
    model
}

/// Replaces each field of the options by every extreme, which must be refused where no size is so small or
/// large; `unread` is a field that decides nothing.
fn with_extremes(good: &Model, node: &str, unread: Option<usize>) {
    assert!(compiled(&good.bytes()).is_ok(), "{node}: {:?}", compiled(&good.bytes()).err());
    for field in 0..good.operators[0].options.1.len() {
        for value in EXTREMES {
            let mut model = good.clone();
            let place = &mut model.operators[0].options.1[field];
            let absurd = match place {
                Field::Scalar(bytes) if bytes.len() == 1 => {
                    *place = byte(value as i8);
                    !(0..=3).contains(&(value as i8))
                }
                _ => {
                    *place = int(value);
                    !(1..=1 << 20).contains(&value)
                }
            };
            match compiled(&model.bytes()) {
                Ok(_) => assert!(!absurd || unread == Some(field), "{node}, field {field} = {value}"),
                Err(message) => assert!(message.contains(node), "field {field} = {value}: {message}"),
            }
        }
    }
}

fn integers(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn extreme_strides_dilations_and_kernels_are_refused_by_the_nodes_name() {
    let one = || vec![int(1), int(1)];
    let window = |more: Vec<Field>| [vec![byte(0)], one(), more].concat();
    let conv = (1, window([vec![byte(0)], one()].concat()));
    let weights: (&[i32], i8, Vec<u8>) = (&[6, 3, 3, 4], INT8, vec![1; 216]);
    with_extremes(&model(3, conv, &[weights], &[1, 5, 5, 6]), "conv_2d_0", None);
    let depthwise = (2, window([vec![int(1), byte(0)], one()].concat()));
    let weights: (&[i32], i8, Vec<u8>) = (&[1, 3, 3, 4], INT8, vec![1; 36]);
    // The depth multiplier of the file is not read: the shapes give it.
    with_extremes(&model(4, depthwise, &[weights], &[1, 5, 5, 4]), "depthwise_conv_2d_0", Some(3));
    for (code, node) in [(1, "average_pool_2d_0"), (17, "max_pool_2d_0")] {
        let pool = (5, window(vec![int(3), int(3), byte(0)]));
        with_extremes(&model(code, pool, &[], &[1, 5, 5, 4]), node, None);
    }
}

#[test]
fn extreme_paddings_and_axes_are_refused_by_the_nodes_name() {
    for value in EXTREMES {
        for place in 0..8 {
            let mut amounts = [0, 0, 1, 1, 1, 1, 0, 0];
            amounts[place] = value;
            let model = model(34, (22, vec![]), &[(&[4, 2], INT32, integers(&amounts))], &[1, 7, 7, 4]);
            let accepted = compiled(&model.bytes());
            match (&accepted, value == 0 && [0, 1, 6, 7].contains(&place)) {
                (Ok(_), true) => {}
                (Err(message), false) => assert!(message.contains("pad_0"), "{message}"),
                other => panic!("{place} = {value}: {other:?}"),
            }
        }
        let axes = integers(&[1, value]);
        let mean = compiled(&model(40, (27, vec![byte(1)]), &[(&[2], INT32, axes)], &[1, 1, 1, 4]).bytes());
        assert_eq!(mean.is_ok(), value == 2, "{value}: {mean:?}");
        let concatenated = compiled(&model(2, (10, vec![int(value), byte(0)]), &[], &[1, 5, 5, 4]).bytes());
        assert_eq!(concatenated.is_ok(), [-1, 2].contains(&value), "{value}: {concatenated:?}");
        let mut search = model(56, (0, vec![]), &[(&[1], INT32, integers(&[value]))], &[1, 5, 5]);
        search.tensors[1].element = INT32;
        assert_eq!(compiled(&search.bytes()).is_ok(), value == -1, "{value}");
    }
}

#[test]
fn sizes_that_would_take_much_memory_are_refused_with_the_numbers() {
    let options = (2, vec![byte(0), int(1), int(1), int(2), byte(0)]);
    let weights: (&[i32], i8, Vec<u8>) = (&[1, 3, 3, 8192], INT8, vec![1; 9 * 8192]);
    let mut wide = model(4, options, &[weights], &[1, 5, 5, 8192]);
    wide.tensors[0].shape = vec![1, 5, 5, 4096];
    let message = compiled(&wide.bytes()).unwrap_err();
    assert!(message.contains("8192 outputs of 36864 weights"), "{message}");

    let pool = |kernel: i32| (5, vec![byte(0), int(1), int(1), int(kernel), int(kernel), byte(0)]);
    for kernel in [40, 200, 4096, i32::MAX] {
        let mut large = model(1, pool(kernel), &[], &[1, 4096, 4096, 1]);
        large.tensors[0].shape = vec![1, 4096, 4096, 1];
        match compiled(&large.bytes()) {
            Ok(_) => assert_eq!(kernel, 40),
            Err(message) => assert!(message.contains("average_pool_2d_0"), "{message}"),
        }
    }

    let many = |count: usize| (&[1, 5, 5, 4][..], INT8, vec![1; count]);
    let mut constant = model(0, (11, vec![byte(0)]), &[many(100)], &[1, 5, 5, 4]);
    assert!(compiled(&constant.bytes()).is_ok());
    constant.tensors.iter_mut().for_each(|tensor| tensor.shape = vec![1, 50, 50, 4]);
    constant.buffers[1] = vec![1; 10_000];
    let message = compiled(&constant.bytes()).unwrap_err();
    assert!(message.contains("add_0") && message.contains("4096"), "{message}");
}

#[test]
fn every_node_that_does_not_fit_is_listed_at_once() {
    let weights: (&[i32], i8, Vec<u8>) = (&[6, 3, 3, 4], INT8, vec![1; 216]);
    let options = (1, vec![byte(0), int(0), int(1), byte(0)]);
    let mut model = model(3, options, &[weights], &[1, 5, 5, 6]);
    model.tensors.push(tensor("z", &[1, 5, 5, 6], INT8, 0, 0.5, 3));
    let last = model.tensors.len() as i32 - 1;
    model.operators.push(plain(39, &[1], last));
    model.operators.push(plain(14, &[1, 1], last));
    model.outputs = vec![last];
    let message = compiled(&model.bytes()).unwrap_err();
    for part in
        ["3 of the model's operators", "conv_2d_0", "stride is 1x0", "transpose_1", "channels last", "logistic_2"]
    {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
}

#[test]
fn nodes_that_only_the_runtime_refuses_are_listed_at_once_without_those_behind_them() {
    let weights: (&[i32], i8, Vec<u8>) = (&[4, 3, 3, 4], INT8, vec![1; 144]);
    let options = (1, vec![byte(0), int(1), int(1), byte(0)]);
    let mut model = model(3, options.clone(), &[weights], &[1, 5, 5, 4]);
    // Multipliers that the XNNPACK delegate refuses.
    model.tensors[1].scales = vec![1e-9];
    let first = model.tensors.len() as i32;
    for (index, scale) in [1e-9, 0.5].into_iter().enumerate() {
        model.tensors.push(tensor("", &[1, 5, 5, 4], INT8, 0, scale, 0));
        let inputs = if index == 0 { vec![0, 2] } else { vec![1, 2] };
        let outputs = vec![first + index as i32];
        model.operators.push(OperatorSpec { code: 3, inputs, outputs, options: options.clone() });
    }
    model.outputs = vec![first, first + 1];
    let profile = Some(systole_compiler::Profile::Xnnpack);
    let options = FrontOptions { name: "model".into(), profile, ..FrontOptions::default() };
    let message = compile_front(&model.bytes(), &options).unwrap_err().to_string();
    for part in ["2 of the model's operators", "conv_2d_0", "conv_2d_1", "256"] {
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
    assert!(!message.contains("conv_2d_2"), "{message}");
}

#[test]
fn paddings_in_front_of_convolutions_become_their_own() {
    for (value, padding, expected) in [(None, 1, 1), (None, 0, 1), (Some(7u8), 1, 2)] {
        let amounts = integers(&[0, 0, 2, 1, 0, 3, 0, 0]);
        let mut constants: Vec<(&[i32], i8, Vec<u8>)> = vec![(&[4, 2], INT32, amounts)];
        constants.extend(value.map(|value| (&[1][..], INT8, vec![value])));
        let code = if value.is_some() { 60 } else { 34 };
        let mut model = model(code, (0, vec![]), &constants, &[1, 8, 8, 4]);
        if let Some(constant) = model.tensors.get_mut(3) {
            constant.zero_points = vec![3];
        }
        let next = model.tensors.len() as i32;
        model.tensors.push(tensor("w", &[2, 3, 3, 4], INT8, model.buffers.len() as u32, 0.1, 0));
        let weights: Vec<i8> = (0..72).map(|index| (index * 37 % 51) as i8 - 25).collect();
        model.buffers.push(weights.iter().map(|&weight| weight as u8).collect());
        let side = if padding == 1 { 3 } else { 4 };
        model.tensors.push(tensor("z", &[1, side, side, 2], INT8, 0, 3.0, -9));
        let options = (1, vec![byte(padding), int(2), int(2), byte(0)]);
        model.operators.push(OperatorSpec { code: 3, inputs: vec![1, next], outputs: vec![next + 1], options });
        model.outputs = vec![next + 1];
        let quant = compiled(&model.bytes()).unwrap();
        assert_eq!(quant.nodes.node_count(), expected, "{quant}");

        let sample = Random::new(3).integers(&[5, 5, 4], -128, 127);
        let got = quant.interpret(std::slice::from_ref(&sample)).unwrap();
        let got = &got[quant.outputs[0].tensor.0 as usize];
        for (row, column, output) in
            (0..side as i64).flat_map(|r| (0..side as i64).flat_map(move |c| [(r, c, 0), (r, c, 1)]))
        {
            let mut acc = 0;
            for (tap, weight) in weights[36 * output..36 * (output + 1)].iter().enumerate() {
                let (place, channel) = (tap as i64 / 4, tap % 4);
                let (y, x) = (2 * row + place / 3, 2 * column + place % 3);
                let padded = (0..8).contains(&y) && (0..8).contains(&x);
                let inside = (2..7).contains(&y) && (0..5).contains(&x);
                let element = match (padded, inside) {
                    (true, true) => sample[[y as usize - 2, x as usize, channel]],
                    (true, false) => value.map_or(3, i64::from),
                    (false, _) => 3,
                };
                acc += (element - 3) * i64::from(*weight);
            }
            let exact = acc as f64 * 0.5 * f64::from(0.1f32) / 3.0;
            let y = got[[row as usize, column as usize, output]] as f64;
            assert!((y + 9.0 - exact).abs() <= 0.5 + 1e-6 || y == 127.0 || y == -128.0, "{y} {exact}\n{quant}");
        }
    }
}

#[test]
fn byte_flips_of_image_networks_give_a_verified_network_or_a_diagnostic_in_time() {
    let (mut accepted, mut refused) = (0, 0);
    for family in ["convolutions", "pools", "joins", "structure", "tables", "image_networks"] {
        let folder = root().join("tests/vectors").join(family);
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "tflite"));
        paths.sort();
        let step = paths.len().div_ceil(5);
        for (number, path) in paths.iter().step_by(step).enumerate() {
            let bytes = std::fs::read(path).unwrap();
            for seed in 0..60 {
                let mut random = Random::new(number as u64 * 1000 + seed);
                let mut flipped = bytes.clone();
                for _ in 0..random.size(1, 6) {
                    let at = random.size(0, flipped.len() - 1);
                    flipped[at] ^= 1 << random.size(0, 7);
                }
                match compiled(&flipped) {
                    Ok(_) => accepted += 1,
                    Err(_) => refused += 1,
                }
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused");
}

/// Bytes of int32 constants.
fn int32(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn absurd_sizes_copies_and_axes_of_arranging_operators_are_refused_by_node() {
    let (resize, tile, broadcast, reduce, interleave) = (97, 69, 130, 82, 38);
    let refused = |code: i32, constants: &[(&[i32], &[i32])], output: &[i32]| {
        let constants: Vec<(&[i32], i8, Vec<u8>)> =
            constants.iter().map(|(shape, values)| (*shape, INT32, int32(values))).collect();
        let error = compiled(&model(code, (0, vec![]), &constants, output).bytes()).map(drop).unwrap_err();
        assert!(error.contains("node `") || error.contains("`y`"), "{code}, {output:?}: {error}");
    };
    let good = model(resize, (0, vec![]), &[(&[2], INT32, int32(&[10, 15]))], &[1, 10, 15, 4]);
    assert!(compiled(&good.bytes()).is_ok(), "{:?}", compiled(&good.bytes()).err());
    for value in EXTREMES {
        refused(resize, &[(&[2], &[value, 10])], &[1, 5, 10, 4]);
        refused(tile, &[(&[4], &[1, value, 1, 1])], &[1, 10, 5, 4]);
        refused(broadcast, &[(&[4], &[1, value, 5, 4])], &[1, 10, 5, 4]);
        refused(interleave, &[(&[2], &[value, 1]), (&[2, 2], &[0, value, value, 0])], &[2, 3, 5, 4]);
    }
    for value in [i32::MIN, 0, 3, 4, -1, i32::MAX] {
        refused(reduce, &[(&[1], &[value])], &[1, 5, 4]);
    }
    refused(resize, &[(&[2], &[7, 8])], &[1, 7, 8, 4]);
    refused(tile, &[(&[4], &[1, 2, 1, 1])], &[1, 10, 5, 4]);
}
