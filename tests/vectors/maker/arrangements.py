"""TFLite cases of operators that arrange elements: whole-factor resizing, broadcasting, TILE, REDUCE_MAX, tensors joined
along rows and columns, and dilated convolutions written with SPACE_TO_BATCH_ND."""

import numpy as np

from .image_data import conv, image_inputs
from .runtimes import PROFILES
from .tflite_data import f32
from .tflite_model import per_tensor

SHAPES = ([3, 4, 3], [2, 2, 5], [5, 1, 2], [4, 4, 1], [1, 6, 3], [2, 3, 4])
SAMPLES = 3


def start(maker, name, number):
    """A seeded network on one of the small shapes."""
    return maker.start(name, SHAPES[number % len(SHAPES)], 0.05, (-3, -128, 17)[number % 3])


def finish(maker, net, rng, note, features=("no_layer",), profiles=PROFILES):
    """Store with few samples."""
    shape = [int(d) for d in net.tensors[0].shape[1:]]
    inputs = image_inputs(rng, shape, int(net.tensors[0].quantization.zeroPoint[0]), SAMPLES)
    maker.finish("arrangements", net, rng, note, features, inputs, profiles)


def resizes(maker):
    """RESIZE_NEAREST_NEIGHBOR by whole factors of 1 to 4, with and without half-pixel centres."""
    for number in range(20):
        rng, net = start(maker, f"enlarge_{number:02}", number)
        factors = 1 + number % 4, 1 + number // 4 % 3
        rows, columns = net.dims()[1:3]
        net.resize_nearest((rows * factors[0], columns * factors[1]), False, number % 2 == 1)
        layer = number % 5 == 4
        if layer:
            conv(net, rng, 2, (2, 2))
        finish(maker, net, rng, f"factors {factors}", ["per_channel" if layer else "no_layer"])


def broadcasts(maker, kind):
    """ADD, SUB or MUL of an image and its mean or greatest element along some dimensions, either one first."""
    for number in range(20):
        rng, net = start(maker, f"{kind}_broadcast_{number:02}", number)
        scale, _ = net.quantization_of_current()
        axes = ((1, 2), (1,), (2,))[number % 3]
        if number % 5 == 4:
            conv(net, rng, 1, (1, 1))
        elif number % 2:
            net.mean(per_tensor(float(f32(scale * 0.7)), -11), True, axes)
        else:
            net.reduce_max(True, axes)
        small = net.current
        other = float(net.tensors[small].quantization.scale[0])
        typical = np.hypot(scale, other) if kind != "mul" else scale * other * 50
        net.current, second = (small, 0) if number % 4 > 1 else (0, small)
        out = per_tensor(float(f32(typical * rng.uniform(0.7, 1.4))), int(rng.integers(-60, 60)))
        net.join(kind, second, out, ("none", "relu")[number % 2])
        finish(maker, net, rng, f"{kind.upper()} of an image and one that repeats along {axes}", ["broadcast"])


def reductions(maker):
    """REDUCE_MAX over rows, columns or both."""
    for number in range(20):
        rng, net = start(maker, f"reduce_max_{number:02}", number)
        net.reduce_max(number % 2 == 0, ((1, 2), (1,), (2,), (-3, -2))[number % 4])
        finish(maker, net, rng, "the greatest along rows and columns")


def copies(maker):
    """TILE and BROADCAST_TO along dimensions of 1."""
    for number in range(20):
        for kind in ("tile", "broadcast_to"):
            rng, net = start(maker, f"{kind}_{number:02}", number)
            net.reduce_max(True, ((1, 2), (1,), (2,))[number % 3])
            shape = net.dims()
            counts = [1, *[1 + (number + axis) % 3 if shape[axis] == 1 else 1 for axis in (1, 2, 3)]]
            if kind == "tile":
                net.tile(counts)
            else:
                net.broadcast_to([d * n for d, n in zip(shape, counts, strict=True)])
            finish(maker, net, rng, f"{counts} copies")


def concatenations(maker):
    """CONCATENATION along rows and columns."""
    for number in range(20):
        rng, net = start(maker, f"concat_pixels_{number:02}", number)
        scale, zero = net.quantization_of_current()
        axis = 1 + number % 2
        parts = [0]
        for part in range(1 + number % 3):
            net.current = 0
            if part % 2:
                net.reduce_max(True, (axis,))
            else:
                conv(net, rng, net.dims()[3], (1, 1), so=scale, zo=zero)
            parts.append(net.current)
        net.concatenate(parts, per_tensor(scale, zero), axis)
        finish(maker, net, rng, f"{len(parts)} images along axis {axis}", ["concat_axis", "per_channel"])


def dilations(maker):
    """A dilated convolution as converters write it where they do not fold it."""
    for number in range(20):
        rng, net = maker.start(f"interleaved_{number:02}", [4 + number % 3, 5, 1 + number % 3], 0.05, (-3, 17)[number % 2])
        block = (2, 2) if number % 3 else (1, 3)
        kernel = (3, 3) if number % 3 else (1, 2)
        same = number % 2 == 0
        amounts, crops = [], []
        for size, dilation, taps in zip(net.dims()[1:3], block, kernel, strict=True):
            span = dilation * (taps - 1)
            before = span // 2 if same else 0
            behind = span - before if same else 0
            fill = -(size + before + behind) % dilation
            amounts.append([before, behind + fill])
            crops.append([0, fill])
        net.space_to_batch(block, amounts)
        conv(net, rng, 3, kernel, depth_multiplier=1 if number % 4 == 3 else None, padding="valid")
        net.batch_to_space(block, crops)
        # TensorFlow Lite Micro computes the first of the interleaved images alone where it runs such a file at all.
        others = [profile for profile in PROFILES if profile != "tflm"]
        finish(maker, net, rng, f"dilation {block}", ["per_channel", "interleaved"], others)
