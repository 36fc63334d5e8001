//! The float32 activations of ONNX Runtime, operation by operation.
//!
//! Sigmoid and Tanh are quotients of polynomials in x^2 over a clamped domain, evaluated by Horner's
//! rule with fused multiply-add; forms and coefficients are those of the runtime's math library
//! (`onnxruntime/core/mlas/lib/logistic.cpp` and `tanh.cpp`).

/// Odd coefficients of the numerator, from x^9 down to x.
const SIGMOID_NUMERATOR: [f32; 5] = [4.37031e-11, 1.1562732e-7, 6.085749e-5, 0.008513771, 0.24828795];
/// Even coefficients of the denominator, from x^10 down to 1.
const SIGMOID_DENOMINATOR: [f32; 6] = [6.1024737e-13, 5.7610214e-9, 6.291068e-6, 0.0017019882, 0.11681765, 0.9931519];
/// Odd coefficients of the numerator, from x^13 down to x.
const TANH_NUMERATOR: [f32; 7] =
    [-2.7607684e-16, 2.000188e-13, -8.604672e-11, 5.1222973e-8, 1.48572235e-5, 0.00063726195, 0.0048935246];
/// Even coefficients of the denominator, from x^6 down to 1.
const TANH_DENOMINATOR: [f32; 4] = [1.1982584e-6, 0.00011853471, 0.0022684347, 0.004893525];

/// Horner's rule with fused multiply-add, highest coefficient first.
fn horner(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().copied().reduce(|sum, next| sum.mul_add(x, next)).unwrap_or(0.0)
}

/// `1 / (1 + exp(-x))`, within 3e-7.
pub(super) fn sigmoid(x: f32) -> f32 {
    let x = x.clamp(-18.0, 18.0);
    let square = x * x;
    let quotient = horner(&SIGMOID_NUMERATOR, square) * x / horner(&SIGMOID_DENOMINATOR, square);
    (quotient + 0.5).clamp(0.0, 1.0)
}

/// The hyperbolic tangent, within 5e-7.
pub(super) fn tanh(x: f32) -> f32 {
    let x = x.clamp(-9.0, 9.0);
    let square = x * x;
    horner(&TANH_NUMERATOR, square) * x / horner(&TANH_DENOMINATOR, square)
}

/// `max(0, min(1, alpha * x + beta))`, product and sum rounded apart.
pub(super) fn hard_sigmoid(x: f32, alpha: f32, beta: f32) -> f32 {
    (alpha * x + beta).clamp(0.0, 1.0)
}

/// `x * hard_sigmoid(x, f32(1/6), 0.5)`
pub(super) fn hard_swish(x: f32) -> f32 {
    x * hard_sigmoid(x, 1.0 / 6.0, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approximations_stay_near_the_functions_they_stand_for() {
        for step in -4000..4000i16 {
            let x = f32::from(step) / 100.0;
            let real = f64::from(x);
            assert!((f64::from(sigmoid(x)) - 1.0 / (1.0 + (-real).exp())).abs() < 3e-7, "sigmoid {x}");
            assert!((f64::from(tanh(x)) - real.tanh()).abs() < 5e-7, "tanh {x}");
        }
    }

    #[test]
    fn results_equal_the_runtime_bit_by_bit() {
        // onnxruntime 1.32.0: x, Sigmoid, Tanh, HardSwish as bit patterns.
        const MEASURED: [[u32; 4]; 14] = [
            [0x3dcccccd, 0x3f066509, 0x3dcc1ebb, 0x3d53a06d],
            [0xbebd70a4, 0x3ed12c4a, 0xbeb53e65, 0xbe261363],
            [0x3fc00000, 0x3f514c8f, 0x3f67b7cb, 0x3f900000],
            [0xc039999a, 0x3d559ee8, 0xbf7e7461, 0xbd45f920],
            [0x40866666, 0x3f7c37c4, 0x3f7fe28a, 0x40866666],
            [0xc0f66666, 0x39ed5000, 0xbf7ffff9, 0x80000000],
            [0x4134cccd, 0x3f7fff30, 0x3f800000, 0x4134cccd],
            [0xc18f3333, 0x33000000, 0xbf800000, 0x80000000],
            [0x41c80000, 0x3f800000, 0x3f800000, 0x41c80000],
            [0xc2200000, 0x00000000, 0xbf800000, 0x80000000],
            [0x358637bd, 0x3f000004, 0x358637bc, 0x350637c0],
            [0x80000000, 0x3f000000, 0x80000000, 0x80000000],
            [0x40400001, 0x3f73dbe6, 0x3f7ebbe8, 0x40400001],
            [0x402df854, 0x3f70271e, 0x3f7dc7bc, 0x4025cd37],
        ];
        for [x, sigmoid_bits, tanh_bits, swish_bits] in MEASURED {
            let x = f32::from_bits(x);
            let found = [sigmoid(x), tanh(x), hard_swish(x)].map(f32::to_bits);
            assert_eq!(found, [sigmoid_bits, tanh_bits, swish_bits], "{x}");
        }
    }
}
