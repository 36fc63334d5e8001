"""Evaluate a TFLite file of this folder with the formulas, without any runtime.

`check.py` compares the result with the stored vectors: an agreement shows that the formulas that
README.md lists are complete for every case here.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from . import formulas
from .image_reference import ImageOperators
from .softmax import softmax

f32 = np.float32
DTYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.FLOAT32: np.float32,
}
ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}


class Model(ImageOperators):
    """A parsed file: `evaluate(profile, samples)` gives the output `[N, ...]`."""

    def __init__(self, data):
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
        self.graph = self.model.subgraphs[0]

    def scale(self, index):
        """Scales (float32) and first zero point of a tensor."""
        record = self.graph.tensors[index].quantization
        return np.asarray(record.scale, f32), int(record.zeroPoint[0])

    def constant(self, index):
        """A constant tensor's values as int64."""
        tensor = self.graph.tensors[index]
        data = np.asarray(self.model.buffers[tensor.buffer].data, np.uint8).tobytes()
        return np.frombuffer(data, DTYPES[tensor.type]).reshape(tensor.shape).astype(np.int64)

    def code_name(self, operator):
        """The schema's name of an operator."""
        record = self.model.operatorCodes[operator.opcodeIndex]
        code = max(record.builtinCode, record.deprecatedBuiltinCode)
        return next(name for name, value in vars(schema.BuiltinOperator).items() if value == code)

    def evaluate(self, profile, samples):
        """All samples through all operators under one profile's formulas."""
        values = {int(self.graph.inputs[0]): samples}
        for operator in self.graph.operators:
            name = self.code_name(operator)
            if name in WITH_CONSTANTS:
                arrays = [values[t] if t in values else self.constant(t) for t in operator.inputs if t >= 0]
            else:
                arrays = [values[operator.inputs[0]]]
            handler = getattr(self, HANDLERS.get(name, name.lower()))
            values[int(operator.outputs[0])] = handler(profile, operator, *arrays)
        return values[int(self.graph.outputs[0])]

    def fully_connected(self, profile, operator, x):
        """[N, ...] -> [N, out], or [N, ..., out] with keep_num_dims."""
        options, inputs = operator.builtinOptions, list(operator.inputs)
        (sx,), zx = self.scale(inputs[0])
        sw, _ = self.scale(inputs[1])
        (so,), zo = self.scale(operator.outputs[0])
        weights = self.constant(inputs[1])
        rows = x.astype(np.int64).reshape(-1, weights.shape[1]) - zx
        acc = rows @ weights.T
        if len(inputs) > 2 and inputs[2] >= 0:
            acc = acc + self.constant(inputs[2])
        activation = ACTIVATIONS[options.fusedActivationFunction]
        lo, hi = formulas.clamp_range(profile, activation, so, zo)
        per_channel = len(sw) > 1
        out = np.empty(acc.shape, np.int8)
        for (row, channel), value in np.ndenumerate(acc):
            scale = sw[channel if per_channel else 0]
            step = formulas.rescale_fully_connected(
                profile, int(value), sx, scale, so, per_channel, lo - zo, hi - zo
            )
            out[row, channel] = max(lo, min(hi, step + zo))
        shape = self.graph.tensors[operator.outputs[0]].shape
        return out.reshape(len(x), *shape[1:])

    def softmax(self, profile, operator, x):
        """[N, ..., classes], the same for every profile."""
        (scale,), _ = self.scale(operator.inputs[0])
        rows = x.reshape(-1, x.shape[-1]).astype(int).tolist()
        beta = operator.builtinOptions.beta
        return np.array([softmax(row, float(scale), beta) for row in rows], np.int8).reshape(x.shape)

    def quantize(self, profile, operator, x):
        """From float32, or between integer types."""
        source, result = operator.inputs[0], operator.outputs[0]
        dtype = DTYPES[self.graph.tensors[result].type]
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        (so,), zo = self.scale(result)
        if x.dtype == f32:
            return formulas.quantize(profile, x, so, zo, low, high).astype(dtype)
        (si,), zi = self.scale(source)
        both = x.dtype == np.int8 and dtype == np.int8
        return formulas.requantize(profile, x, si, zi, so, zo, low, high, both).astype(dtype)

    def dequantize(self, profile, operator, x):
        """To float32."""
        (scale,), zero_point = self.scale(operator.inputs[0])
        return formulas.dequantize(profile, x, scale, zero_point)

    def reshape(self, profile, operator, x):
        """Same values, the output tensor's shape."""
        return x.reshape(len(x), *self.graph.tensors[operator.outputs[0]].shape[1:])


HANDLERS = dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH"), "activation") | {"PADV2": "pad"}
# Operators whose handler takes every input, the others take the first.
WITH_CONSTANTS = {
    "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "SUB", "MUL", "MEAN", "PRELU", "PAD", "PADV2", "CONCATENATION",
    "RESIZE_NEAREST_NEIGHBOR",
}  # fmt: skip
