//! Values of `TensorProto`: raw little-endian words or one of the typed lists.

use super::proto::TensorProto;
use crate::diagnostic::CompileError;
use crate::graph::{ConstantData, ElementType, Tensor};
use ndarray::{ArrayD, IxDyn};

/// `TensorProto.DataType` codes that are read.
mod code {
    pub const FLOAT: i32 = 1;
    pub const UINT8: i32 = 2;
    pub const INT8: i32 = 3;
    pub const UINT16: i32 = 4;
    pub const INT16: i32 = 5;
    pub const INT32: i32 = 6;
    pub const INT64: i32 = 7;
    pub const BOOL: i32 = 9;
    pub const FLOAT16: i32 = 10;
    pub const DOUBLE: i32 = 11;
    pub const UINT32: i32 = 12;
    pub const UINT64: i32 = 13;
    pub const BFLOAT16: i32 = 16;
    pub const UINT4: i32 = 21;
    pub const INT4: i32 = 22;
}

/// Most elements of one tensor: bounds what a damaged shape can ask for.
const ELEMENT_LIMIT: usize = 1 << 28;

/// The element type that a `TensorProto.DataType` code becomes, none where it is not read.
///
/// Types without an [`ElementType`] of their own widen to the next one that holds every value.
pub fn element_type(data_type: i32) -> Option<ElementType> {
    Some(match data_type {
        code::FLOAT | code::FLOAT16 | code::BFLOAT16 | code::DOUBLE => ElementType::Float32,
        code::INT8 | code::INT4 => ElementType::Int8,
        code::UINT8 | code::UINT4 => ElementType::Uint8,
        code::INT16 => ElementType::Int16,
        code::UINT16 | code::INT32 => ElementType::Int32,
        code::INT64 | code::UINT32 | code::UINT64 => ElementType::Int64,
        code::BOOL => ElementType::Bool,
        _ => return None,
    })
}

/// Whether an ONNX element type is int8 or uint8.
pub fn eight_bits(data_type: i32) -> bool {
    matches!(data_type, code::INT8 | code::UINT8)
}

/// Reads a constant under the given name.
///
/// # Errors
/// If the values lie outside the file, the element type is not read, a dimension is negative, the
/// shape asks for another number of elements than there are, or a double has no equal float.
pub fn read_tensor(proto: &TensorProto, name: &str) -> Result<Tensor, CompileError> {
    let damaged = |cause: String| CompileError::Damaged { format: "ONNX", cause: format!("constant `{name}` {cause}") };
    if proto.data_location == Some(1) || !proto.external_data.is_empty() {
        return Err(CompileError::model(
            format!("the values of constant `{name}` lie in another file"),
            "store the tensors inside the model (onnx.save_model with save_as_external_data=False)",
        ));
    }
    let data_type = proto.data_type.unwrap_or(0);
    let Some(element) = element_type(data_type) else {
        return Err(CompileError::model(
            format!("constant `{name}` has ONNX element type {data_type}, which is not read"),
            "use float, double, float16, bfloat16, bool or an integer type",
        ));
    };
    let mut shape = Vec::with_capacity(proto.dims.len().min(8));
    let mut count = 1usize;
    for &dim in &proto.dims {
        let size = usize::try_from(dim).map_err(|_| damaged(format!("has dimension {dim}")))?;
        count = count
            .checked_mul(size)
            .filter(|&c| c <= ELEMENT_LIMIT)
            .ok_or_else(|| damaged(format!("has shape {:?}, more elements than any file holds", proto.dims)))?;
        shape.push(size);
    }
    let mismatch =
        |found: usize| damaged(format!("has shape {:?} ({count} elements) but values for {found}", proto.dims));
    let constant = if element == ElementType::Float32 {
        let values = read_floats(proto, data_type, count).map_err(|e| e.describe(&mismatch, &damaged))?;
        ArrayD::from_shape_vec(IxDyn(&shape), values).map(ConstantData::Float)
    } else {
        let values = read_integers(proto, data_type, count).map_err(|e| e.describe(&mismatch, &damaged))?;
        ArrayD::from_shape_vec(IxDyn(&shape), values).map(ConstantData::Int)
    }
    .map_err(|e| damaged(format!("has shape {:?}: {e}", proto.dims)))?;
    Ok(Tensor { name: name.into(), shape, element, quantization: None, constant: Some(constant) })
}

/// Why values cannot be read.
enum ValueError {
    /// Another number of elements than the shape says.
    Count(usize),
    /// An element that cannot be held.
    Element(String),
}

impl ValueError {
    fn describe(
        self,
        mismatch: &dyn Fn(usize) -> CompileError,
        damaged: &dyn Fn(String) -> CompileError,
    ) -> CompileError {
        match self {
            ValueError::Count(found) => mismatch(found),
            ValueError::Element(cause) => damaged(cause),
        }
    }
}

fn read_floats(proto: &TensorProto, data_type: i32, count: usize) -> Result<Vec<f32>, ValueError> {
    let half = |bits: u16| f16_to_f32(bits);
    let brain = |bits: u16| f32::from_bits(u32::from(bits) << 16);
    match (data_type, raw(proto)) {
        (code::FLOAT, Some(bytes)) => words(bytes, count, |w: [u8; 4]| f32::from_le_bytes(w)),
        (code::FLOAT, None) => exactly(proto.float_data.iter().copied(), count),
        (code::FLOAT16, Some(bytes)) => words(bytes, count, |w: [u8; 2]| half(u16::from_le_bytes(w))),
        (code::FLOAT16, None) => exactly(proto.int32_data.iter().map(|&v| half(v as u16)), count),
        (code::BFLOAT16, Some(bytes)) => words(bytes, count, |w: [u8; 2]| brain(u16::from_le_bytes(w))),
        (code::BFLOAT16, None) => exactly(proto.int32_data.iter().map(|&v| brain(v as u16)), count),
        (_, Some(bytes)) => singles(words(bytes, count, |w: [u8; 8]| f64::from_le_bytes(w))?),
        (_, None) => singles(exactly(proto.double_data.iter().copied(), count)?),
    }
}

fn read_integers(proto: &TensorProto, data_type: i32, count: usize) -> Result<Vec<i64>, ValueError> {
    let from32 = || exactly(proto.int32_data.iter().map(|&v| i64::from(v)), count);
    match (data_type, raw(proto)) {
        (code::INT8, Some(bytes)) => words(bytes, count, |[b]: [u8; 1]| i64::from(b as i8)),
        (code::UINT8, Some(bytes)) => words(bytes, count, |[b]: [u8; 1]| i64::from(b)),
        (code::BOOL, Some(bytes)) => words(bytes, count, |[b]: [u8; 1]| i64::from(b != 0)),
        (code::INT16, Some(bytes)) => words(bytes, count, |w: [u8; 2]| i64::from(i16::from_le_bytes(w))),
        (code::UINT16, Some(bytes)) => words(bytes, count, |w: [u8; 2]| i64::from(u16::from_le_bytes(w))),
        (code::INT32, Some(bytes)) => words(bytes, count, |w: [u8; 4]| i64::from(i32::from_le_bytes(w))),
        (code::UINT32, Some(bytes)) => words(bytes, count, |w: [u8; 4]| i64::from(u32::from_le_bytes(w))),
        (code::INT64, Some(bytes)) => words(bytes, count, |w: [u8; 8]| i64::from_le_bytes(w)),
        (code::UINT64, Some(bytes)) => signed(words(bytes, count, |w: [u8; 8]| u64::from_le_bytes(w))?),
        (code::INT4 | code::UINT4, Some(bytes)) => nibbles(bytes.iter().copied(), count, data_type == code::INT4),
        (code::INT64, None) => exactly(proto.int64_data.iter().copied(), count),
        (code::UINT32 | code::UINT64, None) => signed(exactly(proto.uint64_data.iter().copied(), count)?),
        (code::INT4 | code::UINT4, None) => {
            nibbles(proto.int32_data.iter().map(|&v| v as u8), count, data_type == code::INT4)
        }
        (code::BOOL, None) => exactly(proto.int32_data.iter().map(|&v| i64::from(v != 0)), count),
        (_, None) => from32(),
        (other, Some(_)) => Err(ValueError::Element(format!("has element type {other}"))),
    }
}

/// The raw bytes, where the values are stored that way. Writers may leave both forms out of an
/// empty tensor, and some store an empty `raw_data` beside the typed list.
fn raw(proto: &TensorProto) -> Option<&[u8]> {
    proto.raw_data.as_deref().filter(|bytes| !bytes.is_empty())
}

fn words<const N: usize, T>(bytes: &[u8], count: usize, decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>, ValueError> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    if chunks.len() != count || !rest.is_empty() {
        return Err(ValueError::Count(chunks.len()));
    }
    Ok(chunks.iter().map(|&word| decode(word)).collect())
}

fn exactly<T>(values: impl ExactSizeIterator<Item = T>, count: usize) -> Result<Vec<T>, ValueError> {
    match values.len() == count {
        true => Ok(values.collect()),
        false => Err(ValueError::Count(values.len())),
    }
}

/// Two 4-bit elements a byte, the first in the low half.
fn nibbles(bytes: impl ExactSizeIterator<Item = u8>, count: usize, signed: bool) -> Result<Vec<i64>, ValueError> {
    if bytes.len() != count.div_ceil(2) {
        return Err(ValueError::Count(bytes.len() * 2));
    }
    let extend = |v: u8| if signed && v >= 8 { i64::from(v) - 16 } else { i64::from(v) };
    let mut values: Vec<i64> = bytes.flat_map(|b| [extend(b & 15), extend(b >> 4)]).collect();
    values.truncate(count);
    Ok(values)
}

fn signed(values: Vec<u64>) -> Result<Vec<i64>, ValueError> {
    values
        .into_iter()
        .map(|v| i64::try_from(v).map_err(|_| ValueError::Element(format!("holds {v}, above 2^63 - 1"))))
        .collect()
}

fn singles(values: Vec<f64>) -> Result<Vec<f32>, ValueError> {
    let single = |v: f64| {
        let narrowed = v as f32;
        match f64::from(narrowed) == v || v.is_nan() {
            true => Ok(narrowed),
            false => {
                Err(ValueError::Element(format!("holds the double {v}, which no float equals: store it as float")))
            }
        }
    };
    values.into_iter().map(single).collect()
}

/// IEEE 754 half precision: 1 sign, 5 exponent and 10 fraction bits; every value has an equal float.
fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f32::from(bits & 0x3ff);
    match (bits >> 10) & 0x1f {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        exponent => sign * (1.0 + fraction / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(dims: &[i64], data_type: i32) -> TensorProto {
        TensorProto { dims: dims.to_vec(), data_type: Some(data_type), ..TensorProto::default() }
    }

    fn integers(tensor: &TensorProto) -> Vec<i64> {
        match read_tensor(tensor, "t").unwrap().constant {
            Some(ConstantData::Int(values)) => values.into_raw_vec_and_offset().0,
            other => panic!("not integers: {other:?}"),
        }
    }

    fn floats(tensor: &TensorProto) -> Vec<f32> {
        match read_tensor(tensor, "t").unwrap().constant {
            Some(ConstantData::Float(values)) => values.into_raw_vec_and_offset().0,
            other => panic!("not floats: {other:?}"),
        }
    }

    #[test]
    fn raw_and_typed_data_give_the_same_values() {
        let raw = TensorProto { raw_data: Some(vec![0xff, 0x7f, 0x00, 0x80]), ..proto(&[2], code::INT16) };
        let typed = TensorProto { int32_data: vec![32767, -32768], ..proto(&[2], code::INT16) };
        assert_eq!(integers(&raw), integers(&typed));
        let raw = TensorProto { raw_data: Some(1.5f32.to_le_bytes().to_vec()), ..proto(&[1, 1], code::FLOAT) };
        let typed = TensorProto { float_data: vec![1.5], ..proto(&[1, 1], code::FLOAT) };
        assert_eq!(floats(&raw), floats(&typed));
    }

    #[test]
    fn nibbles_are_unpacked_low_half_first() {
        let signed = TensorProto { raw_data: Some(vec![0x8f, 0x07]), ..proto(&[3], code::INT4) };
        assert_eq!(integers(&signed), [-1, -8, 7]);
        let unsigned = TensorProto { raw_data: Some(vec![0x8f, 0x07]), ..proto(&[3], code::UINT4) };
        assert_eq!(integers(&unsigned), [15, 8, 7]);
    }

    #[test]
    fn half_precision_values_are_exact() {
        let bits: [u16; 6] = [0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x3555];
        let raw = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        let tensor = TensorProto { raw_data: Some(raw), ..proto(&[6], code::FLOAT16) };
        assert_eq!(floats(&tensor), [1.0, -2.0, 5.960_464_5e-8, 65504.0, f32::INFINITY, 0.333_251_95]);
    }

    #[test]
    fn a_shape_that_does_not_fit_the_values_names_the_constant_and_both_counts() {
        let tensor = TensorProto { float_data: vec![0.0; 3], ..proto(&[2, 2], code::FLOAT) };
        let message = read_tensor(&tensor, "w").unwrap_err().to_string();
        assert!(message.contains("`w`") && message.contains("4 elements") && message.contains("for 3"), "{message}");
    }

    #[test]
    fn shapes_that_ask_for_absurd_sizes_are_refused_before_anything_is_allocated() {
        for dims in [vec![1i64 << 31, 1 << 31], vec![i64::MAX, i64::MAX, 4], vec![-1, 4], vec![1 << 31]] {
            let tensor = TensorProto { raw_data: Some(vec![0; 16]), ..proto(&dims, code::FLOAT) };
            assert!(matches!(read_tensor(&tensor, "w"), Err(CompileError::Damaged { .. })), "{dims:?}");
        }
    }

    #[test]
    fn values_in_another_file_are_refused_with_the_way_to_embed_them() {
        let tensor = TensorProto { data_location: Some(1), ..proto(&[1], code::FLOAT) };
        let message = read_tensor(&tensor, "w").unwrap_err().to_string();
        assert!(message.contains("`w`") && message.contains("save_as_external_data=False"), "{message}");
    }

    #[test]
    fn a_double_without_an_equal_float_is_refused() {
        let tensor = TensorProto { double_data: vec![0.1], ..proto(&[1], code::DOUBLE) };
        assert!(read_tensor(&tensor, "w").unwrap_err().to_string().contains("0.1"));
        let tensor = TensorProto { double_data: vec![0.5], ..proto(&[1], code::DOUBLE) };
        assert_eq!(floats(&tensor), [0.5]);
    }
}
