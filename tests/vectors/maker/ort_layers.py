"""Cases of single quantized ONNX operators: shapes, types and attributes of each."""

import numpy as np
from onnx import TensorProto

CONVOLUTIONS = (
    # shape, filters, kernel, attributes
    ([3, 6, 6], 4, [3, 3], {}),
    ([3, 6, 6], 4, [3, 3], {"pads": [1, 1, 1, 1]}),
    ([2, 7, 5], 5, [3, 3], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ([4, 5, 5], 6, [1, 1], {}),
    ([4, 6, 6], 3, [1, 1], {"strides": [2, 2]}),
    ([2, 4, 4], 5, [4, 4], {}),
    ([1, 8, 8], 3, [5, 5], {"pads": [2, 2, 2, 2]}),
    ([3, 8, 8], 4, [3, 3], {"dilations": [2, 2]}),
    ([2, 9, 7], 3, [3, 2], {"dilations": [2, 3], "pads": [2, 1, 2, 2]}),
    ([4, 6, 6], 4, [3, 3], {"group": 4, "pads": [1, 1, 1, 1]}),
    ([4, 7, 7], 8, [3, 3], {"group": 4, "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ([6, 5, 5], 4, [3, 3], {"group": 2}),
    ([6, 5, 5], 9, [2, 2], {"group": 3, "pads": [0, 0, 1, 1]}),
    ([2, 6, 6], 3, [3, 3], {"auto_pad": "SAME_UPPER"}),
    ([2, 6, 6], 3, [3, 3], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ([2, 7, 6], 3, [2, 4], {"auto_pad": "SAME_LOWER"}),
    ([2, 6, 6], 3, [4, 4], {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ([2, 6, 6], 3, [3, 3], {"auto_pad": "VALID", "strides": [2, 1]}),
    ([3, 12], 4, [5], {"pads": [2, 2]}),
    ([4, 15], 4, [3], {"group": 4, "strides": [2]}),
    ([2, 16], 6, [3], {"dilations": [4], "pads": [4, 4]}),
    ([5, 9], 3, [1], {}),
    ([3, 1, 10], 4, [1, 4], {"pads": [0, 1, 0, 2]}),
    ([3, 10, 1], 4, [10, 1], {}),
    ([2, 5, 5], 3, [2, 2], {"strides": [3, 3]}),
    ([1, 1, 1], 5, [1, 1], {}),
    ([8, 3, 3], 1, [3, 3], {"pads": [1, 1, 1, 1]}),
    ([17, 4, 4], 13, [3, 3], {}),
)
POOLS = (
    ([3, 6, 6], [2, 2], {"strides": [2, 2]}),
    ([3, 6, 6], [3, 3], {"strides": [1, 1], "pads": [1, 1, 1, 1]}),
    ([2, 7, 5], [3, 2], {"strides": [2, 1], "pads": [1, 0, 1, 1]}),
    ([5, 4, 4], [4, 4], {}),
    ([4, 9], [3], {"strides": [2]}),
    ([1, 8, 8], [3, 3], {"strides": [2, 2]}),
    ([2, 5, 5], [2, 2], {"strides": [3, 3]}),
    ([4, 6, 6], [3, 3], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ([2, 5, 6], [2, 3], {"auto_pad": "SAME_LOWER", "strides": [1, 2]}),
    ([3, 1, 7], [1, 3], {"pads": [0, 1, 0, 1], "strides": [1, 2]}),
)
IMAGES = ([3, 4, 4], [5, 1, 1], [1, 7, 7], [8, 2, 3], [17, 5, 5], [4, 12], [2, 8, 8], [6, 3, 1], [3, 25, 5], [9, 1, 6])
MATRICES = ((16, 8), (7, 5), (33, 3), (1, 9), (64, 10), (5, 1), (12, 17), (100, 4), (27, 27), (3, 2))


def variants(count):
    """(int8 or uint8, border) a case: every combination in turn."""
    for number in range(count):
        yield number, ("int8", "uint8")[number % 2], ("integer", "float", "integer")[number % 3]


def finish(maker, net, output, note, features=()):
    """Store, with a DequantizeLinear at a float border."""
    if net.border == "float":
        output = net.dequantize(output)
    maker.finish(net, output, note, features)


def convolutions(maker):
    """QLinearConv: every shape, int8 and uint8 in turn, per channel and per tensor, with and without bias."""
    for number, (shape, filters, kernel, attributes) in enumerate(CONVOLUTIONS * 2):
        dtype, border = ("int8", "uint8")[(number + number // len(CONVOLUTIONS)) % 2], ("integer", "float")[number % 5 == 2]
        net = maker.net(f"conv_{number:02}", shape, dtype, border)
        # Kernels of uint8 weights with one zero point a channel do not exist in the runtime.
        per_channel = number % 3 != 1
        output = net.conv(net.first, filters, kernel, per_channel, number % 4 != 3, **attributes)
        features = {"per_channel"} if per_channel else set()
        features |= {"conv_1d"} if len(kernel) == 1 else set()
        features |= {"group"} if attributes.get("group", 1) > 1 else set()
        finish(maker, net, output, "one convolution", features)


def joins(maker, kind):
    """QLinearAdd and QLinearMul of the input and a convolution of it, or of two convolutions."""
    for number, dtype, border in variants(20):
        shape = IMAGES[number % len(IMAGES)]
        net = maker.net(f"{kind.lower()}_{number:02}", shape, dtype, border)
        ones = [1] * (len(shape) - 1)
        a = net.first if number % 2 else net.conv(net.first, shape[0], ones)
        b = net.conv(net.first, shape[0], ones, number % 3 == 0)
        if number % 4 == 3:
            a, b = b, a
        numbers = {}
        if number % 5 == 4:
            numbers["scale"] = net.graph.constants[net.quantization[a][0]]
        output = net.join(kind, a, b, **numbers)
        if kind == "Add" and number % 7 == 5:
            output = net.join("Add", output, output)
        finish(maker, net, output, "a join of two branches", {"fork"})


def concatenations(maker):
    """QLinearConcat of two and three branches along the channels, equal and other scales."""
    for number, dtype, border in variants(20):
        shape = IMAGES[number % len(IMAGES)]
        net = maker.net(f"concat_{number:02}", shape, dtype, border)
        ones = [1] * (len(shape) - 1)
        parts = [net.first, net.conv(net.first, 3 + number % 5, ones)]
        if number % 3 == 0:
            parts.append(net.conv(parts[1], 2, ones, False))
        numbers = {}
        if number % 4 == 1:
            scale, zero = (net.graph.constants[name] for name in net.quantization[net.first])
            numbers = {"scale": scale, "zero": zero}
        output = net.operate("QLinearConcat", "Concat", parts, axis=1, **numbers)
        if number % 4 == 2:
            output = net.conv(output, 4, ones)
        finish(maker, net, output, "branches side by side", {"fork"})


def pools(maker):
    """QLinearGlobalAveragePool, QLinearAveragePool and MaxPool."""
    for number, dtype, border in variants(20):
        net = maker.net(f"global_average_{number:02}", IMAGES[number % len(IMAGES)], dtype, border)
        x = net.conv(net.first, 4, [1] * (len(net.shape) - 1)) if number % 3 == 1 else net.first
        output = net.operate("QLinearGlobalAveragePool", "GlobalAveragePool", [x])
        finish(maker, net, output, "the mean of every channel")
    for number, dtype, border in variants(20):
        shape, kernel, attributes = POOLS[number % len(POOLS)]
        include = {"count_include_pad": 1} if number % 4 == 1 else {}
        features = {"count_include_pad"} if include else set()

        def case():
            net = maker.net(f"average_{number:02}", shape, dtype, border)
            output = net.operate("QLinearAveragePool", "AveragePool", [net.first], kernel_shape=kernel,
                                 **attributes, **include)  # fmt: skip
            finish(maker, net, output, "the mean of every window", features)

        maker.redraw(case)
    for number, dtype, border in variants(20):
        shape, kernel, attributes = POOLS[number % len(POOLS)]
        ceil = {"ceil_mode": 1} if number in (0, 5, 10, 15) else {}
        net = maker.net(f"maximum_{number:02}", shape, dtype, border)
        x = net.conv(net.first, 3, [1] * (len(shape) - 1)) if number % 3 == 1 else net.first
        output = net.plain("MaxPool", [x], kernel_shape=kernel, **attributes, **ceil)
        finish(maker, net, output, "the maximum of every window", {"ceil_mode"} if ceil else set())


def matrices(maker):
    """QGemm with alpha, transposition and bias; QLinearMatMul; chains of both."""
    for number, dtype, border in variants(20):
        inputs, outputs = MATRICES[number % len(MATRICES)]
        net = maker.net(f"gemm_{number:02}", [inputs], dtype, border)
        alpha = (1.0, 0.3, 2.5)[number % 3] if number % 2 else 1.0
        output = net.dense(net.first, outputs, number % 3 == 0, number % 5 != 4, alpha=alpha, trans_b=number % 4 != 1)
        finish(maker, net, output, "one product with bias", {"alpha"} if alpha != 1 else set())
    for number, dtype, border in variants(20):
        inputs, outputs = MATRICES[number % len(MATRICES)]
        shape = [inputs] if number % 4 else [3, inputs]
        net = maker.net(f"matmul_{number:02}", shape, dtype, border)
        output = net.dense(net.first, outputs, number % 3 == 0, kind="MatMul")
        if number % 5 == 2:
            output = net.dense(output, 6, False, kind="MatMul")
        finish(maker, net, output, "one product without bias", {"rows"} if len(shape) > 1 else set())


def tables(maker):
    """QLinearSigmoid and QLinearLeakyRelu on every stored value."""
    for kind in ("Sigmoid", "LeakyRelu"):
        for number, dtype, border in variants(20):
            net = maker.net(f"{kind.lower()}_{number:02}", [4, 4, 4], dtype, border)
            attributes = {"alpha": (0.01, 0.1, 0.3, 0.5)[number % 4]} if kind == "LeakyRelu" else {}
            x = net.conv(net.first, 3, [1, 1]) if number % 4 == 3 else net.first
            numbers = {"scale": 1 / 256, "zero": np.iinfo(dtype).min} if kind == "Sigmoid" and number % 2 else {}
            output = net.operate(f"QLinear{kind}", kind, [x], **numbers, **attributes)
            finish(maker, net, output, "a function of one element")


def integer_chains(maker):
    """ConvInteger and MatMulInteger, Cast, Mul, Add, sometimes Relu, QuantizeLinear: two layers."""
    for kind in ("ConvInteger", "MatMulInteger"):
        for number, dtype, border in variants(20):
            shape = [3, 5, 5] if kind == "ConvInteger" else [12]
            net = maker.net(f"{kind.lower()}_{number:02}", shape, dtype, border)
            x = net.first
            for _ in range(1 + number % 2):
                x = integer_layer(net, x, kind, number)
            finish(maker, net, x, "an integer product and float operations")


def integer_layer(net, x, kind, number):
    """One layer of `integer_chains`."""
    channels = net.values[x].shape[1]
    outputs = 4 + number % 3
    convolution = kind == "ConvInteger"
    shape = [outputs, channels, 3, 3] if convolution else [channels, outputs]
    weights, _, zero = net.draw_weights(shape, 0, False)
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]} if convolution else {}
    acc = net.plain(kind, [x, weights, net.quantization[x][1], zero], **attributes)
    tensor = net.plain("Cast", [acc], to=TensorProto.FLOAT)
    column = [1, outputs, 1, 1] if convolution else [outputs]
    size = column if number % 2 else []
    factors = 10 ** net.rng.uniform(-4, -2, size)
    tensor = net.plain("Mul", [tensor, net.constant(factors)])
    if number % 4 != 2:
        spread = float(net.values[tensor].std())
        tensor = net.plain("Add", [tensor, net.constant(net.rng.normal(0, spread / 2, column))])
    if number % 3 == 0:
        tensor = net.plain("Relu", [tensor])
    return net.quantize(tensor, *net.fit(np.asarray(net.values[tensor], float)))
