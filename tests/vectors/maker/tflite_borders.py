"""The cases of SOFTMAX, QUANTIZE, DEQUANTIZE and RESHAPE, and networks of 2 to 4 layers."""

import numpy as np

from .tflite_data import dense, float_inputs, integer_inputs
from .tflite_model import Chain, per_tensor


def softmax(maker):
    """SOFTMAX behind a layer that passes every code through, behind random layers, and alone."""
    identity = [
        # classes, logit scale, zero point, beta
        (1, 0.1, 0, 1.0),
        (2, 0.05, 3, 1.0),
        (2, 1.0, -128, 1.0),
        (3, 0.25, 127, 1.0),
        (5, 0.1, -20, 1.0),
        (5, 0.3, 40, 0.5),
        (6, 2e-8, 0, 1.0),
        (7, 1e-4, 9, 1.0),
        (8, 3.0, 0, 1.0),
        (9, 0.01, 5, 2.0),
        (10, 0.0625, -7, 1.0),
        (10, 0.17, 12, 1.0),
        (11, 60.0, 1, 1.0),
        (12, 0.5, 0, 0.1),
        (12, 1e5, 0, 1.0),
        (13, 0.0039, -3, 1.0),
    ]
    for classes, scale, zero_point, beta in identity:
        name = f"softmax_{classes}_scale_{scale:g}_beta_{beta:g}"
        rng = maker.rng(name)
        chain = Chain(name, [1, classes], quantization=per_tensor(scale, zero_point))
        weights = np.diag(np.full(classes, 64))
        chain.fully_connected(weights, 1 / 64, per_tensor(scale, zero_point))
        chain.softmax(beta)
        inputs = integer_inputs(rng, [classes], zero_point)
        maker.finish(
            "softmax", chain, inputs, "logits are the inputs: the layer in front is the identity"
        )
    for inputs_, classes, scale in ((6, 4, 0.09), (20, 10, 0.2), (15, 12, 0.11), (9, 33, 0.4)):
        name = f"softmax_after_{inputs_}x{classes}"
        rng = maker.rng(name)
        chain = Chain(name, [1, inputs_], quantization=per_tensor(0.05, 2))
        dense(chain, rng, classes, so=scale, sw=scale / (0.05 * np.sqrt(inputs_) * 73), spread=60)
        chain.softmax()
        maker.finish("softmax", chain, integer_inputs(rng, [inputs_], 2), "one layer and softmax")
    for shape, scale, note in (
        ([2], 0.2, "no layer"),
        ([12], 0.15, "no layer"),
        ([33], 0.08, "no layer"),
        ([100], 0.05, "no layer"),
        ([4, 5], 0.1, "no layer, softmax over each of four rows"),
    ):
        name = "softmax_alone_" + "x".join(map(str, shape))
        rng = maker.rng(name)
        chain = Chain(name, [1, *shape], quantization=per_tensor(scale, -4)).softmax()
        features = ["no_layer"] + (["rows"] if len(shape) > 1 else [])
        maker.finish("softmax", chain, integer_inputs(rng, shape, -4), note, features)


def quantize(maker):
    """Float borders: QUANTIZE in front, DEQUANTIZE behind, one or both; uint8 borders; requantization."""
    borders = [
        # inputs, outputs, input scale, input zero point, quantize, dequantize, output zero point
        (7, 5, 0.05, 3, True, True, None),
        (4, 3, 1 / 128, 0, True, True, -128),
        (16, 4, 1 / 255, -128, True, True, 127),
        (9, 2, 0.1, -128, True, True, None),
        (5, 5, 3.3e-5, 127, True, True, None),
        (3, 7, 1.0, 5, True, True, 0),
        (8, 8, 1 / 3, -100, True, True, None),
        (6, 1, 7.7e3, 0, True, True, None),
        (1, 6, 0.0078431, -1, True, True, 1),
        (12, 3, 0.25, 10, True, True, None),
        (11, 4, 0.02, 64, True, True, None),
        (2, 9, 1e-9, 17, True, True, None),
        (13, 2, 0.7, -60, True, True, None),
        (10, 10, 0.0123, 31, True, True, None),
        (21, 5, 2.5, -2, True, True, None),
        (7, 5, 0.0471, 3, True, False, None),
        (19, 3, 0.5, 0, True, False, None),
        (6, 4, 0.031, -128, True, False, None),
        (7, 5, 0.05, 3, False, True, None),
        (19, 3, 0.5, 0, False, True, 77),
        (6, 4, 0.031, -128, False, True, -90),
    ]
    for number, (inputs, outputs, scale, zero, front, behind, zo) in enumerate(borders):
        kind = ("quantize_" if front else "") + ("dequantize_" if behind else "")
        name = f"{kind}{inputs}x{outputs}_{number:02}"
        rng = maker.rng(name)
        if front:
            chain = Chain(name, [1, inputs], "float32").quantize("int8", per_tensor(scale, zero))
            data = float_inputs(rng, [inputs], scale, zero)
        else:
            chain = Chain(name, [1, inputs], quantization=per_tensor(scale, zero))
            data = integer_inputs(rng, [inputs], zero)
        dense(chain, rng, outputs, zo=zo, per_channel=number % 4 == 1)
        if behind:
            chain.dequantize()
        maker.finish("borders", chain, data, "float at the border",
                     ["per_channel"] if number % 4 == 1 and outputs > 1 else [])  # fmt: skip
    for name, front, behind in (
        ("quantize_alone", True, False),
        ("dequantize_alone", False, True),
        ("quantize_dequantize_alone", True, True),
        ("dequantize_alone_wide", False, True),
    ):
        rng = maker.rng(name)
        size = 16 if name != "dequantize_alone_wide" else 8
        if front:
            chain = Chain(name, [1, size], "float32").quantize("int8", per_tensor(0.037, -11))
            data = float_inputs(rng, [size], 0.037, -11)
        else:
            scale = 0.37 if size == 16 else 1.7e-5
            chain = Chain(name, [1, size], quantization=per_tensor(scale, 101))
            data = integer_inputs(rng, [size], 101)
        if behind:
            chain.dequantize()
        maker.finish("borders", chain, data, "no layer", ["no_layer"])
    softmax_to_float(maker)
    requantize(maker)


def softmax_to_float(maker):
    """The usual classifier: float in, probabilities as float out."""
    name = "quantize_softmax_dequantize"
    rng = maker.rng(name)
    chain = Chain(name, [1, 14], "float32").quantize("int8", per_tensor(0.02, 4))
    dense(chain, rng, 6, so=0.11, sw=0.02).softmax().dequantize()
    maker.finish("borders", chain, float_inputs(rng, [14], 0.02, 4), "a classifier in floats")


def requantize(maker):
    """QUANTIZE between integers: uint8 borders of equal scale, and changes of scale."""
    for name, scale in (("uint8_borders_9x4", 0.05), ("uint8_borders_17x2", 1 / 256)):
        rng = maker.rng(name)
        chain = Chain(name, [1, int(name.split("_")[2].split("x")[0])], "uint8",
                      per_tensor(scale, 131))  # fmt: skip
        size = int(chain.shape[1])
        chain.quantize("int8", per_tensor(scale, 3))
        dense(chain, rng, int(name.split("x")[-1]), zo=-6)
        so = float(chain.tensors[chain.current].quantization.scale[0])
        chain.quantize("uint8", per_tensor(so, 122))
        data = integer_inputs(rng, [size], 131, "uint8")
        maker.finish("borders", chain, data, "uint8 in and out, equal scales", ["uint8"])
    for ratio_name, ratio in (("1_2", 0.5), ("1_12", 1 / 12), ("0.73", 0.73), ("3.1", 3.1)):
        name = f"requantize_{ratio_name}"
        rng = maker.rng(name)
        chain = Chain(name, [1, 8], quantization=per_tensor(0.05, 3))
        chain.quantize("int8", per_tensor(0.05 / ratio, -8))
        dense(chain, rng, 5)
        maker.finish("borders", chain, integer_inputs(rng, [8], 3),
                     "QUANTIZE from int8 to int8 with another scale", ["requantize"])  # fmt: skip


def reshape(maker):
    """RESHAPE in front of, between and behind layers; ranks 2 to 4; inferred dimensions."""
    front = [
        ([1, 1, 7], [1, 7], 5, True), ([2, 3], [1, 6], 4, True), ([2, 3], [-1, 6], 4, True),
        ([3, 5], [1, -1], 2, True), ([1, 1, 9], [1, 9], 3, False), ([2, 2, 3], [1, 12], 6, True),
        ([2, 2, 3], [1, 12], 6, False), ([4, 1, 3], [-1, 12], 1, False), ([5, 3, 1], [1, 15], 7, True),
        ([1, 13], [1, 13], 2, True), ([7, 1], [1, 7], 7, True), ([2, 4, 2], [-1, 16], 3, True),
        ([6, 6, 1], [1, 36], 10, True), ([8], [1, 8], 4, True), ([8], [1, 1, 1, 8], 4, True),
    ]  # fmt: skip
    for number, (shape, target, outputs, constant) in enumerate(front):
        name = f"reshape_{'x'.join(map(str, shape))}_{number:02}"
        rng = maker.rng(name)
        chain = Chain(name, [1, *shape], quantization=per_tensor(0.05, -9))
        chain.reshape(target, constant)
        dense(chain, rng, outputs)
        maker.finish("reshape", chain, integer_inputs(rng, shape, -9),
                     "RESHAPE in front of a layer",
                     [] if constant else ["shape_as_option"])  # fmt: skip
    for name, between, behind in (
        ("reshape_behind_2x3", None, [1, 2, 3]),
        ("reshape_behind_1x1x6", None, [1, 1, 1, 6]),
        ("reshape_between", [1, 4, 3], None),
        ("reshape_between_and_behind", [1, 2, 2, 3], [-1, 3, 2]),
        ("reshape_twice", [1, 3, 4], [1, 6]),
    ):
        rng = maker.rng(name)
        chain = Chain(name, [1, 10], quantization=per_tensor(0.05, 30))
        dense(chain, rng, 12 if between else 6, activation="relu")
        if between:
            chain.reshape(between)
            if name == "reshape_twice":
                chain.reshape([1, 12])
            dense(chain, rng, 6)
        if behind:
            chain.reshape(behind)
        maker.finish("reshape", chain, integer_inputs(rng, [10], 30), "RESHAPE behind a layer")


def logit_scales(chain, wanted):
    """Output and weight scales of a classifier's last layer, so that its probabilities spread."""
    if not wanted:
        return {}
    source = chain.tensors[chain.current]
    return {"so": 0.05, "sw": 0.03 / float(source.quantization.scale[0]) / int(source.shape[-1])}


def networks(maker):
    """Two to four layers with odd widths; the autoencoder and classifier shapes in small."""
    table = [
        # name, widths, activation, per channel, bias, float borders, softmax
        ("net_33_17_3", [33, 17, 3], "relu", False, True, False, False),
        ("net_7_5_1", [7, 5, 1], "none", False, False, False, False),
        ("net_10_1_4", [10, 1, 4], "relu", False, True, False, False),
        ("net_12_9_7_5", [12, 9, 7, 5], "relu6", False, True, False, False),
        ("net_autoencoder_40_13_3_13_40", [40, 13, 3, 13, 40], "relu", False, True, False, False),
        ("net_per_channel_21_11_6", [21, 11, 6], "relu", True, True, False, False),
        ("net_per_channel_9_19_19_2", [9, 19, 19, 2], "relu_n1_to_1", True, True, False, False),
        ("net_classifier_30_14_10", [30, 14, 10], "relu", False, True, False, True),
        ("net_classifier_float_25_15_9_4", [25, 15, 9, 4], "relu", False, True, True, True),
        ("net_classifier_per_channel_18_8_3", [18, 8, 3], "relu", True, True, False, True),
        ("net_float_5_23_5", [5, 23, 5], "relu", False, True, True, False),
        ("net_63_31_15_7", [63, 31, 15, 7], "none", True, False, False, False),
    ]
    for name, widths, activation, per_channel, bias, floats, soft in table:
        rng = maker.rng(name)
        if floats:
            chain = Chain(name, [1, widths[0]], "float32")
            chain.quantize("int8", per_tensor(0.041, 7))
            data = float_inputs(rng, [widths[0]], 0.041, 7)
        else:
            chain = Chain(name, [1, widths[0]], quantization=per_tensor(0.041, 7))
            data = integer_inputs(rng, [widths[0]], 7)
        for number, width in enumerate(widths[1:], 2):
            last = number == len(widths)
            dense(chain, rng, width, bias=bias, per_channel=per_channel,
                  **logit_scales(chain, last and soft),
                  activation="none" if last else activation,
                  zo=-128 if activation == "relu" and not last else None)  # fmt: skip
        if soft:
            chain.softmax()
        if floats:
            chain.dequantize()
        features = ["per_channel"] if per_channel else []
        maker.finish("networks", chain, data, f"{len(widths) - 1} layers", features)
