//! A small accelerator's manifest: `[1, 5]` int8 elements, of which -100 to 100 occur, to `[3, 1]` uint4 elements.

use systole_bundle::arith::{IntType, Range};
use systole_bundle::manifest::{Border, Device, Predicted, Tensor, Totals, FORMAT};
use systole_bundle::{Manifest, Stream, StreamKind};

fn stream(kind: StreamKind, tensor: &str, element: IntType, lanes: usize, channels: usize) -> Stream {
    Stream {
        name: tensor.into(),
        kind,
        tensor: tensor.into(),
        producer: None,
        consumers: vec![],
        element,
        lanes,
        lane_bits: element.bits().div_ceil(8) * 8,
        pixels: 1,
        channels,
        beats: channels.div_ceil(lanes),
        data: "d".into(),
        valid: "v".into(),
        ready: "r".into(),
    }
}

fn tensor(name: &str, shape: &[usize], element: IntType, range: Range) -> Tensor {
    let layout = "C".into();
    Tensor { name: name.into(), shape: shape.into(), layout, element, range, scale: None, zero_point: 0 }
}

fn border(tensor: &str, host_name: &str, host_shape: &[usize], host_type: &str) -> Border {
    Border {
        tensor: tensor.into(),
        host_name: host_name.into(),
        host_shape: host_shape.into(),
        host_type: host_type.into(),
        operations: vec![],
    }
}

/// Streams of two lanes: a sample takes three beats of two bytes in, two beats of two bytes out.
pub fn manifest() -> Manifest {
    let (int8, uint4) = (IntType::Signed(8), IntType::Unsigned(4));
    Manifest {
        format: FORMAT,
        generator: "test".into(),
        design: "d".into(),
        profile: "tflm".into(),
        structure_hash: "000102030405060708090a0b0c0d0e0f".into(),
        parameter_hash: "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff".into(),
        register_map: None,
        shell: None,
        devices: vec![Device { name: "device0".into(), top: "top".into() }],
        tensors: vec![tensor("x", &[5], int8, Range::new(-100, 100)), tensor("y", &[3], uint4, Range::new(0, 15))],
        streams: vec![stream(StreamKind::Input, "x", int8, 2, 5), stream(StreamKind::Output, "y", uint4, 2, 3)],
        input_border: vec![border("x", "in", &[1, 5], "int8")],
        output_border: vec![border("y", "out", &[3, 1], "uint8")],
        stages: vec![],
        fifos: vec![],
        predicted: Predicted {
            initiation_interval: "3".into(),
            period_samples: 1,
            warm_up_samples: 0,
            latency_cycles: 9,
        },
        totals: Totals {
            macs: 15,
            multipliers: 5,
            requantize_multipliers: 0,
            fifo_bits: 0,
            weight_bits: 60,
            budget: None,
        },
    }
}
