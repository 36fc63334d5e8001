//! The rounding modes of quantizers on real numbers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a real number becomes an integer.
///
/// Names and meaning follow the QONNX operator set (`resolve_rounding_mode` of qonnx 1.0.0), where
/// `HALF_UP` and `HALF_DOWN` are symmetric about zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundingMode {
    /// To nearest, ties to even (`ROUND`, `HALF_EVEN`).
    HalfEven,
    /// Toward minus infinity (`FLOOR`).
    Floor,
    /// Toward plus infinity (`CEIL`).
    Ceil,
    /// Toward zero (`DOWN`, `ROUND_TO_ZERO`).
    TowardZero,
    /// Away from zero (`UP`).
    AwayFromZero,
    /// To nearest, ties away from zero (`HALF_UP`).
    HalfAway,
    /// To nearest, ties toward zero (`HALF_DOWN`).
    HalfToward,
}

impl RoundingMode {
    /// Every mode.
    pub const ALL: [RoundingMode; 7] = [
        RoundingMode::HalfEven,
        RoundingMode::Floor,
        RoundingMode::Ceil,
        RoundingMode::TowardZero,
        RoundingMode::AwayFromZero,
        RoundingMode::HalfAway,
        RoundingMode::HalfToward,
    ];

    /// The mode of a QONNX attribute value, in any letter case; none where QONNX has no such mode.
    pub fn from_qonnx(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "ROUND" | "HALF_EVEN" => RoundingMode::HalfEven,
            "FLOOR" => RoundingMode::Floor,
            "CEIL" => RoundingMode::Ceil,
            "DOWN" | "ROUND_TO_ZERO" => RoundingMode::TowardZero,
            "UP" => RoundingMode::AwayFromZero,
            "HALF_UP" => RoundingMode::HalfAway,
            "HALF_DOWN" => RoundingMode::HalfToward,
            _ => return None,
        })
    }

    /// Whether the decisions lie halfway between integers, not at the integers.
    pub fn is_to_nearest(self) -> bool {
        matches!(self, RoundingMode::HalfEven | RoundingMode::HalfAway | RoundingMode::HalfToward)
    }

    /// `x` rounded, without a second rounding error.
    pub fn round_f64(self, x: f64) -> f64 {
        match self {
            RoundingMode::HalfEven => x.round_ties_even(),
            RoundingMode::Floor => x.floor(),
            RoundingMode::Ceil => x.ceil(),
            RoundingMode::TowardZero => x.trunc(),
            RoundingMode::AwayFromZero => x.abs().ceil().copysign(x),
            RoundingMode::HalfAway => x.round(),
            RoundingMode::HalfToward => {
                let fraction = (x - x.trunc()).abs();
                if fraction > 0.5 {
                    x.round()
                } else {
                    x.trunc()
                }
            }
        }
    }

    /// `x` rounded as the QONNX executor rounds float32 arrays, one float32 rounding an operation:
    /// `HALF_UP` is `floor(|x| + 0.5)` and `HALF_DOWN` is `ceil(|x| - 0.5)`, each with the sign of `x`.
    pub fn round_f32(self, x: f32) -> f32 {
        match self {
            RoundingMode::HalfAway => (x.abs() + 0.5).floor().copysign(x),
            RoundingMode::HalfToward => (x.abs() - 0.5).ceil().copysign(x),
            // The other modes are exact in any width.
            _ => self.round_f64(f64::from(x)) as f32,
        }
    }

    /// The integer that a real number becomes: `floor` is the greatest integer not above it, and
    /// `fraction` says where it lies from there to the next.
    pub fn round_exact(self, floor: i64, fraction: Fraction) -> i64 {
        let negative = floor < 0;
        let up = match (self, fraction) {
            (_, Fraction::Zero) => false,
            (RoundingMode::Floor, _) => false,
            (RoundingMode::Ceil, _) => true,
            (RoundingMode::TowardZero, _) => negative,
            (RoundingMode::AwayFromZero, _) => !negative,
            (_, Fraction::BelowHalf) => false,
            (_, Fraction::AboveHalf) => true,
            (RoundingMode::HalfEven, Fraction::Half) => floor & 1 == 1,
            (RoundingMode::HalfAway, Fraction::Half) => !negative,
            (RoundingMode::HalfToward, Fraction::Half) => negative,
        };
        floor + i64::from(up)
    }
}

impl fmt::Display for RoundingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoundingMode::HalfEven => "half-even",
            RoundingMode::Floor => "floor",
            RoundingMode::Ceil => "ceil",
            RoundingMode::TowardZero => "toward-zero",
            RoundingMode::AwayFromZero => "away-from-zero",
            RoundingMode::HalfAway => "half-away",
            RoundingMode::HalfToward => "half-toward-zero",
        })
    }
}

/// Where a real number lies between its floor and the next integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fraction {
    /// On the floor.
    Zero,
    /// In the lower half.
    BelowHalf,
    /// In the middle.
    Half,
    /// In the upper half.
    AboveHalf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_mode_rounds_ties_of_both_signs_as_its_name_says() {
        let ties = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5];
        let of = |mode: RoundingMode| ties.map(|x| mode.round_f64(x) as i64);
        assert_eq!(of(RoundingMode::HalfEven), [-2, -2, 0, 0, 2, 2]);
        assert_eq!(of(RoundingMode::Floor), [-3, -2, -1, 0, 1, 2]);
        assert_eq!(of(RoundingMode::Ceil), [-2, -1, 0, 1, 2, 3]);
        assert_eq!(of(RoundingMode::TowardZero), [-2, -1, 0, 0, 1, 2]);
        assert_eq!(of(RoundingMode::AwayFromZero), [-3, -2, -1, 1, 2, 3]);
        assert_eq!(of(RoundingMode::HalfAway), [-3, -2, -1, 1, 2, 3]);
        assert_eq!(of(RoundingMode::HalfToward), [-2, -1, 0, 0, 1, 2]);
    }

    #[test]
    fn qonnx_names_are_read_in_any_case_and_others_refused() {
        assert_eq!(RoundingMode::from_qonnx("round"), Some(RoundingMode::HalfEven));
        assert_eq!(RoundingMode::from_qonnx("HALF_UP"), Some(RoundingMode::HalfAway));
        assert_eq!(RoundingMode::from_qonnx("STOCHASTIC"), None);
    }

    proptest! {
        #[test]
        fn exact_rounding_equals_float_rounding(quarters in -4000i64..4000) {
            let x = quarters as f64 / 4.0;
            let fraction = match quarters.rem_euclid(4) {
                0 => Fraction::Zero,
                1 => Fraction::BelowHalf,
                2 => Fraction::Half,
                _ => Fraction::AboveHalf,
            };
            for mode in RoundingMode::ALL {
                prop_assert_eq!(mode.round_exact(quarters.div_euclid(4), fraction), mode.round_f64(x) as i64);
                prop_assert_eq!(mode.round_f32(x as f32), mode.round_f64(x) as f32);
            }
        }
    }
}
