//! Arrays from and to a C program's bytes.

use crate::failure::Failure;
use crate::SYSTOLE_ERROR_BUNDLE;
use ndarray::{ArrayD, IxDyn};
use std::ffi::c_char;
use systole_bundle::Array;

/// An element type of a host's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    Float32,
    Bool,
    /// Bytes.
    Signed(u8),
    /// Bytes.
    Unsigned(u8),
}

const ELEMENTS: [(&str, Element); 9] = [
    ("float32", Element::Float32),
    ("bool", Element::Bool),
    ("int8", Element::Signed(1)),
    ("int16", Element::Signed(2)),
    ("int32", Element::Signed(4)),
    ("int64", Element::Signed(8)),
    ("uint8", Element::Unsigned(1)),
    ("uint16", Element::Unsigned(2)),
    ("uint32", Element::Unsigned(4)),
];

impl Element {
    /// By NumPy's name.
    pub fn named(name: &str) -> Result<Element, Failure> {
        let known = ELEMENTS.iter().find(|(known, _)| *known == name).map(|(_, element)| *element);
        known.ok_or_else(|| {
            Failure::new(SYSTOLE_ERROR_BUNDLE, format!("manifest: element type `{name}`; compile the model again"))
        })
    }

    fn text(self) -> &'static str {
        ELEMENTS.iter().find(|(_, element)| *element == self).map_or("", |(name, _)| name)
    }

    /// NumPy's name, ended with 0.
    pub fn name(self) -> [c_char; 16] {
        let mut name = [0; 16];
        name.iter_mut().zip(self.text().bytes()).for_each(|(place, byte)| *place = byte as c_char);
        name
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Element::Float32 => 4,
            Element::Bool => 1,
            Element::Signed(bytes) | Element::Unsigned(bytes) => bytes.into(),
        }
    }

    /// The array of a shape that lies in `bytes`, in this machine's byte order.
    pub fn array(self, bytes: &[u8], shape: &[usize]) -> Result<Array, Failure> {
        let misfit = |_| Failure::usage(format!("{} bytes have no shape {shape:?}", bytes.len()));
        let elements = bytes.chunks_exact(self.size());
        if self == Element::Float32 {
            let values = elements.map(|bytes| f32::from_bits(number(bytes) as u32)).collect();
            return Ok(Array::Float(ArrayD::from_shape_vec(IxDyn(shape), values).map_err(misfit)?));
        }
        let spare = 64 - 8 * self.size() as u32;
        let values = elements.map(|bytes| match self {
            Element::Signed(_) => (number(bytes) << spare) as i64 >> spare,
            Element::Bool => i64::from(number(bytes) != 0),
            _ => number(bytes) as i64,
        });
        let values = ArrayD::from_shape_vec(IxDyn(shape), values.collect()).map_err(misfit)?;
        Ok(Array::Int(values, self.text().into()))
    }

    /// Lays an array out in `bytes`, in this machine's byte order.
    pub fn bytes(self, array: &Array, bytes: &mut [u8]) -> Result<(), Failure> {
        let count = array.shape().iter().product::<usize>();
        if bytes.len() != count.saturating_mul(self.size()) {
            return Err(Failure::usage(format!("{} bytes for {count} elements of {}", bytes.len(), self.text())));
        }
        let places = bytes.chunks_exact_mut(self.size());
        match array {
            Array::Float(values) => places.zip(values).for_each(|(place, value)| put(place, value.to_bits().into())),
            Array::Int(values, _) => places.zip(values).for_each(|(place, &value)| put(place, value as u64)),
        }
        Ok(())
    }
}

fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.iter_mut().zip(native(bytes.len()).map(|index| bytes[index])).for_each(|(place, byte)| *place = byte);
    u64::from_le_bytes(word)
}

fn put(bytes: &mut [u8], value: u64) {
    let length = bytes.len();
    native(length).zip(value.to_le_bytes()).for_each(|(index, byte)| bytes[index] = byte);
}

/// Places of a number's bytes, the lowest first.
fn native(length: usize) -> impl Iterator<Item = usize> {
    (0..length).map(move |index| if cfg!(target_endian = "little") { index } else { length - 1 - index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_type_keeps_its_values_on_the_way_in_and_out() {
        let memory = [0x80, 0xff, 0x00, 0x01, 0x7f, 0x3f, 0x80, 0xc0];
        for (name, element) in ELEMENTS.into_iter().filter(|(name, _)| *name != "bool") {
            let shape = [memory.len() / element.size()];
            let array = element.array(&memory, &shape).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            assert_eq!(array.type_name(), name);
            let mut back = [0; 8];
            element.bytes(&array, &mut back).unwrap();
            assert_eq!(back, memory, "{name}");
        }
        let signed = Element::Signed(2).array(&(-2i16).to_ne_bytes(), &[1]).unwrap();
        assert_eq!(signed, Array::Int(ndarray::arr1(&[-2]).into_dyn(), "int16".into()));
        let float = Element::Float32.array(&1.5f32.to_ne_bytes(), &[1]).unwrap();
        assert_eq!(float, Array::Float(ndarray::arr1(&[1.5]).into_dyn()));
        assert!(Element::named("complex64").is_err());
        assert!(Element::Float32.array(&[0; 8], &[3]).is_err());
    }
}
