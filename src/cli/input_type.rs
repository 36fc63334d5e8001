//! `--input-type NAME=fixed<W,I>|int<W>|uint<W>`.

use std::str::FromStr;
use systole::arith::IntType;
use systole::compiler::passes::lowering::InputType;

/// Most bits of an input element.
const MOST_BITS: u32 = 32;

/// A border type chosen for one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The input's name in the model file.
    pub input: String,
    /// Its type on the accelerator's side.
    pub element: InputType,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        // Types hold no `=`, names may.
        let (input, element) = text.rsplit_once('=').ok_or("expected NAME=TYPE, such as x=fixed<16,6>")?;
        if input.is_empty() {
            return Err("the input's name is empty; expected NAME=TYPE, such as x=fixed<16,6>".into());
        }
        Ok(Choice { input: input.into(), element: element_type(element)? })
    }
}

fn element_type(text: &str) -> Result<InputType, String> {
    let wrong = || format!("`{text}` is none of fixed<W,I>, int<W>, uint<W>");
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (kind, parameters) = compact.strip_suffix('>').and_then(|inner| inner.split_once('<')).ok_or_else(wrong)?;
    let parameters: Vec<&str> = parameters.split(',').collect();
    let width = |digits: &str| -> Result<u32, String> {
        let bits: u32 = digits.parse().map_err(|_| wrong())?;
        match (1..=MOST_BITS).contains(&bits) {
            true => Ok(bits),
            false => Err(format!("{bits} bits in `{text}`; use 1 to {MOST_BITS}")),
        }
    };
    match (kind, parameters.as_slice()) {
        ("int", [bits]) => Ok(InputType::Integer(IntType::Signed(width(bits)?))),
        ("uint", [bits]) => Ok(InputType::Integer(IntType::Unsigned(width(bits)?))),
        ("fixed", [bits, before]) => {
            let bits = width(bits)?;
            let integer_bits: i32 = before.parse().map_err(|_| wrong())?;
            match integer_bits.unsigned_abs() <= 2 * MOST_BITS {
                true => Ok(InputType::Fixed { bits, integer_bits }),
                false => {
                    Err(format!("{integer_bits} bits before the point in `{text}`; use -{0} to {0}", 2 * MOST_BITS))
                }
            }
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(text: &str) -> InputType {
        text.parse::<Choice>().unwrap().element
    }

    #[test]
    fn the_three_kinds_of_types_are_read() {
        assert_eq!(element("x=fixed<16,6>"), InputType::Fixed { bits: 16, integer_bits: 6 });
        assert_eq!(element("x=fixed<8, -2>"), InputType::Fixed { bits: 8, integer_bits: -2 });
        assert_eq!(element("x=int<8>"), InputType::Integer(IntType::Signed(8)));
        assert_eq!(element("x=uint<1>"), InputType::Integer(IntType::Unsigned(1)));
    }

    #[test]
    fn a_name_may_hold_an_equals_sign() {
        assert_eq!("a=b:0=int<4>".parse::<Choice>().unwrap().input, "a=b:0");
    }

    #[test]
    fn what_is_no_type_is_refused_with_the_text() {
        for wrong in
            ["x=fixed<16>", "x=int<8,2>", "x=float", "x=int<>", "x=int<-8>", "x=int8", "x=int<8", "x=fixed<8,>"]
        {
            let error = wrong.parse::<Choice>().unwrap_err();
            assert!(error.contains("is none of"), "{wrong}: {error}");
        }
        assert_eq!("x=int<33>".parse::<Choice>().unwrap_err(), "33 bits in `int<33>`; use 1 to 32");
        assert_eq!("x=uint<0>".parse::<Choice>().unwrap_err(), "0 bits in `uint<0>`; use 1 to 32");
        assert!("x=fixed<8,1000>".parse::<Choice>().unwrap_err().contains("before the point"));
        assert!("int<8>".parse::<Choice>().is_err());
        assert!("=int<8>".parse::<Choice>().is_err());
    }
}
