//! Writing arrays as `.npy` files (NumPy enhancement proposal 1, format version 1.0).

use crate::bundle::Array;
use std::io::{self, Write};
use std::path::Path;

/// NumPy's type descriptor and bytes an element of an integer type that is named as NumPy names it.
fn descriptor(name: &str) -> Option<(&'static str, usize)> {
    Some(match name {
        "bool" => ("|b1", 1),
        "int8" => ("|i1", 1),
        "uint8" => ("|u1", 1),
        "int16" => ("<i2", 2),
        "uint16" => ("<u2", 2),
        "int32" => ("<i4", 4),
        "uint32" => ("<u4", 4),
        "int64" => ("<i8", 8),
        _ => return None,
    })
}

/// The bytes of `array` as a `.npy` file: row-major, little-endian.
///
/// # Errors
/// If the element type is none that NumPy has, or an element does not fit it.
pub fn encode(array: &Array) -> io::Result<Vec<u8>> {
    let (descr, data) = match array {
        Array::Float(values) => ("<f4", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        Array::Int(values, name) => {
            let (descr, size) = descriptor(name).ok_or_else(|| {
                io::Error::other(format!("element type `{name}` is not written; use float32 or an integer type"))
            })?;
            let mut data = Vec::with_capacity(values.len() * size);
            for &value in values {
                let fits = match (name.as_str(), size) {
                    (_, 8) => true,
                    ("bool", _) => value == 0 || value == 1,
                    (name, _) if name.starts_with('u') => value >> (8 * size) == 0,
                    _ => matches!(value >> (8 * size - 1), 0 | -1),
                };
                if !fits {
                    return Err(io::Error::other(format!("element {value} is not a {name}")));
                }
                data.extend_from_slice(&value.to_le_bytes()[..size]);
            }
            (descr, data)
        }
    };
    let dimensions: Vec<String> = array.shape().iter().map(|dimension| dimension.to_string()).collect();
    let shape = match dimensions.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The data begin at a multiple of 64 bytes; magic, version and length take 10 of them.
    header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
    header.push('\n');
    let length = u16::try_from(header.len())
        .map_err(|_| io::Error::other(format!("{} dimensions do not fit a header of 64 KiB", dimensions.len())))?;
    let mut file = Vec::with_capacity(10 + header.len() + data.len());
    file.extend_from_slice(b"\x93NUMPY\x01\x00");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    file.extend(data);
    Ok(file)
}

/// Writes `array` to `path`, all of it or nothing: to a file beside it that is then renamed.
///
/// # Errors
/// As [`encode`], and if the file cannot be written.
pub fn write(array: &Array, path: &Path) -> io::Result<()> {
    let bytes = encode(array)?;
    let mut name = path.file_name().ok_or_else(|| io::Error::other("the path names no file"))?.to_os_string();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = std::fs::File::create(&partial)
        .and_then(|mut file| file.write_all(&bytes))
        .and_then(|()| std::fs::rename(&partial, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    fn integers(shape: &[usize], values: Vec<i64>, name: &str) -> Array {
        Array::Int(ArrayD::from_shape_vec(IxDyn(shape), values).unwrap(), name.into())
    }

    #[test]
    fn what_is_written_is_read_back_for_every_element_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let floats = ArrayD::from_shape_vec(IxDyn(&[2, 2]), vec![0.1, -0.0, f32::MAX, 1e-40]).unwrap();
        let arrays = [
            Array::Float(floats),
            integers(&[4], vec![-128, 127, 0, -1], "int8"),
            integers(&[2, 1], vec![255, 0], "uint8"),
            integers(&[1, 1, 3], vec![-32768, 32767, 5], "int16"),
            integers(&[2], vec![65_535, 1], "uint16"),
            integers(&[2], vec![i64::from(i32::MIN), i64::from(i32::MAX)], "int32"),
            integers(&[2], vec![0, i64::from(u32::MAX)], "uint32"),
            integers(&[2], vec![i64::MIN, i64::MAX], "int64"),
            integers(&[2], vec![1, 0], "bool"),
        ];
        for array in arrays {
            write(&array, &path).unwrap();
            assert_eq!(Array::read_npy(&path).unwrap(), array);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file stays behind");
    }

    #[test]
    fn the_data_begin_at_a_multiple_of_64_bytes() {
        for rank in 1..12 {
            let bytes = encode(&integers(&vec![1; rank], vec![7], "int8")).unwrap();
            assert_eq!(bytes.len() % 64, 1, "rank {rank}");
        }
    }

    #[test]
    fn an_element_that_its_type_does_not_hold_is_refused() {
        for (value, name) in
            [(128, "int8"), (-129, "int8"), (-1, "uint8"), (256, "uint8"), (1 << 31, "int32"), (2, "bool")]
        {
            let message = encode(&integers(&[1], vec![value], name)).unwrap_err().to_string();
            assert_eq!(message, format!("element {value} is not a {name}"));
        }
        assert!(encode(&integers(&[1], vec![0], "int4")).is_err());
    }
}
