"""Common part of the QONNX cases: inputs, quantized layers, and the check of every case before it is stored."""

import math
from fractions import Fraction

import numpy as np
from onnx import TensorProto, numpy_helper

from .exact import Evaluator
from .qonnx_model import Net, execute
from .vectors import Index

f32 = np.float32
SAMPLES = 24
# A found float may differ from the exact value by this part of one step, no more.
TOLERANCE = Fraction(1, 1 << 7)
QUANTIZERS = ("Quant", "BipolarQuant", "Sign", "Trunc")


class Differs(Exception):
    """The case is not worth storing: float32 execution and exact evaluation disagree, or nothing varies."""


def float_inputs(rng, shape, scale, bits, signed=True, count=SAMPLES):
    """`[count, *shape]`: extremes, zeros, exact halves of `scale`, their neighbours, and random values."""
    size = int(np.prod(shape))
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    rows = [np.full(size, low * scale), np.full(size, high * scale), np.zeros(size)]
    rows.append(np.where(np.arange(size) % 2, low, high) * 3.0 * scale)
    rows.append(np.where(np.arange(size) % 2, high, low) * scale)
    rows.append((rng.integers(low, high, size) + 0.5) * scale)
    half = ((rng.integers(low, high, size) + 0.5) * scale).astype(f32)
    rows += [np.nextafter(half, f32(np.inf)), np.nextafter(half, f32(-np.inf))]
    while len(rows) < count:
        if len(rows) % 2:
            rows.append(rng.integers(low, high + 1, size) * scale)
        else:
            rows.append(rng.uniform(1.2 * low, 1.2 * high, size) * scale)
    return np.stack(rows[:count]).astype(f32).reshape(count, *shape)


def weight_codes(rng, rows, columns, bits, narrow=1):
    """Integer weights [rows, columns] over the whole range of `bits`; two bits and narrow are ternary."""
    if bits == 1:
        return rng.choice([-1, 1], (rows, columns))
    return rng.integers(-(2 ** (bits - 1)) + narrow, 2 ** (bits - 1), (rows, columns))


def quantized_weights(net, rng, rows, columns, bits, scale=0.25, noise=0.3, narrow=1):
    """A weight matrix [rows, columns] behind its quantizer; `scale` a number or one a column.

    The stored values are off the grid by up to `noise` steps, so that the quantizer must be applied.
    One bit is a BipolarQuant.
    """
    codes = weight_codes(rng, rows, columns, bits, narrow)
    values = codes + rng.uniform(-noise, noise, codes.shape)
    scales = np.broadcast_to(np.asarray(scale, f32), (columns,))
    if bits == 1:
        return net.weights(values * scales, lambda name: net.bipolar(name, float(scales[0])))
    operand = float(scale) if np.ndim(scale) == 0 else net.per_channel(scales)
    return net.weights(values * scales, lambda name: net.quant(name, operand, bits, 1, narrow))


def spread(net, tensor, inputs, outputs=1):
    """Standard deviation of `tensor` over some inputs, to choose a scale that fills a quantizer."""
    evaluator = Evaluator(net.model([(tensor, outputs)]))
    values = [evaluator.run(sample[None])[tensor] for sample in inputs[3:13]]
    return max(float(np.std(np.array(values, float))), 1e-3)


def power_of_two(value):
    """The nearest power of two."""
    return 2.0 ** round(math.log2(value))


class Maker:
    """Runs, checks and stores cases."""

    def __init__(self):
        self.index = Index("make_qonnx.py")

    @staticmethod
    def rng(name, attempt=0):
        """A generator seeded by the case's name."""
        return np.random.default_rng([*name.encode(), attempt])

    def finish(self, family, net, result, inputs, note, features=(), dtype=TensorProto.FLOAT,
               logits=None, extra=None):
        """Execute, compare with the exact evaluation, store. Raises `Differs` where they disagree."""
        model = net.model([(result, dtype)])
        contexts = execute(model, inputs)
        verify(net.name, model, inputs, contexts, result if logits is None else logits)
        arrays = {"input": inputs}
        arrays["output"] = np.concatenate([context[result] for context in contexts])
        if logits is not None:
            arrays["logits"] = np.concatenate([context[logits] for context in contexts])
        if (arrays["output"] == arrays["output"][:1]).all():
            raise Differs(f"{net.name}: every sample gives the same output")
        operators = [node.op_type for node in model.graph.node if node.op_type != "Constant"]
        details = {
            "profiles": ["qonnx"],
            "domain": net.style.domain,
            "opset": net.style.opset,
            "rounding_modes": sorted(rounding_modes(model)),
        }
        details.update(extra or {})
        self.index.add(family, net.name, "onnx", model.SerializeToString(deterministic=True),
                       operators, arrays, note, features, details)  # fmt: skip


def rounding_modes(model):
    """Rounding modes of the quantizers whose operand is not constant."""
    constants = {t.name for t in model.graph.initializer}
    constants |= {n.output[0] for n in model.graph.node if n.op_type == "Constant"}
    return {
        attribute.s.decode()
        for node in model.graph.node
        for attribute in node.attribute
        if attribute.name == "rounding_mode" and node.input[0] not in constants
    }


def step_of(node, constants):
    """Finest difference between two values of a quantizer's output."""
    if node.op_type == "Sign":
        return Fraction(1)
    scale = constants[node.input[4 if len(node.input) > 5 else 1]]
    return Fraction(float(np.min(np.abs(scale))))


def verify(name, model, inputs, contexts, result):
    """Every quantized tensor equal, and the result within `TOLERANCE` of a step, on every sample."""
    evaluator = Evaluator(model)
    exact = [evaluator.run(sample[None]) for sample in inputs]
    constants = dict(evaluator.constants)
    for tensor in model.graph.initializer:
        constants[tensor.name] = numpy_helper.to_array(tensor)
    for node in model.graph.node:
        output = node.output[0]
        if node.op_type not in QUANTIZERS or output not in exact[0]:
            continue
        step = step_of(node, constants)
        for values, context in zip(exact, contexts):
            if output in context:
                compare(f"{name}: {node.name}", values[output], context[output], step)
    exact_results = np.stack([values[result] for values in exact])
    found_results = np.stack([context[result] for context in contexts])
    if found_results.dtype.kind == "i":
        if (exact_results != found_results).any():
            raise Differs(f"{name}: {result}: indices differ")
        return
    for index in np.ndindex(exact_results.shape[1:]):
        column = exact_results[(slice(None), *index)]
        step = common_step(column)
        compare(f"{name}: {result}", column, found_results[(slice(None), *index)], step)


def common_step(column):
    """The greatest number of which all differences within `column` are multiples; 1 for a constant column."""
    step = Fraction(0)
    for value in column[1:]:
        difference = abs(value - column[0])
        step = Fraction(
            math.gcd(step.numerator * difference.denominator, difference.numerator * step.denominator),
            step.denominator * difference.denominator,
        )
    return step or Fraction(1)


def compare(where, exact, found, step):
    """Raise `Differs` unless every element is within `TOLERANCE` steps."""
    for value, real in zip(np.ravel(exact), np.ravel(found)):
        if abs(Fraction(real.item()) - value) > TOLERANCE * step:
            raise Differs(f"{where}: exact {float(value)!r}, float32 {real!r}, step {float(step)!r}")


def input_layer(net, rng, inputs, outputs, *, in_bits=4, in_scale=0.5, weight_bits=3, signed=1):
    """Quantized input and one MatMul with dyadic scales: accumulators are multiples of in_scale/4."""
    quantized = net.quant(net.input, in_scale, in_bits, signed)
    weights = quantized_weights(net, rng, inputs, outputs, weight_bits)
    data = float_inputs(rng, [inputs], in_scale, in_bits, bool(signed))
    return net.op("MatMul", [quantized, weights]), data


def start(name, rng, inputs, outputs, style="qonnx", **options):
    """A net with `input_layer`: net, tensor, inputs."""
    net = Net(name, [inputs], style)
    tensor, data = input_layer(net, rng, inputs, outputs, **options)
    return net, tensor, data
