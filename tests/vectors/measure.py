"""Tell the runtimes' formulas apart: fresh data, several candidate formulas, differing elements of each.

Prints the tables of README.md. Every candidate other than the stated one is a formula that someone
could reasonably assume; a zero in one row and non-zeros in the others settle the question.
"""

import numpy as np

from maker import formulas
from maker.formulas import f32, real_away, round_half_away, single_away, ties_up
from maker.runtimes import PROFILES, run
from maker.softmax import softmax
from maker.tflite_model import Chain, per_tensor

FULLY_CONNECTED = {
    "high multiply, shift half away; M = f64(sx)*sw/so": lambda a, d, f, s: formulas.double_rounding(a, d),
    "round half away of f64 acc*M; M = f64(sx)*sw/so": lambda a, d, f, s: real_away(a, d),
    "round half away of f64 acc*M; M = f64(f32(sx*sw))/so": lambda a, d, f, s: real_away(a, f),
    "one shift of acc*m, half away": lambda a, d, f, s: single_away(a, d),
    "high multiply, shift ties up; M = f64(sx)*sw/so": lambda a, d, f, s: ties_up(a, d),
    "high multiply, shift ties up; M = f64(f32(sx*sw))/so": lambda a, d, f, s: ties_up(a, f),
    "f32 half even; scale = f32(f32(sx*sw)/so)": lambda a, d, f, s: int(np.rint(f32(f32(a) * s))),
    "f32 half even; scale = f32(f64(sx)*sw/so)": lambda a, d, f, s: int(np.rint(f32(f32(a) * f32(d)))),
}  # fmt: skip


def edge_model(seed, power, per_channel):
    """1 -> 48 layer whose accumulators lie beside rounding edges, with its accumulators and scales."""
    rng = np.random.default_rng([seed, -power])
    sx, so, zo = f32(10 ** rng.uniform(-3, 0)), f32(10 ** rng.uniform(-2, 0)), -9
    count = 48
    jitter = 10 ** rng.uniform(-0.3, 0.3, count if per_channel else 1)
    sw = (2.0**power * float(so) / float(sx) * jitter).astype(f32)
    wide = np.broadcast_to(sw, (count,))
    edges = (rng.integers(-100, 100, count) + 0.5) / (float(sx) * wide.astype(float) / float(so))
    bias = np.clip(np.rint(edges), -(2**31) + 1000, 2**31 - 1000).astype(np.int64)
    chain = Chain("edges", [1, 1], quantization=per_tensor(float(sx), 0))
    chain.fully_connected(np.ones((count, 1)), sw, per_tensor(float(so), zo), bias)
    samples = np.arange(-64, 64).astype(np.int8)[:, None]
    return chain.to_bytes(), samples, samples.astype(np.int64) + bias, sx, wide, so, zo


def measure_fully_connected(per_channel):
    """Differing elements of each candidate against each profile."""
    counts = {name: dict.fromkeys(PROFILES, 0) for name in FULLY_CONNECTED}
    total = 0
    for seed in range(6):
        for power in (-24, -21, -18, -14):
            model, samples, acc, sx, sw, so, zo = edge_model(seed, power, per_channel)
            results = {profile: run(profile, model, samples) for profile in PROFILES}
            total += acc.size
            for name, formula in FULLY_CONNECTED.items():
                expected = np.empty(acc.shape, np.int64)
                for (row, channel), value in np.ndenumerate(acc):
                    exact = float(sx) * float(sw[channel]) / float(so)
                    product = f32(sx * sw[channel])
                    expected[row, channel] = formula(
                        int(value), exact, float(product) / float(so), f32(product / so)
                    )
                expected = np.clip(expected + zo, -128, 127)
                for profile in PROFILES:
                    counts[name][profile] += int((expected != results[profile]).sum())
    show(f"FULLY_CONNECTED, {'per channel' if per_channel else 'per tensor'}", total, counts)


def measure_quantize():
    """QUANTIZE of float32 at exact halves, their neighbours and random values; 8 and 3 elements a sample."""
    for width in (8, 3):
        candidates = {
            "half away of f32 x/s": lambda x, s: round_half_away((x / s).astype(f32)),
            "half away of f64 x/s": lambda x, s: round_half_away(x.astype(float) / float(s)),
            "half even of f32 x*f32(1/s)": lambda x, s: np.rint((x * f32(f32(1) / s)).astype(f32)),
            "half even of f32 x/s": lambda x, s: np.rint((x / s).astype(f32)),
        }
        counts = {name: dict.fromkeys(PROFILES, 0) for name in candidates}
        total = 0
        for scale, zero in ((0.05, 3), (1 / 3, -100), (0.25, 11), (3.3e-5, 60), (7.7e3, 0)):
            rng = np.random.default_rng(width)
            x = ((rng.integers(-150, 150, (900, width)) + 0.5) * float(f32(scale))).astype(f32)
            x[::3] = np.nextafter(x[::3], f32(np.inf))
            x[1::3] = np.nextafter(x[1::3], f32(-np.inf))
            model = Chain("q", [1, width], "float32").quantize("int8", per_tensor(scale, zero))
            total += x.size
            for profile in PROFILES:
                result = run(profile, model.to_bytes(), x)
                for name, formula in candidates.items():
                    expected = np.clip(formula(x, f32(scale)) + zero, -128, 127)
                    counts[name][profile] += int((expected != result).sum())
        show(f"QUANTIZE float32 to int8, {width} elements", total, counts)


def measure_dequantize():
    """DEQUANTIZE of every int8 code; 8 and 3 elements a sample."""
    for width in (8, 3):
        candidates = {
            "f32((q - z)) * s": lambda q, s, z: (q - z).astype(f32) * s,
            "f32(q*s) - f32(z*s)": lambda q, s, z: q.astype(f32) * s - f32(f32(z) * s),
        }
        counts = {name: dict.fromkeys(PROFILES, 0) for name in candidates}
        total = 0
        for scale, zero in ((0.05, 3), (1 / 3, -128), (1e-9, 127), (0.777, -1)):
            codes = np.arange(-128, 128 - 256 % width).astype(np.int8).reshape(-1, width)
            model = Chain("d", [1, width], quantization=per_tensor(scale, zero)).dequantize()
            total += codes.size
            for profile in PROFILES:
                result = run(profile, model.to_bytes(), codes)
                for name, formula in candidates.items():
                    expected = formula(codes.astype(np.int64), f32(scale), zero)
                    counts[name][profile] += int((expected != result).sum())
        show(f"DEQUANTIZE int8 to float32, {width} elements", total, counts)


def measure_softmax():
    """SOFTMAX over many widths, scales and betas against the fixed-point definition."""
    counts, total = {"fixed point": dict.fromkeys(PROFILES, 0)}, 0
    rng = np.random.default_rng(0)
    for classes in (1, 2, 3, 5, 10, 12, 33, 100, 257):
        for scale in (2e-8, 1e-6, 1e-4, 0.01, 0.05, 0.1, 0.25, 1.0, 3.0, 10.0, 60.0, 300.0, 1e5, 1e9):
            for beta in (1.0, 0.5, 2.0):
                if beta * scale * 2**26 <= 1:
                    continue  # the runtimes end the process on such a scale
                codes = rng.integers(-128, 128, (8, classes)).astype(np.int8)
                codes[:4] = np.clip(rng.normal(0, 8, (4, classes)).round(), -128, 127)
                model = Chain("s", [1, classes], quantization=per_tensor(scale, 7)).softmax(beta)
                rows = codes.astype(int).tolist()
                expected = np.array([softmax(row, float(f32(scale)), beta) for row in rows])
                total += codes.size
                for profile in PROFILES:
                    result = run(profile, model.to_bytes(), codes)
                    counts["fixed point"][profile] += int((expected != result).sum())
    show("SOFTMAX", total, counts)


def measure_refusals():
    """Which multipliers each runtime refuses at load."""
    print("\nFULLY_CONNECTED multipliers refused at load:")
    for multiplier in (2.0**-40, 2.0**-33, 1.0, 200.0, 255.9, 256.0, 300.0, 1e6):
        chain = Chain("m", [1, 1], quantization=per_tensor(0.5, 0))
        chain.fully_connected([[1]], 2 * multiplier, per_tensor(1.0, 0))
        refused = []
        for profile in PROFILES:
            try:
                run(profile, chain.to_bytes(), np.ones((1, 1), np.int8))
            except (RuntimeError, ValueError):
                refused.append(profile)
        print(f"  {multiplier:<12g} {refused or 'none'}")


def show(title, total, counts):
    """One Markdown table."""
    print(f"\n{title}: differing elements of {total}\n")
    print("| formula | " + " | ".join(PROFILES) + " |\n|---|" + "---|" * len(PROFILES))
    for name, row in counts.items():
        print(f"| {name} | " + " | ".join(str(row[profile]) for profile in PROFILES) + " |")


if __name__ == "__main__":
    measure_fully_connected(False)
    measure_fully_connected(True)
    measure_quantize()
    measure_dequantize()
    measure_softmax()
    measure_refusals()
