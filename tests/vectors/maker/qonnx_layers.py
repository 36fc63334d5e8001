"""Cases of the operators between a matrix product and its quantizer, and of the tails behind the last one."""

import numpy as np
from onnx import TensorProto

from .qonnx_data import float_inputs, quantized_weights, start
from .qonnx_model import Net
from .qonnx_quantizers import STYLE_NAMES, output_scale

GAMMA = [1.5, -0.75, 2.0, -1.25, 0.5, 1.0]
BETA = [0.25, -1.5, 0.125, 3.0, 0.0, -0.5]
MEAN = [0.5, -2.0, 1.25, 0.0, 4.0, -0.375]
VARIANCE = [0.5, 3.25, 0.0625, 9.1, 1.0, 2.2]
VECTOR = np.array([0.5, -1.25, 3.0, -0.0625, 2.5, 1.0])


def affine_chains():
    """Name -> function(net, tensor) that appends operators to a tensor `[1, 6]`."""
    op = Net.op
    return {
        "add_scalar": lambda n, x: op(n, "Add", [x, 1.25]),
        "add_vector": lambda n, x: op(n, "Add", [x, VECTOR]),
        "add_row": lambda n, x: op(n, "Add", [x, VECTOR[None, :]]),
        "add_constant_first": lambda n, x: op(n, "Add", [VECTOR, x]),
        "sub_scalar": lambda n, x: op(n, "Sub", [x, 0.375]),
        "sub_vector": lambda n, x: op(n, "Sub", [x, VECTOR]),
        "sub_from_scalar": lambda n, x: op(n, "Sub", [0.75, x]),
        "sub_from_vector": lambda n, x: op(n, "Sub", [VECTOR, x]),
        "mul_scalar": lambda n, x: op(n, "Mul", [x, 1.5]),
        "mul_negative": lambda n, x: op(n, "Mul", [x, -0.75]),
        "mul_vector": lambda n, x: op(n, "Mul", [x, VECTOR]),
        "mul_constant_first": lambda n, x: op(n, "Mul", [VECTOR, x]),
        "mul_some_zero": lambda n, x: op(n, "Mul", [x, VECTOR * [1, 0, 1, 1, 0, 1]]),
        "div_scalar": lambda n, x: op(n, "Div", [x, 4.0]),
        "div_by_3": lambda n, x: op(n, "Div", [x, 3.0]),
        "div_negative": lambda n, x: op(n, "Div", [x, -2.0]),
        "div_vector": lambda n, x: op(n, "Div", [x, VECTOR]),
        "identity": lambda n, x: op(n, "Identity", [op(n, "Identity", [x])]),
        "batch_norm": lambda n, x: n.batch_norm(x, GAMMA, BETA, MEAN, VARIANCE),
        "batch_norm_tiny_variance": lambda n, x: n.batch_norm(
            x, GAMMA, BETA, MEAN, [1e-12, 0.0, 1e-7, 1e-3, 0.0, 1e-38], 1e-5
        ),
        "batch_norm_large_epsilon": lambda n, x: n.batch_norm(x, GAMMA, BETA, MEAN, VARIANCE, 0.5),
        "batch_norm_square_variance": lambda n, x: n.batch_norm(
            x, GAMMA, BETA, MEAN, np.array([0.25, 1, 4, 16, 1, 0.25]) - 2.0**-10, 2.0**-10
        ),
        "batch_norm_gamma_zero": lambda n, x: n.batch_norm(
            x, [0.0, 1, 0.0, -1, 1, -2], BETA, MEAN, VARIANCE
        ),
        "batch_norm_all_negative": lambda n, x: n.batch_norm(
            x, [-1.5, -0.1, -2, -1, -0.7, -3], BETA, MEAN, VARIANCE
        ),
        "relu": lambda n, x: op(n, "Relu", [x]),
        "relu_of_negated": lambda n, x: op(n, "Relu", [op(n, "Mul", [x, -1.0])]),
        "add_relu": lambda n, x: op(n, "Relu", [op(n, "Add", [x, VECTOR])]),
        "batch_norm_relu": lambda n, x: op(
            n, "Relu", [n.batch_norm(x, GAMMA, BETA, MEAN, VARIANCE)]
        ),
        "relu_add": lambda n, x: op(n, "Add", [op(n, "Relu", [x]), VECTOR]),
        "relu_mul_negative": lambda n, x: op(n, "Mul", [op(n, "Relu", [x]), VECTOR]),
        "mul_add_div_sub": lambda n, x: op(
            n, "Sub",
            [op(n, "Div", [op(n, "Add", [op(n, "Mul", [x, 1.5]), VECTOR]), -0.75]), 0.125],
        ),
        "batch_norm_mul_add": lambda n, x: op(
            n, "Add", [op(n, "Mul", [n.batch_norm(x, GAMMA, BETA, MEAN, VARIANCE), VECTOR]), 0.3]
        ),
        "add_batch_norm": lambda n, x: n.batch_norm(
            op(n, "Add", [x, VECTOR]), GAMMA, BETA, MEAN, VARIANCE
        ),
        "constant_pow_and_div": lambda n, x: op(
            n, "Div", [op(n, "Mul", [x, op(n, "Pow", [[1.5], 2.0])]), op(n, "Div", [3.0, 4.0])]
        ),
    }  # fmt: skip


def middle(maker):
    """One chain of `affine_chains` behind a layer, then a quantizer."""
    for number, (label, chain) in enumerate(affine_chains().items()):
        name = f"layer_{label}"
        rng = maker.rng(name)
        net, tensor, data = start(name, rng, 8, 6, STYLE_NAMES[number % len(STYLE_NAMES)])
        tensor = chain(net, tensor)
        unsigned = "relu" in label and "relu_" not in label
        bits = 3 + number % 3
        result = net.quant(tensor, output_scale(net, tensor, data, bits), bits, int(not unsigned))
        maker.finish("qonnx_layers", net, result, data, "one layer, the operators, a quantizer")


def quantized_bias(maker):
    """A bias behind its own quantizer, as QKeras exports it."""
    for number, (bits, scale) in enumerate(((6, 0.03125), (4, 0.5), (8, 0.0078125))):
        name = f"layer_quantized_bias_{number}"
        rng = maker.rng(name)
        net, tensor, data = start(name, rng, 10, 6, ("qkeras", "qonnx", "brevitas_new")[number])
        bias = net.quant(net.constant(rng.uniform(-1, 1, 6) * 2 ** (bits - 1) * scale), scale, bits)
        tensor = net.op("Relu", [net.op("Add", [tensor, bias])])
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4, 0)
        maker.finish("qonnx_layers", net, result, data, "bias with its own quantizer")


def gemm(maker):
    """Gemm: transposed weights or not, with and without C, alpha and beta, C as scalar and row."""
    table = [
        # label, transB, C, alpha, beta
        ("plain", 0, None, 1.0, 1.0), ("transposed", 1, None, 1.0, 1.0),
        ("bias", 0, "vector", 1.0, 1.0), ("transposed_bias", 1, "vector", 1.0, 1.0),
        ("alpha_0.5", 1, "vector", 0.5, 1.0), ("beta_2", 0, "vector", 1.0, 2.0),
        ("alpha_-1.5_beta_0.25", 1, "vector", -1.5, 0.25), ("bias_row", 1, "row", 1.0, 1.0),
        ("bias_scalar", 0, "scalar", 1.0, 1.0), ("beta_0", 1, "vector", 1.0, 0.0),
        ("quantized_bias", 1, "quantized", 1.0, 1.0), ("defaults", 0, "vector", None, None),
    ]  # fmt: skip
    for number, (label, transposed, addend, alpha, beta) in enumerate(table):
        name = f"gemm_{label}"
        rng = maker.rng(name)
        # The third input is optional from operator set 11 on.
        style = STYLE_NAMES[number % len(STYLE_NAMES)] if addend else "brevitas_new"
        net = Net(name, [9], style)
        tensor = net.quant(net.input, 0.5, 4, 1)
        codes = rng.integers(-3, 4, (9, 6)) + rng.uniform(-0.3, 0.3, (9, 6))
        stored = (codes.T if transposed else codes) * 0.25
        operands = [tensor, net.quant(net.constant(stored), 0.25, 3, 1, 1)]
        if addend == "quantized":
            operands.append(net.quant(net.constant(rng.uniform(-2, 2, 6)), 0.125, 6))
        elif addend:
            operands.append({"vector": VECTOR, "row": VECTOR[None, :], "scalar": 0.75}[addend])
        attributes = {"transB": transposed} if transposed else {}
        if alpha is not None:
            attributes |= {"alpha": alpha, "beta": beta}
        tensor = net.op("Gemm", operands, **attributes)
        data = float_inputs(rng, [9], 0.5, 4)
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4)
        maker.finish("qonnx_layers", net, result, data, "Gemm and a quantizer")


def shapes(maker):
    """Flatten, Reshape and computed shapes, in front of and behind the first quantizer."""
    table = [
        # label, input shape, function, before the quantizer
        ("flatten", [1, 3, 4], lambda n, x: n.op("Flatten", [x], axis=1), True),
        ("flatten_default_axis", [2, 6], lambda n, x: n.op("Flatten", [x]), False),
        ("flatten_axis_1_rank_2", [12], lambda n, x: n.op("Flatten", [x], axis=1), True),
        ("reshape", [3, 4], lambda n, x: n.reshape(x, [1, 12]), True),
        ("reshape_inferred", [1, 4, 3], lambda n, x: n.reshape(x, [1, -1]), False),
        ("reshape_copy_batch", [2, 2, 3], lambda n, x: n.reshape(x, [0, -1]), True),
        ("reshape_inferred_batch", [6, 2, 1], lambda n, x: n.reshape(x, [-1, 12]), False),
        ("shape_gather_concat", [1, 3, 4], lambda n, x: n.batch_reshape(x), True),
        ("shape_gather_concat_behind", [4, 3], lambda n, x: n.batch_reshape(x), False),
        ("reshape_twice", [12], lambda n, x: n.reshape(n.reshape(x, [1, 3, 4]), [1, 12]), True),
    ]
    for number, (label, shape, function, before) in enumerate(table):
        name = f"shape_{label}"
        rng = maker.rng(name)
        net = Net(name, shape, STYLE_NAMES[number % len(STYLE_NAMES)])
        tensor = net.input
        if before:
            tensor = net.quant(function(net, tensor), 0.5, 4, 1)
        else:
            tensor = function(net, net.quant(tensor, 0.5, 4, 1))
        tensor = net.op("MatMul", [tensor, quantized_weights(net, rng, 12, 5, 3)])
        data = float_inputs(rng, shape, 0.5, 4)
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4)
        maker.finish("qonnx_layers", net, result, data, "shape operators around the input quantizer")
    for label, function in (
        ("result_reshape", lambda n, x: n.reshape(x, [1, 2, 3])),
        ("result_flatten", lambda n, x: n.op("Flatten", [x])),
    ):
        name = f"shape_{label}"
        rng = maker.rng(name)
        net, tensor, data = start(name, rng, 7, 6)
        tensor = net.quant(tensor, output_scale(net, tensor, data, 4), 4)
        maker.finish("qonnx_layers", net, function(net, tensor), data, "shape operator at the end")


def float_front(maker):
    """Float operators in front of the first quantizer, and inputs without any quantizer."""
    fronts = {
        "mul_sub": lambda n: n.op("Sub", [n.op("Mul", [n.input, 2.0]), [1.0]]),
        "div_255": lambda n: n.op("Div", [n.input, 255.0]),
        "normalize": lambda n: n.op("Div", [n.op("Sub", [n.input, 0.1307]), 0.3081]),
        "add_vector": lambda n: n.op("Add", [n.input, VECTOR]),
    }
    for label, front in fronts.items():
        name = f"front_{label}"
        rng = maker.rng(name)
        net = Net(name, [6], "brevitas" if label == "mul_sub" else "qonnx")
        bits, scale = (2, 1.0) if label == "mul_sub" else (4, 0.25)
        tensor = net.quant(front(net), scale, bits, 1, 1)
        tensor = net.op("MatMul", [tensor, quantized_weights(net, rng, 6, 5, 3)])
        if label == "div_255":
            data = rng.integers(0, 256, (24, 6)).astype(np.float32)
            data[0], data[1] = 0, 255
        else:
            data = float_inputs(rng, [6], scale, bits)
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4)
        maker.finish("qonnx_layers", net, result, data,
                     "float operators in front of the first quantizer")  # fmt: skip
    for label, scale, bits, signed, kind in (
        ("int4", 1.0, 4, 1, "int<4>"), ("uint5", 1.0, 5, 0, "uint<5>"),
        ("fixed8_3", 2.0**-5, 8, 1, "fixed<8,3>"), ("fixed16_6", 2.0**-10, 16, 1, "fixed<16,6>"),
    ):  # fmt: skip
        name = f"input_{label}"
        rng = maker.rng(name)
        net = Net(name, [7], "qkeras")
        tensor = net.op("MatMul", [net.input, quantized_weights(net, rng, 7, 5, 3)])
        tensor = net.op("Relu", [net.op("Add", [tensor, net.constant(rng.integers(-4, 5, 5) / 4)])])
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        codes = rng.integers(low, high + 1, (24, 7))
        codes[0], codes[1], codes[2] = low, high, 0
        data = (codes * scale).astype(np.float32)
        result = net.quant(tensor, output_scale(net, tensor, data, 4), 4, 0)
        maker.finish("qonnx_layers", net, result, data, f"no quantizer at the input: pass {kind}",
                     ["input_type"], extra={"input_type": {"global_in": kind}})  # fmt: skip


def tails(maker):
    """What stands behind the last integer: scales, biases, ArgMax, TopK, Softmax."""
    op, number = Net.op, 0
    scaled = {
        "none": lambda n, x: x,
        "scale_bias": lambda n, x: op(n, "Add", [op(n, "Mul", [x, 0.37]), VECTOR]),
        "sub_div_mul_add": lambda n, x: op(n, "Add", [op(n, "Mul", [op(n, "Div", [op(
            n, "Sub", [x, [1.2073]]), op(n, "Pow", [[346.125], 0.5])]), [0.8196]]), [-1.2115]]),
        "negative_scale": lambda n, x: op(n, "Mul", [x, -0.5]),
        "vector_scale": lambda n, x: op(n, "Mul", [x, VECTOR]),
        "batch_norm": lambda n, x: n.batch_norm(x, GAMMA, BETA, MEAN, VARIANCE),
        "quantizer": lambda n, x: n.quant(x, 0.5, 6),
    }  # fmt: skip
    for label, tail in scaled.items():
        number += 1
        name = f"tail_{label}"
        rng = maker.rng(name)
        net, tensor, data = start(name, rng, 8, 6, STYLE_NAMES[number % len(STYLE_NAMES)])
        maker.finish("qonnx_tails", net, tail(net, tensor), data, "one layer and a float tail")
    for label, kind, attributes in (
        ("argmax", "ArgMax", {"axis": 1}), ("argmax_no_keepdims", "ArgMax", {"axis": 1, "keepdims": 0}),
        ("argmax_last_axis", "ArgMax", {"axis": -1}),
        ("softmax", "Softmax", {"axis": 1}), ("softmax_last_axis", "Softmax", {"axis": -1}),
    ):  # fmt: skip
        for tail in ("none", "scale_bias", "vector_scale"):
            number += 1
            name = f"tail_{tail}_{label}"
            rng = maker.rng(name)
            net, tensor, data = start(
                name, rng, 8, 6, STYLE_NAMES[number % len(STYLE_NAMES)], in_bits=2
            )
            tensor = scaled[tail](net, tensor)
            result = net.op(kind, [tensor], **attributes)
            soft = kind == "Softmax"
            maker.finish(
                "qonnx_tails", net, result, data, "equal logits occur: the first one wins",
                dtype=TensorProto.FLOAT if soft else TensorProto.INT64, logits=tensor if soft else None,
            )  # fmt: skip
    for label, count, largest, which in (
        ("top1", 1, 1, 1), ("top3", 3, 1, 1), ("top6", 6, 1, 1), ("bottom2", 2, 0, 1), ("top2_values", 2, 1, 0),
    ):  # fmt: skip
        number += 1
        name = f"tail_{label}"
        rng = maker.rng(name)
        style = STYLE_NAMES[number % len(STYLE_NAMES)] if largest else "finn"
        net, tensor, data = start(name, rng, 8, 6, style, in_bits=2)
        outputs = net.top_k(tensor, count, largest)
        dtype = TensorProto.INT64 if which else TensorProto.FLOAT
        maker.finish("qonnx_tails", net, outputs[which], data, "indices or values, in order",
                     dtype=dtype)  # fmt: skip
