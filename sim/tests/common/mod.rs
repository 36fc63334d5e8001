//! Small bundles with hand-written Verilog.
#![allow(dead_code)]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use systole_arith::IntType;
use systole_bundle::manifest::{Border, Device, FoldingFigures, Predicted, Stage, Tensor, Totals, FORMAT};
use systole_bundle::{Manifest, Stream, StreamKind};
use systole_sim::{Cache, Model, RunSpec, Simulator, Toolchain};

/// A bundle in a folder of its own.
pub struct Bundle {
    pub folder: tempfile::TempDir,
    pub manifest: Manifest,
}

impl Bundle {
    /// Two stages that add constants; `settings` are fault, first and second constant.
    pub fn tiny(settings: [u8; 3]) -> Bundle {
        let stream = |name: &str, kind, producer: Option<&str>| Stream {
            name: name.into(),
            kind,
            tensor: name.into(),
            producer: producer.map(Into::into),
            consumers: vec![],
            element: IntType::Unsigned(8),
            lanes: 2,
            lane_bits: 8,
            pixels: 2,
            channels: 3,
            beats: 4,
            data: signal(name, kind, "data"),
            valid: signal(name, kind, "valid"),
            ready: signal(name, kind, "ready"),
        };
        let streams = vec![
            stream("in", StreamKind::Input, None),
            stream("a", StreamKind::Internal, Some("stage_a")),
            stream("out", StreamKind::Output, Some("stage_b")),
        ];
        let predicted =
            Predicted { initiation_interval: "4".into(), period_samples: 1, warm_up_samples: 0, latency_cycles: 5 };
        let bundle = Bundle::new("tiny", streams, predicted, include_str!("../verilog/tiny.v"));
        bundle.write_settings(&settings.map(|byte| format!("{byte:02x}\n")).concat());
        bundle
    }

    /// Three stages on wide payloads.
    pub fn wide() -> Bundle {
        let stream = |name: &str, kind, producer: Option<&str>, lane_bits| Stream {
            name: name.into(),
            kind,
            tensor: name.into(),
            producer: producer.map(Into::into),
            consumers: vec![],
            element: IntType::Signed(3),
            lanes: 13,
            lane_bits,
            pixels: 1,
            channels: 20,
            beats: 2,
            data: signal(name, kind, "data"),
            valid: signal(name, kind, "valid"),
            ready: signal(name, kind, "ready"),
        };
        let streams = vec![
            stream("in", StreamKind::Input, None, 8),
            stream("narrow", StreamKind::Internal, Some("narrow"), 3),
            stream("broad", StreamKind::Internal, Some("broad"), 5),
            stream("out", StreamKind::Output, Some("last"), 16),
        ];
        let predicted =
            Predicted { initiation_interval: "2".into(), period_samples: 1, warm_up_samples: 0, latency_cycles: 4 };
        Bundle::new("wide", streams, predicted, include_str!("../verilog/wide.v"))
    }

    fn new(top: &str, streams: Vec<Stream>, predicted: Predicted, verilog: &str) -> Bundle {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("rtl/rom")).unwrap();
        fs::write(folder.path().join(format!("rtl/{top}.v")), verilog).unwrap();
        let tensors = streams
            .iter()
            .map(|stream| Tensor {
                name: stream.tensor.clone(),
                shape: vec![stream.pixels, stream.channels],
                layout: "WC".into(),
                element: stream.element,
                range: stream.element.range(),
                scale: None,
                zero_point: 0,
            })
            .collect();
        let streams_end = (&streams[0], &streams[streams.len() - 1]);
        let stages = streams.iter().filter_map(|stream| stream.producer.as_deref()).map(stage).collect();
        let manifest = Manifest {
            format: FORMAT,
            generator: "test".into(),
            design: top.into(),
            profile: "qonnx".into(),
            structure_hash: String::new(),
            parameter_hash: String::new(),
            register_map: None,
            shell: None,
            devices: vec![Device { name: "device0".into(), top: top.into() }],
            tensors,
            input_border: vec![border(streams_end.0, "uint8")],
            output_border: vec![border(streams_end.1, "uint8")],
            streams,
            stages,
            fifos: vec![],
            predicted,
            totals: Totals {
                macs: 0,
                multipliers: 0,
                requantize_multipliers: 0,
                fifo_bits: 0,
                weight_bits: 0,
                budget: None,
            },
        };
        let bundle = Bundle { folder, manifest };
        bundle.write_manifest();
        bundle
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write_manifest(&self) {
        fs::write(self.path().join("manifest.json"), self.manifest.to_json()).unwrap();
    }

    pub fn write_settings(&self, text: &str) {
        fs::write(self.path().join("rtl/rom/settings.hex"), text).unwrap();
    }

    pub fn build(&self) -> Simulator {
        Simulator::build(self.path(), tools(), &cache(), None, &mut |_| ()).unwrap()
    }

    pub fn start(&self) -> Model {
        self.build().start(1).unwrap()
    }

    /// `count` seeded samples of the tiny bundle's input, as elements.
    pub fn samples(&self, count: usize) -> Vec<i64> {
        let stream = &self.manifest.streams[0];
        let elements = count * stream.pixels * stream.channels;
        (0..elements as u64).map(|i| stream.element.decode(i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)).collect()
    }

    pub fn packed(&self, elements: &[i64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.manifest.streams[0].pack(elements, &mut bytes);
        bytes
    }
}

/// A spec that turns everything on.
pub fn thorough(input: &[u8], samples: usize) -> RunSpec<'_> {
    RunSpec { probe: true, capture: true, ..RunSpec::new(input, samples) }
}

/// Asked for once a process: each asking runs three programs.
pub fn tools() -> &'static Toolchain {
    static TOOLS: OnceLock<Toolchain> = OnceLock::new();
    TOOLS.get_or_init(|| Toolchain::discover().unwrap_or_else(|error| panic!("these tests simulate: {error}")))
}

/// Kept between test runs: entries are found by content alone.
pub fn cache() -> Cache {
    Cache::at(Path::new(env!("CARGO_TARGET_TMPDIR")).join("systole-cache"))
}

fn signal(name: &str, kind: StreamKind, suffix: &str) -> String {
    match kind {
        StreamKind::Input => format!("s_axis_t{suffix}"),
        StreamKind::Internal => format!("{name}_{suffix}"),
        StreamKind::Output => format!("m_axis_t{suffix}"),
    }
}

fn border(stream: &Stream, host_type: &str) -> Border {
    Border {
        tensor: stream.tensor.clone(),
        host_name: format!("host_{}", stream.tensor),
        host_shape: vec![stream.pixels, stream.channels],
        host_type: host_type.into(),
        operations: vec![],
    }
}

/// A stage of which only the name matters here.
fn stage(name: &str) -> Stage {
    Stage {
        name: name.into(),
        op: "dense".into(),
        engine: "matrix".into(),
        output: name.into(),
        folding: FoldingFigures { output_channels: 1, input_channels: 1, taps: 1, pixels: 1 },
        pe: 1,
        simd: 1,
        multipliers: 1,
        requantize_multipliers: 0,
        requantizer: "linear".into(),
        macs: 1,
        cycles: 1,
        busy_cycles: 1,
        memory_bits: 0,
        weight_bits: 0,
        accumulator_bits: 8,
    }
}
