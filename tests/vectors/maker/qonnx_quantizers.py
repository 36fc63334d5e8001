"""Cases of Quant, BipolarQuant, Sign and Trunc: rounding modes, ranges, zero points, quantized weights."""

import numpy as np

from .exact import ROUNDING
from .qonnx_data import float_inputs, input_layer, power_of_two, quantized_weights, spread, start
from .qonnx_model import Net, Style

STYLE_NAMES = ("qonnx", "brevitas", "qkeras", "qonnx_new", "brevitas_new", "finn")


def output_scale(net, tensor, data, bits):
    """A power of two that spreads `tensor` over a quantizer of `bits` bits."""
    return power_of_two(spread(net, tensor, data) / 2 ** max(bits - 2, 0))


def quantizer(maker, number, name, inputs=7, outputs=5, bits=4, features=(), note="", **options):
    """Quantized input, one MatMul, one quantizer; dyadic scales, so that ties occur."""
    rng = maker.rng(name)
    wide = {"in_bits": 8, "weight_bits": 4} if bits > 5 else {}
    net, tensor, data = start(
        name, rng, inputs, outputs, STYLE_NAMES[number % len(STYLE_NAMES)], **wide
    )
    scale = options.pop("scale", None)
    scale = output_scale(net, tensor, data, bits) if scale is None else scale
    result = net.quant(tensor, scale, bits, **options)
    maker.finish("qonnx_quant", net, result, data, note or "one layer and a quantizer", features)


def quant(maker):
    """Quant: every rounding mode the executor has, every width from 1 to 8, zero points, narrow ranges."""
    number = 0
    for mode in ROUNDING:
        for label, bits, signed, narrow in (
            ("int4", 4, 1, 0), ("int5_narrow", 5, 1, 1), ("uint3", 3, 0, 0),
        ):  # fmt: skip
            name = f"quant_{mode.lower()}_{label}"
            number += 1
            quantizer(maker, number, name, bits=bits, signed=signed, narrow=narrow, mode=mode)
    for bits in range(1, 9):
        for signed in (1, 0):
            name = f"quant_{'' if signed else 'u'}int{bits}"
            number += 1
            quantizer(maker, number, name, 9, 6, bits, signed=signed)
        if bits > 1:
            number += 1
            quantizer(maker, number, f"quant_uint{bits}_narrow", 5, 7, bits, signed=0, narrow=1)
    quantizer(maker, 0, "quant_int2_narrow", 6, 4, 2, signed=1, narrow=1)
    quantizer(maker, 1, "quant_mode_in_lower_case", mode="floor")
    for zero, bits, signed in ((3.0, 4, 1), (-2.0, 4, 1), (8.0, 4, 0), (120.0, 8, 0), (1.0, 2, 0)):
        number += 1
        name = f"quant_zero_point_{zero:g}_{'' if signed else 'u'}int{bits}"
        quantizer(maker, number, name, bits=bits, signed=signed, zero_point=zero)
    for mode in ("ROUND", "FLOOR"):
        name = f"quant_zero_point_0.5_{mode.lower()}"
        quantizer(maker, 2, name, zero_point=0.5, mode=mode, features=["fractional_zero_point"])
    for scale in (0.2718, 1.7321, 3.1416, 0.012379):
        number += 1
        name = f"quant_scale_{scale:g}"
        quantizer(maker, number, name, 11, 3, 8, scale=scale, note="scale that is not a power of two")
    name = "quant_per_channel_activation"
    quantizer(maker, 0, name, 7, 4, 4, scale=[[0.5, 1.0, 2.0, 4.0]],
              features=["per_channel_activation"])  # fmt: skip
    weights(maker)


def weights(maker):
    """Quantized weights: widths, per-channel scales, ties on the weights' own grid, zero points."""
    table = [
        # label, bits, scale, noise, narrow
        ("bipolar", 1, 1.0, 0.0, 1), ("bipolar_scaled", 1, 0.125, 0.2, 1),
        ("ternary", 2, 1.0, 0.3, 1), ("int2", 2, 0.5, 0.3, 0), ("int4_ties", 4, 0.5, 0.5, 1),
        ("int6", 6, 0.03125, 0.4, 0), ("int8", 8, 0.0078125, 0.4, 1), ("scale_0.37", 4, 0.37, 0.3, 1),
    ]  # fmt: skip
    for number, (label, bits, scale, noise, narrow) in enumerate(table):
        name = f"weights_{label}"
        rng = maker.rng(name)
        net = Net(name, [13], STYLE_NAMES[number % len(STYLE_NAMES)])
        tensor = net.quant(net.input, 0.5, 4, 1)
        if label == "int4_ties":
            values = (rng.integers(-6, 6, (13, 5)) + 0.5) * scale
            matrix = offset_weights(net, values, 4, 1, 0.0, narrow)
        else:
            matrix = quantized_weights(net, rng, 13, 5, bits, scale, noise, narrow)
        tensor = net.op("MatMul", [tensor, matrix])
        data = float_inputs(rng, [13], 0.5, 4)
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4)
        maker.finish("qonnx_quant", net, result, data, "one layer and a quantizer")
    for number, scales in enumerate(
        ([0.5, 0.25, 1.0, 2.0, 0.125], [0.31, 0.071, 1.9, 0.6, 0.25], np.geomspace(1e-4, 1.0, 5))
    ):
        name = f"weights_per_channel_{number}"
        rng = maker.rng(name)
        net = Net(name, [8], STYLE_NAMES[number])
        tensor = net.quant(net.input, 0.25, 5, 1)
        matrix = quantized_weights(net, rng, 8, 5, 4, np.array(scales))
        tensor = net.op("MatMul", [tensor, matrix])
        data = float_inputs(rng, [8], 0.25, 5)
        result = net.quant(tensor, output_scale(net, tensor, data, 5), 5)
        maker.finish("qonnx_quant", net, result, data, "one weight scale a channel",
                     ["per_channel"])  # fmt: skip
    for number, (zero, bits, signed) in enumerate(((8.0, 4, 0), (2.0, 4, 1), (1.0, 2, 0))):
        name = f"weights_zero_point_{zero:g}_{'' if signed else 'u'}int{bits}"
        rng = maker.rng(name)
        net = Net(name, [6], STYLE_NAMES[number])
        tensor = net.quant(net.input, 0.5, 4, 0)
        values = rng.uniform(-1, 1, (6, 5)) * 2 ** (bits - 1) * 0.5
        matrix = offset_weights(net, values, bits, signed, zero)
        tensor = net.op("MatMul", [tensor, matrix])
        data = float_inputs(rng, [6], 0.5, 4, False)
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4)
        maker.finish("qonnx_quant", net, result, data, "weights with a zero point",
                     ["weight_zero_point"])  # fmt: skip
    input_zero_point(maker)


def offset_weights(net, values, bits, signed, zero, narrow=0):
    """A weight matrix behind a quantizer of scale 0.5 with a zero point."""
    return net.weights(values, lambda name: net.quant(name, 0.5, bits, signed, narrow, zero))


def input_zero_point(maker):
    """A zero point in the quantizer in front of a layer, where it shifts the accumulators."""
    for zero, bits, signed in ((8.0, 4, 0), (-3.0, 5, 1), (128.0, 8, 0)):
        name = f"input_zero_point_{zero:g}_{'' if signed else 'u'}int{bits}"
        rng = maker.rng(name)
        net = Net(name, [7], "qonnx")
        tensor = net.quant(net.input, 0.25, bits, signed, 0, zero)
        tensor = net.op("MatMul", [tensor, quantized_weights(net, rng, 7, 4, 3)])
        data = float_inputs(rng, [7], 0.25, bits)
        result = net.quant(tensor, output_scale(net, tensor, data, 5), 5)
        maker.finish("qonnx_quant", net, result, data, "the input's zero point shifts the sums",
                     ["activation_zero_point"])  # fmt: skip
    name = "hidden_zero_point_2_uint4"
    rng = maker.rng(name)
    net, tensor, data = start(name, rng, 9, 7)
    tensor = net.quant(tensor, output_scale(net, tensor, data, 4), 4, 0, 0, 2.0)
    tensor = net.op("MatMul", [tensor, quantized_weights(net, rng, 7, 3, 3)])
    result = net.quant(tensor, output_scale(net, tensor, data, 6), 6)
    maker.finish("qonnx_quant", net, result, data, "a zero point between two layers",
                 ["activation_zero_point"])  # fmt: skip


def bipolar_and_sign(maker):
    """BipolarQuant and Sign behind a layer, at the input, as weights, at sums of exactly zero."""
    for number, (kind, scale, behind) in enumerate(
        (kind, scale, behind)
        for kind in ("BipolarQuant", "Sign")
        for scale, behind in ((1.0, False), (0.5, False), (1.0, True), (2.0, True), (0.3, True))
    ):
        name = f"{kind.lower()}_{number}"
        rng = maker.rng(name)
        style = STYLE_NAMES[number % len(STYLE_NAMES)]
        net, tensor, data = start(name, rng, 4 + number, 6, style, weight_bits=2)

        def binarize(operand, kind=kind, scale=scale, net=net):
            if kind == "BipolarQuant":
                return net.bipolar(operand, scale)
            return net.op("Mul", [net.op("Sign", [operand]), scale])

        result = binarize(tensor)
        if behind:
            matrix = quantized_weights(net, rng, 6, 5, 1, 1.0, 0.0)
            result = binarize(net.op("MatMul", [result, matrix]))
        maker.finish("qonnx_quant", net, result, data, "sums of exactly zero occur")
    for kind in ("bipolar", "sign"):
        name = f"input_{kind}"
        rng = maker.rng(name)
        net = Net(name, [12], "brevitas")
        front = net.bipolar(net.input) if kind == "bipolar" else net.op("Sign", [net.input])
        matrix = quantized_weights(net, rng, 12, 6, 1, 1.0, 0.0)
        tensor = net.op("MatMul", [front, matrix])
        data = float_inputs(rng, [12], 0.25, 4)
        result = net.bipolar(tensor, 1.0)
        maker.finish("qonnx_quant", net, result, data, "signs in front of a layer")


def trunc(maker):
    """Trunc, both versions: behind a quantizer, on sums, behind the input; modes, widths, zero points."""
    number = 0
    for mode in ("FLOOR", "ROUND", "CEIL", "DOWN", "UP", "HALF_UP", "HALF_DOWN"):
        for bits_out in (4, 6):
            number += 1
            name = f"trunc_v1_{mode.lower()}_8_to_{bits_out}"
            truncation(maker, name, 1, mode, 8, bits_out, "quantizer")
        name = f"trunc_v2_{mode.lower()}_8_to_5"
        truncation(maker, name, 2, mode, 8, 5, "quantizer")
    truncation(maker, "trunc_v1_sums_12_to_6", 1, "FLOOR", 12, 6, "sums")
    truncation(maker, "trunc_v1_sums_10_to_7_round", 1, "ROUND", 10, 7, "sums")
    truncation(maker, "trunc_v2_sums_12_to_6", 2, "FLOOR", 12, 6, "sums")
    truncation(maker, "trunc_v2_sums_12_to_4_clips", 2, "ROUND", 12, 4, "sums", shift=3)
    truncation(maker, "trunc_v2_unsigned_8_to_4", 2, "FLOOR", 8, 4, "quantizer", signed=0)
    truncation(maker, "trunc_v2_narrow_8_to_4", 2, "ROUND", 8, 4, "quantizer", narrow=1)
    truncation(maker, "trunc_v1_hidden", 1, "FLOOR", 8, 4, "hidden")
    truncation(maker, "trunc_v2_hidden", 2, "ROUND", 8, 4, "hidden")
    truncation(maker, "trunc_v1_zero_point_4", 1, "FLOOR", 8, 5, "quantizer", zero=4.0)
    truncation(maker, "trunc_v2_zero_point_8", 2, "FLOOR", 8, 5, "quantizer", zero=8.0)


def truncation(maker, name, version, mode, bits_in, bits_out, place, *, signed=1, narrow=0, zero=0.0,
               shift=None):  # fmt: skip
    """One Trunc case; the domain's opset version chooses the operator's version."""
    rng = maker.rng(name)
    style = Style(custom_opset=version)
    net = Net(name, [9], style)
    tensor, data = input_layer(net, rng, 9, 6, in_bits=6, in_scale=0.5, weight_bits=4)
    scale = 0.125
    if place != "sums":
        scale = output_scale(net, tensor, data, bits_in)
        tensor = net.quant(tensor, scale, bits_in, signed, 0, zero)
    if version == 1:
        operands = [tensor, scale, zero, float(bits_in), float(bits_out)]
        tensor = net.op("Trunc", operands, rounding_mode=mode)
        scale_out = scale
    else:
        scale_out = scale * 2.0 ** (bits_in - bits_out if shift is None else shift)
        operands = [tensor, scale, zero, float(bits_in), scale_out, float(bits_out)]
        tensor = net.op("Trunc", operands, rounding_mode=mode, signed=signed, narrow=narrow)
    if place == "hidden":
        matrix = quantized_weights(net, rng, 6, 4, 3)
        tensor = net.op("MatMul", [tensor, matrix])
    maker.finish("qonnx_quant", net, tensor, data, f"Trunc version {version}",
                 [f"trunc_v{version}"])  # fmt: skip
