//! Each monitor catches a stage that breaks its rule and names the stream; the correct design breaks none.

mod common;

use common::{thorough, Bundle};
use systole_sim::run::{Rule, RunEnd, RunResult, RunSpec};

const SAMPLES: usize = 40;

/// Runs the tiny design with `fault`, under stalls drawn from `seed` if any.
fn run(fault: u8, stall_seed: Option<u64>) -> RunResult {
    let bundle = Bundle::tiny([fault, 3, 5]);
    let input = bundle.packed(&bundle.samples(SAMPLES));
    bundle.start().run(&RunSpec { stall_seed, ..thorough(&input, SAMPLES) }).unwrap()
}

fn rules_of<'a>(result: &'a RunResult, stream: &str) -> Vec<&'a Rule> {
    result.violations.iter().filter(|v| v.stream == stream).map(|v| &v.rule).collect()
}

/// Seeds under which the sink stalls often enough to keep beats waiting.
fn stalling_seeds() -> impl Iterator<Item = u64> {
    1..=6
}

#[test]
fn a_correct_design_breaks_no_rule_with_and_without_stalls() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let elements = bundle.samples(SAMPLES);
    let input = bundle.packed(&elements);
    let mut model = bundle.start();
    let output = model.output().clone();
    for stall_seed in std::iter::once(None).chain((1..=20).map(Some)) {
        model.reset().unwrap();
        let result = model.run(&RunSpec { stall_seed, ..thorough(&input, SAMPLES) }).unwrap();
        assert_eq!(result.end, RunEnd::Done, "seed {stall_seed:?}");
        assert_eq!(result.violations, [], "seed {stall_seed:?}");
        let expected: Vec<i64> = elements.iter().map(|x| (x + 8) % 256).collect();
        assert_eq!(output.unpack(&result.beats[2]), expected, "seed {stall_seed:?}");
        let stalled = stall_seed.is_some();
        assert_eq!(result.stalled_enough(), stalled, "seed {stall_seed:?}: {result:?}");
    }
}

#[test]
fn the_seed_chooses_among_all_modes_for_both_sides_independently() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let input = bundle.packed(&bundle.samples(SAMPLES));
    let mut model = bundle.start();
    let mut pairs = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let result = model.run(&RunSpec { stall_seed: Some(seed), ..RunSpec::new(&input, SAMPLES) }).unwrap();
        assert_eq!(result.end, RunEnd::Done, "seed {seed}");
        pairs.insert((result.source.mode.to_string(), result.sink.mode.to_string()));
    }
    let sources: std::collections::BTreeSet<_> = pairs.iter().map(|pair| &pair.0).collect();
    let sinks: std::collections::BTreeSet<_> = pairs.iter().map(|pair| &pair.1).collect();
    assert_eq!((sources.len(), sinks.len()), (5, 5), "{pairs:?}");
    assert!(pairs.len() > 10, "{pairs:?}");
}

#[test]
fn the_same_seed_gives_the_same_cycles() {
    let [first, second] = [(); 2].map(|()| run(0, Some(11)));
    assert_eq!(first.output_edges, second.output_edges);
    assert_ne!(first.output_edges, run(0, Some(12)).output_edges);
}

#[test]
fn a_valid_that_falls_before_its_beat_is_taken_is_caught() {
    for seed in stalling_seeds() {
        let result = run(1, Some(seed));
        assert!(rules_of(&result, "a").contains(&&Rule::HoldValid), "seed {seed}: {:?}", result.violations);
    }
}

#[test]
fn a_payload_that_changes_before_its_beat_is_taken_is_caught() {
    for seed in stalling_seeds() {
        let result = run(2, Some(seed));
        assert_eq!(rules_of(&result, "a"), [&Rule::HoldPayload], "seed {seed}");
    }
}

#[test]
fn a_lost_beat_ends_in_a_hang_at_the_stream_that_lacks_it() {
    let result = run(3, None);
    assert_eq!(result.end, RunEnd::Hang);
    assert_eq!((&*result.violations[0].stream, result.violations[0].rule), ("a", Rule::Hang));
}

#[test]
fn a_lost_beat_is_caught_even_if_a_later_stage_makes_up_for_it() {
    let result = run(4, None);
    assert_eq!(result.end, RunEnd::Done);
    let missing: Vec<_> = result.violations.iter().filter(|v| v.rule == Rule::Missing).collect();
    assert_eq!(missing.len(), 1, "{:?}", result.violations);
    assert_eq!((&*missing[0].stream, missing[0].count), ("a", 1));
}

#[test]
fn a_doubled_beat_is_caught_on_every_stream_that_carries_it() {
    let result = run(5, None);
    assert!(rules_of(&result, "a").contains(&&Rule::Extra), "{:?}", result.violations);
    assert!(rules_of(&result, "out").contains(&&Rule::Extra), "{:?}", result.violations);
    assert!(rules_of(&result, "in").is_empty(), "{:?}", result.violations);
}

#[test]
fn a_misplaced_tlast_is_caught() {
    let result = run(6, None);
    assert_eq!(rules_of(&result, "out"), [&Rule::Last]);
    assert_eq!(result.violations[0].count, 2 * SAMPLES as u64, "one missing and one wrong mark a sample");
}

#[test]
fn a_valid_that_waits_for_ready_is_caught() {
    for stall_seed in [None, Some(1), Some(2)] {
        let result = run(7, stall_seed);
        assert_eq!(rules_of(&result, "a"), [&Rule::ValidWaits], "seed {stall_seed:?}");
    }
}

#[test]
fn an_idle_lane_that_is_not_zero_is_caught() {
    let result = run(8, None);
    assert_eq!(rules_of(&result, "a"), [&Rule::IdleLanes]);
    assert_eq!(result.violations[0].count, 2 * SAMPLES as u64, "one a pixel");
}

#[test]
fn a_stage_that_stops_taking_is_a_hang_at_its_input_stream() {
    for stall_seed in [None, Some(3), Some(4), Some(5)] {
        let result = run(9, stall_seed);
        assert_eq!(result.end, RunEnd::Hang, "seed {stall_seed:?}");
        assert_eq!((&*result.violations[0].stream, result.violations[0].rule), ("in", Rule::Hang));
        let inner = run(10, stall_seed);
        assert_eq!((&*inner.violations[0].stream, inner.violations[0].rule), ("a", Rule::Hang));
        let message = inner.violations[0].to_string();
        assert!(message.starts_with("stream `a`: hang: nothing has moved for 2020 cycles at cycle "), "{message}");
    }
}

#[test]
fn a_stage_that_never_stops_offering_ends_the_run() {
    let result = run(11, None);
    assert!(rules_of(&result, "a").contains(&&Rule::Extra), "{:?}", result.violations);
}

#[test]
fn a_model_that_calls_finish_is_an_error() {
    let bundle = Bundle::tiny([13, 3, 5]);
    let input = bundle.packed(&bundle.samples(SAMPLES));
    let error = bundle.start().run(&thorough(&input, SAMPLES)).unwrap_err();
    assert!(error.to_string().ends_with("the Verilog called $finish"), "{error}");
    assert_eq!(error.exit_status(), 1);
}

#[test]
fn payloads_of_every_storage_are_driven_and_watched() {
    let bundle = Bundle::wide();
    let elements = bundle.samples(SAMPLES);
    let input = bundle.packed(&elements);
    let mut model = bundle.start();
    for stall_seed in [None, Some(1), Some(2), Some(3)] {
        let result = model.run(&RunSpec { stall_seed, ..thorough(&input, SAMPLES) }).unwrap();
        assert_eq!(result.violations, [], "seed {stall_seed:?}");
        for (stream, beats) in model.streams().iter().zip(&result.beats) {
            assert_eq!(stream.unpack(beats), elements, "stream {}", stream.name);
        }
    }
}

#[test]
fn even_one_sample_is_stalled_in_a_tenth_of_the_cycles_on_both_sides() {
    let bundle = Bundle::tiny([0, 3, 5]);
    let input = bundle.packed(&bundle.samples(1));
    let mut model = bundle.start();
    for seed in 0..200 {
        let result = model.run(&RunSpec { stall_seed: Some(seed), ..RunSpec::new(&input, 1) }).unwrap();
        assert_eq!(result.end, RunEnd::Done, "seed {seed}");
        assert!(
            result.stalled_enough(),
            "seed {seed}: {} cycles, {:?}, {:?}",
            result.cycles,
            result.source,
            result.sink
        );
    }
}
