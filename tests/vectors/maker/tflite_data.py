"""Inputs and layers with well-spread values: the common part of the TFLite cases."""

import numpy as np
from ai_edge_litert.schema_py_generated import BuiltinOperator

from .runtimes import PROFILES, run
from .tflite_model import per_tensor
from .vectors import Index

f32 = np.float32
SAMPLES = 32


def integer_inputs(rng, shape, zero_point, dtype="int8", count=SAMPLES):
    """`[count, *shape]`: both extremes, the zero point, alternations, single peaks, then random rows."""
    low, high = (-128, 127) if dtype == "int8" else (0, 255)
    size = int(np.prod(shape))
    rows = [np.full(size, low), np.full(size, high), np.full(size, zero_point)]
    rows.append(np.where(np.arange(size) % 2, low, high))
    rows.append(np.where(np.arange(size) % 2, high, low))
    for peak in (low, high):
        row = np.full(size, zero_point)
        row[size // 2] = peak
        rows.append(row)
    while len(rows) < count // 2:
        spread = rng.normal(zero_point, 20, size).round()
        rows.append(np.clip(spread, low, high))
    while len(rows) < count:
        rows.append(rng.integers(low, high + 1, size))
    return np.stack(rows).astype(dtype).reshape(count, *shape)


def float_inputs(rng, shape, scale, zero_point, count=SAMPLES):
    """`[count, *shape]`: grid points, exact halves and their float32 neighbours, saturation, zeros of both signs."""
    size = int(np.prod(shape)) * count
    codes = rng.integers(-140, 140, size) - zero_point
    values = (codes * f32(scale)).astype(f32)
    halves = ((codes + 0.5) * float(f32(scale))).astype(f32)
    kind = rng.integers(0, 6, size)
    values = np.where(kind == 1, halves, values)
    values = np.where(kind == 2, np.nextafter(halves, f32(np.inf)), values)
    values = np.where(kind == 3, np.nextafter(halves, f32(-np.inf)), values)
    values = np.where(kind == 4, rng.normal(0, 60 * scale, size), values)
    special = rng.permutation(size)[: max(4, size // 20)]
    values[special] = rng.choice([0.0, -0.0, 1e6 * scale, -1e6 * scale], len(special))
    return values.astype(f32).reshape(count, *shape)


class Maker:
    """Builds cases with reproducible data: the seed is the case's own name."""

    def __init__(self):
        self.index = Index("make_tflite.py")

    @staticmethod
    def rng(name):
        """A generator seeded by the case's name, so that adding a case leaves the others as they are."""
        return np.random.default_rng(list(name.encode()))

    def finish(self, family, chain, inputs, note, features=()):
        """Run the four runtimes and write the case; with a SOFTMAX also the tensor before it."""
        names = [operator_name(chain, operator) for operator in chain.operators]
        arrays = {"input": inputs}
        model = chain.to_bytes()
        for profile in PROFILES:
            arrays[f"output_{profile}"] = run(profile, model, inputs)
        if "SOFTMAX" in names:
            before = names.index("SOFTMAX")
            cut = chain.to_bytes(upto=before) if before else None
            for profile in PROFILES:
                logits = run(profile, cut, inputs) if cut else inputs
                arrays[f"logits_{profile}"] = logits
        self.index.add(
            family, chain.name, "tflite", model, names, arrays, note, features,
            {"profiles": list(PROFILES)},
        )


def operator_name(chain, operator):
    """The schema's name of an operator's builtin code."""
    code = chain.codes[operator.opcodeIndex][0]
    return next(name for name, value in vars(BuiltinOperator).items() if value == code)


def dense(chain, rng, outputs, *, bias=True, activation="none", per_channel=False, zo=None,
          spread=70.0, sw=None, so=None, shape=None, keep_dims=False):
    """Append a FULLY_CONNECTED with random weights and an output scale that fills the int8 range.

    `spread` is the aimed standard deviation of the outputs in steps of the output scale.
    """
    source = chain.tensors[chain.current]
    dims = [int(d) for d in source.shape]
    inputs = dims[-1] if keep_dims else int(np.prod(dims))
    sx = float(source.quantization.scale[0])
    weights = rng.integers(-127, 128, (outputs, inputs))
    if sw is None:
        sw = 10 ** rng.uniform(-3, -1, outputs if per_channel else 1)
    scales = np.atleast_1d(np.asarray(sw, f32))
    typical = sx * float(np.median(scales)) * 73.0 * 60.0 * np.sqrt(inputs)
    so = float(f32(typical / spread)) if so is None else so
    offsets = None
    if bias:
        step = so / (sx * np.broadcast_to(scales.astype(float), (outputs,)))
        offsets = np.clip(rng.normal(0, 40, outputs) * step, -(2**30), 2**30).astype(np.int32)
    zo = int(rng.integers(-40, 41)) if zo is None else zo
    return chain.fully_connected(
        weights, scales, per_tensor(so, zo), offsets, activation, keep_dims, shape
    )


def edge_layer(chain, rng, outputs, multiplier, per_channel, zo):
    """FULLY_CONNECTED from one input whose biases put the accumulators next to rounding edges.

    With a multiplier near 2^-22 neighbouring accumulators straddle an edge by less than the
    rounding error of one float32 operation, so the runtimes' formulas can be told apart.
    """
    source = chain.tensors[chain.current].quantization
    sx, zx = float(source.scale[0]), int(source.zeroPoint[0])
    so = f32(10 ** rng.uniform(-2, 0))
    jitter = 10 ** rng.uniform(-0.3, 0.3, outputs if per_channel else 1)
    scales = (multiplier * float(so) / sx * jitter).astype(f32)
    real = np.broadcast_to(sx * scales.astype(float) / float(so), (outputs,))
    weights = rng.integers(1, 3, outputs)
    edges = (rng.integers(-100, 100, outputs) + 0.5) / real
    bias = np.rint(edges).astype(np.int64) + weights * zx
    bias = np.clip(bias, -(2**31) + 70000, 2**31 - 70000)
    return chain.fully_connected(
        weights[:, None], scales, per_tensor(float(so), zo), bias.astype(np.int32)
    )
