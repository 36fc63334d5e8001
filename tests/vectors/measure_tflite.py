"""Hold the formulas of convolutions, pools, means, joins and activations against the TFLite runtimes over whole domains.

Prints differing elements of the stated formula and of others that someone could assume, and writes
`arith/tests/data/tflite.json`: scales and the beginning of the BLAKE3 hash of the result bytes of
every runtime.
"""

import importlib.metadata
import json
from pathlib import Path

import blake3
import numpy as np

from maker import image_formulas as image
from maker import table_formulas as tables
from maker.formulas import clamp_range, f32
from maker.image_formulas import I64, fixed
from maker.runtimes import PROFILES, run, run_together
from maker.tflite_model import per_tensor
from maker.tflite_network import Network
from maker.vectors import PACKAGES

TARGET = Path(__file__).resolve().parents[2] / "arith/tests/data/tflite.json"
CODES = np.arange(-128, 128)
ACTIVATIONS = ("none", "relu", "relu6", "relu_n1_to_1")


class Counts:
    """Differing elements of candidates against profiles."""

    def __init__(self, title):
        self.title, self.total, self.table = title, 0, {}

    def add(self, profile, found, candidates):
        """Compare one runtime's result with every candidate's."""
        self.total += found.size if profile == PROFILES[0] else 0
        for name, expected in candidates.items():
            row = self.table.setdefault(name, dict.fromkeys(PROFILES, 0))
            row[profile] += int((np.asarray(expected) != found).sum())

    def show(self):
        """One line a candidate."""
        print(f"\n{self.title}: {self.total} elements a profile")
        for name, row in self.table.items():
            print(f"  {name:58}" + "".join(f"{profile}: {count:<9}" for profile, count in row.items()))


def stored(found):
    """First 8 bytes of the BLAKE3 of int8 results in memory order, null where the runtime refuses the model."""
    return None if found is None else blake3.blake3(found.astype(np.int8).tobytes()).hexdigest()[:16]


def attempt(function, *arguments):
    """The result, or None where the runtime refuses the model."""
    try:
        return function(*arguments)
    except (RuntimeError, ValueError):
        return None


def clipped(values, low=-128, high=127):
    """Clamp to int8 or narrower."""
    return np.clip(values, low, high)


def draw_scales(rng, number):
    """Scales of two inputs and an output; every third set is made of powers of two, so that ties occur."""
    if number % 3 == 0:
        return [float(2.0 ** rng.integers(-7, 1)) for _ in range(3)]
    left, right = 10 ** rng.uniform(-2.5, 0, 2)
    if number % 3 == 1:
        right = left
    return [float(f32(s)) for s in (left, right, max(left, right) * 10 ** rng.uniform(-0.5, 0.5))]


def measure_joins(entries, rounds=48):
    """ADD, SUB and MUL over all 65,536 pairs, in turn with every activation."""
    a, b = (g.astype(np.int8).reshape(1, 1, 256, 256) for g in np.meshgrid(CODES, CODES, indexing="ij"))
    for kind in ("add", "sub", "mul"):
        rng, counts = np.random.default_rng(list(kind.encode())), Counts(kind.upper())
        for number in range(rounds):
            s1, s2, so = draw_scales(rng, number)
            if kind == "mul":
                so = float(f32(s1 * s2 * (64 if number % 3 == 0 else 10 ** rng.uniform(1, 2.3))))
            z1, z2, zo = (int(z) for z in rng.integers(-128, 128, 3))
            if number % 5 == 0:
                z1 = z2 = zo = -128
            if number % 16 == 7:
                so = float(f32(1500 * (s1 if kind != "mul" else s1 * s2 * 100)))
            activation = ACTIVATIONS[number // 2 % 4]
            net = Network("j", a.shape, quantization=per_tensor(s1, z1))
            first = net.current
            second = net.second_input(a.shape, per_tensor(s2, z2))
            net.current = first
            net.join(kind, second, per_tensor(so, zo), activation)
            operands = ((s1, z1), (s2, z2), (so, zo))
            hashes = {}
            for profile in PROFILES:
                found = run_together(profile, net.to_bytes(), [a, b])
                delegated = image.delegated_join(kind, s1, s2, so)
                bounds = clamp_range(profile if delegated else "tflm", activation, f32(so), zo)
                exact = image.join(profile, kind, a, b, *operands)
                other = image.join("tflm" if profile == "xnnpack" else "xnnpack", kind, a, b, *operands)
                counts.add(profile, found, {
                    "as stated": clipped(exact, *bounds),
                    "tflm for xnnpack, xnnpack for the others": clipped(other, *bounds),
                })  # fmt: skip
                hashes[profile] = stored(found)
            entries.append({"operator": kind.upper(), "activation": activation, "scales": [s1, s2, so],
                            "zero_points": [z1, z2, zo], "blake3": hashes})  # fmt: skip
        counts.show()


def table_cases(rng, number):
    """`(operator, input scale, zero, output scale, zero, arguments)` of every activation."""
    si = float(f32(10 ** rng.uniform(-2.3, 0.3)))
    so = float(f32(si * (2.0 ** rng.integers(-1, 3) if number % 3 == 0 else rng.uniform(0.3, 1.7))))
    zi, zo = (int(z) for z in rng.integers(-128, 128, 2))
    if number % 4 == 0:
        so, zo = si, zi
    alpha = float(f32(2.0 ** -rng.integers(1, 8) if number % 2 else rng.uniform(0, 1)))
    slopes = [[int(v) for v in rng.integers(-128, 128, 3)], float(f32(10 ** rng.uniform(-2.5, -1))), int(rng.integers(-50, 50))]
    for kind in ("RELU", "RELU6", "RELU_N1_TO_1", "HARD_SWISH"):
        yield kind, si, zi, so, zo, {}
    yield "LEAKY_RELU", si, zi, so, zo, {"alpha": alpha}
    yield "PRELU", si, zi, so, zo, {"slopes": slopes}
    wide = float(f32(si * (30 if number % 6 == 5 else 1)))
    yield "LOGISTIC", wide, zi, 1 / 256, -128, {}
    yield "TANH", wide, zi, 1 / 128, 0, {}


def table_model(kind, si, zi, so, zo, arguments):
    """A model of one activation over all codes; PRELU has three channels."""
    channels = 3 if kind == "PRELU" else 1
    net = Network("t", [1, 16, 16, channels], quantization=per_tensor(si, zi))
    out = per_tensor(so, zo)
    if kind == "LEAKY_RELU":
        net.leaky_relu(arguments["alpha"], out)
    elif kind == "PRELU":
        alpha, scale, zero = arguments["slopes"]
        net.prelu(np.reshape(alpha, (1, 1, 3)), per_tensor(scale, zero), out)
    else:
        net.activation(kind, out)
    return net.to_bytes(), np.repeat(CODES, channels).astype(np.int8).reshape(1, 16, 16, channels)


def table_formula(profile, kind, x, si, zi, so, zo, arguments):
    """The stated formula of one activation."""
    if kind.startswith("RELU"):
        return tables.relu(profile, kind, x, si, zi, so, zo)
    if kind == "LEAKY_RELU":
        return clipped(tables.leaky_relu(profile, x, si, zi, so, zo, arguments["alpha"]))
    if kind == "PRELU":
        alpha, scale, zero = arguments["slopes"]
        return clipped(tables.prelu(profile, x, si, zi, so, zo, alpha, scale, zero))
    if kind == "HARD_SWISH":
        return clipped(tables.hard_swish(x, si, zi, so, zo))
    return tables.curve(profile, kind, x, si, zi, so, zo)


def measure_tables(entries, rounds=24):
    """Every activation over all 256 codes."""
    counts, rng = {}, np.random.default_rng(7)
    for number in range(rounds):
        for case in table_cases(rng, number):
            model, x = table_model(*case)
            kind, si, zi, so, zo, arguments = case
            hashes = {}
            for profile in PROFILES:
                found = attempt(run, profile, model, x)
                hashes[profile] = stored(found)
                if found is not None:
                    others = [p for p in PROFILES if p != profile]
                    counts.setdefault(kind, Counts(kind)).add(profile, found, {
                        "as stated": table_formula(profile, kind, x, *case[1:]),
                    } | {f"as stated for {p}": table_formula(p, kind, x, *case[1:]) for p in others})  # fmt: skip
            entries.append({"operator": kind, "scales": [si, so], "zero_points": [zi, zo], **arguments,
                            "blake3": hashes})  # fmt: skip
    for each in counts.values():
        each.show()


def spread(total, count):
    """`count` integers that sum to `total`, as equal as possible."""
    least, rest = divmod(total, count)
    return [least + (i < rest) for i in range(count)]


def measure_sums(pools, means, rounds=24):
    """AVERAGE_POOL_2D and MEAN: every sum of n codes, one a channel."""
    average, counts = Counts("AVERAGE_POOL_2D"), {kept: Counts(f"MEAN, keep_dims {kept}") for kept in (False, True)}
    rng = np.random.default_rng(11)
    for number in range(rounds):
        height, width = (int(v) for v in rng.integers(1, 6, 2))
        if number % 4 == 0:
            height, width = 2 ** int(rng.integers(0, 3)), 2 ** int(rng.integers(0, 3))
        n = height * width
        sums = np.arange(-128 * n, 127 * n + 1)
        x = np.array([spread(int(s), n) for s in sums], np.int8).T.reshape(1, height, width, len(sums))
        si, _, so = draw_scales(rng, number)
        if number % 2:
            so = float(f32(si * rng.uniform(0.4, 1.6)))
        zi, zo = (int(z) for z in rng.integers(-128, 128, 2))
        activation = ACTIVATIONS[number // 2 % 4]
        if number % 8 > 3:
            si = float(rng.choice([4.0, 2.4, 0.8, 12.0, 2 / 7]))  # bounds that must be rounded
        net = Network("p", x.shape, quantization=per_tensor(si, zi)).pool("average", (height, width), activation=activation)
        hashes = {}
        for profile in PROFILES:
            found = run(profile, net.to_bytes(), x).ravel()
            hashes[profile] = stored(found)
            low, high = clamp_range("tflm", activation, f32(si), zi)
            centred = (sums - n * zi).astype(f32) * f32(f32(1) / f32(n))
            average.add(profile, found, {
                "integers, ties away": clipped(image.divide_away(sums, n), low, high),
                "integers, ties up": clipped((2 * sums + n) // (2 * n), low, high),
                "float32 of the centred sum, half even": clipped(np.rint(centred) + zi, low, high),
                "integers, ties away, bounds of xnnpack":
                    clipped(image.divide_away(sums, n), *clamp_range("xnnpack", activation, f32(si), zi)),
            })  # fmt: skip
        pools.append({"count": n, "activation": activation, "scale": si, "zero_point": zi, "blake3": hashes})
        for kept in (False, True):
            net = Network("m", x.shape, quantization=per_tensor(si, zi)).mean(per_tensor(so, zo), kept)
            hashes = {}
            for profile in PROFILES:
                found = run(profile, net.to_bytes(), x).ravel()
                hashes[profile] = stored(found)
                arguments = (sums, n, si, zi, so, zo)
                real = (sums - n * zi) * (float(f32(si)) / float(f32(so)) / n)
                counts[kept].add(profile, found, {
                    "as stated": clipped(image.mean(profile, *arguments, kept, len(sums))),
                    "as stated for tflm": clipped(image.mean("tflm", *arguments, kept, len(sums))),
                    "as stated for xnnpack": clipped(image.mean("xnnpack", *arguments, kept, len(sums))),
                    "DBL of the centred sum, M = f64(si)/so/n":
                        clipped(fixed(sums - n * zi, float(f32(si)) / float(f32(so)) / n) + zo),
                    "float64, half away": clipped(np.trunc(real + np.copysign(0.5, real)) + zo),
                })  # fmt: skip
            means.append({"count": n, "kept": kept, "scales": [si, so], "zero_points": [zi, zo], "blake3": hashes})
    average.show()
    for each in counts.values():
        each.show()


def layer_case(rng, kind, number):
    """A layer of 11 outputs whose accumulators lie beside rounding edges: model, accumulators, scales."""
    outputs, per_channel = 11, number % 2 == 1
    if number % 3 == 0:
        sx, so = 0.25, 0.5
        sw = 2.0 ** rng.integers(-8, -1, outputs if per_channel else 1)
    else:
        sx, so = 10 ** rng.uniform(-3, 0), 10 ** rng.uniform(-2, 0)
        sw = 2.0 ** rng.choice([-24, -21, -18, -14]) * so / sx * 10 ** rng.uniform(-0.3, 0.3, outputs if per_channel else 1)
    sx, so, sw = float(f32(sx)), float(f32(so)), np.asarray(sw, f32)
    zx, zo = (int(z) for z in rng.integers(-128, 128, 2))
    channels = {"conv": 1, "grouped": outputs, "depthwise": outputs}[kind]
    weights = rng.integers(1, 4, outputs)
    steps = sx * np.broadcast_to(sw, (outputs,)).astype(float) / so
    bias = np.clip(np.rint((rng.integers(-100, 100, outputs) + 0.5) / steps), -(2**30), 2**30).astype(I64)
    x = np.repeat(CODES, channels).astype(np.int8).reshape(1, 16, 16, channels)
    net = Network("l", x.shape, quantization=per_tensor(sx, zx))
    activation = ACTIVATIONS[number // 2 % 4]
    shape = (1, 1, 1, outputs) if kind == "depthwise" else (outputs, 1, 1, 1)
    layer = net.depthwise if kind == "depthwise" else net.conv2d
    layer(weights.reshape(shape), sw, per_tensor(so, zo), bias, activation=activation)
    acc = (CODES.reshape(1, 16, 16, 1) - zx) * weights + bias
    return net.to_bytes(), x, acc, (sx, zx, sw, so, zo), weights, bias, activation


def measure_layers(entries, rounds=16):
    """CONV_2D and DEPTHWISE_CONV_2D beside rounding edges."""
    for kind in ("conv", "grouped", "depthwise"):
        rng, counts = np.random.default_rng(list(kind.encode())), Counts(kind)
        for number in range(rounds):
            model, x, acc, (sx, zx, sw, so, zo), weights, bias, activation = layer_case(rng, kind, number)
            hashes = {}
            for profile in PROFILES:
                found = run(profile, model, x)
                hashes[profile] = stored(found)
                low, high = clamp_range(profile, activation, f32(so), zo)
                names = {"as stated": (profile, kind), "DBL, M = f64(sx)*sw/so": ("tflm", kind),
                         "shift with ties up in all channels": ("litert_opt", "conv"),
                         "shift with ties up in blocks of 8 channels": ("litert_opt", "depthwise"),
                         "float32, half even": ("xnnpack", kind)}  # fmt: skip
                counts.add(profile, found, {
                    name: clipped(image.rescale_layer(*how, acc, sx, sw, so) + zo, low, high)
                    for name, how in names.items()
                })  # fmt: skip
            entries.append({"operator": kind, "activation": activation, "scales": [sx, so], "zero_points": [zx, zo],
                            "weight_scales": [float(s) for s in sw], "weights": weights.tolist(),
                            "bias": bias.tolist(), "blake3": hashes})  # fmt: skip
        counts.show()


def main():
    """Measure everything and write the file."""
    lists = {"joins": [], "tables": [], "average_pools": [], "means": [], "layers": []}
    measure_layers(lists["layers"])
    measure_sums(lists["average_pools"], lists["means"])
    measure_joins(lists["joins"])
    measure_tables(lists["tables"])
    versions = {name: importlib.metadata.version(name) for name in PACKAGES if "onnx" not in name}
    body = [f' "{key}": [\n' + ",\n".join("  " + json.dumps(e) for e in entries) + "\n ]" for key, entries in lists.items()]
    TARGET.write_text(f'{{\n "versions": {json.dumps(versions)},\n' + ",\n".join(body) + "\n}\n")


if __name__ == "__main__":
    main()
