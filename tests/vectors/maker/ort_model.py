"""Build quantized ONNX networks, in QOperator or QDQ style, and run them with onnxruntime."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from .ort_reference import Graph, Pending, Quantized, limits

f32 = np.float32
MICROSOFT = "com.microsoft"
CONTRIBUTED = (
    "QGemm", "QLinearAdd", "QLinearMul", "QLinearGlobalAveragePool", "QLinearAveragePool",
    "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu",
)  # fmt: skip
LEVELS = {
    "disable_all": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "enable_all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    # On x86-64 operators between int8 quantizers are replaced by integer kernels only with this entry.
    "enable_all, session.qdqisint8allowed": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
# Operators that keep their input's scale and zero point.
KEEPING = ("MaxPool", "Reshape", "Flatten")


def run(model, samples, level):
    """Outputs `[N, ...]` for `samples` `[N, ...]`, one run a sample."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = LEVELS[level]
    if "qdqisint8allowed" in level:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in samples])


class OrtNet:
    """A network under construction. Every layer is evaluated at once on all samples, to choose its scales."""

    def __init__(self, name, rng, shape, style="qoperator", dtype="int8", border="integer",
                 samples=6, opset=17):  # fmt: skip
        self.name, self.rng, self.style, self.opset = name, rng, style, opset
        self.dtype, self.border = np.dtype(dtype), border
        self.nodes, self.graph, self.count = [], Graph(), 0
        self.quantization, self.operators = {}, []
        lo, hi = limits(self.dtype)
        codes = rng.integers(lo, hi + 1, (samples, *shape))
        codes[0] = hi
        codes[1] = np.clip(np.rint(rng.normal((lo + hi) / 2, 20, shape)), lo, hi)
        self.shape, self.input = list(shape), "x"
        scale, zero = self.draw_scale(), self.draw_zero()
        if border == "float":
            noise = rng.uniform(-0.6, 0.6, codes.shape)
            self.samples = ((codes - zero + noise) * scale).astype(f32)
            self.values = {"x": self.samples}
            self.first = self.quantize("x", scale, zero)
        else:
            self.samples = codes.astype(self.dtype)
            self.values = {"x": self.samples}
            self.first = "x"
            self.quantization["x"] = (self.constant(scale), self.constant(zero, self.dtype))

    def draw_scale(self):
        """A scale between 2^-7 and 1, now and then a power of two, so that ties occur."""
        if self.rng.integers(4) == 0:
            return f32(2.0 ** -self.rng.integers(2, 7))
        return f32(10 ** self.rng.uniform(-2, 0))

    def draw_zero(self):
        """The middle, an end, or any value of the type."""
        lo, hi = limits(self.dtype)
        kind = self.rng.integers(3)
        return [(lo + hi + 1) // 2, lo, int(self.rng.integers(lo, hi + 1))][kind]

    def constant(self, value, dtype=np.float32):
        """A constant tensor's name."""
        self.count += 1
        name = f"c{self.count}"
        self.graph.constants[name] = np.asarray(value, dtype)
        return name

    def node(self, kind, inputs, **attributes):
        """Append a node and return its output's name, without a value yet."""
        self.count += 1
        name = f"t{self.count}"
        domain = {"domain": MICROSOFT} if kind in CONTRIBUTED else {}
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{kind}_{self.count}", **domain, **attributes))
        self.operators.append(kind)
        return name

    def evaluate(self, name):
        """The value of the last node."""
        self.values[name] = self.graph.step(self.nodes[-1], self.values)
        return self.values[name]

    def plain(self, kind, inputs, **attributes):
        """A node that needs no scale of its own."""
        name = self.node(kind, inputs, **attributes)
        value = self.evaluate(name)
        if kind in KEEPING and inputs[0] in self.quantization:
            self.quantization[name] = self.quantization[inputs[0]]
        return name if not isinstance(value, Pending) else name

    def quantize(self, x, scale, zero):
        """QuantizeLinear with given numbers."""
        pair = self.constant(scale), self.constant(zero, self.dtype)
        name = self.plain("QuantizeLinear", [x, *pair])
        self.quantization[name] = pair
        return name

    def dequantize(self, x):
        """DequantizeLinear of a stored tensor."""
        return self.plain("DequantizeLinear", [x, *self.quantization[x]])

    def fit(self, real):
        """Scale and zero point that suit real numbers: the standard quantizer's, a power of two, or a tight one."""
        lo, hi = limits(self.dtype)
        least, greatest = min(float(real.min()), 0.0), max(float(real.max()), 1e-6)
        kind = self.rng.integers(4)
        if kind == 0:
            reach = max(-least, greatest)
            middle = (lo + hi + 1) // 2
            return f32(reach / 127), middle
        scale = (greatest - least) / 255
        if kind == 1:
            scale = 2.0 ** np.round(np.log2(scale))
        elif kind == 2:
            scale *= self.rng.uniform(0.5, 1.0)
        scale = f32(scale)
        return scale, int(np.clip(np.rint(lo - least / float(scale)), lo, hi))

    def triple(self, x):
        """Tensor, scale and zero point: an operand of a quantized operator."""
        return [x, *self.quantization[x]]

    def draw_weights(self, shape, outputs_axis, per_channel):
        """Weights' name, scale's and zero point's; uint8 weights have a zero point near the middle."""
        lo, hi = limits(self.dtype)
        channels = shape[outputs_axis]
        zero = int(self.rng.integers(110, 150)) if lo == 0 else 0
        codes = np.clip(np.rint(self.rng.normal(zero, 40, shape)), lo, hi)
        size = (channels,) if per_channel else ()
        scales = 10 ** self.rng.uniform(-3, -1.5, size)
        if self.rng.integers(5) == 0:
            scales = 2.0 ** -self.rng.integers(5, 9, size)
        return (
            self.constant(codes, self.dtype),
            self.constant(scales),
            self.constant(np.full(size, zero), self.dtype),
        )

    def draw_bias(self, x, weights, spread):
        """An int32 bias of about `spread`, with the scale sx*sw where it stands in front of a DequantizeLinear."""
        sx, sw = self.graph.constants[self.quantization[x][0]], self.graph.constants[weights[1]]
        channels = self.outputs
        bias = self.constant(self.rng.normal(0, spread, channels), np.int32)
        if self.style == "qoperator":
            return bias
        scale = self.constant(np.asarray(sx * sw, f32))
        zero = self.constant(np.zeros(np.shape(sw)), np.int32)
        axis = {"axis": 0} if np.ndim(sw) else {}
        return self.plain("DequantizeLinear", [bias, scale, zero], **axis)

    def settle(self, kind, before, after=(), scale=None, zero=None, **attributes):
        """A quantized operator whose output scale follows from its values; `before` and `after` are its inputs
        around the output's scale and zero point."""
        pair = self.constant(1.0), self.constant(0, self.dtype)
        name = self.node(kind, [*before, *pair, *after], **attributes)
        self.count += 1
        real = self.real_of(kind, self.nodes[-1])
        fitted = self.fit(real)
        self.graph.constants[pair[0]] = f32(scale if scale is not None else fitted[0])
        self.graph.constants[pair[1]] = np.asarray(zero if zero is not None else fitted[1], self.dtype)
        self.evaluate(name)
        self.quantization[name] = pair
        return name

    def real_of(self, kind, node):
        """Real values of an operator in front of its clamp."""
        caught = []
        finish = Pending.finish
        try:
            Pending.finish = lambda pending, s, z: caught.append(pending.real) or finish(pending, s, z)
            self.graph.step(node, self.values)
        finally:
            Pending.finish = finish
        return caught[0]

    def operate(self, qlinear, plain, inputs, weights=None, bias=None, relu=None, scale=None, zero=None, **attributes):
        """One layer in the net's style: `qlinear` with its scales, or `plain` between DequantizeLinear and QuantizeLinear."""
        if self.style == "qoperator":
            before = [part for x in inputs for part in self.triple(x)]
            before += list(weights or ())
            if qlinear == "QLinearConcat":
                pair = self.constant(1.0), self.constant(0, self.dtype)
                name = self.node(qlinear, [*pair, *before], **attributes)
                real = self.real_of(qlinear, self.nodes[-1])
                fitted = self.fit(real)
                self.graph.constants[pair[0]] = f32(scale if scale is not None else fitted[0])
                self.graph.constants[pair[1]] = np.asarray(zero if zero is not None else fitted[1], self.dtype)
                self.evaluate(name)
                self.quantization[name] = pair
                return name
            if qlinear == "QGemm":
                return self.settle(qlinear, [*before, bias or ""], (), scale, zero, **attributes)
            after = [bias] if bias and qlinear == "QLinearConv" else []
            return self.settle(qlinear, before, after, scale, zero, **attributes)
        before = [self.dequantize(x) for x in inputs]
        if weights:
            channel_axis = {"axis": self.weight_axis} if np.ndim(self.graph.constants[weights[1]]) else {}
            before.append(self.plain("DequantizeLinear", list(weights), **channel_axis))
        if bias:
            before.append(bias)
        result = self.plain(plain, before, **attributes)
        if relu == "Relu":
            result = self.plain("Relu", [result])
        elif relu == "Clip":
            result = self.plain("Clip", [result, self.constant(0.0), self.constant(6.0)])
        value = self.values[result]
        real = value.real if isinstance(value, Pending) else value.real()
        fitted = self.fit(np.asarray(real, float))
        return self.quantize(result, scale if scale is not None else fitted[0], zero if zero is not None else fitted[1])

    def conv(self, x, filters, kernel, per_channel=True, bias=True, relu=None, **attributes):
        """QLinearConv or Conv."""
        group, self.outputs, self.weight_axis = attributes.get("group", 1), filters, 0
        channels = self.values[x].shape[1] // group
        weights = self.draw_weights([filters, channels, *kernel], 0, per_channel)
        taps = channels * int(np.prod(kernel))
        name = self.draw_bias(x, weights, 1500 * taps**0.5) if bias else None
        return self.operate("QLinearConv", "Conv", [x], weights, name, relu, kernel_shape=kernel, **attributes)

    def dense(self, x, outputs, per_channel=False, bias=True, relu=None, kind="Gemm", alpha=1.0, trans_b=1):
        """QGemm or Gemm (with bias), QLinearMatMul or MatMul (without)."""
        inputs, self.outputs = self.values[x].shape[-1], outputs
        if kind == "MatMul":
            self.weight_axis = 1
            weights = self.draw_weights([inputs, outputs], 1, per_channel)
            return self.operate("QLinearMatMul", "MatMul", [x], weights, None, relu)
        self.weight_axis = 0 if trans_b else 1
        shape = [outputs, inputs] if trans_b else [inputs, outputs]
        weights = self.draw_weights(shape, self.weight_axis, per_channel)
        name = self.draw_bias(x, weights, 1500 * inputs**0.5) if bias else None
        attributes = {"transB": trans_b}
        if alpha != 1.0:
            attributes["alpha"] = alpha
        return self.operate("QGemm", "Gemm", [x], weights, name, relu, **attributes)

    def join(self, kind, a, b, relu=None, **numbers):
        """QLinearAdd or QLinearMul of two tensors."""
        return self.operate(f"QLinear{kind}", kind, [a, b], relu=relu, **numbers)

    def model(self, output):
        """The model's bytes with its opset imports."""
        types = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}
        value = self.values[output]
        shape = list((value.codes if isinstance(value, Quantized) else value).shape[1:])
        kind = "float32" if isinstance(value, Quantized) else str(value.dtype)
        used = {name for node in self.nodes for name in node.input}
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("x", types[str(self.samples.dtype)], [1, *self.shape])],
            [helper.make_tensor_value_info(output, types[kind], [1, *shape])],
            [numpy_helper.from_array(array, name) for name, array in self.graph.constants.items() if name in used],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        model = helper.make_model(graph, opset_imports=opsets, producer_name="systole-vectors")
        model.ir_version = 8
        return model
