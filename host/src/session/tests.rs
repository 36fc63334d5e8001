use super::*;
use manifest::manifest;
use ndarray::arr2;
use systole_bundle::arith::{BorderOp, IntType};

#[path = "../../tests/support/manifest.rs"]
mod manifest;

fn int8(samples: &[[i64; 5]]) -> Array {
    let values: Vec<i64> = samples.iter().flatten().copied().collect();
    Array::Int(ArrayD::from_shape_vec(IxDyn(&[samples.len(), 1, 5]), values).unwrap(), "int8".into())
}

#[test]
fn a_batch_becomes_the_beats_of_the_input_stream() {
    let session = Session::new(&manifest()).unwrap();
    let packed = session.pack(&int8(&[[1, -1, 2, 100, -100], [0, 0, 0, 0, 7]])).unwrap();
    let first = [1, 0xff, 0, 0, 2, 100, 0, 0, 0x9c, 0, 0, 0];
    let second = [0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0];
    assert_eq!(packed, Packed { samples: 2, beats: [first, second].concat() });
    assert_eq!(session.input_sample_bytes(), 12);
}

#[test]
fn a_batch_crosses_the_port_without_gaps_between_beats_and_comes_back() {
    let session = Session::new(&manifest()).unwrap();
    let packed = session.pack_wire(&int8(&[[1, -1, 2, 100, -100], [0, 0, 0, 0, 7]])).unwrap();
    assert_eq!(packed, Packed { samples: 2, beats: vec![1, 0xff, 2, 100, 0x9c, 0, 0, 0, 0, 0, 7, 0] });
    assert_eq!((session.input_wire_bytes(), session.output_wire_bytes()), (6, 4));
    let expected = arr2(&[[1i64, 15, 2], [3, 4, 5]]).into_shape_with_order(vec![2, 3, 1]).unwrap();
    let answer = session.unpack_wire(&[1, 15, 2, 0, 3, 4, 5, 0], 2).unwrap();
    assert_eq!(answer, Array::Int(expected.into_dyn(), "uint8".into()));
}

#[test]
fn beats_of_the_output_stream_become_an_array_of_the_hosts_shape_and_type() {
    let session = Session::new(&manifest()).unwrap();
    let beats = [1, 15, 0, 0, 2, 0, 0, 0, 3, 4, 0, 0, 5, 0, 0, 0];
    let expected = arr2(&[[1i64, 15, 2], [3, 4, 5]]).into_shape_with_order(vec![2, 3, 1]).unwrap();
    assert_eq!(session.unpack(&beats, 2).unwrap(), Array::Int(expected.into_dyn(), "uint8".into()));
}

#[test]
fn another_shape_or_type_is_refused_with_what_to_give() {
    let session = Session::new(&manifest()).unwrap();
    let flat = Array::Int(ArrayD::zeros(IxDyn(&[4, 5])), "int8".into());
    let message = session.pack(&flat).unwrap_err().to_string();
    assert_eq!(message, "input `in`: int8 of shape [4, 5]; give int8 of shape [N, 1, 5], the samples outermost");
    let wide = Array::Int(ArrayD::zeros(IxDyn(&[4, 1, 5])), "int16".into());
    assert!(session.pack(&wide).unwrap_err().to_string().contains("int16 of shape [4, 1, 5]"));
    assert!(session.pack(&Array::Float(ArrayD::zeros(IxDyn(&[4, 1, 5])))).is_err());
    assert!(session.pack(&Array::Int(ArrayD::zeros(IxDyn(&[])), "int8".into())).is_err());
}

#[test]
fn an_element_outside_the_inputs_range_is_refused_with_its_place() {
    let session = Session::new(&manifest()).unwrap();
    let message = session.pack(&int8(&[[0; 5], [0, 0, 101, 0, 0]])).unwrap_err().to_string();
    assert!(message.starts_with("sample 1, element 2 of tensor `x` is 101, outside int8 [-100, 100]"), "{message}");
}

#[test]
fn beats_of_other_than_whole_samples_are_refused() {
    let session = Session::new(&manifest()).unwrap();
    let message = session.unpack(&[0; 15], 2).unwrap_err().to_string();
    assert_eq!(message, "15 bytes of output for 2 samples, which take 16");
    assert!(session.unpack(&[0; 16], 3).is_err());
    assert!(session.deliver(&[vec![1, 2]]).unwrap_err().to_string().contains("2 elements"));
}

#[test]
fn border_operations_run_on_the_way_in_and_on_the_way_out() {
    let mut manifest = manifest();
    manifest.input_border[0].host_type = "float32".into();
    manifest.input_border[0].operations =
        vec![BorderOp::QuantizeInteger { element: IntType::Signed(8) }, BorderOp::Reshape { shape: vec![5] }];
    manifest.output_border[0].host_type = "int64".into();
    manifest.output_border[0].host_shape = vec![1];
    manifest.output_border[0].operations = vec![BorderOp::ArgMax { keep_axis: true }];
    let session = Session::new(&manifest).unwrap();
    let floats = ArrayD::from_shape_vec(IxDyn(&[1, 1, 5]), vec![0.5, 1.5, -2.5, 99.6, -0.2]).unwrap();
    assert_eq!(session.accept(&Array::Float(floats)).unwrap(), [[0, 2, -2, 100, 0]]);
    let digits = Array::Int(ArrayD::from_shape_vec(IxDyn(&[2, 1]), vec![1, 2]).unwrap(), "int64".into());
    assert_eq!(session.deliver(&[vec![3, 9, 9], vec![0, 1, 15]]).unwrap(), digits);
}

#[test]
fn operations_that_do_not_fit_the_borders_are_refused_with_sample_and_name() {
    let mut manifest = manifest();
    manifest.input_border[0].operations = vec![BorderOp::Relu];
    let message = Session::new(&manifest).unwrap().accept(&int8(&[[0; 5]])).unwrap_err().to_string();
    assert!(message.starts_with("sample 0, border `in`, operation `relu`: "), "{message}");
    manifest.output_border[0].operations = vec![BorderOp::ToFloat];
    let message = Session::new(&manifest).unwrap().deliver(&[vec![0; 3]]).unwrap_err().to_string();
    assert!(message.contains("border `out`") && message.contains("the manifest says uint8"), "{message}");
}

#[test]
fn an_empty_batch_gives_no_beats() {
    let session = Session::new(&manifest()).unwrap();
    assert_eq!(session.pack(&int8(&[])).unwrap(), Packed { samples: 0, beats: vec![] });
}

#[test]
fn a_manifest_whose_entries_contradict_each_other_is_refused() {
    type Damage = fn(&mut Manifest);
    let damages: [(&str, Damage); 9] = [
        ("no input border", |m| m.input_border.clear()),
        ("two outputs", |m| m.streams.push(m.streams[1].clone())),
        ("unlisted tensor", |m| m.tensors.clear()),
        ("no lanes", |m| m.streams[0].lanes = 0),
        ("no channels", |m| m.streams[1].channels = 0),
        ("narrow lanes", |m| m.streams[0].lane_bits = 7),
        ("other elements", |m| m.streams[0].element = IntType::Unsigned(8)),
        ("beats", |m| m.streams[0].beats = 4),
        ("shape", |m| m.tensors[1].shape = vec![usize::MAX, 2]),
    ];
    for (name, damage) in damages {
        let mut damaged = manifest();
        damage(&mut damaged);
        let error = Session::new(&damaged).expect_err(name);
        assert!(matches!(error, HostError::Manifest { .. }), "{name}: {error}");
    }
}
