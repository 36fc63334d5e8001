"""Evaluate a quantized ONNX graph without a runtime: integers and float32, one rounding an operation.

Between DequantizeLinear and QuantizeLinear the fused integer formula is evaluated, that of the quantized
operator of the same name; operators without one are evaluated in float32. Any number of samples at once:
the first dimension of every array counts them.
"""

from dataclasses import dataclass, field
from typing import Callable

import numpy as np
from onnx import helper, numpy_helper

from .ort_windows import convolve, counts, geometry, taps

f32 = np.float32


def fma(a, b, c):
    """a * b + c of float32 operands with one rounding.

    The product is exact in float64; the sum is rounded to odd there, so that rounding it to float32 is right.
    """
    product, c = a.astype(float) * float(b), np.float64(c)
    total = product + c
    virtual = total - product
    error = (product - (total - virtual)) + (c - virtual)
    bits = total.view(np.int64)
    inexact_even = (error != 0) & (bits & 1 == 0)
    towards = np.where((error > 0) == (total > 0), 1, -1)
    return np.where(inexact_even, (bits + towards).view(float), total).astype(f32)


def limits(dtype):
    """Least and greatest stored value."""
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def quantize(x, scale, zero):
    """QuantizeLinear, before the clamp."""
    with np.errstate(over="ignore"):
        return np.rint((x / scale).astype(f32)).astype(float) + int(zero)


@dataclass
class Quantized:
    """A stored tensor with what it stands for: what DequantizeLinear hands on."""

    codes: np.ndarray
    scale: np.ndarray
    zero: np.ndarray
    axis: int = 1

    def centred(self):
        """Codes minus zero point, int64."""
        return self.codes.astype(np.int64) - self.along(self.zero).astype(np.int64)

    def along(self, values):
        """Per-channel values in a shape that broadcasts."""
        if np.ndim(values) == 0 or self.codes.ndim == 0:
            return np.asarray(values)
        shape = [1] * self.codes.ndim
        shape[self.axis] = -1
        return np.asarray(values).reshape(shape)

    def real(self):
        """The float32 value of DequantizeLinear."""
        return self.centred().astype(f32) * self.along(self.scale)


@dataclass
class Pending:
    """An operator's result before its quantizer: `quantized(scale, zero)` gives codes before the clamp."""

    real: np.ndarray
    quantized: Callable
    clips: list = field(default_factory=list)

    def finish(self, scale, zero):
        """Stored codes in the zero point's type."""
        lo, hi = limits(zero.dtype)
        codes = self.quantized(f32(scale), int(zero))
        for low, high in self.clips:
            bounds = [int(np.clip(quantize(f32(b), scale, zero), lo, hi)) for b in (low, high)]
            codes = np.clip(codes, *bounds)
        return np.clip(codes, lo, hi).astype(zero.dtype)

    def clipped(self, low, high):
        """With a Relu or Clip behind it."""
        return Pending(np.clip(self.real, low, high), self.quantized, [*self.clips, (low, high)])


def scaled(acc, scale):
    """An accumulator times a float32 scale."""
    def codes(sy, zy):
        return np.rint(acc.astype(f32) * (scale / sy).astype(f32)).astype(float) + zy

    return Pending(acc * scale.astype(float), codes)


def convolution(x, w, bias, attributes):
    """QLinearConv: acc times f32(f32(sx*sw)/sy)."""
    acc = convolve(x.centred(), Quantized(w.codes, w.scale, w.zero, 0).centred(), attributes)
    channels = [1, -1] + [1] * (acc.ndim - 2)
    if bias is not None:
        acc = acc + bias.astype(np.int64).reshape(channels)
    scale = (x.scale * np.asarray(w.scale, f32)).astype(f32)
    return scaled(acc, scale.reshape(channels) if np.ndim(scale) else scale)


def product(x, w, bias, alpha=f32(1)):
    """QLinearMatMul and QGemm: acc times f32(f32(f32(alpha*sx)*sw)/sy); w is `[K, N]`."""
    acc = x.centred() @ w.centred()
    if bias is not None:
        acc = acc + bias.astype(np.int64)
    return scaled(acc, (f32(alpha * x.scale) * np.asarray(w.scale, f32)).astype(f32))


def add(a, b):
    """QLinearAdd of two tensors of more than one element."""
    def codes(sy, zy):
        ra, rb = f32(a.scale / sy), f32(b.scale / sy)
        fixed = f32(zy) - fma(f32(a.zero), ra, f32(f32(b.zero) * rb))
        inner = fma(b.codes.astype(f32), rb, fixed)
        return np.rint(fma(a.codes.astype(f32), ra, inner)).astype(float)

    return Pending(a.real().astype(float) + b.real(), codes)


def multiply(a, b):
    """QLinearMul."""
    products = (a.centred() * b.centred()).astype(f32)

    def codes(sy, zy):
        ratio = f32(f32(a.scale * b.scale) / sy)
        return np.rint((products * ratio).astype(f32) + f32(zy)).astype(float)

    return Pending(products.astype(float) * float(a.scale) * float(b.scale), codes)


def global_average(x):
    """QLinearGlobalAveragePool: acc times f32(sx / f32(sy*n))."""
    axes = tuple(range(2, x.codes.ndim))
    acc, n = x.centred().sum(axes, keepdims=True), int(np.prod(x.codes.shape[2:]))

    def codes(sy, zy):
        scale = f32(x.scale / f32(sy * f32(n)))
        return np.rint((acc.astype(f32) * scale).astype(f32)).astype(float) + zy

    return Pending(acc * float(x.scale) / n, codes)


def average(x, attributes):
    """QLinearAveragePool: rint(f32(f32(f32(acc*sx)/n)/sy) + zy); one window over the whole image is a global pool."""
    kernel = attributes["kernel_shape"]
    pads = geometry(attributes, x.codes.shape[2:], kernel)[2]
    if tuple(kernel) == x.codes.shape[2:] and not any(pads):
        return global_average(x)
    acc = sum(window for _, window in taps(x.centred(), attributes, kernel, 0))
    n = counts(x.codes, attributes, kernel)
    if attributes.get("count_include_pad", 0):
        n = np.full_like(n, np.prod(kernel))
    mean = (acc.astype(f32) * x.scale / n.astype(f32)).astype(f32)

    def codes(sy, zy):
        return np.rint((mean / sy).astype(f32) + f32(zy)).astype(float)

    return Pending(mean.astype(float), codes)


def maximum(x, attributes):
    """MaxPool on codes: padding never wins."""
    lowest = limits(x.dtype)[0]
    windows = (window for _, window in taps(x, attributes, attributes["kernel_shape"], lowest))
    out = next(windows)
    for window in windows:
        out = np.maximum(out, window)
    return out


def concatenate(parts, axis):
    """QLinearConcat: each part requantized."""
    def codes(sy, zy):
        return np.concatenate([quantize(part.real(), sy, zy) for part in parts], axis)

    return Pending(np.concatenate([part.real() for part in parts], axis).astype(float), codes)


def chain(values):
    """A float32 tensor in front of its quantizer."""
    return Pending(values.astype(float), lambda sy, zy: quantize(values, sy, zy))


def horner(coefficients, x):
    """A polynomial, highest coefficient first, with fused multiply-add."""
    total = np.full(x.shape, f32(coefficients[0]))
    for coefficient in coefficients[1:]:
        product_sum = total.astype(np.longdouble) * x.astype(np.longdouble) + f32(coefficient)
        total = product_sum.astype(f32)
    return total


# onnxruntime/core/mlas/lib/logistic.cpp and tanh.cpp
LOGISTIC = (
    (4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03,
     2.48287947061529e-01),
    (6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03,
     1.16817656904453e-01, 9.93151921023180e-01),
)  # fmt: skip
TANH = (
    (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
     1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
    (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03),
)  # fmt: skip


def rational(coefficients, bound, x):
    """x * p(x^2) / q(x^2) on [-bound, bound]."""
    x = np.clip(x, f32(-bound), f32(bound))
    square = (x * x).astype(f32)
    return ((horner(coefficients[0], square) * x).astype(f32) / horner(coefficients[1], square)).astype(f32)


def hard_sigmoid(x, alpha, beta):
    """max(0, min(1, alpha * x + beta)), two roundings."""
    return np.clip((f32(alpha) * x).astype(f32) + f32(beta), f32(0), f32(1)).astype(f32)


FUNCTIONS = {
    "Relu": lambda x, a: np.maximum(x, f32(0)),
    "LeakyRelu": lambda x, a: np.where(x >= 0, x, f32(a.get("alpha", 0.01)) * x).astype(f32),
    "Sigmoid": lambda x, a: np.clip(rational(LOGISTIC, 18, x) + f32(0.5), f32(0), f32(1)),
    "Tanh": lambda x, a: rational(TANH, 9, x),
    "HardSigmoid": lambda x, a: hard_sigmoid(x, a.get("alpha", 0.2), a.get("beta", 0.5)),
    "HardSwish": lambda x, a: (x * hard_sigmoid(x, f32(1 / 6), 0.5)).astype(f32),
}


class Graph:
    """Nodes and constants of a model; `step` runs one node on the values so far."""

    def __init__(self, initializers=()):
        self.constants = {t.name: numpy_helper.to_array(t) for t in initializers}

    def run(self, nodes, values):
        """All nodes; returns the values of every tensor."""
        for node in nodes:
            values[node.output[0]] = self.step(node, values)
        return values

    def step(self, node, values):
        """The output of one node."""
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if "auto_pad" in attributes:
            attributes["auto_pad"] = attributes["auto_pad"].decode()
        inputs = [
            None if not name else values[name] if name in values else self.constants[name]
            for name in node.input
        ]
        handler = HANDLERS.get(node.op_type)
        if handler is None:
            raise NotImplementedError(node.op_type)
        return handler(inputs, attributes)


def operands(inputs):
    """Quantized tensors of (codes, scale, zero) triples."""
    return [Quantized(*inputs[at : at + 3]) for at in range(0, len(inputs) - 2, 3)]


def weighted(inputs, transposed=False):
    """A QLinear product's two operands; per-channel scales lie along the last axis of a matrix."""
    x, w = operands(inputs[:6])
    w.axis = w.codes.ndim - 1
    if transposed:
        w.codes = w.codes.T
    return x, w


def qlinear_conv(i, a):
    """QLinearConv."""
    bias = i[8] if len(i) > 8 else None
    x, w = operands(i[:6])
    return convolution(x, w, bias, a).finish(i[6], i[7])


def qgemm(i, a):
    """QGemm of an untransposed first operand."""
    x, w = weighted(i, a.get("transB", 0))
    return product(x, w, i[6], f32(a.get("alpha", 1.0))).finish(i[7], i[8])


def table(name):
    """QLinearSigmoid and QLinearLeakyRelu."""
    def run(i, a):
        return chain(FUNCTIONS[name](Quantized(*i[:3]).real(), a)).finish(i[3], i[4])

    return run


def integer_product(i, a):
    """MatMulInteger."""
    zero = [i[k] if len(i) > k else np.int64(0) for k in (2, 3)]
    return (i[0].astype(np.int64) - zero[0]) @ (i[1].astype(np.int64) - zero[1])


def integer_convolution(i, a):
    """ConvInteger."""
    zero = [i[k] if len(i) > k else np.int64(0) for k in (2, 3)]
    return convolve(i[0].astype(np.int64) - zero[0], i[1].astype(np.int64) - zero[1], a)


def dequantize(i, a):
    """DequantizeLinear: biases keep their integers."""
    return Quantized(i[0], i[1], i[2] if len(i) > 2 else np.zeros((), i[0].dtype), a.get("axis", 1))


def quantize_linear(i, a):
    """QuantizeLinear of a float border, of a fused operator, or of another quantized tensor."""
    x = i[0]
    if isinstance(x, Quantized):
        x = chain(x.real())
    if not isinstance(x, Pending):
        x = chain(x)
    return x.finish(i[1], i[2])


def bias_of(inputs, at):
    """The integer bias behind a DequantizeLinear."""
    return inputs[at].codes if len(inputs) > at else None


def gemm(i, a):
    """Gemm between quantizers."""
    w = Quantized(i[1].codes, i[1].scale, i[1].zero, i[1].axis)
    if a.get("transB", 0):
        w.codes, w.axis = w.codes.T, 1 - w.axis
    return product(i[0], w, bias_of(i, 2), f32(a.get("alpha", 1.0)))


def elementwise(fused, plain):
    """An operator of two tensors: fused between quantizers, in float32 otherwise."""
    def run(i, a):
        if all(isinstance(x, Quantized) for x in i):
            return fused(*i)
        return plain(*(np.asarray(x, f32) for x in i)).astype(f32)

    return run


def activation(name):
    """A function of one tensor, fused into the range where it stands behind a fused operator."""
    def run(i, a):
        if name == "Relu" and isinstance(i[0], Pending):
            return i[0].clipped(f32(0), np.finfo(f32).max)
        if isinstance(i[0], Quantized):
            return chain(FUNCTIONS[name](i[0].real(), a))
        return FUNCTIONS[name](i[0], a)

    return run


def clip(i, a):
    """Clip with constant bounds."""
    if isinstance(i[0], Pending):
        return i[0].clipped(f32(i[1]), f32(i[2]))
    return chain(np.clip(i[0].real(), i[1], i[2]).astype(f32))


def shape_only(function):
    """An operator that moves elements: applied to the codes."""
    def run(i, a):
        if isinstance(i[0], Quantized):
            return Quantized(function(i[0].codes, i, a), i[0].scale, i[0].zero, i[0].axis)
        return function(i[0], i, a)

    return run


def reshape(x, i, a):
    """Reshape of one sample's shape, applied to all samples."""
    return x.reshape(x.shape[0], *[int(d) for d in i[1][1:]])


HANDLERS = {
    "QLinearConv": qlinear_conv,
    "QLinearMatMul": lambda i, a: product(*weighted(i), None).finish(i[6], i[7]),
    "QGemm": qgemm,
    "QLinearAdd": lambda i, a: add(*operands(i[:6])).finish(i[6], i[7]),
    "QLinearMul": lambda i, a: multiply(*operands(i[:6])).finish(i[6], i[7]),
    "QLinearGlobalAveragePool": lambda i, a: global_average(Quantized(*i[:3])).finish(i[3], i[4]),
    "QLinearAveragePool": lambda i, a: average(Quantized(*i[:3]), a).finish(i[3], i[4]),
    "QLinearConcat": lambda i, a: concatenate(operands(i[2:]), a["axis"]).finish(i[0], i[1]),
    "QLinearSigmoid": table("Sigmoid"),
    "QLinearLeakyRelu": table("LeakyRelu"),
    "MatMulInteger": integer_product,
    "ConvInteger": integer_convolution,
    "Cast": lambda i, a: i[0].astype(f32),
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize,
    "Conv": lambda i, a: convolution(i[0], i[1], bias_of(i, 2), a),
    "MatMul": lambda i, a: product(i[0], Quantized(i[1].codes, i[1].scale, i[1].zero, i[1].axis), None),
    "Gemm": gemm,
    "Add": elementwise(add, np.add),
    "Mul": elementwise(multiply, np.multiply),
    "GlobalAveragePool": lambda i, a: global_average(i[0]),
    "AveragePool": lambda i, a: average(i[0], a),
    "Concat": lambda i, a: concatenate(i, a["axis"]),
    "Relu": activation("Relu"),
    "LeakyRelu": activation("LeakyRelu"),
    "Sigmoid": activation("Sigmoid"),
    "Tanh": activation("Tanh"),
    "HardSigmoid": activation("HardSigmoid"),
    "HardSwish": activation("HardSwish"),
    "Clip": clip,
    "MaxPool": shape_only(lambda x, i, a: maximum(x, a)),
    "Reshape": shape_only(reshape),
    "Flatten": shape_only(lambda x, i, a: x.reshape(x.shape[0], -1)),
}


def evaluate(model, samples):
    """The graph's output `[N, ...]` for `samples` `[N, ...]` of a model whose own batch is 1."""
    graph = Graph(model.graph.initializer)
    values = graph.run(model.graph.node, {model.graph.input[0].name: samples})
    result = values[model.graph.output[0].name]
    return result.real() if isinstance(result, Quantized) else result
