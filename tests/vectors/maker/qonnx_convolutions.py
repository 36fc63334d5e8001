"""Convolutional QONNX networks as Brevitas writes them: NCHW, quantized weights, BatchNormalization, quantizers."""

import numpy as np

from .qonnx_data import Differs, float_inputs, power_of_two, spread, weight_codes
from .qonnx_model import Net
from .qonnx_networks import batch_norm, output_width

SAMPLES = 6
FAMILY = "qonnx_convolutions"
STYLES = ("brevitas", "brevitas_new", "qonnx", "qonnx_new")
# Widths of weights and activations.
WIDTHS = ((1, 1), (2, 2), (1, 2), (4, 4), (3, 2), (8, 8), (2, 1), (5, 4), (6, 3), (4, 8))


class Image:
    """A network under construction: the net, its inputs, the tensor so far, widths of weights and activations."""

    def __init__(self, maker, name, shape, number, attempt, float_front=False):
        self.maker, self.rng, self.number = maker, maker.rng(name, attempt), number
        self.net = Net(name, shape, STYLES[number % len(STYLES)])
        self.weight_bits, self.bits = WIDTHS[number % len(WIDTHS)]
        self.dyadic = number % 3 != 1
        if float_front:
            data = self.rng.uniform(0, 1, (SAMPLES, *shape)).astype(np.float32)
            self.data = (np.round(data * 255) / 255).astype(np.float32)
            centred = self.net.op("Sub", [self.net.op("Mul", [self.net.input, 2.0]), [1.0]])
            self.tensor = self.net.quant(centred, 2.0**-7, 8)
        else:
            scale = 2.0**-4 if self.dyadic else 0.1
            self.data = float_inputs(self.rng, shape, scale, 8, bool(number % 2), SAMPLES)
            self.tensor = self.net.quant(self.net.input, scale, 8, number % 2)

    def conv(self, filters, kernel, bias=False, tensor=None, **attributes):
        """Conv with quantized weights, per-channel scales in every second network; one bit is bipolar."""
        tensor = self.tensor if tensor is None else tensor
        channels = output_width(self.net, tensor, self.data) // attributes.get("group", 1)
        rows = channels * int(np.prod(kernel))
        bits = self.weight_bits
        codes = weight_codes(self.rng, filters, rows, bits, 1).reshape(filters, channels, *kernel)
        per_channel = self.number % 2 and bits > 1
        shape = (filters, *[1] * (1 + len(kernel))) if per_channel else ()
        if self.dyadic:
            scale = 2.0 ** -self.rng.integers(1, 5, shape)
        else:
            scale = self.rng.uniform(0.05, 0.4, shape).astype(np.float32)
        noise = self.rng.uniform(-0.3, 0.3, codes.shape)
        name = self.net.constant((codes + noise) * scale)
        weights = self.net.bipolar(name, scale) if bits == 1 else self.net.quant(name, scale, bits, 1, 1)
        inputs = [tensor, weights]
        if bias:
            inputs.append(self.net.constant(self.rng.normal(0, 1, filters)))
        result = self.net.op("Conv", inputs, kernel_shape=list(kernel), **attributes)
        if tensor == self.tensor:
            self.tensor = result
        return result

    def norm(self):
        """BatchNormalization."""
        self.tensor = batch_norm(self.net, self.rng, self.tensor, self.data)

    def activate(self, tensor=None, bits=None, scale=None, signed=None):
        """Relu and an unsigned Quant, a signed Quant, or BipolarQuant for one bit; returns the tensor and its scale."""
        own = tensor is None
        tensor, bits = self.tensor if own else tensor, self.bits if bits is None else bits
        if bits == 1:
            scale = 1.0 if scale is None else scale
            result = self.net.bipolar(tensor, scale)
        else:
            signed = self.number % 2 if signed is None else signed
            if scale is None:
                scale = power_of_two(spread(self.net, tensor, self.data) / 2 ** max(bits - 2, 0))
                if not self.dyadic:
                    scale = float(np.float32(scale * self.rng.uniform(0.8, 1.2)))
            if not signed:
                tensor = self.net.op("Relu", [tensor])
            result = self.net.quant(tensor, scale, bits, signed)
        if own:
            self.tensor = result
        return result, scale

    def pool(self, kind, kernel, **attributes):
        """MaxPool or AveragePool."""
        self.tensor = self.net.op(kind, [self.tensor], kernel_shape=list(kernel), **attributes)

    def head(self, outputs, gemm=False):
        """Flatten or a computed Reshape, a matrix product, sometimes a scale tail."""
        net = self.net
        if self.number % 3 == 0:
            self.tensor = net.batch_reshape(self.tensor)
        else:
            self.tensor = net.op("Flatten", [self.tensor], axis=1)
        inputs = output_width(net, self.tensor, self.data)
        bits = max(self.weight_bits, 2)
        matrix = (weight_codes(self.rng, inputs, outputs, bits) + self.rng.uniform(-0.3, 0.3, (inputs, outputs))) * 0.25
        weights = net.weights(matrix, lambda name: net.quant(name, 0.25, bits, 1, 1))
        if gemm:
            self.tensor = net.op("Gemm", [self.tensor, weights, self.rng.normal(0, 1, outputs)])
        else:
            self.tensor = net.op("MatMul", [self.tensor, weights])
        if self.number % 4 == 1:
            self.tensor = net.op("Add", [net.op("Mul", [self.tensor, 0.375]), [-0.5]])

    def finish(self, note, features=()):
        """Store the case."""
        details = {"weight_bits": self.weight_bits, "activation_bits": self.bits}
        self.maker.finish(FAMILY, self.net, self.tensor, self.data, note, features, extra=details)


def cnv(maker, name, number, attempt):
    """CNV in small: two convolutions and a MaxPool, another convolution, a matrix product."""
    image = Image(maker, name, [3, 8, 8], number, attempt, float_front=number % 2 == 0)
    for filters in (3, 4):
        image.conv(filters, [3, 3])
        image.norm()
        image.activate()
    image.pool("MaxPool", [2, 2], strides=[2, 2])
    image.conv(5, [2, 2])
    image.norm()
    image.activate()
    image.head(4)
    image.finish("CNV in small")


def separable(maker, name, number, attempt):
    """Depthwise and pointwise, or grouped, convolutions with padding and stride."""
    image = Image(maker, name, [4, 6, 6], number, attempt)
    group = 4 if number % 4 < 3 else 2
    image.conv(4 if number % 2 else 8, [3, 3], group=group, pads=[1, 1, 1, 1], strides=[1 + number % 2] * 2)
    image.norm()
    image.activate()
    image.conv(5, [1, 1], bias=image.weight_bits > 1 and number % 3 == 0)
    if number % 3:
        image.norm()
    image.activate()
    image.head(3, gemm=True)
    image.finish("depthwise and pointwise", {"group"})


def residual(maker, name, number, attempt):
    """A sum of two quantized branches, scales equal or 2, 3 or 5/4 apart, and a quantizer behind it."""
    image = Image(maker, name, [3, 5, 5], number, attempt)
    bits = max(image.bits, 2)
    image.conv(4, [3, 3], pads=[1, 1, 1, 1])
    image.norm()
    first, scale = image.activate(bits=bits)
    image.conv(4, [3, 3], pads=[1, 1, 1, 1])
    image.norm()
    ratio = (1.0, 2.0, 3.0, 1.0, 1.25, 0.5)[number % 6]
    second, _ = image.activate(bits=bits, scale=float(np.float32(scale * ratio)), signed=1)
    order = [first, second] if number % 2 else [second, first]
    image.tensor = image.net.op("Add", order)
    image.activate(bits=bits + 1 if bits < 8 else 8)
    image.head(3)
    image.finish("a residual sum", {"fork"} | ({"equal_scales"} if ratio == 1 else set()))


def averaged(maker, name, number, attempt):
    """AveragePool times its size and Trunc, as Brevitas writes a truncating pool, or a mean and a Quant."""
    image = Image(maker, name, [2, 6, 6], number, attempt)
    bits = max(image.bits, 2)
    image.conv(4, [3, 3])
    image.norm()
    _, scale = image.activate(bits=bits)
    kind = number % 3
    net, signed = image.net, number % 2
    if kind == 0 and net.style.custom_opset != 2:
        image.pool("AveragePool", [2, 2], strides=[2, 2])
        total = net.op("Mul", [image.tensor, 4.0])
        image.tensor = net.op("Trunc", [total, scale, 0.0, float(bits + 2), float(bits)], rounding_mode="FLOOR")
        note, features = "a truncating average", {"trunc_v1"}
    elif kind == 0:
        image.pool("AveragePool", [2, 2], strides=[2, 2])
        operands = [image.tensor, scale / 4, 0.0, float(bits + 2), scale, float(bits)]
        image.tensor = net.op("Trunc", operands, rounding_mode="FLOOR", signed=signed, narrow=0)
        note, features = "a truncating average", {"trunc_v2"}
    elif kind == 1:
        image.tensor = net.op("GlobalAveragePool", [image.tensor])
        image.activate(bits=8, scale=scale / 4)
        note, features = "a global average and a quantizer", set()
    else:
        image.pool("AveragePool", [2, 2], strides=[1, 1])
        image.activate(bits=bits + 1 if bits < 8 else 8)
        note, features = "an average and a quantizer", set()
    image.head(4)
    image.finish(note, features)


def line(maker, name, number, attempt):
    """One-dimensional convolutions with dilation and MaxPool."""
    image = Image(maker, name, [3, 12], number, attempt)
    image.conv(4, [3], pads=[1, 1])
    image.norm()
    image.activate()
    image.pool("MaxPool", [2], strides=[2])
    image.conv(4, [3], dilations=[2])
    image.norm()
    image.activate()
    image.head(3)
    image.finish("convolutions along a line", {"conv_1d"})


PLAN = ((cnv, 10), (separable, 7), (residual, 7), (averaged, 7), (line, 3))


def convolutions(maker):
    """Every network; returns those that needed another draw, and why."""
    redrawn = []
    for build, count in PLAN:
        for number in range(count):
            name = f"{build.__name__}_{number:02}"
            for attempt in range(12):
                try:
                    build(maker, name, number, attempt)
                    break
                except Differs as reason:
                    redrawn.append(str(reason))
            else:
                raise Differs(f"{name}: no draw is decided by float32: {redrawn[-1]}")
    return redrawn
