"""Windows of convolutions and pools on `[N, C, *spatial]` arrays, any number of spatial dimensions."""

import itertools

import numpy as np


def geometry(attributes, spatial, kernel):
    """Strides, dilations, pads `[before..., after...]` and output sizes of a window operator's attributes."""
    rank = len(spatial)
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    auto = attributes.get("auto_pad", "NOTSET")
    pads = list(attributes.get("pads", [0] * 2 * rank))
    if auto.startswith("SAME"):
        sizes = [-(-n // s) for n, s in zip(spatial, strides)]
        total = [
            max((o - 1) * s + r - n, 0) for o, s, r, n in zip(sizes, strides, reach, spatial)
        ]
        small, large = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = small + large if auto == "SAME_UPPER" else large + small
        return strides, dilations, pads, sizes
    sizes = []
    for axis, (n, s, r) in enumerate(zip(spatial, strides, reach)):
        before, after = pads[axis], pads[axis + rank]
        room = n + before + after - r
        size = (-(-room // s) if attributes.get("ceil_mode", 0) else room // s) + 1
        # With ceil_mode a window that starts behind the image and its leading pad is dropped.
        sizes.append(size - 1 if (size - 1) * s >= n + before else size)
    return strides, dilations, pads, sizes


def taps(x, attributes, kernel, fill):
    """For each tap of the window, in row-major order, the array `[N, C, *output]` that it reads."""
    strides, dilations, pads, sizes = geometry(attributes, x.shape[2:], kernel)
    rank = len(kernel)
    after = []
    for axis in range(rank):
        last = (sizes[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        after.append(max(last - pads[axis] - x.shape[2 + axis], 0))
    margins = [(0, 0), (0, 0), *zip(pads[:rank], after)]
    padded = np.pad(x, margins, constant_values=fill)
    for tap in itertools.product(*(range(k) for k in kernel)):
        window = [
            slice(t * d, t * d + (o - 1) * s + 1, s)
            for t, d, o, s in zip(tap, dilations, sizes, strides)
        ]
        yield tap, padded[(slice(None), slice(None), *window)]


def convolve(x, weights, attributes):
    """Integer convolution of centred operands: x `[N, C, *spatial]`, weights `[M, C/group, *kernel]`."""
    group, out = attributes.get("group", 1), None
    channels, filters = weights.shape[1], weights.shape[0] // group
    for tap, window in taps(x, attributes, weights.shape[2:], 0):
        parts = []
        for g in range(group):
            matrix = weights[(slice(g * filters, (g + 1) * filters), slice(None), *tap)]
            source = window[:, g * channels : (g + 1) * channels]
            parts.append(np.moveaxis(np.tensordot(matrix, source, (1, 1)), 0, 1))
        product = np.concatenate(parts, 1)
        out = product if out is None else out + product
    return out


def counts(x, attributes, kernel):
    """Number of real taps of each window, `[1, 1, *output]`."""
    ones = np.ones((1, 1, *x.shape[2:]), np.int64)
    return sum(window for _, window in taps(ones, attributes, kernel, 0))
