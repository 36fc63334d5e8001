"""Networks of one to four layers: the shapes of known models in small, and seeded mixtures of every operator."""

import numpy as np
from onnx import TensorProto

from .exact import ROUNDING
from .qonnx_data import Differs, float_inputs, power_of_two, quantized_weights, spread
from .qonnx_layers import affine_chains
from .qonnx_model import STYLES, Net
from .qonnx_quantizers import output_scale

MIXTURES = 60
TAILS = ("logits", "softmax", "topk", "argmax")
FRONTS = ("flatten", "plain", "reshape")


def batch_norm(net, rng, tensor, data):
    """A BatchNormalization that suits the tensor: gammas of both signs, some variances tiny."""
    width = spread(net, tensor, data)
    count = output_width(net, tensor, data)
    gamma = rng.choice([-1, 1, 1], count) * rng.uniform(0.4, 2.0, count)
    variance = width**2 * 10 ** rng.uniform(-1.5, 0.5, count)
    return net.batch_norm(
        tensor, gamma, rng.normal(0, 0.7, count), rng.normal(0, width / 2, count), variance
    )


def output_width(net, tensor, data):
    """Number of channels of a tensor `[1, C]`."""
    return net.model([(tensor, TensorProto.FLOAT)]).graph.output[0].type.tensor_type.shape.dim[1].dim_value


def known_shapes(maker):
    """TFC (MNIST MLP) and the jet-tagging network in small, each in its exporter's style."""
    for bits in (1, 2):
        name = f"net_tfc_{bits}w{bits}a"
        rng = maker.rng(name)
        net = Net(name, [1, 6, 6], "brevitas")
        tensor = net.batch_reshape(net.input)
        tensor = net.op("Sub", [net.op("Mul", [tensor, 2.0]), [1.0]])

        def activate(operand, net=net, bits=bits):
            return net.bipolar(operand) if bits == 1 else net.quant(operand, 1.0, 2, 1, 1)

        tensor = activate(tensor)
        data = rng.uniform(0, 1, (24, 1, 6, 6)).astype(np.float32)
        data[0], data[1] = 0, 1
        for inputs, outputs in ((36, 16), (16, 16)):
            matrix = quantized_weights(net, rng, inputs, outputs, bits, 1.0)
            tensor = net.op("MatMul", [tensor, matrix])
            tensor = activate(batch_norm(net, rng, tensor, data))
        tensor = net.op("MatMul", [tensor, quantized_weights(net, rng, 16, 10, bits, 1.0)])
        tensor = net.op("Div", [net.op("Sub", [tensor, [1.2073]]), net.op("Pow", [[346.125], 0.5])])
        tensor = net.op("Add", [net.op("Mul", [tensor, [0.8196]]), [-1.2115]])
        maker.finish("qonnx_networks", net, tensor, data, "three layers, batch norm, scale tail")
    for quantized in (False, True):
        name = f"net_jets_{'quantized' if quantized else 'fixed'}_input"
        rng = maker.rng(name)
        net = Net(name, [16], "qkeras")
        data = float_inputs(rng, [16], 2.0**-4, 8)
        data = (np.round(data * 16) / 16).clip(-8, 8 - 1 / 16).astype(np.float32)
        tensor = net.quant(net.input, 2.0**-4, 8) if quantized else net.input
        for inputs, outputs in ((16, 12), (12, 8), (8, 5)):
            matrix = quantized_weights(net, rng, inputs, outputs, 6, 2.0**-5, narrow=0)
            bias = net.quant(net.constant(rng.uniform(-0.5, 0.5, outputs)), 2.0**-5, 6)
            tensor = net.op("Add", [net.op("MatMul", [tensor, matrix]), bias])
            if outputs != 5:
                tensor = net.quant(net.op("Relu", [tensor]), 2.0**-6 * 8, 6, 0)
        result = net.op("Softmax", [tensor], axis=1)
        features, extra = ([], None) if quantized else (
            ["input_type"], {"input_type": {"global_in": "fixed<8,4>"}}
        )  # fmt: skip
        maker.finish("qonnx_networks", net, result, data, "three layers, quantized biases, softmax",
                     features, logits=tensor, extra=extra)  # fmt: skip


def hidden_layer(net, rng, tensor, data, widths, number):
    """One layer of a mixture: product, operators, activation."""
    inputs, outputs = widths
    bits = int(rng.choice([1, 2, 3, 4, 6, 8]))
    if number % 3 == 0:
        scale = 2.0 ** -rng.integers(0, 4)
    elif number % 3 == 1 and bits > 1:
        scale = rng.uniform(0.05, 0.6, outputs)
    else:
        scale = float(rng.uniform(0.05, 0.6))
    matrix = quantized_weights(net, rng, inputs, outputs, bits, scale, narrow=int(rng.integers(2)))
    if rng.integers(2):
        tensor = net.op("MatMul", [tensor, matrix])
    else:
        tensor = net.op("Gemm", [tensor, matrix, rng.normal(0, 1, outputs)])
    chains = affine_chains()
    for kind in rng.choice(["Add", "Sub", "Mul", "Div", "BatchNormalization", "Identity"], 3):
        values = rng.uniform(0.4, 2.5, outputs) * rng.choice([-1, 1], outputs)
        if kind == "BatchNormalization":
            tensor = batch_norm(net, rng, tensor, data)
        elif kind == "Identity":
            tensor = chains["identity"](net, tensor)
        else:
            operand = values if rng.integers(2) else [float(values[0])]
            tensor = net.op(kind, [tensor, operand])
    return activation(net, rng, tensor, data, number)


def activation(net, rng, tensor, data, number):
    """Relu and Quant, signed Quant, BipolarQuant, Sign or Quant with Trunc."""
    kind = ("relu", "signed", "bipolar", "sign", "relu", "trunc")[number % 6]
    if kind == "bipolar":
        return net.bipolar(tensor, float(rng.choice([1.0, 0.5, 0.37])))
    if kind == "sign":
        return net.op("Sign", [tensor])
    if kind == "relu":
        tensor = net.op("Relu", [tensor])
    bits = int(rng.integers(2, 7))
    scale = output_scale(net, tensor, data, bits)
    if rng.integers(2):
        scale = float(scale * rng.uniform(0.8, 1.3))
    mode = str(rng.choice(list(ROUNDING)))
    tensor = net.quant(tensor, scale, bits, int(kind != "relu"), int(rng.integers(2)), mode=mode)
    if kind == "trunc" and bits > 3 and net.style.custom_opset != 2:
        return net.op("Trunc", [tensor, scale, 0.0, float(bits), float(bits - 2)],
                      rounding_mode="FLOOR")  # fmt: skip
    return tensor


def mixture(maker, number, attempt):
    """A random network; raises `Differs` where float32 does not decide it."""
    name = f"net_mix_{number:02}"
    rng = maker.rng(name, attempt)
    style = list(STYLES)[number % len(STYLES)]
    front, tail = FRONTS[number % len(FRONTS)], TAILS[number // 3 % len(TAILS)]
    layers = 1 + number % 4
    widths = [int(rng.choice([6, 9, 12, 15, 21]))]
    widths += [int(w) for w in rng.integers(2, 16, layers)]
    shape = [widths[0]] if front == "plain" else [3, widths[0] // 3]
    net = Net(name, shape, style)
    tensor, bits = net.input, int(rng.integers(2, 9))
    if front == "flatten":
        tensor = net.op("Flatten", [tensor])
    elif front == "reshape":
        tensor = net.reshape(tensor, [1, widths[0]])
    signed = int(rng.integers(2))
    scale = power_of_two(rng.uniform(0.05, 1)) if rng.integers(2) else float(rng.uniform(0.05, 1))
    tensor = net.quant(tensor, scale, bits, signed)
    data = float_inputs(rng, shape, scale, bits, bool(signed))
    for layer in range(layers - 1):
        tensor = hidden_layer(net, rng, tensor, data, widths[layer : layer + 2], number + layer)
    matrix = quantized_weights(net, rng, *widths[-2:], int(rng.integers(1, 5)), 0.25)
    tensor = net.op("MatMul", [tensor, matrix])
    finish(maker, net, rng, tensor, data, tail, number)


def finish(maker, net, rng, tensor, data, tail, number):
    """Append the tail and store the case."""
    if number % 5 == 0:
        tensor = net.op("Add", [net.op("Mul", [tensor, float(rng.uniform(0.3, 2))]), [0.75]])
    note, family = "a seeded mixture of operators", "qonnx_networks"
    if tail == "logits":
        maker.finish(family, net, tensor, data, note)
    elif tail == "softmax":
        result = net.op("Softmax", [tensor], axis=1)
        maker.finish(family, net, result, data, note, logits=tensor)
    elif tail == "argmax":
        result = net.op("ArgMax", [tensor], axis=1, keepdims=number % 2)
        maker.finish(family, net, result, data, note, dtype=TensorProto.INT64)
    else:
        result = net.top_k(tensor, 1 + number % 2)[1]
        maker.finish(family, net, result, data, note, dtype=TensorProto.INT64)


def networks(maker):
    """The known shapes, then the mixtures; returns the mixtures that needed another draw, and why."""
    known_shapes(maker)
    redrawn = []
    for number in range(MIXTURES):
        for attempt in range(8):
            try:
                mixture(maker, number, attempt)
                break
            except Differs as reason:
                redrawn.append(str(reason))
        else:
            raise Differs(f"net_mix_{number:02}: no draw is decided by float32")
    return redrawn
