"""Inputs and layers of the image cases: small tensors whose results fill the int8 range and meet ties."""

import numpy as np

from .runtimes import PROFILES, run
from .tflite_data import f32, operator_name
from .tflite_model import per_tensor
from .tflite_network import Network, output_size
from .vectors import Index

SAMPLES = 5


def image_inputs(rng, shape, zero_point, count=SAMPLES):
    """`[count, *shape]` int8: uniform rows, then a narrow one, one of extremes, a lone peak and the least code."""
    size = int(np.prod(shape))
    peak = np.full(size, zero_point)
    peak[size // 2] = 127
    rows = [
        rng.integers(-128, 128, size),
        rng.normal(zero_point, 12, size).round(),
        np.where(rng.integers(0, 2, size) > 0, 127, -128),
        peak,
        np.full(size, -128),
    ]
    rows += [rng.integers(-128, 128, size) for _ in range(count - len(rows))]
    return np.clip(np.stack(rows[:count]), -128, 127).astype(np.int8).reshape(count, *shape)


class ImageMaker:
    """Builds cases with reproducible data: the seed is the case's own name."""

    def __init__(self, generator):
        self.index = Index(generator)

    @staticmethod
    def start(name, shape, scale=0.05, zero_point=-3):
        """A generator seeded by the case's name and a network of one input `[H, W, C]`."""
        rng = np.random.default_rng(list(name.encode()))
        return rng, Network(name, [1, *shape], quantization=per_tensor(scale, zero_point))

    def finish(self, family, net, rng, note, features=(), inputs=None, profiles=PROFILES):
        """Run the runtimes and write the case with those that accept it: `profiles` are asked, the others would crash."""
        if inputs is None:
            shape = [int(d) for d in net.tensors[0].shape[1:]]
            inputs = image_inputs(rng, shape, int(net.tensors[0].quantization.zeroPoint[0]))
        names = [operator_name(net, operator) for operator in net.operators]
        arrays, accepted, model = {"input": inputs}, [], net.to_bytes()
        for profile in profiles:
            try:
                arrays[f"output_{profile}"] = run(profile, model, inputs)
            except (RuntimeError, ValueError):
                continue
            accepted.append(profile)
        if not accepted:
            raise SystemExit(f"{net.name}: no runtime accepts it")
        self.index.add(family, net.name, "tflite", model, names, arrays, note, features, {"profiles": accepted})


def layer_scales(rng, sx, taps, outputs, per_channel, dyadic):
    """Weight scales and an output scale that spreads accumulators of `taps` products over int8.

    `dyadic` scales make exact ties occur.
    """
    count = outputs if per_channel else 1
    if dyadic:
        scales = 2.0 ** rng.integers(-9, -6, count)
        wanted = sx * float(np.median(scales)) * 40.0 * 60.0 * np.sqrt(taps) / 60
        return scales.astype(f32), float(sx * 2.0 ** np.rint(np.log2(wanted / sx)))
    scales = (10 ** rng.uniform(-2.6, -1.6, count)).astype(f32)
    return scales, float(f32(sx * float(np.median(scales)) * 40.0 * 60.0 * np.sqrt(taps) / 60))


def conv(net, rng, outputs, kernel=(3, 3), *, groups=1, depth_multiplier=None, stride=(1, 1), dilation=(1, 1),
         padding="same", activation="none", per_channel=True, dyadic=False, zo=None, so=None, bias=True):  # fmt: skip
    """Append CONV_2D, or DEPTHWISE_CONV_2D where a `depth_multiplier` is given, with random weights."""
    channels = net.dims()[3]
    sx, _ = net.quantization_of_current()
    depthwise = depth_multiplier is not None
    outputs = channels * depth_multiplier if depthwise else outputs
    taps = kernel[0] * kernel[1] * (1 if depthwise else channels // groups)
    scales, scale = layer_scales(rng, sx, taps, outputs, per_channel, dyadic)
    so = scale if so is None else so
    shape = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels // groups)
    weights = rng.integers(-127, 128, shape) if not dyadic else rng.integers(-64, 65, shape)
    steps = so / (sx * np.broadcast_to(scales.astype(float), (outputs,)))
    offsets = np.rint(rng.normal(0, 25, outputs) * steps) if bias else np.zeros(outputs)
    zo = int(rng.integers(-40, 41)) if zo is None else zo
    layer = net.depthwise if depthwise else net.conv2d
    return layer(weights, scales, per_tensor(so, zo), offsets.astype(np.int64), stride, dilation, padding, activation)


def fits(size, kernel, stride, dilation, padding):
    """Whether a window operator leaves at least one row and column."""
    return all(output_size(*each, padding) > 0 for each in zip(size, kernel, stride, dilation, strict=True))
