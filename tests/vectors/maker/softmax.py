"""The int8 SOFTMAX of TFLite in fixed point, written from its definition in Q formats.

Differences to the maximum are scaled to Q5.26, their exponentials summed in Q12.19, and the
reciprocal of the sum found by three Newton steps. All four runtimes give these numbers.
"""

import math

from .formulas import clamp32, high_mul, quantize_multiplier, shift_half_away

ONE_Q31 = (1 << 31) - 1


def fixed(real, fraction_bits):
    """`real` as an integer with `fraction_bits` fraction bits, rounded to nearest."""
    return math.floor(real * (1 << fraction_bits) + 0.5)


EXP_MINUS_EIGHTH = fixed(math.exp(-1 / 8), 31)
THIRD = fixed(1 / 3, 31)
# Bit k of the remainder stands for 2^k; exp(-2^k) for k = -2 .. 4 in Q0.31.
POWERS = [(26 + k, fixed(math.exp(-(2.0**k)), 31)) for k in range(-2, 5)]


def exp_small(a):
    """exp(a) in Q0.31 for a in [-1/4, 0) in Q0.31: Taylor to the fourth power about -1/8."""
    x = a + (1 << 28)
    x2 = high_mul(x, x)
    x3, x4 = high_mul(x2, x), high_mul(x2, x2)
    quartic = shift_half_away(x4, 2)
    series = shift_half_away(high_mul(quartic + x3, THIRD) + x2, 1)
    return clamp32(EXP_MINUS_EIGHTH + high_mul(EXP_MINUS_EIGHTH, x + series))


def exp_negative(a):
    """exp(a) in Q0.31 for a <= 0 in Q5.26."""
    if a == 0:
        return ONE_Q31
    quarter = 1 << 24
    small = (a & (quarter - 1)) - quarter
    result, remainder = exp_small(small << 5), small - a
    for bit, factor in POWERS:
        if remainder >> bit & 1:
            result = high_mul(result, factor)
    return result


def reciprocal(a):
    """1 / (1 + a) in Q0.31 for a in [0, 1) in Q0.31, by Newton's method from 48/17 - 32/17 d."""
    half = (a + (1 << 31)) >> 1
    x = fixed(48 / 17, 29) + high_mul(half, fixed(-32 / 17, 29))
    for _ in range(3):
        error = (1 << 29) - high_mul(half, x)
        x = clamp32(x + clamp32(high_mul(x, error) << 2))
    return clamp32(x << 1)


def softmax(codes, scale, beta):
    """One row of int8 codes to int8 probabilities (scale 1/256, zero point -128)."""
    real = min(beta * scale * (1 << 26), 2.0**31 - 1)
    multiplier, shift = quantize_multiplier(real)
    least = -math.floor(31 * (1 << 26) / (1 << shift))
    top = max(codes)
    powers = [
        exp_negative(high_mul((c - top) << shift, multiplier)) if c - top >= least else None
        for c in codes
    ]
    total = sum(shift_half_away(p, 12) for p in powers if p is not None)
    bits = total.bit_length()
    inverse = reciprocal((total << (32 - bits)) - (1 << 31))
    exponent = bits - 20 + 31 - 8
    return [
        -128 if p is None
        else max(-128, min(127, shift_half_away(high_mul(inverse, p), exponent) - 128))
        for p in powers
    ]  # fmt: skip
