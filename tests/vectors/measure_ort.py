"""Tell onnxruntime's formulas apart over whole domains, and write what it gives for the tests of `arith/`.

Prints, for each operator, the differing elements of every candidate formula over all 65,536 pairs or 256 elements of
many scales and zero points; writes `arith/tests/data/ort.json` with scales and the BLAKE3 hash of the result bytes of some.
"""

import json
from pathlib import Path

import numpy as np
from blake3 import blake3
from onnx import TensorProto, helper, numpy_helper

from maker.ort_model import CONTRIBUTED, LEVELS, MICROSOFT, onnxruntime
from maker.ort_reference import FUNCTIONS, Quantized, fma, limits, quantize

f32 = np.float32
TARGET = Path(__file__).resolve().parents[2] / "arith/tests/data/ort.json"
TYPES = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
STORED = 40


def execute(nodes, constants, inputs, level="enable_all"):
    """The last node's output for `inputs` by name, all of one type."""
    dtype = str(next(iter(inputs.values())).dtype)
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, TYPES[dtype], value.shape) for name, value in inputs.items()],
        [helper.make_tensor_value_info(nodes[-1].output[0], TYPES[dtype], None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = LEVELS[level]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def node(kind, inputs, output, **attributes):
    """A node of its own domain."""
    domain = {"domain": MICROSOFT} if kind in CONTRIBUTED else {}
    return helper.make_node(kind, inputs, [output], **domain, **attributes)


def codes(dtype):
    """All values of a type."""
    lo, hi = limits(dtype)
    return np.arange(lo, hi + 1).astype(dtype)


def draw(rng, number):
    """Type, three scales and three zero points: random, equal, dyadic, in simple ratios; middles and ends."""
    dtype = ("int8", "uint8")[number % 2]
    lo, hi = limits(dtype)
    scales = [f32(10 ** rng.uniform(-3, 0)) for _ in range(3)]
    if number % 4 == 3:
        scales = [scales[0], f32(scales[0] * f32(rng.choice([0.5, 1, 2, 3]))), f32(scales[0] * 2)]
    elif number % 7 == 6:
        scales = [f32(2.0 ** -rng.integers(2, 7)) for _ in range(3)]
    elif number % 3 == 0:
        scales[2] = f32(scales[0] + scales[1])
    elif number % 7 == 5:
        scales = [scales[0]] * 3
    zeros = [int(z) for z in rng.integers(lo, hi + 1, 3)]
    if number % 5 == 0:
        zeros = [(lo + hi + 1) // 2] * 3
    elif number % 5 == 1:
        zeros = [lo] * 3
    return dtype, scales, zeros


def sums(a, b, s, z):
    """Candidates of QLinearAdd before the clamp."""
    ra, rb = f32(s[0] / s[2]), f32(s[1] / s[2])
    a32, b32 = a.astype(f32), b.astype(f32)
    zero = [f32(v) for v in z]
    plain = f32(zero[2] - f32(f32(ra * zero[0]) + f32(rb * zero[1])))
    fused = f32(zero[2] - fma(zero[0], ra, f32(rb * zero[1])))
    real = f32(f32(a - z[0]) * s[0]) + f32(f32(b - z[1]) * s[1])
    return {
        "fma(a, ra, fma(b, rb, zc - fma(za, ra, zb*rb)))": np.rint(fma(a32, ra, fma(b32, rb, fused))),
        "fma(b, rb, fma(a, ra, zc - fma(za, ra, zb*rb)))": np.rint(fma(b32, rb, fma(a32, ra, fused))),
        "fma(a, ra, fma(b, rb, zc - (za*ra + zb*rb)))": np.rint(fma(a32, ra, fma(b32, rb, plain))),
        "the same without fma": np.rint(f32(a32 * ra) + f32(f32(b32 * rb) + plain)),
        "rint(((a-za)*sa + (b-zb)*sb) / sc) + zc": np.rint(real / s[2]) + z[2],
    }


def products(a, b, s, z):
    """Candidates of QLinearMul before the clamp."""
    product, ratio = f32((a - z[0]) * (b - z[1])), f32(f32(s[0] * s[1]) / s[2])
    return {
        "rint(p * (sa*sb/sc) + zc)": np.rint(f32(product * ratio) + f32(z[2])),
        "rint(fma(p, sa*sb/sc, zc))": np.rint(fma(product, ratio, f32(z[2]))),
        "rint(p * (sa*sb/sc)) + zc": np.rint(f32(product * ratio)) + z[2],
    }


def differences(x, y, s, z):
    """The float chain of a subtraction between quantizers."""
    real = f32(f32(x - z[0]) * s[0]) - f32(f32(y - z[1]) * s[1])
    return {"rint(((a-za)*sa - (b-zb)*sb) / sc) + zc": np.rint(f32(real / s[2])) + z[2]}


JOINS = {"QLinearAdd": sums, "QLinearMul": products, "Sub": differences}


def join_nodes(kind):
    """The operator, or its chain between quantizers."""
    if kind != "Sub":
        return [node(kind, ["a", "sa", "za", "b", "sb", "zb", "sc", "zc"], "y")]
    return [
        node("DequantizeLinear", ["a", "sa", "za"], "fa"), node("DequantizeLinear", ["b", "sb", "zb"], "fb"),
        node("Sub", ["fa", "fb"], "f"), node("QuantizeLinear", ["f", "sc", "zc"], "y"),
    ]  # fmt: skip


def measure_joins(stored, count):
    """All pairs of many scales."""
    for kind, candidates in JOINS.items():
        rng, differing, total = np.random.default_rng(1), {}, 0
        for number in range(count):
            dtype, s, z = draw(rng, number)
            if kind == "QLinearMul":
                s = [f32(s[0] * 4), f32(s[1] * 4), f32(s[2] * 10 ** rng.uniform(-1, 1.5))]
            a, b = np.repeat(codes(dtype), 256), np.tile(codes(dtype), 256)
            names = ("sa", "za", "sb", "zb", "sc", "zc")
            numbers = (s[0], a.dtype.type(z[0]), s[1], a.dtype.type(z[1]), s[2], a.dtype.type(z[2]))
            found = execute(join_nodes(kind), dict(zip(names, numbers)), {"a": a, "b": b}, "disable_all")
            for name, values in candidates(a.astype(int), b.astype(int), s, z).items():
                wrong = np.clip(values, *limits(dtype)) != found
                differing[name] = differing.get(name, 0) + int(wrong.sum())
            total += a.size
            if number < STORED:
                stored["joins"].append(entry(kind, dtype, s, z, found))
        show(f"{kind}, {count} sets of scales", total, differing)


def entry(kind, dtype, s, z, found, **extra):
    """What is stored of one measurement; a float32 is written as the float64 of the same value."""
    scales = [float(v) for v in s]
    return {"operator": kind, "type": dtype, "scales": scales, "zero_points": z, **extra,
            "blake3": blake3(found.tobytes()).hexdigest()}  # fmt: skip


UNARY = {
    "Requantize": [], "Relu": [{}], "Sigmoid": [{}], "Tanh": [{}], "HardSwish": [{}],
    "LeakyRelu": [{"alpha": 0.01}, {"alpha": 0.1}, {"alpha": 0.3}], "HardSigmoid": [{"alpha": 0.2, "beta": 0.5}],
    "QLinearSigmoid": [{}], "QLinearLeakyRelu": [{"alpha": 0.1}],
}  # fmt: skip


def unary_nodes(kind, attributes):
    """The operator, or its chain between quantizers."""
    if kind.startswith("QLinear"):
        return [node(kind, ["x", "sx", "zx", "sy", "zy"], "y", **attributes)]
    nodes = [node("DequantizeLinear", ["x", "sx", "zx"], "f")]
    if kind != "Requantize":
        nodes.append(node(kind, ["f"], "g", **attributes))
    return [*nodes, node("QuantizeLinear", [nodes[-1].output[0], "sy", "zy"], "y")]


def measure_tables(stored, count):
    """All elements of many scales."""
    for kind, variants in UNARY.items():
        rng, differing, total = np.random.default_rng(2), 0, 0
        for number in range(count):
            dtype, s, z = draw(rng, number)
            sx, sy = s[0], f32(1 / 256) if "igmoid" in kind and number % 3 == 0 else s[2]
            attributes = variants[number % len(variants)] if variants else {}
            x = codes(dtype)
            zx, zy = x.dtype.type(z[0]), x.dtype.type(z[2])
            found = execute(unary_nodes(kind, attributes), {"sx": sx, "zx": zx, "sy": sy, "zy": zy}, {"x": x}, "disable_all")
            real = Quantized(x, sx, np.asarray(zx)).real()
            function = FUNCTIONS.get(kind.removeprefix("QLinear"))
            values = quantize(real if function is None else function(real, attributes), sy, zy)
            differing += int((np.clip(values, *limits(dtype)) != found).sum())
            total += x.size
            if number < STORED:
                stored["tables"].append(entry(kind, dtype, [sx, sy], [z[0], z[2]], found, **attributes))
        show(f"{kind}, {count} sets of scales", total, {"float32 chain": differing})


def images(dtype, zero, pixels):
    """One image a reachable sum: `[sums, 1, pixels]`, and the sums of the centred pixels, ascending."""
    lo, hi = limits(dtype)
    sums = np.arange((lo - zero) * pixels, (hi - zero) * pixels + 1)
    base, rest = np.divmod(sums + zero * pixels, pixels)
    return (base[:, None] + (np.arange(pixels) < rest[:, None])).astype(dtype)[:, None], sums


GLOBAL, WINDOWED = "QLinearGlobalAveragePool", "rint(acc*sx/n/sy + zy)"
POOLS = {"QLinearGlobalAveragePool": (1, 6, 15, 16, 49, 64), "QLinearAveragePool": (2, 3, 4, 6, 9, 25)}


def pool_candidates(kind, acc, n, s, z):
    """Candidates before the clamp."""
    acc, n, zero = acc.astype(f32), f32(n), f32(z[1])
    ratio = f32(s[0] / f32(s[1] * n))
    chain = f32(f32(f32(acc * s[0]) / n) / s[1])
    return {
        "rint(acc * (sx/(sy*n))) + zy": np.rint(f32(acc * ratio)) + zero,
        "rint(acc * (sx/(sy*n)) + zy)": np.rint(f32(acc * ratio) + zero),
        "rint(acc * ((sx/sy)/n)) + zy": np.rint(acc * f32(f32(s[0] / s[1]) / n)) + zero,
        "rint(acc*sx/n/sy + zy)": np.rint(chain + zero),
        "rint(acc*sx/n/sy) + zy": np.rint(chain) + zero,
    }


def measure_pools(stored, count, equal):
    """Every reachable sum of windows of several sizes; output scales equal to the input's, or others."""
    for kind, sizes in POOLS.items():
        rng, differing, total = np.random.default_rng(3), {}, 0
        for number in range(count):
            dtype, s, z = draw(rng, number)
            n = sizes[number % len(sizes)]
            sx, sy = s[0], s[0] if equal else f32(s[0] * rng.uniform(0.05, 1.2))
            if not equal and number % 5 == 4:
                sx, sy = f32(2.0**-5), f32(2.0**-6)
            x, acc = images(dtype, z[0], n)
            attributes = {}
            if kind == "QLinearAveragePool":
                # Two windows: one over the whole image is computed as a global pool.
                x = np.concatenate([x, x], 2).reshape(-1, 1, 1, 2 * n)
                attributes = {"kernel_shape": [1, n], "strides": [1, n]}
            zx, zy = x.dtype.type(z[0]), x.dtype.type(z[1])
            constants = {"sx": sx, "zx": zx, "sy": sy, "zy": zy}
            found = execute([node(kind, ["x", "sx", "zx", "sy", "zy"], "y", **attributes)], constants, {"x": x})
            found = found.reshape(len(acc), -1)[:, 0]
            wrong = {}
            for name, values in pool_candidates(kind, acc, n, (sx, sy), z).items():
                wrong[name] = int((np.clip(values, *limits(dtype)) != found).sum())
                differing[name] = differing.get(name, 0) + wrong[name]
            total += acc.size
            # A window's ties depend on the order of its taps: only sums without such a tie are stored.
            if number < STORED and not equal and (kind == GLOBAL or wrong[WINDOWED] == 0):
                stored["pools"].append(entry(kind, dtype, [sx, sy], z[:2], np.ascontiguousarray(found), count=n))
        show(f"{kind}, every sum, output scale {'equal' if equal else 'other'}, {count} sets of scales", total, differing)


def edge_layer(rng, number, alpha):
    """One input of every value, 48 channels whose biases put accumulators beside rounding edges."""
    dtype, per_channel = ("int8", "uint8")[number % 2], number // 2 % 2
    lo, hi = limits(dtype)
    kind, count = np.dtype(dtype).type, 48
    sx, sy = f32(10 ** rng.uniform(-3, 0) / alpha), f32(10 ** rng.uniform(-2, 0))
    zx, zy, zw = (int(v) for v in rng.integers(lo, hi, 3))
    power = 2.0 ** (-24, -21, -18, -14)[number % 4]
    jitter = 10 ** rng.uniform(-0.3, 0.3, count if per_channel else 1)
    sw = (power * float(sy) / float(sx * alpha) * jitter).astype(f32)
    edges = (rng.integers(-100, 100, count) + 0.5) / (float(sx * alpha) * sw.astype(float) / float(sy))
    bias = np.clip(np.rint(edges), -(2**31) + 70000, 2**31 - 70000).astype(np.int32)
    x, w = codes(dtype), np.full(count, zw + 1).astype(dtype)
    acc = f32((x.astype(int) - zx)[:, None] + bias.astype(int))
    constants = {
        "sx": sx, "zx": kind(zx), "w": w, "sw": sw if per_channel else sw[0], "b": bias, "sy": sy, "zy": kind(zy),
        "zw": np.full(count, zw).astype(dtype) if per_channel else kind(zw),
    }  # fmt: skip
    scales = {
        "((alpha*sx)*sw)/sy": f32(f32(alpha * sx) * sw) / sy,
        "(alpha*(sx*sw))/sy": f32(alpha * f32(sx * sw)) / sy,
        "(alpha*sx)*(sw/sy)": f32(alpha * sx) * f32(sw / sy),
        "float64 product": (float(alpha) * float(sx) * sw.astype(float) / float(sy)).astype(f32),
    }
    return x, acc, constants, scales, zy


def measure_products(count):
    """QGemm with three alphas and QLinearConv, accumulators beside rounding edges."""
    for kind, alphas in (("QGemm", (1.0, 0.3, 2.7)), ("QLinearConv", (1.0,))):
        rng, differing, total = np.random.default_rng(5), {}, 0
        for number in range(count):
            for alpha in map(f32, alphas):
                x, acc, constants, scales, zero = edge_layer(rng, number, alpha)
                if kind == "QGemm":
                    inputs, samples = ["x", "sx", "zx", "w", "sw", "zw", "b", "sy", "zy"], x[:, None]
                    constants["w"], attributes = constants["w"][None], {"alpha": float(alpha)}
                else:
                    inputs, samples = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], x[:, None, None, None]
                    constants["w"], attributes = constants["w"].reshape(-1, 1, 1, 1), {}
                found = execute([node(kind, inputs, "y", **attributes)], constants, {"x": samples}).reshape(acc.shape)
                for name, scale in scales.items():
                    wrong = np.clip(np.rint(f32(acc * scale)) + zero, *limits(x.dtype)) != found
                    differing[f"rint(acc * s) + zy, s = {name}"] = (
                        differing.get(f"rint(acc * s) + zy, s = {name}", 0) + int(wrong.sum())
                    )
                total += acc.size
        show(f"{kind}, accumulators beside rounding edges", total, differing)


def measure_chains(stored, count):
    """MatMulInteger of one element and 64 weights, Cast, Mul, Add, QuantizeLinear."""
    rng, differing, total = np.random.default_rng(4), {}, 0
    for number in range(count):
        dtype, s, z = draw(rng, number)
        x, w = codes(dtype)[:, None], np.linspace(*limits(dtype), 64).astype(dtype)[None]
        acc = (x.astype(int) - z[0]) @ (w.astype(int) - z[1])
        factor = f32(rng.choice([-1, 1]) * 10 ** rng.uniform(-4, -2))
        scale, summand = f32(abs(factor) * acc.std() / 60), f32(rng.normal(0, 1) * abs(factor) * acc.std())
        kind = x.dtype.type
        constants = {"w": w, "zx": kind(z[0]), "zw": kind(z[1]), "m": factor, "b": summand, "s": scale, "z": kind(z[2])}
        nodes = [
            node("MatMulInteger", ["x", "w", "zx", "zw"], "acc"), node("Cast", ["acc"], "f", to=TensorProto.FLOAT),
            node("Mul", ["f", "m"], "p"), node("Add", ["p", "b"], "q"), node("QuantizeLinear", ["q", "s", "z"], "y"),
        ]  # fmt: skip
        real = acc.astype(f32)
        candidates = {
            "f32(acc*m) + b": f32(f32(real * factor) + summand),
            "fma(acc, m, b)": fma(real, factor, summand),
        }
        for level in LEVELS:
            found = execute(nodes, constants, {"x": x}, level)
            for name, values in candidates.items():
                wrong = np.clip(quantize(values, scale, z[2]), *limits(dtype)) != found
                differing[name] = differing.get(name, 0) + int(wrong.sum())
            total += found.size
        if number < STORED:
            stored["chains"].append(entry("MatMulInteger", dtype, [factor, summand, scale], z, found))
    show(f"MatMulInteger, Cast, Mul, Add, QuantizeLinear, {count} sets of numbers, every level", total, differing)


def show(title, total, differing):
    """One Markdown table."""
    print(f"\n{title}: differing of {total}\n\n| formula | differing |\n|---|---|")
    for name, count in differing.items():
        print(f"| {name} | {count} |")


def main():
    """All measurements."""
    stored = {"onnxruntime": onnxruntime.__version__, "joins": [], "tables": [], "pools": [], "chains": []}
    measure_joins(stored, 400)
    measure_tables(stored, 400)
    measure_pools(stored, 200, equal=False)
    measure_pools(stored, 200, equal=True)
    measure_chains(stored, 200)
    measure_products(120)
    lists = [f' "{key}": [\n' + ",\n".join("  " + json.dumps(e) for e in stored[key]) + "\n ]" for key in ("joins", "tables", "pools", "chains")]
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(f'{{\n "onnxruntime": "{stored["onnxruntime"]}",\n' + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
