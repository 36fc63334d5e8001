"""Evaluate a QONNX graph with exact rationals instead of float32.

A network means its real-valued formula; the executor computes it in float32. Where the two agree on
every quantized tensor a case is well defined, and only such cases are stored. Arrays hold
`fractions.Fraction` (dtype object). Two parts stay in float32, operation by operation, because they
are not part of the integer network: constant subgraphs, and everything from a float input up to and
including its first quantizer's rounding.
"""

import math
from fractions import Fraction

import numpy as np
from onnx import helper, numpy_helper

from .ort_windows import convolve, counts, taps

HALF = Fraction(1, 2)


def half_even(x):
    """To nearest, ties to even."""
    return Fraction(round(x))


def away(x):
    """Away from zero."""
    return Fraction(math.ceil(x) if x > 0 else math.floor(x))


def half_away(x):
    """To nearest, ties away from zero: what the executor calls HALF_UP."""
    return Fraction(math.floor(abs(x) + HALF)) * (1 if x >= 0 else -1)


def half_zero(x):
    """To nearest, ties towards zero: what the executor calls HALF_DOWN."""
    return Fraction(math.ceil(abs(x) - HALF)) * (1 if x >= 0 else -1)


ROUNDING = {
    "ROUND": half_even,
    "HALF_EVEN": half_even,
    "FLOOR": lambda x: Fraction(math.floor(x)),
    "CEIL": lambda x: Fraction(math.ceil(x)),
    "UP": away,
    "DOWN": lambda x: Fraction(math.trunc(x)),
    "HALF_UP": half_away,
    "HALF_DOWN": half_zero,
}


def each(function, *arrays):
    """`function` elementwise with broadcasting, result of dtype object."""
    arrays = np.broadcast_arrays(*arrays)
    out = np.empty(arrays[0].shape, object)
    for index in np.ndindex(out.shape):
        out[index] = function(*(array[index] for array in arrays))
    return out


def rational(array):
    """An array of numbers as Fractions."""
    return each(lambda v: v if isinstance(v, Fraction) else Fraction(v.item()), np.asarray(array))


def square_root(x):
    """sqrt(x), exact for squares of rationals, else within 2^-200."""
    bits = 400
    return Fraction(math.isqrt((x.numerator * x.denominator) << bits), x.denominator << (bits // 2))


def code_range(bits, signed, narrow):
    """Lowest and highest code of a quantizer."""
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def quant(x, scale, zero_point, bits, signed, narrow, mode):
    """Quant: clip(x/scale + zero point), then round; one signed bit means the sign.

    `x` of dtype float32 is a float border: the quotient and the sum are rounded to float32.
    """
    bits = int(bits)
    border = x.dtype == np.float32
    if border:
        x = rational(x / scale.astype(np.float32) + zero_point.astype(np.float32))
    low, high = code_range(bits, signed, narrow)
    rounding = ROUNDING[mode.upper()]

    def one(v, s, z):
        scaled = v if border else v / s + z
        if bits == 1 and signed:
            code = Fraction(1 if scaled >= 0 else -1)
        else:
            code = rounding(min(max(scaled, Fraction(low)), Fraction(high)))
        return (code - z) * s

    return each(one, x, scale, zero_point)


def truncate(version, inputs, attributes):
    """Trunc: version 1 shifts the code right; version 2 also clips it and has its own output scale."""
    rounding = ROUNDING[attributes["rounding_mode"].upper()]
    if version == 1:
        x, scale, zero, bits_in, bits_out = inputs
        divisor = Fraction(2) ** int(bits_in.item() - bits_out.item())
        return each(
            lambda v, s, z: (rounding(half_even(v / s + z) / divisor) - z) * s, x, scale, zero
        )
    x, scale, zero, _, scale_out, bits_out = inputs
    low, high = code_range(
        int(bits_out.item()), attributes.get("signed", 1), attributes.get("narrow", 0)
    )

    def one(v, s, z, so):
        divisor = Fraction(2) ** round(math.log2(so / s))
        code = half_even(v / s + z) / divisor
        code = rounding(min(max(code, Fraction(low)), Fraction(high)))
        return (code - z / divisor) * so

    return each(one, x, scale, zero, scale_out)


def top_k(x, count, largest, axis):
    """Values and indices along `axis`; of equal values the lower index first."""
    moved = np.moveaxis(x, axis, -1)
    indices = np.empty((*moved.shape[:-1], count), np.int64)
    values = np.empty(indices.shape, object)
    for row in np.ndindex(moved.shape[:-1]):
        order = sorted(
            range(moved.shape[-1]), key=lambda i: (-moved[row][i] if largest else moved[row][i], i)
        )
        indices[row] = order[:count]
        values[row] = moved[row][order[:count]]
    return np.moveaxis(values, -1, axis), np.moveaxis(indices, -1, axis)


class Evaluator:
    """All tensors of one graph for one sample; `run(graph, versions, sample)` returns name -> array."""

    def __init__(self, model):
        self.graph = model.graph
        self.versions = {entry.domain: entry.version for entry in model.opset_import}
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        self.exact_constants = {}

    def constant(self, name):
        """A constant as it was stored or folded, else None."""
        return self.constants.get(name)

    def run(self, sample):
        """Evaluate every node for `sample` `[1, ...]`; returns all tensors that depend on it."""
        values = {self.graph.input[0].name: sample}
        shapes = {self.graph.input[0].name: sample.shape}
        for node in self.graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            attributes = {
                k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()
            }
            results = self.node(node, attributes, values, shapes)
            for name, result in zip(node.output, results):
                values[name] = result
                shapes[name] = np.shape(result)
        return values

    def node(self, node, attributes, values, shapes):
        """Outputs of one node; constant outputs go to `constants` and are not returned."""
        known = [self.constants.get(name) for name in node.input]
        op = node.op_type
        if op == "Constant":
            value = attributes["value"]
            self.constants.setdefault(node.output[0], numpy_helper.to_array(value))
            return []
        if op == "Shape":
            self.constants[node.output[0]] = np.array(shapes[node.input[0]], np.int64)
            return []
        if all(k is not None for k in known) and op not in ("Quant", "BipolarQuant"):
            if node.output[0] not in self.constants:
                self.constants[node.output[0]] = fold(op, attributes, known)
            return []
        if all(k is not None for k in known) and node.output[0] in self.exact_constants:
            return [self.exact_constants[node.output[0]]]
        inputs = [self.operand(name, values) for name in node.input]
        if inputs[0].dtype == np.float32 and op in BORDER:
            return [BORDER[op](inputs, attributes, known)]
        if inputs[0].dtype == np.float32 and op not in QUANTIZERS:
            inputs[0] = rational(inputs[0])
        if op == "Trunc":
            return [truncate(self.versions.get(node.domain, 1), inputs, attributes)]
        results = OPERATORS[op](inputs, attributes, known)
        if all(k is not None for k in known):
            self.exact_constants[node.output[0]] = results[0]
        return results

    def operand(self, name, values):
        """A tensor as Fractions, or as float32 in front of the first quantizer."""
        if name in values:
            return values[name]
        if name not in self.exact_constants:
            self.exact_constants[name] = rational(self.constants[name])
        return self.exact_constants[name]


def as_float(array):
    """An operand of the float32 border."""
    return array.astype(np.float32)


def fold(op, attributes, inputs):
    """A constant subgraph's node, in the stored type."""
    if op == "Gather":
        return np.take(inputs[0], inputs[1], axis=attributes.get("axis", 0))
    if op == "Unsqueeze":
        axes = attributes["axes"] if "axes" in attributes else inputs[1].tolist()
        return np.expand_dims(inputs[0], tuple(axes))
    if op == "Concat":
        return np.concatenate(inputs, axis=attributes["axis"])
    if op == "Reshape":
        return reshape(*inputs)
    if op == "Transpose":
        return inputs[0].transpose(attributes["perm"])
    function = {
        "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power,
    }[op]  # fmt: skip
    return function(*inputs)


def reshape(x, shape):
    """Reshape: 0 keeps the input's dimension, -1 is inferred."""
    return x.reshape([x.shape[i] if d == 0 else int(d) for i, d in enumerate(shape)])


def gemm(inputs, attributes, _):
    """alpha * A * B' + beta * C."""
    a, b = inputs[0], inputs[1]
    b = b.T if attributes.get("transB", 0) else b
    a = a.T if attributes.get("transA", 0) else a
    out = np.dot(a, b) * Fraction(attributes.get("alpha", 1.0))
    if len(inputs) > 2:
        out = out + inputs[2] * Fraction(attributes.get("beta", 1.0))
    return [out]


def batch_norm(inputs, attributes, _):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, channels on axis 1."""
    x, gamma, beta, mean, variance = inputs
    epsilon = Fraction(np.float32(attributes.get("epsilon", 1e-5)).item())
    shape = (1, -1) + (1,) * (x.ndim - 2)
    factor = np.array([g / square_root(v + epsilon) for g, v in zip(gamma, variance)], object)
    return [(x - mean.reshape(shape)) * factor.reshape(shape) + beta.reshape(shape)]


def arg_max(inputs, attributes, _):
    """First index of the maximum."""
    axis = attributes.get("axis", 0)
    _, indices = top_k(inputs[0], 1, True, axis)
    return [indices if attributes.get("keepdims", 1) else np.squeeze(indices, axis)]


def top_k_node(inputs, attributes, known):
    """TopK with its count as an attribute or as the second input."""
    count = int(known[1].item()) if len(known) > 1 else attributes["k"]
    return list(top_k(inputs[0], count, attributes.get("largest", 1), attributes.get("axis", -1)))


def quant_node(inputs, attributes, _):
    """Quant with its four inputs."""
    x, scale, zero_point, bits = inputs
    mode = attributes.get("rounding_mode", "ROUND")
    signed, narrow = attributes["signed"], attributes["narrow"]
    return [quant(x, scale, zero_point, bits.item(), signed, narrow, mode)]


def convolution(inputs, attributes, _):
    """Conv in NCHW, any number of spatial dimensions, with an optional bias."""
    out = convolve(inputs[0], inputs[1], attributes)
    if len(inputs) > 2:
        out = out + inputs[2].reshape([1, -1] + [1] * (out.ndim - 2))
    return [out]


def max_pool(inputs, attributes, _):
    """Padding never wins."""
    windows = [window for _, window in taps(inputs[0], attributes, attributes["kernel_shape"], -math.inf)]
    return [each(max, *windows)]


def average_pool(inputs, attributes, _):
    """The mean of the real taps, or of all with count_include_pad."""
    kernel = attributes["kernel_shape"]
    total = sum(window for _, window in taps(inputs[0], attributes, kernel, 0))
    n = counts(inputs[0], attributes, kernel)
    if attributes.get("count_include_pad", 0):
        n = np.full_like(n, np.prod(kernel))
    return [total / rational(n)]


def global_average(inputs, attributes, _):
    """The mean of every channel."""
    x = inputs[0]
    axes = tuple(range(2, x.ndim))
    return [x.sum(axes, keepdims=True) / Fraction(int(np.prod(x.shape[2:])))]


QUANTIZERS = ("Quant", "BipolarQuant", "Sign")
BORDER = {
    "Add": lambda i, a, k: as_float(i[0]) + as_float(i[1]),
    "Sub": lambda i, a, k: as_float(i[0]) - as_float(i[1]),
    "Mul": lambda i, a, k: as_float(i[0]) * as_float(i[1]),
    "Div": lambda i, a, k: as_float(i[0]) / as_float(i[1]),
    "Relu": lambda i, a, k: np.maximum(i[0], np.float32(0)),
    "Identity": lambda i, a, k: i[0],
    "Transpose": lambda i, a, k: i[0].transpose(a["perm"]),
    "Reshape": lambda i, a, k: reshape(i[0], k[1]),
    "Flatten": lambda i, a, k: i[0].reshape(int(np.prod(i[0].shape[: a.get("axis", 1)])), -1),
}
OPERATORS = {
    "Quant": quant_node,
    "BipolarQuant": lambda i, a, k: [each(lambda v, s: s if v >= 0 else -s, i[0], i[1])],
    "MatMul": lambda i, a, k: [np.dot(i[0], i[1])],
    "Gemm": gemm,
    "Add": lambda i, a, k: [i[0] + i[1]],
    "Sub": lambda i, a, k: [i[0] - i[1]],
    "Mul": lambda i, a, k: [i[0] * i[1]],
    "Div": lambda i, a, k: [i[0] / i[1]],
    "BatchNormalization": batch_norm,
    "Conv": convolution,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average,
    "Relu": lambda i, a, k: [each(lambda v: max(v, Fraction(0)), i[0])],
    "Sign": lambda i, a, k: [each(lambda v: Fraction(int(v > 0) - int(v < 0)), i[0])],
    "Identity": lambda i, a, k: [i[0]],
    "Transpose": lambda i, a, k: [i[0].transpose(a["perm"])],
    "Reshape": lambda i, a, k: [reshape(i[0], k[1])],
    "Flatten": lambda i, a, k: [i[0].reshape(int(np.prod(i[0].shape[: a.get("axis", 1)])), -1)],
    "ArgMax": arg_max,
    "TopK": top_k_node,
    "Softmax": lambda i, a, k: [i[0]],
}  # fmt: skip
