use super::*;
use systole_arith::IntType;
use systole_bundle::manifest::{Device, Predicted, Totals, FORMAT};

fn stream(name: &str, kind: StreamKind, lanes: usize, channels: usize, lane_bits: u32) -> Stream {
    let signal = |suffix: &str| match kind {
        StreamKind::Input => format!("s_axis_t{suffix}"),
        StreamKind::Internal => format!("{name}_{suffix}"),
        StreamKind::Output => format!("m_axis_t{suffix}"),
    };
    Stream {
        name: name.into(),
        kind,
        tensor: name.into(),
        producer: None,
        consumers: vec![],
        element: IntType::Signed(4),
        lanes,
        lane_bits,
        pixels: 3,
        channels,
        beats: 3 * channels.div_ceil(lanes),
        data: signal("data"),
        valid: signal("valid"),
        ready: signal("ready"),
    }
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        generator: "test".into(),
        design: "d".into(),
        profile: "qonnx".into(),
        structure_hash: String::new(),
        parameter_hash: String::new(),
        register_map: None,
        shell: None,
        devices: vec![Device { name: "device0".into(), top: "tiny_top".into() }],
        tensors: vec![],
        streams: vec![
            stream("in", StreamKind::Input, 2, 5, 8),
            stream("mid", StreamKind::Internal, 3, 5, 4),
            stream("out", StreamKind::Output, 1, 4, 8),
        ],
        input_border: vec![],
        output_border: vec![],
        stages: vec![],
        fifos: vec![],
        predicted: Predicted {
            initiation_interval: "1".into(),
            period_samples: 1,
            warm_up_samples: 0,
            latency_cycles: 1,
        },
        totals: Totals {
            macs: 0,
            multipliers: 0,
            requantize_multipliers: 0,
            fifo_bits: 0,
            weight_bits: 0,
            budget: None,
        },
    }
}

#[test]
fn the_shim_names_ports_directly_and_internal_streams_through_the_top() {
    let shim = ShimContext::new(&manifest(), None).unwrap().shim().unwrap();
    let row = "{\"mid\", &root.tiny_top__DOT__mid_valid, &root.tiny_top__DOT__mid_ready,
             nullptr, &root.tiny_top__DOT__mid_data,
             &root.tiny_top__DOT__mid_ready__VforceEn,
             &root.tiny_top__DOT__mid_ready__VforceVal,
             sizeof(root.tiny_top__DOT__mid_data), 12, 2, 8, 6},";
    assert!(shim.contains(row), "{shim}");
    assert!(
        shim.contains("{\"out\", &root.m_axis_tvalid, &root.m_axis_tready,\n             &root.m_axis_tlast,"),
        "{shim}"
    );
    assert!(shim.contains("input_stream = 0;") && shim.contains("output_stream = 2;"), "{shim}");
    assert!(!shim.contains("waveform_"), "{shim}");
}

#[test]
fn the_control_file_forces_internal_readys_only() {
    let control = ShimContext::new(&manifest(), None).unwrap().control().unwrap();
    let expected = "`verilator_config\n\
        public_flat_rd -module \"tiny_top\" -var \"mid_data\"\n\
        public_flat_rd -module \"tiny_top\" -var \"mid_valid\"\n\
        public_flat_rd -module \"tiny_top\" -var \"mid_ready\"\n\
        forceable -module \"tiny_top\" -var \"mid_ready\"\n";
    assert_eq!(control, expected);
}

#[test]
fn a_waveform_adds_its_writer_to_the_shim() {
    let shim = ShimContext::new(&manifest(), Some(Waveform::Fst)).unwrap().shim().unwrap();
    assert!(shim.contains("#include \"verilated_fst_c.h\"") && shim.contains("VerilatedFstC waveform_;"), "{shim}");
}

#[test]
fn damaged_manifests_are_refused_with_the_streams_name() {
    type Damage = fn(&mut Stream);
    let damages: [(Damage, &str); 8] = [
        (|s| s.lanes = 0, "0 lanes"),
        (|s| s.channels = 0, "0 channels"),
        (|s| s.lane_bits = 3, "lanes of 3 bits do not hold int4"),
        (|s| s.lane_bits = 65, "lanes of 65 bits"),
        (|s| s.beats += 1, "7 beats a sample where 3 pixels take 2 each"),
        (|s| s.lanes = usize::MAX, "more than 1048576 in all"),
        (|s| s.ready = "mid_ready; evil".into(), "`mid_ready; evil` is not an identifier"),
        (|s| s.valid = "mid__valid".into(), "`mid__valid` is not an identifier"),
    ];
    for (damage, reason) in damages {
        let mut manifest = manifest();
        damage(&mut manifest.streams[1]);
        let message = ShimContext::new(&manifest, None).unwrap_err().to_string();
        assert!(message.starts_with("manifest, stream `mid`: ") && message.contains(reason), "{message}");
    }
}

#[test]
fn an_accelerator_has_one_input_and_one_output() {
    let mut two = manifest();
    two.streams.push(stream("out2", StreamKind::Output, 1, 4, 8));
    assert_eq!(
        ShimContext::new(&two, None).unwrap_err().to_string(),
        "manifest: 2 output streams where this program simulates 1; compile the model again"
    );
}
