"""Formulas of the TFLite runtimes for activations that are nodes of their own, from stored codes to stored codes.

`x` are codes, scales float32; results are not clamped to int8 unless an activation clamps them.
"""

import math

import numpy as np

from .formulas import clamp32, f32, high_mul, quantize_multiplier, round_half_away, shift_half_away
from .image_formulas import I64, fixed
from .softmax import ONE_Q31, POWERS, exp_small
from .softmax import fixed as q_fixed


def ratio(profile, inputs, output):
    """Product of the input scales over the output's: float64 for tflm, float32 left to right elsewhere."""
    if profile == "tflm":
        return float(np.prod([float(f32(s)) for s in inputs])) / float(f32(output))
    product = f32(inputs[0])
    for scale in inputs[1:]:
        product = f32(product * f32(scale))
    return float(f32(product / f32(output)))


def relu(profile, kind, x, si, zi, so, zo):
    """RELU, RELU6, RELU_N1_TO_1; clamped to int8."""
    low, high = {"RELU": (0, None), "RELU6": (0, 6), "RELU_N1_TO_1": (-1, 1)}[kind]
    if profile == "tflm" and kind == "RELU6":
        values, so, zo = np.asarray(x, I64), si, zi
    else:
        values = fixed(np.asarray(x, I64) - zi, ratio(profile, [si], so)) + zo

    def bound(real):
        return int(np.clip(zo + int(round_half_away(f32(f32(real) / f32(so)))), -128, 127))

    return np.clip(values, bound(low), 127 if high is None else bound(high))


def leaky_relu(profile, x, si, zi, so, zo, alpha):
    """LEAKY_RELU."""
    d, alpha = np.asarray(x, I64) - zi, f32(alpha)
    above = f32(f32(si) / f32(so))
    below = f32(above * alpha)
    if profile == "xnnpack" and all(2.0**-8 <= r <= 2.0**7 for r in (above, below)):
        factors = [int(np.rint(f32(256) * r)) for r in (above, below)]
        return ((d * np.where(d >= 0, *factors) + 128) >> 8) + zo
    return np.where(d >= 0, fixed(d, ratio(profile, [si], so)), fixed(d, ratio(profile, [si, alpha], so))) + zo


def prelu(profile, x, si, zi, so, zo, alpha, sa, za):
    """PRELU of [..., C] with stored slopes `alpha` [C]."""
    d = np.asarray(x, I64) - zi
    below = fixed(d * (np.asarray(alpha, I64) - za), ratio(profile, [si, sa], so))
    return np.where(d >= 0, fixed(d, ratio(profile, [si], so)), below) + zo


def short_multiplier(real):
    """16-bit mantissa and exponent."""
    multiplier, exponent = quantize_multiplier(float(real))
    return min((multiplier + (1 << 15)) >> 16, 32767), exponent


def hard_swish(x, si, zi, so, zo):
    """HARD_SWISH in 16-bit fixed point, the same under every profile."""
    fine_scale = f32(f32(1 / 128) * f32(si))
    out_m, out_e = short_multiplier(f32(fine_scale / f32(so)))
    gate_m, gate_e = short_multiplier(f32(fine_scale / f32(f32(3) / f32(32768))))

    def saturate(v):
        return max(-32768, min(32767, v))

    def high(a, b):
        return saturate((a * b + (1 << 14)) >> 15)

    def one(code):
        fine = (int(code) - zi) * 128
        value = high(fine, out_m)
        if gate_e > 0:
            gate = saturate(high(saturate(fine << (gate_e - 1)), gate_m) << 1)
        else:
            gate = shift_half_away(high(fine, gate_m), -gate_e)
        product = ((gate + 32768) >> 1) * value
        product = product >> 15 if product >= 0 else -(-product >> 15)
        return shift_half_away(product, -out_e) + zo

    return elementwise(one, x)


def elementwise(function, x):
    """`function` of every code, evaluated once a code."""
    codes, inverse = np.unique(np.asarray(x), return_inverse=True)
    return np.array([function(code) for code in codes], I64)[inverse].reshape(np.shape(x))


def exp_negative(a, integer_bits):
    """exp(a) in Q0.31 for a <= 0 with 4 or 5 integer bits."""
    if a == 0:
        return ONE_Q31
    bit = 29 - integer_bits
    small = (a & ((1 << bit) - 1)) - (1 << bit)
    result, quarters = exp_small(small << integer_bits), small - a
    for k, (_, power) in enumerate(POWERS[: integer_bits + 2]):
        if quarters >> (bit + k) & 1:
            result = high_mul(result, power)
    return result


def newton(a):
    """2 / (1 + a) in Q2.29 for a in [0, 1] in Q0.31."""
    half = (a + (1 << 31)) >> 1
    x = q_fixed(48 / 17, 29) + high_mul(half, q_fixed(-32 / 17, 29))
    for _ in range(3):
        error = (1 << 29) - high_mul(half, x)
        x = clamp32(x + clamp32(high_mul(x, error) << 2))
    return x


def fixed_curve(kind, code, si, zi):
    """LOGISTIC (zero point -128) or TANH of tflm."""
    real, d = float(f32(si)) * 2**27, int(code) - zi
    radius = math.floor(15 * 2.0 ** (27 - math.frexp(real)[1]))
    least, greatest, bits = (-128, 127, 8) if kind == "LOGISTIC" else (-128, 127, 7)
    if d <= -radius:
        return least
    if d >= radius:
        return greatest
    multiplier, shift = quantize_multiplier(real)
    v = shift_half_away(high_mul(d << max(shift, 0), multiplier), max(-shift, 0))
    if kind == "LOGISTIC":
        positive = clamp32(newton(exp_negative(-abs(v), 4)) << 1)
        result = 1 << 30 if v == 0 else positive if v > 0 else ONE_Q31 - positive
        return max(least, min(greatest, shift_half_away(result, 31 - bits) - 128))
    result = 0 if v == 0 else clamp32((newton(exp_negative(-abs(v), 5)) - (1 << 29)) << 2)
    return max(least, min(greatest, shift_half_away(result if v > 0 else -result, 31 - bits)))


def float_tanh(x):
    """float32 tangent from float32-rounded exponentials less 1."""
    size = np.abs(x).astype(f32)
    with np.errstate(over="ignore"):
        grown = np.expm1((2 * size).astype(float)).astype(f32)
    large = (f32(1) - (f32(2) / (grown + f32(2)).astype(f32)).astype(f32)).astype(f32)
    decayed = np.expm1(-(2 * size).astype(float)).astype(f32)
    small = (-decayed / (decayed + f32(2)).astype(f32)).astype(f32)
    value = np.where(size >= 22, f32(1), np.where(size >= 1, large, small))
    return np.copysign(value, x).astype(f32)


def float_logistic(profile, x):
    """float32 logistic function: nearest to the real one for xnnpack, operation by operation elsewhere."""
    with np.errstate(over="ignore"):
        power = np.exp(-x.astype(float))
        if profile == "xnnpack":
            return (1 / (1 + power)).astype(f32)
        return (f32(1) / (f32(1) + power.astype(f32)).astype(f32)).astype(f32)


def curve(profile, kind, x, si, zi, so, zo):
    """LOGISTIC or TANH; clamped to int8."""
    if profile == "tflm":
        return elementwise(lambda code: fixed_curve(kind, code, si, zi), x)
    real = ((np.asarray(x, I64) - zi).astype(f32) * f32(si)).astype(f32)
    value = float_logistic(profile, real) if kind == "LOGISTIC" else float_tanh(real)
    scaled = (value * f32(f32(1) / f32(so))).astype(f32)
    if profile == "xnnpack":
        codes = np.rint((scaled + f32(zo)).astype(f32))
    else:
        codes = round_half_away(scaled) + zo
    return np.clip(codes, -128, 127).astype(I64)
