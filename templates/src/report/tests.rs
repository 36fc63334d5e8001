use super::*;
use systole_arith::{IntType, Range};
use systole_bundle::manifest::{Device, FoldingFigures, Predicted, Tensor, Totals, FORMAT};

fn stage(name: &str, pe: usize, simd: usize, cycles: u64) -> Stage {
    Stage {
        name: name.into(),
        op: "dense".into(),
        engine: "matrix".into(),
        output: "y".into(),
        folding: FoldingFigures { output_channels: pe, input_channels: simd, taps: 1, pixels: 1 },
        pe,
        simd,
        multipliers: (pe * simd) as u64,
        requantize_multipliers: 2,
        requantizer: "affine".into(),
        macs: 48,
        cycles,
        busy_cycles: cycles,
        memory_bits: 10_240,
        weight_bits: 384,
        accumulator_bits: 19,
    }
}

fn manifest() -> Manifest {
    let stream = |name: &str, kind| Stream {
        name: name.into(),
        kind,
        tensor: "x|1".into(),
        producer: None,
        consumers: vec![],
        element: IntType::Signed(8),
        lanes: 2,
        lane_bits: 8,
        pixels: 1,
        channels: 6,
        beats: 3,
        data: format!("{name}_tdata"),
        valid: format!("{name}_tvalid"),
        ready: format!("{name}_tready"),
    };
    Manifest {
        format: FORMAT,
        generator: "systole 0.0.0".into(),
        design: "tiny".into(),
        profile: "tflm".into(),
        structure_hash: "5a".into(),
        parameter_hash: "7c".into(),
        register_map: None,
        shell: None,
        devices: vec![Device { name: "device0".into(), top: "tiny_top".into() }],
        tensors: vec![Tensor {
            name: "x|1".into(),
            shape: vec![6],
            layout: "C".into(),
            element: IntType::Signed(8),
            range: Range::new(-128, 127),
            scale: Some(0.5),
            zero_point: -3,
        }],
        streams: vec![
            stream("s_axis", StreamKind::Input),
            stream("inside", StreamKind::Internal),
            stream("m_axis", StreamKind::Output),
        ],
        input_border: vec![Border {
            tensor: "x|1".into(),
            host_name: "serving_default\n| injected |".into(),
            host_shape: vec![6],
            host_type: "int8".into(),
            operations: vec![],
        }],
        output_border: vec![],
        stages: vec![stage("layer0", 2, 3, 8), stage("layer1", 1, 6, 5)],
        fifos: vec![Fifo {
            stream: "inside".into(),
            depth: 3,
            width: 16,
            rounded_depth: 4,
            memory: "registers".into(),
        }],
        predicted: Predicted {
            initiation_interval: "17/2".into(),
            period_samples: 2,
            warm_up_samples: 1,
            latency_cycles: 31,
        },
        totals: Totals {
            macs: 51,
            multipliers: 12,
            requantize_multipliers: 4,
            fifo_bits: 48,
            weight_bits: 768,
            budget: Some(16),
        },
    }
}

/// The line of `report` that holds `text`.
fn line<'r>(report: &'r str, text: &str) -> &'r str {
    report.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no line with `{text}` in\n{report}"))
}

#[test]
fn utilization_is_the_work_over_what_the_lanes_could_do_in_an_interval() {
    let derived = Derived::of(&manifest()).unwrap();
    // 51 products in 17/2 cycles: 6 a cycle, of 12 lanes and of a budget of 16.
    assert_eq!(derived.interval(), 8.5);
    assert_eq!(derived.mac_utilization, 0.5);
    assert_eq!(derived.budget_utilization, Some(0.375));
}

#[test]
fn without_a_budget_there_is_no_utilization_of_one() {
    let mut manifest = manifest();
    manifest.totals.budget = None;
    assert_eq!(Derived::of(&manifest).unwrap().budget_utilization, None);
    let report = markdown(&manifest).unwrap();
    assert_eq!(line(&report, "| utilization |"), "| utilization | 50.0 % of the multipliers |");
    assert_eq!(line(&report, "| multipliers |"), "| multipliers | 12, and 4 for requantization |");
}

#[test]
fn figures_that_no_design_has_are_refused() {
    for malformed in ["", "0", "3/0", "-4", "1.5", "a/b"] {
        let mut manifest = manifest();
        manifest.predicted.initiation_interval = malformed.into();
        let message = markdown(&manifest).unwrap_err().to_string();
        assert!(message.contains(&format!("`{malformed}`")), "{message}");
    }
}

#[test]
fn a_design_without_multipliers_uses_none_of_them() {
    let mut manifest = manifest();
    manifest.totals.multipliers = 0;
    assert_eq!(Derived::of(&manifest).unwrap().mac_utilization, 0.0);
    assert!(markdown(&manifest).is_ok());
}

#[test]
fn the_report_gives_interval_latency_stages_ports_and_fifos() {
    let report = markdown(&manifest()).unwrap();
    assert!(
        line(&report, "| initiation interval |").contains("17/2 cycles a sample (the pattern repeats every 2 samples)")
    );
    assert!(line(&report, "| latency | 31").contains("cycles"));
    assert!(line(&report, "| bottleneck |").ends_with("| `layer0` |"));
    assert!(line(&report, "| 100 MHz |").contains("11,764,705"), "100 MHz over 8.5 cycles");
    let row = "| `layer0` | dense | matrix | 2 | 3 | 6 | affine | 2 | 8 | 8 | 94.1 % | 19 | 10,240 (1.2 KiB) |";
    assert_eq!(line(&report, "| `layer0` | dense"), row);
    assert_eq!(line(&report, "| `m_axis` |"), "| `m_axis` | out | `x 1` | int8 | \\[6\\] | 2 | 16 | 3 |");
    assert_eq!(line(&report, "| `inside` |"), "| `inside` | 3 | 16 | 4 | registers |");
    assert!(line(&report, "before the input").contains("`serving_default   injected  `, int8 \\[6\\]"));
}

#[test]
fn every_table_row_has_as_many_cells_as_its_header() {
    let report = markdown(&manifest()).unwrap();
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    let mut header = None;
    let mut rows = 0;
    for row in report.lines() {
        match (row.starts_with('|'), header) {
            (true, None) => header = Some(cells(row)),
            (true, Some(expected)) => {
                assert_eq!(cells(row), expected, "{row}");
                rows += 1;
            }
            (false, _) => header = None,
        }
    }
    assert!(rows > 20, "{rows} rows in\n{report}");
}
