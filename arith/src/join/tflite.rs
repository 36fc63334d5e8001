//! ADD, SUB and MUL of the TensorFlow Lite runtimes from their scales.

use super::{FixedPointSum, JoinFormula, LinearSum, Product};
use crate::formula::{
    quantized, Activation, FixedPoint, Float32, Formula, FormulaError, OutputStage, TfliteProfile, TfliteTensorScale,
    TieRule,
};
use crate::int_type::IntType;

/// An operator of two tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TfliteJoin {
    /// `ADD`
    Add,
    /// `SUB`
    Sub,
    /// `MUL`
    Mul,
}

/// Ratios of input and output scale that XNNPACK adds; it leaves other sums to LiteRT.
const DELEGATED_SUM: std::ops::Range<f32> = 1.0 / 1024.0..256.0;
/// Multipliers of products that XNNPACK computes; it leaves others to LiteRT.
const DELEGATED_PRODUCT: std::ops::Range<f32> = 1.0 / 65536.0..256.0;
/// Bits of a lane in LiteRT's optimized sums and products.
const LANE_BITS: u32 = 16;

impl JoinFormula {
    /// What a TensorFlow Lite runtime computes from one element of each of two tensors. `DBL` is the high
    /// multiply and the shift with ties away from zero.
    ///
    /// - ADD, SUB of `tflm`, `litert-ref`, `litert-opt`: DBL(DBL((a - za) << 20, sa/t) ± DBL((b - zb) << 20, sb/t),
    ///   t/(2^20*so)), t = 2*max(sa, sb), all in float64;
    /// - ADD, SUB of `xnnpack`: ((a - za)*ma ± (b - zb)*mb + 2^(S-1)) >> S, r = f32(s/so), S = 20 - floor(log2(max r)),
    ///   m = rint(r * 2^S), where both r lie in 2^-10 ..< 2^8; other sums are those of `litert-opt`;
    /// - MUL of `tflm`: DBL((a - za)*(b - zb), f64(sa)*sb/so); of `litert-ref` and `litert-opt` with the multiplier
    ///   v = f32(f32(sa*sb)/so); of `xnnpack` rint_half_even(f32(product * v)) where v lies in 2^-16 ..< 2^8.
    ///
    /// Then the zero point and the clamp. Neither the broadcast nor the place in the tensor changes a result.
    ///
    /// # Errors
    /// If a scale is not positive and finite, a zero point is no value of `element`, or results leave the 16-bit lanes
    /// of LiteRT's optimized kernels and wrap.
    pub fn tflite(
        profile: TfliteProfile,
        operator: TfliteJoin,
        left: TfliteTensorScale,
        right: TfliteTensorScale,
        output: TfliteTensorScale,
        activation: Activation,
        element: IntType,
    ) -> Result<JoinFormula, FormulaError> {
        left.check("first operand's", element)?;
        right.check("second operand's", element)?;
        let operands = [left, right];
        let ratios = operands.map(|operand| operand.scale / output.scale);
        let product = left.scale * right.scale / output.scale;
        let delegated = profile == TfliteProfile::Xnnpack
            && match operator {
                TfliteJoin::Mul => DELEGATED_PRODUCT.contains(&product),
                _ => ratios.iter().all(|ratio| DELEGATED_SUM.contains(ratio)),
            };
        let profile = match profile {
            TfliteProfile::Xnnpack if !delegated => TfliteProfile::LitertOpt,
            profile => profile,
        };
        let stage = output.stage(profile, activation, element)?;
        let formula = match operator {
            TfliteJoin::Mul => {
                let [left_zero, right_zero] = operands.map(|operand| operand.zero_point);
                let formula = match profile {
                    TfliteProfile::Xnnpack => float32(product, stage),
                    TfliteProfile::LitertRef | TfliteProfile::LitertOpt => fixed(product.into(), stage)?,
                    TfliteProfile::Tflm => {
                        let exact = f64::from(left.scale) * f64::from(right.scale) / f64::from(output.scale);
                        fixed(exact, stage)?
                    }
                };
                JoinFormula::Product(Product { left_zero, right_zero, formula })
            }
            TfliteJoin::Add | TfliteJoin::Sub => {
                let subtract = operator == TfliteJoin::Sub;
                match profile {
                    TfliteProfile::Xnnpack => JoinFormula::LinearSum(LinearSum::new(operands, ratios, subtract, stage)),
                    _ => JoinFormula::FixedPointSum(FixedPointSum::new(operands, output.scale, subtract, stage)?),
                }
            }
        };
        formula.validate()?;
        if profile == TfliteProfile::LitertOpt && operator != TfliteJoin::Sub {
            check_lanes(&formula, element)?;
        }
        Ok(formula)
    }
}

fn fixed(multiplier: f64, output: OutputStage) -> Result<Formula, FormulaError> {
    let multipliers = vec![quantized(multiplier)?];
    Ok(Formula::FixedPoint(FixedPoint { channels: 1, multipliers, ties: TieRule::Away, output }))
}

fn float32(scale: f32, output: OutputStage) -> Formula {
    Formula::Float32(Float32 { channels: 1, scales: vec![scale], output })
}

/// Refuses formulas some of whose results, before zero point and clamp, do not fit a lane. They are
/// monotone in either operand, so the corners are the extremes.
fn check_lanes(formula: &JoinFormula, element: IntType) -> Result<(), FormulaError> {
    let Some(range) = element.checked_range() else { return Err(FormulaError::OutputType(element)) };
    let wide = IntType::Signed(32);
    let all = wide.range();
    let open = OutputStage { zero_point: 0, lo: all.lo, hi: all.hi, element: wide };
    let mut unclamped = formula.clone();
    match &mut unclamped {
        JoinFormula::FixedPointSum(sum) => sum.output = open,
        JoinFormula::Product(Product { formula: Formula::FixedPoint(formula), .. }) => formula.output = open,
        _ => return Ok(()),
    }
    let corners = [(range.lo, range.lo), (range.lo, range.hi), (range.hi, range.lo), (range.hi, range.hi)];
    let reach = corners.map(|(a, b)| unclamped.evaluate(a, b)).into_iter().max_by_key(|y| y.abs()).unwrap_or(0);
    let lane = IntType::Signed(LANE_BITS);
    if lane.contains(reach) {
        Ok(())
    } else {
        Err(FormulaError::Lanes { reach, bits: LANE_BITS })
    }
}

#[cfg(test)]
mod tests {
    use super::super::JoinMap;
    use super::*;
    use TfliteJoin::{Add, Mul, Sub};
    use TfliteProfile::{LitertOpt, LitertRef, Tflm, Xnnpack};

    const BYTE: IntType = IntType::Signed(8);

    fn scale(scale: f32, zero_point: i64) -> TfliteTensorScale {
        TfliteTensorScale { scale, zero_point }
    }

    fn join(
        profile: TfliteProfile,
        operator: TfliteJoin,
        scales: [TfliteTensorScale; 3],
    ) -> Result<JoinFormula, FormulaError> {
        let [left, right, output] = scales;
        JoinFormula::tflite(profile, operator, left, right, output, Activation::None, BYTE)
    }

    #[test]
    fn the_profiles_differ_at_negative_ties() {
        let scales = [scale(0.5, 0), scale(0.25, 0), scale(1.0, 0)];
        // 0.5 * -3 = -1.5 and 0.5 * -5 = -2.5.
        let sums = |profile| [-3, -5].map(|a| join(profile, Add, scales).unwrap().evaluate(a, 0));
        for profile in [Tflm, LitertRef, LitertOpt] {
            assert_eq!(sums(profile), [-2, -3]);
        }
        assert_eq!(sums(Xnnpack), [-1, -2]);
        // 1/8 * -12 = -1.5 and 1/8 * -20 = -2.5.
        let products = |profile| [-12, -20].map(|a| join(profile, Mul, scales).unwrap().evaluate(a, 1));
        for profile in [Tflm, LitertRef, LitertOpt] {
            assert_eq!(products(profile), [-2, -3]);
        }
        assert_eq!(products(Xnnpack), [-2, -2]);
    }

    #[test]
    fn ratios_that_are_not_delegated_are_rounded_by_litert() {
        let scales = |left| [scale(left, 0), scale(0.5, 0), scale(1.0, 0)];
        assert!(matches!(join(Xnnpack, Sub, scales(0.5)), Ok(JoinFormula::LinearSum(_))));
        for far in [0.0009, 256.0] {
            assert!(matches!(join(Xnnpack, Sub, scales(far)), Ok(JoinFormula::FixedPointSum(_))), "{far}");
        }
    }

    #[test]
    fn results_that_wrap_in_sixteen_bits_are_refused_where_the_runtime_has_such_lanes() {
        let scales = [scale(200.0, 0), scale(200.0, 0), scale(1.0, 0)];
        let error = join(LitertOpt, Add, scales).unwrap_err().to_string();
        assert!(error.contains("-51200") && error.contains("16-bit"), "{error}");
        assert!(join(Tflm, Add, scales).is_ok() && join(LitertOpt, Sub, scales).is_ok());
        assert!(join(LitertOpt, Mul, scales).is_err());
        let error = join(Tflm, Add, [scale(0.0, 0), scale(1.0, 0), scale(1.0, 0)]).unwrap_err().to_string();
        assert!(error.contains("first operand's"), "{error}");
    }

    #[test]
    fn canonical_forms_equal_their_formulas_on_all_pairs() {
        let domain = BYTE.range();
        let sets = [
            [scale(0.05, 3), scale(0.031, -7), scale(0.06, 5)],
            [scale(0.0471, -128), scale(0.0235, -128), scale(0.0513, -128)],
            [scale(0.5, 0), scale(0.25, 1), scale(1.0, -1)],
            [scale(0.001, 127), scale(0.9, -60), scale(0.7, 20)],
        ];
        for profile in [Tflm, LitertOpt, Xnnpack] {
            for operator in [Add, Sub, Mul] {
                for scales in sets {
                    let formula = join(profile, operator, scales).unwrap();
                    let map = JoinMap::derive(&formula, domain, domain).unwrap_or_else(|e| panic!("{formula}: {e}"));
                    for a in domain.lo..=domain.hi {
                        for b in domain.lo..=domain.hi {
                            assert_eq!(map.evaluate(a, b), formula.evaluate(a, b), "{formula} at {a}, {b}");
                        }
                    }
                }
            }
        }
    }
}
