"""Small networks of the kinds that people deploy, in QOperator or QDQ style."""

import numpy as np


def classify(net, x, number):
    """Global average or a final pool, then a matrix product."""
    if number % 2:
        x = net.operate("QLinearGlobalAveragePool", "GlobalAveragePool", [x])
    x = net.plain("Flatten", [x]) if number % 3 else reshape(net, x)
    return net.dense(x, 5 + number % 4, number % 4 == 1)


def reshape(net, x):
    """Reshape to [1, -1] with the size written out."""
    size = int(np.prod(net.values[x].shape[1:]))
    return net.plain("Reshape", [x, net.constant([1, size], np.int64)])


def plain(net, number):
    """Convolution, Relu, MaxPool twice, then a classifier."""
    x = net.conv(net.first, 4 + number % 3, [3, 3], number % 2 == 0, relu="Relu", pads=[1, 1, 1, 1])
    x = net.plain("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = net.conv(x, 6, [2, 2], True, relu="Relu")
    return classify(net, x, number)


def separable(net, number):
    """Depthwise and pointwise convolutions with Relu6, as MobileNet has them."""
    x = net.conv(net.first, 4, [3, 3], True, relu="Clip", strides=[2, 2], pads=[0, 0, 1, 1])
    for _ in range(2):
        channels = net.values[x].shape[1]
        x = net.conv(x, channels, [3, 3], True, relu="Clip", group=channels, pads=[1, 1, 1, 1])
        x = net.conv(x, channels + 2, [1, 1], number % 2 == 0, relu="Clip" if number % 3 else None)
    return classify(net, x, number)


def residual(net, number):
    """Two residual blocks, the second with a convolution in its shortcut."""
    x = net.conv(net.first, 5, [3, 3], relu="Relu", pads=[1, 1, 1, 1])
    y = net.conv(x, 5, [3, 3], relu="Relu", pads=[1, 1, 1, 1])
    y = net.conv(y, 5, [3, 3], pads=[1, 1, 1, 1])
    x = net.join("Add", *((x, y) if number % 2 else (y, x)), relu="Relu")
    y = net.conv(x, 7, [3, 3], relu="Relu", strides=[2, 2], pads=[1, 1, 1, 1])
    y = net.conv(y, 7, [3, 3], pads=[1, 1, 1, 1])
    shortcut = net.conv(x, 7, [1, 1], strides=[2, 2])
    x = net.join("Add", y, shortcut, relu="Relu" if number % 3 else None)
    return classify(net, x, number)


def inception(net, number):
    """Four branches side by side: 1x1, 3x3, pooled and widened kernels."""
    first = net.conv(net.first, 3, [1, 1], relu="Relu")
    second = net.conv(net.conv(net.first, 2, [1, 1], relu="Relu"), 4, [3, 3], relu="Relu", pads=[1, 1, 1, 1])
    pooled = net.plain("MaxPool", [net.first], kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    third = net.conv(pooled, 2, [1, 1], relu="Relu")
    fourth = net.conv(net.first, 2, [3, 3], relu="Relu", dilations=[2, 2], pads=[2, 2, 2, 2])
    parts = [first, second, third, fourth][: 3 + number % 2]
    x = net.operate("QLinearConcat", "Concat", parts, axis=1)
    return classify(net, net.conv(x, 6, [1, 1], relu="Relu"), number)


def sequence(net, number):
    """One-dimensional convolutions, a residual sum, mean over time."""
    x = net.conv(net.first, 6, [5], relu="Relu", pads=[2, 2])
    y = net.conv(x, 6, [3], relu=None, dilations=[2], pads=[2, 2], group=2 if number % 2 else 1)
    x = net.join("Add", x, y)
    x = net.plain("MaxPool", [x], kernel_shape=[2], strides=[2])
    x = net.operate("QLinearGlobalAveragePool", "GlobalAveragePool", [x])
    return net.dense(net.plain("Flatten", [x]), 4, kind="MatMul" if number % 3 == 2 else "Gemm")


def tabled(net, number):
    """Activations that are tables: Sigmoid, LeakyRelu and, between quantizers, HardSwish, Tanh and a Relu of its own."""
    x = net.conv(net.first, 4, [3, 3], pads=[1, 1, 1, 1])
    if net.style == "qdq":
        kind = ("HardSwish", "Tanh", "Relu", "HardSigmoid")[number % 4]
        x = net.operate("", kind, [x])
        gate = net.operate("", "Sigmoid", [net.conv(x, 4, [1, 1])])
        x = net.join("Mul", x, gate)
        x = net.operate("", "LeakyRelu", [x], alpha=0.1)
    else:
        x = net.operate("QLinearLeakyRelu", "LeakyRelu", [x], alpha=0.2)
        gate = net.operate("QLinearSigmoid", "Sigmoid", [net.conv(x, 4, [1, 1])])
        x = net.join("Mul", x, gate)
    if number % 2:
        x = net.operate("QLinearAveragePool", "AveragePool", [x], kernel_shape=[3, 3], strides=[1, 1])
    return classify(net, x, number + 1)


KINDS = {
    "plain": (plain, [2, 7, 7]), "separable": (separable, [3, 8, 8]), "residual": (residual, [3, 6, 6]),
    "inception": (inception, [3, 6, 6]), "sequence": (sequence, [4, 12]), "tabled": (tabled, [3, 5, 5]),
}  # fmt: skip


def networks(maker, each=4):
    """`each` networks of every kind: int8 and uint8, integer and float borders."""
    for number in range(each * len(KINDS)):
        kind = list(KINDS)[number % len(KINDS)]
        build, shape = KINDS[kind]
        variant = number // len(KINDS)
        dtype, border = ("int8", "uint8")[variant % 2], ("integer", "float")[(variant // 2 + variant) % 2]

        def case():
            net = maker.net(f"net_{kind}_{variant}", shape, dtype, border)
            output = build(net, variant)
            if border == "float":
                output = net.dequantize(output)
            maker.finish(net, output, f"a network: {kind}")

        maker.redraw(case)
