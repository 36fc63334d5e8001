"""Integer formulas of the TFLite runtimes, in plain integers, used to state what was measured.

Nothing here makes a vector: vectors come from the runtimes. `measure.py` holds these formulas
against the runtimes and prints the agreement that README.md quotes.
"""

import math

import numpy as np

f32 = np.float32
INT32 = (-(1 << 31), (1 << 31) - 1)


def quantize_multiplier(real):
    """(m, s) with real ~= m * 2^(s - 31), m in [2^30, 2^31) or 0; s < -31 gives (0, 0), s > 30 saturates."""
    if real == 0:
        return 0, 0
    mantissa, shift = math.frexp(real)
    fixed = math.floor(mantissa * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return INT32[1], 30
    return fixed, shift


def wrap32(value):
    """Two's-complement wrap to int32."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def clamp32(value):
    """Saturation to int32."""
    return max(INT32[0], min(INT32[1], value))


def high_mul(a, b):
    """Rounding doubling high multiply: (a*b + nudge) / 2^31, truncating, saturated in its one overflow."""
    if a == b == INT32[0]:
        return INT32[1]
    total = a * b + ((1 << 30) if a * b >= 0 else 1 - (1 << 30))
    return total >> 31 if total >= 0 else -((-total) >> 31)


def shift_half_away(x, e):
    """x / 2^e, ties away from zero."""
    if e == 0:
        return x
    return (x + (1 << (e - 1))) >> e if x >= 0 else -((-x + (1 << (e - 1))) >> e)


def shift_ties_up(x, e):
    """x / 2^e, ties towards plus infinity."""
    return (x + ((1 << e) >> 1)) >> e


def double_rounding(acc, real, overflow=wrap32):
    """High multiply, then shift with ties away from zero."""
    m, s = quantize_multiplier(real)
    return shift_half_away(high_mul(overflow(acc << max(s, 0)), m), max(-s, 0))


def ties_up(acc, real, overflow=wrap32):
    """High multiply, then shift with ties towards plus infinity."""
    m, s = quantize_multiplier(real)
    return shift_ties_up(high_mul(overflow(acc << max(s, 0)), m), max(-s, 0))


def single_away(acc, real):
    """One rounding of acc * m * 2^(s - 31), ties away from zero."""
    m, s = quantize_multiplier(real)
    return shift_half_away(acc * m, 31 - s) if s <= 31 else (acc * m) << (s - 31)


def single_up(acc, real):
    """One rounding of acc * m * 2^(s - 31), ties towards plus infinity."""
    m, s = quantize_multiplier(real)
    return shift_ties_up(acc * m, 31 - s)


def real_away(acc, real):
    """Round acc * real computed in float64, ties away from zero."""
    value = abs(acc * real)
    magnitude = math.floor(value + 0.5) if value < 2.0**52 else int(value)
    return magnitude if acc >= 0 else -magnitude


def float32_even(acc, scale, lo, hi):
    """Every operation in float32: convert, scale, clamp to [lo, hi], round half to even."""
    value = f32(f32(acc) * f32(scale))
    return int(np.rint(np.minimum(np.maximum(value, f32(lo)), f32(hi))))


def round_half_away(value):
    """Elementwise rounding of a float array, ties away from zero, without a second rounding error."""
    floor = np.floor(np.abs(value))
    magnitude = floor + (np.abs(value) - floor >= 0.5)
    return np.where(np.signbit(value), -magnitude, magnitude)


def rescale_fully_connected(profile, acc, sx, sw, so, per_channel, lo, hi):
    """One accumulator of FULLY_CONNECTED to the output step, zero point not yet added.

    Scales are float32. `lo` and `hi` are the clamp less the zero point; only `xnnpack` needs them here.
    """
    exact = float(sx) * float(sw) / float(so)
    if profile == "tflm":
        return double_rounding(acc, exact)
    if profile == "litert_ref":
        return real_away(acc, exact)
    if profile == "litert_opt":
        return ties_up(acc, exact if per_channel else float(f32(sx * sw)) / float(so))
    return float32_even(acc, f32(f32(sx * sw) / so), lo, hi)


def clamp_range(profile, activation, so, zo):
    """Lowest and highest int8 code that a fused activation leaves."""
    bounds = {
        "none": (None, None),
        "relu": (0.0, None),
        "relu6": (0.0, 6.0),
        "relu_n1_to_1": (-1.0, 1.0),
    }[activation]

    def code(real):
        scaled = f32(f32(real) / f32(so))
        if profile == "xnnpack":
            return int(np.rint(np.clip(f32(scaled + f32(zo)), -128, 127)))
        return int(np.clip(int(round_half_away(scaled)) + zo, -128, 127))

    lo = -128 if bounds[0] is None else code(bounds[0])
    hi = 127 if bounds[1] is None else code(bounds[1])
    return lo, hi


def blocks(size, block):
    """True for the elements that a vector loop handles: all but the last `size % block`, in memory order."""
    return np.arange(size) < size - size % block


def quantize(profile, x, scale, zero_point, low=-128, high=127):
    """QUANTIZE of a float32 array [N, ...]; `|x / scale|` below 2^31.

    `litert_opt` rounds half to even in blocks of 8 elements; the rest it divides in float64 and
    rounds half away from zero.
    """
    scale = f32(scale)
    if profile in ("tflm", "litert_ref"):
        codes = round_half_away((x / scale).astype(f32))
    else:
        scaled = (x * f32(f32(1) / scale)).astype(f32).reshape(len(x), -1)
        codes = np.rint(scaled)
        if profile == "litert_opt":
            exact = x.reshape(len(x), -1).astype(np.float64) / np.float64(scale)
            codes = np.where(blocks(scaled.shape[1], 8), codes, round_half_away(exact))
    codes = codes.astype(np.int64).reshape(x.shape)
    return np.clip(codes + zero_point, low, high)


def dequantize(profile, codes, scale, zero_point):
    """DEQUANTIZE [N, ...] to float32; `litert_opt` multiplies before it subtracts in blocks of 8 elements."""
    scale = f32(scale)
    plain = (codes.astype(np.int64) - zero_point).astype(f32) * scale
    if profile != "litert_opt":
        return plain
    early = codes.astype(f32) * scale - f32(f32(zero_point) * scale)
    mask = blocks(codes[0].size, 8).reshape(codes.shape[1:])
    return np.where(mask, early, plain)


def requantize(profile, codes, si, zi, so, zo, low, high, both_int8):
    """QUANTIZE [N, ...] between integer types; `litert_opt` takes ties up in blocks of 16 elements."""
    ratio = float(f32(si)) / float(f32(so))
    rows = codes.astype(np.int64).reshape(len(codes), -1) - zi
    fast = blocks(rows.shape[1], 16)
    out = np.empty(rows.shape, np.int64)
    for (row, element), value in np.ndenumerate(rows):
        if profile == "xnnpack" and both_int8:
            step = int(np.rint(f32(f32(si) / f32(so)) * f32(256)))
            out[row, element] = (int(value) * step + 128) >> 8
        elif profile in ("tflm", "litert_ref") or not fast[element]:
            out[row, element] = double_rounding(int(value), ratio)
        else:
            out[row, element] = ties_up(int(value), ratio)
    return np.clip(out + zo, low, high).reshape(codes.shape)
