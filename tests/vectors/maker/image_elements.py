"""The cases of ADD, SUB, MUL, the activations that are nodes of their own, PAD, CONCATENATION and RESIZE_NEAREST_NEIGHBOR."""

import numpy as np

from .image_data import conv, image_inputs
from .image_layers import ACTIVATIONS
from .tflite_data import f32
from .tflite_model import per_tensor

SHAPES = ([3, 4, 3], [1, 1, 5], [5, 1, 2], [4, 4, 1], [2, 3, 17], [1, 7, 4], [3, 3, 8])


def second_branch(net, rng, number):
    """A second tensor of the input's shape: a convolution of the input, or in every fourth case one of each operand."""
    first, shape = 0, net.dims()
    if number % 4 == 3:
        conv(net, rng, shape[3], (1, 1), dyadic=number % 3 == 0)
        first = net.current
        net.current = 0
    # One scale a thousandth of the other: the XNNPACK delegate leaves such sums to LiteRT.
    far = net.quantization_of_current()[0] / 3000 if number == 5 else None
    conv(net, rng, shape[3], (3, 3), dyadic=number % 3 == 0, so=far)
    return first, net.current


def joins(maker, kind, count=24):
    """ADD, SUB or MUL of two branches; equal, dyadic and far scales; constants and broadcast operands last."""
    for number in range(count):
        name = f"{kind}_{number:02}"
        rng, net = maker.start(name, SHAPES[number % len(SHAPES)], 0.0625 if number % 3 == 0 else 0.05,
                               (-3, -128, 17)[number % 3])  # fmt: skip
        flags = ["per_channel"]
        if number >= count - 3:
            # A constant operand: whole, one a channel, one for all.
            channels = net.dims()[3]
            shape = (net.dims(), [1, 1, 1, channels], [1, 1, 1, 1])[number - count + 3]
            first = net.current
            second = net.constant(rng.integers(-128, 128, shape), per_tensor(0.031, 9))
            flags = ["no_layer", "constant_operand"]
        else:
            first, second = second_branch(net, rng, number)
        s1, s2 = (float(net.tensors[t].quantization.scale[0]) for t in (first, second))
        typical = np.hypot(s1, s2) if kind != "mul" else s1 * s2 * 50
        so = 2.0 ** np.rint(np.log2(typical)) if number % 3 == 0 else typical * rng.uniform(0.7, 1.4)
        net.current = first
        out = per_tensor(float(f32(so)), int(rng.integers(-60, 60)) if number % 4 else -128)
        net.join(kind, second, out, ACTIVATIONS[number // 2 % 4])
        if number % 5 == 4 and number < count - 3:
            conv(net, rng, 2, (1, 1))
        maker.finish("joins", net, rng, f"{kind.upper()} of two branches", flags)


def table_scales(rng, number, kind, scale):
    """Output scale and zero point of an activation."""
    if kind == "LOGISTIC":
        return 1 / 256, -128
    if kind == "TANH":
        return 1 / 128, 0
    if number % 4 == 0:
        return scale, None
    ratio = 2.0 ** rng.integers(-1, 3) if number % 4 == 1 else rng.uniform(0.4, 1.6)
    return float(f32(scale * ratio)), int(rng.integers(-100, 100))


def tables(maker, kind, count=20):
    """One activation: over all codes alone, behind and between convolutions."""
    for number in range(count):
        name = f"{kind.lower()}_{number:02}"
        image = [8, 8, 1] if number % 5 < 2 else SHAPES[number % len(SHAPES)]
        seed = np.random.default_rng(list(name.encode()))
        scale = float(f32(10 ** seed.uniform(-2, -0.3))) if number % 3 else float(2.0 ** seed.integers(-6, 0))
        rng, net = maker.start(name, image, scale, (0, -128, 30, 70)[number % 4])
        layered = number % 5 == 4
        if layered:
            conv(net, rng, 3, (2, 2))
        scale, zero = net.quantization_of_current()
        so, zo = table_scales(rng, number, kind, scale)
        out = per_tensor(so, zero if zo is None else zo)
        channels = net.dims()[3]
        if kind == "LEAKY_RELU":
            net.leaky_relu((0.1, 0.25, 0.01, 0.3, 1e-4)[number % 5], out)
        elif kind == "PRELU":
            net.prelu(rng.integers(-128, 128, (1, 1, channels)), per_tensor(0.01, (0, -5)[number % 2]), out)
        else:
            net.activation(kind, out)
        if number % 10 == 9:
            conv(net, rng, 2, (1, 1))
        inputs = None
        if image == [8, 8, 1] and not layered:
            inputs = np.arange(-128, 128).astype(np.int8).reshape(4, 8, 8, 1)
        flags = ["per_channel"] if layered else ["no_layer"]
        maker.finish("tables", net, rng, f"{kind} as a node of its own", flags, inputs)


def pads(maker):
    """PAD with the zero point and PADV2 with another code, in front of and behind convolutions."""
    for number in range(20):
        name = f"pad_{number:02}"
        rng, net = maker.start(name, SHAPES[number % len(SHAPES)], 0.05, (5, -128, 0)[number % 3])
        if number % 3 == 1:
            conv(net, rng, 3, (1, 1))
        amounts = rng.integers(0, 3, (4, 2))
        amounts[0] = 0
        if number % 4:
            amounts[3] = 0
        if number % 5 == 0:
            amounts[1:3] = 1
        # PADV2 cases are numbered with both parities of the layer in front.
        value = int(rng.integers(-128, 128)) if number % 2 else None
        net.pad(amounts.tolist(), value)
        if number % 3 == 2:
            conv(net, rng, 2, (2, 2), padding="valid" if min(net.dims()[1:3]) > 1 else "same")
        flags = (["no_layer"] if number % 3 == 0 else ["per_channel"]) + (["pad_channels"] if amounts[3].any() else [])
        maker.finish("structure", net, rng, "PAD" if value is None else "PADV2", flags)


def padv2(maker):
    """Ten more PADV2, so that both operators have twenty cases with `pads`."""
    for number in range(10):
        for kind in ("pad", "padv2"):
            name = f"{kind}_more_{number}"
            rng, net = maker.start(name, SHAPES[(number + 3) % len(SHAPES)], 0.031, (-128, 11)[number % 2])
            amounts = [[0, 0], *rng.integers(0, 4, (2, 2)).tolist(), [0, 0]]
            net.pad(amounts, None if kind == "pad" else int(rng.integers(-128, 128)))
            conv(net, rng, 3, (1, 1), dyadic=True)
            maker.finish("structure", net, rng, kind.upper(), ["per_channel"])


def concatenations(maker):
    """CONCATENATION of branches with one scale, which every runtime demands; channels, rows or columns."""
    for number in range(20):
        name = f"concat_{number:02}"
        rng, net = maker.start(name, SHAPES[number % len(SHAPES)], 0.05, (-3, -128)[number % 2])
        scale, zero = net.quantization_of_current()
        axis = (3, 3, 3, 1, 2)[number % 5]
        channels = net.dims()[3]
        branches = [] if number % 4 == 0 else [0]
        for branch in range(1 + number % 3 + (not branches)):
            net.current = 0
            width = channels if axis != 3 else int(rng.integers(1, 6))
            conv(net, rng, width, (1 + branch % 3,) * 2, so=scale, zo=zero, dyadic=True)
            branches.append(net.current)
        if number % 3 == 0:
            branches.append(branches[0])
        net.concatenate(branches, per_tensor(scale, zero), axis if number % 2 else axis - 4)
        if number % 5 == 1:
            conv(net, rng, 2, (1, 1))
        flags = ["per_channel"] + (["concat_axis"] if axis != 3 else [])
        maker.finish("structure", net, rng, f"{len(branches)} tensors joined along axis {axis}", flags)


def resizes(maker):
    """RESIZE_NEAREST_NEIGHBOR: whole and broken factors up and down, both corner rules."""
    sizes = [([2, 2, 3], (4, 4)), ([3, 4, 2], (6, 8)), ([4, 4, 1], (2, 2)), ([3, 3, 2], (5, 7)), ([1, 1, 3], (3, 2)),
             ([5, 2, 2], (1, 1)), ([4, 3, 5], (4, 3)), ([7, 5, 1], (3, 4)), ([1, 6, 2], (2, 9)), ([2, 3, 17], (6, 6))]  # fmt: skip
    for number in range(20):
        image, size = sizes[number % 10]
        name = f"resize_{'x'.join(map(str, image))}_{number:02}"
        rng, net = maker.start(name, image, 0.05, -7)
        if number % 4 == 1:
            conv(net, rng, image[2], (1, 1))
        rules = ((False, False), (False, False), (True, False), (False, True))[number % 4 if number > 9 else 0]
        net.resize_nearest(size, *rules)
        if number % 4 == 3:
            conv(net, rng, 2, (3, 3))
        flags = ["per_channel"] if number % 2 else ["no_layer"]
        flags += ["align_corners"] if rules[0] else ["half_pixel_centers"] if rules[1] else []
        maker.finish("structure", net, rng, f"{image[0]}x{image[1]} to {size[0]}x{size[1]}", flags,
                     image_inputs(rng, image, -7, 4))  # fmt: skip
