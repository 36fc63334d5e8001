"""Build QONNX models in the styles of the exporters and run them with the qonnx executor."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.infer_shapes import InferShapes

GENERAL, BREVITAS, FINN = "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general"
CUSTOM = ("Quant", "BipolarQuant", "Trunc")
f32 = np.float32


@dataclass(frozen=True)
class Style:
    """How an exporter writes a graph."""

    domain: str = GENERAL
    opset: int = 13
    ir_version: int = 8
    constants_as_nodes: bool = False
    weights_transposed: bool = False
    initializers_as_inputs: bool = False
    custom_opset: int | None = 1


STYLES = {
    "qonnx": Style(),
    "qonnx_new": Style(opset=17, ir_version=10, custom_opset=2),
    "brevitas": Style(BREVITAS, 9, 6, False, True, True, None),
    "brevitas_new": Style(BREVITAS, 14, 7, True, True, False, 1),
    "qkeras": Style(FINN, 9, 4, False, False, False, None),
    "finn": Style(FINN, 11, 6, True, False, False, 1),
}


class Net:
    """A graph under construction; methods append a node and return the output's name."""

    def __init__(self, name, shape, style="qonnx"):
        self.name, self.shape = name, list(shape)
        self.style = STYLES[style] if isinstance(style, str) else style
        self.nodes, self.initializers, self.count = [], [], 0
        self.input = "global_in"
        self.outputs = []

    def fresh(self, stem):
        """A new tensor name."""
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, value, dtype=np.float32):
        """A constant tensor, as an initializer or a Constant node."""
        array = np.asarray(value, dtype)
        if self.style.constants_as_nodes and array.size < 8:
            name = self.fresh("constant")
            tensor = numpy_helper.from_array(array)
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor, name=name))
        else:
            name = self.fresh("param")
            self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind, inputs, outputs=1, **attributes):
        """Append a node; array inputs become constants."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        results = [self.fresh(kind) for _ in range(outputs)]
        domain = {"domain": self.style.domain} if kind in CUSTOM else {}
        node = helper.make_node(kind, names, results, name=f"{kind}_{self.count}", **domain, **attributes)
        self.nodes.append(node)
        return results[0] if outputs == 1 else results

    def quant(self, x, scale, bits, signed=1, narrow=0, zero_point=0.0, mode="ROUND"):
        """Quant of `x` (a tensor name or an array)."""
        operands = [x, scale, zero_point, float(bits)]
        return self.op("Quant", operands, signed=signed, narrow=narrow, rounding_mode=mode)

    def bipolar(self, x, scale=1.0):
        """BipolarQuant of `x`."""
        return self.op("BipolarQuant", [x, scale])

    def weights(self, array, quantizer):
        """A quantized weight matrix [in, out]; `quantizer(name)` appends the quantizer.

        Exporters of the Brevitas kind store [out, in] and transpose after the quantizer.
        """
        if not self.style.weights_transposed:
            return quantizer(self.constant(array))
        return self.op("Transpose", [quantizer(self.constant(array.T))], perm=[1, 0])

    def per_channel(self, scales):
        """Weight scales [out] in the shape that the stored weight matrix needs."""
        scales = np.asarray(scales, f32)
        return scales[:, None] if self.style.weights_transposed else scales[None, :]

    def batch_norm(self, x, gamma, beta, mean, variance, epsilon=1e-5):
        """BatchNormalization in inference form."""
        return self.op("BatchNormalization", [x, gamma, beta, mean, variance], epsilon=epsilon)

    def reshape(self, x, shape):
        """Reshape to a constant shape."""
        return self.op("Reshape", [x, self.constant(shape, np.int64)])

    def top_k(self, x, count, largest=1):
        """TopK over the last axis: values and indices. Before operator set 10, `k` is an attribute."""
        if self.style.opset < 10:
            return self.op("TopK", [x], 2, k=count, axis=-1)
        count_name = self.constant([count], np.int64)
        attributes = {"largest": largest} if self.style.opset >= 11 else {}
        return self.op("TopK", [x, count_name], 2, axis=-1, **attributes)

    def batch_reshape(self, x):
        """Flatten to [batch, -1] through Shape, Gather, Unsqueeze, Concat, as PyTorch's `view` exports."""
        shape = self.op("Shape", [x])
        batch = self.op("Gather", [shape, self.constant(0, np.int64)], axis=0)
        if self.style.opset < 13:
            batch = self.op("Unsqueeze", [batch], axes=[0])
        else:
            batch = self.op("Unsqueeze", [batch, self.constant([0], np.int64)])
        target = self.op("Concat", [batch, self.constant([-1], np.int64)], axis=0)
        return self.op("Reshape", [x, target])

    def model(self, outputs):
        """The ModelProto with `outputs` (names, with element types) as graph outputs."""
        inputs = [helper.make_tensor_value_info(self.input, TensorProto.FLOAT, [1, *self.shape])]
        if self.style.initializers_as_inputs:
            inputs += [
                helper.make_tensor_value_info(t.name, t.data_type, list(t.dims))
                for t in self.initializers
            ]
        results = [helper.make_tensor_value_info(n, t, None) for n, t in outputs]
        graph = helper.make_graph(self.nodes, self.name, inputs, results, self.initializers)
        opsets = [helper.make_opsetid("", self.style.opset)]
        if self.style.custom_opset is not None:
            opsets.append(helper.make_opsetid(self.style.domain, self.style.custom_opset))
        model = helper.make_model(graph, opset_imports=opsets, producer_name="systole-vectors")
        model.ir_version = self.style.ir_version
        return with_shapes(model)


def prepare(model):
    """The executor's own view of `model`: Shape subgraphs folded, all shapes known."""
    wrapper = ModelWrapper(model, make_deepcopy=True).transform(InferShapes())
    folding = FoldConstants(exclude_op_types=[*CUSTOM, "Transpose"])
    return wrapper.transform(folding).transform(InferShapes())


def with_shapes(model):
    """The model with the static shapes of its outputs filled in, and no other annotation."""
    prepared = prepare(model)
    for output in model.graph.output:
        shape = prepared.get_tensor_shape(output.name)
        if not shape:
            raise ValueError(f"{model.graph.name}: no shape for {output.name}")
        output.type.tensor_type.shape.SetInParent()
        for size in shape:
            output.type.tensor_type.shape.dim.add().dim_value = size
    return model


def execute(model, samples):
    """Every tensor of every sample: a list of name -> array, one entry a sample of `samples` [N, ...]."""
    wrapper, name = prepare(model), model.graph.input[0].name
    return [
        execute_onnx(wrapper, {name: sample[None]}, return_full_exec_context=True)
        for sample in samples
    ]
