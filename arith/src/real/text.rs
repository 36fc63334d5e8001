//! Text forms of exact numbers: what is written is read back bit by bit, whatever the JSON library
//! does with decimal fractions.

use num_rational::BigRational;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most characters a stored rational may have; any float32 takes fewer than 100.
const LONGEST: usize = 4096;

fn parse(text: &str) -> Result<BigRational, String> {
    if text.len() > LONGEST {
        return Err(format!("a rational of {} characters; at most {LONGEST} are read", text.len()));
    }
    text.parse().map_err(|error| format!("`{text}` is no rational `numerator/denominator`: {error}"))
}

/// A rational as `"num/den"`, or `"num"` for integers. For `#[serde(with = "...")]`.
pub mod rational {
    use super::*;

    /// Writes the text.
    pub fn serialize<S: Serializer>(value: &BigRational, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BigRational, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A list of rationals, each as in [`rational`].
pub mod rationals {
    use super::*;

    /// Writes the texts.
    pub fn serialize<S: Serializer>(values: &[BigRational], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(ToString::to_string))
    }

    /// Reads the texts.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BigRational>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| parse(text)).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

/// A float64 as its shortest decimal text, which is read back to the same bits.
pub mod double {
    use super::*;

    /// Writes the text.
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:?}"))
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A list of float64 numbers, each as in [`double`].
pub mod doubles {
    use super::*;

    /// Writes the texts.
    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|value| format!("{value:?}")))
    }

    /// Reads the texts.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

/// A float32 as a number: written as the float64 of the same value, so that an error of some units
/// in a reader's last place cannot change it.
pub mod single {
    use super::*;

    /// Writes the number.
    pub fn serialize<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
        finite::<S>(*value)?.serialize(serializer)
    }

    /// Reads the number.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
        Ok(f64::deserialize(deserializer)? as f32)
    }
}

/// A list of float32 numbers, each as in [`single`].
pub mod singles {
    use super::*;

    /// Writes the numbers.
    pub fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let wide = values.iter().map(|value| finite::<S>(*value)).collect::<Result<Vec<_>, _>>()?;
        serializer.collect_seq(wide)
    }

    /// Reads the numbers.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        Ok(Vec::<f64>::deserialize(deserializer)?.into_iter().map(|value| value as f32).collect())
    }
}

fn finite<S: Serializer>(value: f32) -> Result<f64, S::Error> {
    if value.is_finite() {
        Ok(f64::from(value))
    } else {
        Err(serde::ser::Error::custom(format!("{value} cannot be stored as a number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "rational")]
        ratio: BigRational,
        #[serde(with = "doubles")]
        doubles: Vec<f64>,
        #[serde(with = "single")]
        single: f32,
    }

    #[test]
    fn a_zero_denominator_is_an_error_and_not_a_panic() {
        assert!(parse("1/0").is_err());
        assert!(parse("").is_err());
        assert!(parse(&"9".repeat(LONGEST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn every_finite_number_is_read_back_bit_by_bit(n in any::<i64>(), d in 1i64.., double in any::<u64>(), single in any::<u32>()) {
            let (double, single) = (f64::from_bits(double), f32::from_bits(single));
            prop_assume!(double.is_finite() && single.is_finite());
            let holder = Holder { ratio: BigRational::new(n.into(), d.into()), doubles: vec![double], single };
            let back: Holder = serde_json::from_str(&serde_json::to_string(&holder).unwrap()).unwrap();
            prop_assert_eq!(&back.ratio, &holder.ratio);
            prop_assert_eq!(back.doubles[0].to_bits(), double.to_bits());
            prop_assert_eq!(back.single.to_bits(), single.to_bits());
        }
    }
}
