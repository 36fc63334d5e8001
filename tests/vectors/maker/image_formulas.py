"""Formulas of the TFLite runtimes for convolutions, pools, joins and activations, elementwise over arrays.

Nothing here makes a vector. `measure_tflite.py` holds these formulas against the runtimes over whole domains, `check.py`
evaluates the stored networks with them. `DBL` is the high multiply and the shift with ties away from zero.
"""

import numpy as np

from .formulas import f32, quantize_multiplier, round_half_away

I64 = np.int64
DEPTHWISE_BLOCK, MEAN_BLOCK = 8, 16


def fixed(x, real, up=False):
    """High multiply and shift of an integer array; ties away from zero, or toward plus infinity where `up`."""
    return fixed_by(x, *quantize_multiplier(float(real)), up)


def fixed_by(x, multiplier, shift, up=False):
    """`fixed` with a given multiplier and shift; -2^31 .. 2^31 - 1 after the left shift."""
    product = np.clip(np.asarray(x, I64) << max(shift, 0), -(2**31), 2**31 - 1) * I64(multiplier)
    high, right = (product + (1 << 30)) >> 31, max(-shift, 0)
    half = (1 << right) >> 1
    away = np.where(high < 0, -((-high + half) >> right), (high + half) >> right)
    return np.where(up, (high + half) >> right, away)


def whole_blocks(channels, block):
    """True for the channels that a vector loop of `block` lanes handles."""
    return np.arange(channels) < channels - channels % block


def output_size(size, kernel, stride, dilation, padding):
    """Rows or columns of a window operator's output, and padded ones in front."""
    reach = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (size - reach) // stride + 1, 0
    count = -(-size // stride)
    return count, max((count - 1) * stride + reach - size, 0) // 2


def convolve(x, weights, stride, dilation, padding, depthwise):
    """Centred `x` [N, H, W, C] to accumulators [N, H', W', O]; padded taps add 0.

    `weights` are [O, kh, kw, C / groups], or [1, kh, kw, C * multiplier] where `depthwise`.
    """
    kernel, channels = weights.shape[1:3], x.shape[3]
    (rows, top), (columns, left) = (
        output_size(*each, padding)
        for each in zip(x.shape[1:3], kernel, stride, dilation, strict=True)
    )
    reach = [(n - 1) * s + (k - 1) * d + 1
             for n, s, k, d in zip((rows, columns), stride, kernel, dilation, strict=True)]  # fmt: skip
    padded = np.zeros((len(x), max(reach[0], top + x.shape[1]), max(reach[1], left + x.shape[2]), channels), I64)
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    outputs = weights.shape[3] if depthwise else weights.shape[0]
    acc = np.zeros((len(x), rows, columns, outputs), I64)
    for i, j in np.ndindex(*kernel):
        above, before = i * dilation[0], j * dilation[1]
        taps = padded[:, above : above + (rows - 1) * stride[0] + 1 : stride[0],
                      before : before + (columns - 1) * stride[1] + 1 : stride[1]]  # fmt: skip
        if depthwise:
            acc += np.repeat(taps, outputs // channels, axis=3) * weights[0, i, j]
            continue
        groups = channels // weights.shape[3]
        for group, (part, filters) in enumerate(
            zip(np.split(taps, groups, 3), np.split(weights[:, i, j], groups), strict=True)
        ):
            width = outputs // groups
            acc[..., group * width : (group + 1) * width] += part @ filters.T
    return acc


def rescale_layer(profile, kind, acc, sx, sw, so):
    """Accumulators [..., O] of a `conv`, `grouped` or `depthwise` layer to output steps, no zero point yet."""
    scales = np.broadcast_to(np.asarray(sw, f32), acc.shape[-1:])
    if profile == "xnnpack":
        combined = ((f32(sx) * scales).astype(f32) / f32(so)).astype(f32)
        return np.rint((acc.astype(f32) * combined).astype(f32)).astype(I64)
    up = np.zeros(len(scales), bool)
    if profile == "litert_opt" and kind != "grouped":
        up = whole_blocks(len(scales), DEPTHWISE_BLOCK if kind == "depthwise" else 1)
    return np.stack(
        [fixed(acc[..., k], float(f32(sx)) * float(scale) / float(f32(so)), up[k])
         for k, scale in enumerate(scales)], axis=-1)  # fmt: skip


def windows(size, kernel, stride, padding):
    """`(first, end)` of the real taps of each window along one axis."""
    count, front = output_size(size, kernel, stride, 1, padding)
    return [(max(0, i * stride - front), min(size, i * stride - front + kernel)) for i in range(count)]


def divide_away(total, count):
    """`total / count` rounded to nearest, ties away from zero."""
    magnitude = (np.abs(total) + count // 2) // count
    return np.where(total < 0, -magnitude, magnitude)


def pool(kind, x, kernel, stride, padding):
    """AVERAGE_POOL_2D or MAX_POOL_2D of stored values [N, H, W, C], not clamped."""
    rows, columns = (windows(*each, padding) for each in zip(x.shape[1:3], kernel, stride, strict=True))
    out = np.empty((len(x), len(rows), len(columns), x.shape[3]), I64)
    for (i, (top, bottom)), (j, (left, right)) in (
        (r, c) for r in enumerate(rows) for c in enumerate(columns)
    ):
        taps = x[:, top:bottom, left:right].astype(I64)
        if kind == "max":
            out[:, i, j] = taps.max((1, 2))
        else:
            out[:, i, j] = divide_away(taps.sum((1, 2)), (bottom - top) * (right - left))
    return out


def mean(profile, total, count, si, zi, so, zo, kept, channels):
    """MEAN from the sums [..., C] of `count` stored values, zero point added, not clamped.

    `kept`: over rows and columns with keep_dims.
    """
    si, so, n = f32(si), f32(so), f32(count)
    if profile == "xnnpack":
        v = f32(f32(si / so) * f32(f32(1) / n))
        bias = f32(f32(zo) - f32(f32(count * zi) * v))
        return np.rint(((total.astype(f32) * v).astype(f32) + bias).astype(f32)).astype(I64)
    if profile == "litert_opt" and kept and (si != so or zi != zo):
        bias = int(round_half_away(f32(f32(f32(zi) * si) / so)))
        up = whole_blocks(channels, MEAN_BLOCK)
        return fixed(total, f32(si / f32(n * so)), up) - bias + zo
    multiplier, shift = quantize_multiplier(float(si) / float(so))
    bits = min(int(count).bit_length() - 1, 32, 31 + shift)
    return fixed_by(total - count * zi, (multiplier << bits) // count, shift - bits) + zo


def delegated_join(kind, s1, s2, so):
    """Whether XNNPACK takes an ADD, SUB or MUL with these scales."""
    if kind == "mul":
        return 2.0**-16 <= f32(f32(f32(s1) * f32(s2)) / f32(so)) < 256
    return all(2.0**-10 <= f32(f32(s) / f32(so)) < 256 for s in (s1, s2))


def join(profile, kind, a, b, left, right, out):
    """ADD, SUB or MUL of stored arrays; `left`, `right`, `out` are (scale, zero point). Not clamped."""
    (s1, z1), (s2, z2), (so, zo) = ((f32(s), int(z)) for s, z in (left, right, out))
    a, b = np.asarray(a, I64) - z1, np.asarray(b, I64) - z2
    delegated = profile == "xnnpack" and delegated_join(kind, s1, s2, so)
    if kind == "mul":
        single = f32(f32(s1 * s2) / so)
        if delegated:
            return np.rint(((a * b).astype(f32) * single).astype(f32)).astype(I64) + zo
        exact = float(s1) * float(s2) / float(so)
        return fixed(a * b, exact if profile == "tflm" else single) + zo
    sign = -1 if kind == "sub" else 1
    if delegated:
        ratios = [f32(s / so) for s in (s1, s2)]
        shift = 20 - int(np.floor(np.log2(float(max(ratios)))))
        first, second = (int(np.rint(float(r) * 2.0**shift)) for r in ratios)
        return ((a * first + sign * b * second + (1 << (shift - 1))) >> shift) + zo
    s1, s2, so = map(float, (s1, s2, so))
    twice = 2 * max(s1, s2)
    total = fixed(a << 20, s1 / twice) + sign * fixed(b << 20, s2 / twice)
    return fixed(total, twice / (2**20 * so)) + zo


def nearest_indices(size, out, align_corners, half_pixel_centers):
    """RESIZE_NEAREST_NEIGHBOR: the source row or column of each output one."""
    scale = f32(size - 1) / f32(out - 1) if align_corners and out > 1 else f32(size) / f32(out)
    place = ((np.arange(out).astype(f32) + f32(0.5 if half_pixel_centers else 0)) * f32(scale)).astype(f32)
    index = round_half_away(place) if align_corners else np.floor(place)
    return np.clip(index.astype(I64), 0, size - 1)
