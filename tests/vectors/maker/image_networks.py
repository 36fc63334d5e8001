"""Twenty small image networks: plain, residual, depthwise separable, with branches that are joined, and 1-D."""

import numpy as np

from .image_data import conv
from .tflite_data import f32, dense
from .tflite_model import per_tensor


def head(net, rng, classes, how):
    """Pool, flatten and a fully connected layer; with `softmax` probabilities."""
    _, height, width, channels = net.dims()
    if how == "mean":
        scale, zero = net.quantization_of_current()
        net.mean(per_tensor(float(f32(scale * 0.6)), zero))
    else:
        net.pool("average", (height, width))
        net.reshape([1, channels])
    if how != "softmax":
        return dense(net, rng, classes)
    # Logits within some units, so that the probabilities spread.
    scale, _ = net.quantization_of_current()
    return dense(net, rng, classes, so=0.05, sw=0.001 / scale / channels).softmax()


def plain(net, rng, number):
    """Convolutions, a max pool, a classifier."""
    conv(net, rng, 4 + number, (3, 3), activation="relu", zo=-128)
    net.pool("max", (2, 2), (2, 2), ("valid", "same")[number % 2])
    conv(net, rng, 6, (3, 3), stride=(2, 2), activation="relu6", zo=-128, per_channel=number % 2 == 0)
    head(net, rng, 5, ("average", "mean", "softmax", "average")[number % 4])


def residual(net, rng, number):
    """A stem and two blocks, the second with a strided shortcut."""
    conv(net, rng, 5, (3, 3), activation="relu", zo=-128)
    for block, stride in enumerate(((1, 1), (2, 2))):
        start, channels = net.current, 5 + 2 * block
        conv(net, rng, channels, (3, 3), stride=stride, activation="relu", zo=-128, dyadic=number % 2 == 0)
        conv(net, rng, channels, (3, 3))
        left = net.current
        if block:
            net.current = start
            start = conv(net, rng, channels, (1, 1), stride=stride).current
        scales = [float(net.tensors[t].quantization.scale[0]) for t in (left, start)]
        net.current = left
        net.join("add", start, per_tensor(float(f32(np.hypot(*scales))), -128), "relu")
    head(net, rng, 4, ("average", "mean", "average", "softmax")[number % 4])


def separable(net, rng, number):
    """Depthwise and pointwise layers; inverted residuals in odd cases."""
    conv(net, rng, 6, (3, 3), stride=(2, 2), activation="relu6", zo=-128)
    for block in range(2):
        start = net.current
        conv(net, rng, 9 + 3 * block, (1, 1), activation="relu6", zo=-128)
        conv(net, rng, None, (3, 3), depth_multiplier=1, activation="relu6", zo=-128, dyadic=block == 1)
        conv(net, rng, 6, (1, 1))
        if number % 2:
            scales = [float(net.tensors[t].quantization.scale[0]) for t in (net.current, start)]
            net.join("add", start, per_tensor(float(f32(np.hypot(*scales))), 4))
    head(net, rng, 3, ("mean", "average", "softmax", "mean")[number % 4])


def inception(net, rng, number):
    """Four branches that are concatenated."""
    conv(net, rng, 4, (3, 3), activation="relu", zo=-128)
    scale, zero = net.quantization_of_current()
    start, branches = net.current, []
    for kernel, width in (((1, 1), 3), ((3, 3), 4), ((5, 5), 2)):
        net.current = start
        if kernel != (1, 1):
            conv(net, rng, 2, (1, 1), activation="relu", zo=-128)
        conv(net, rng, width, kernel, activation="relu", so=scale, zo=zero)
        branches.append(net.current)
    net.current = start
    net.pool(("max", "average")[number % 2], (3, 3), (1, 1), "same")
    branches.append(net.current)
    net.concatenate(branches, per_tensor(scale, zero))
    head(net, rng, 4, ("average", "softmax", "mean", "average")[number % 4])


def gated(net, rng, number):
    """1-D convolutions with a gate: x * logistic(conv(x)), a hard swish, padding and a resize."""
    net.pad([[0, 0], [0, 0], [2, 2], [0, 0]])
    conv(net, rng, 5, (1, 5), padding="valid")
    start = net.current
    conv(net, rng, 5, (1, 3), dilation=(1, 2)).activation("LOGISTIC", per_tensor(1 / 256, -128))
    scale = float(net.tensors[start].quantization.scale[0])
    net.join("mul", start, per_tensor(float(f32(scale * 0.8)), -9))
    scale, _ = net.quantization_of_current()
    if number % 2:
        net.activation("HARD_SWISH", per_tensor(float(f32(scale * 0.9)), -100))
    else:
        net.leaky_relu(0.1, per_tensor(scale, -20))
    if number > 1:
        net.resize_nearest((1, net.dims()[2] * 2))
    conv(net, rng, 3, (1, 3), stride=(1, 2))


KINDS = {"plain": (plain, [9, 8, 2]), "residual": (residual, [7, 6, 3]), "separable": (separable, [9, 9, 2]),
         "inception": (inception, [5, 6, 3]), "gated": (gated, [1, 17, 3])}  # fmt: skip


def networks(maker):
    """Four of each kind."""
    for kind, (build, image) in KINDS.items():
        for number in range(4):
            name = f"image_{kind}_{number}"
            rng, net = maker.start(name, [image[0] + number % 2 * (image[0] > 1), image[1], image[2]])
            build(net, rng, number)
            maker.finish("image_networks", net, rng, f"a small {kind} network", ["per_channel"])
