"""Write small int8 TFLite models without a converter.

A model is a chain of operators; every operator reads the previous one's output. Tensors are
`[1, ...]`, channels innermost. The bytes are produced by the object API that is generated from
the TensorFlow Lite schema (package `ai_edge_litert`), so that scales, zero points, shapes and
activations can be chosen freely, extremes included.
"""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
}
ACTIVATIONS = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
    "relu_n1_to_1": schema.ActivationFunctionType.RELU_N1_TO_1,
}


@dataclass
class Quantization:
    """Scales (float32) and zero points; more than one scale means per channel along `axis`."""

    scales: list
    zero_points: list = None
    axis: int = 0

    def encode(self):
        """The schema's record of this quantization."""
        record = schema.QuantizationParametersT()
        record.scale = np.asarray(self.scales, np.float32)
        zeros = self.zero_points if self.zero_points is not None else [0] * len(self.scales)
        record.zeroPoint = np.asarray(zeros, np.int64)
        record.quantizedDimension = self.axis
        return record


def per_tensor(scale, zero_point=0):
    """Quantization of a whole tensor: real = scale * (stored - zero_point)."""
    return Quantization([scale], [zero_point])


@dataclass
class Chain:
    """A model under construction: `tensors` and `operators` in execution order.

    `shape` includes the leading batch dimension 1.
    """

    name: str
    shape: list
    dtype: str = "int8"
    quantization: Quantization = None
    tensors: list = field(default_factory=list)
    buffers: list = field(default_factory=lambda: [None])
    codes: list = field(default_factory=list)
    operators: list = field(default_factory=list)
    inputs: list = field(default_factory=lambda: [0])

    def __post_init__(self):
        self.current = self._tensor("input", self.shape, self.dtype, self.quantization)

    def _tensor(self, name, shape, dtype, quantization=None, data=None):
        tensor = schema.TensorT()
        tensor.name = name.encode()
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = TYPES[dtype]
        tensor.buffer = 0
        if data is not None:
            self.buffers.append(np.ascontiguousarray(data))
            tensor.buffer = len(self.buffers) - 1
        tensor.quantization = quantization.encode() if quantization else None
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _operator(self, code, version, options_type, options, inputs, output):
        key = (code, version)
        if key not in self.codes:
            self.codes.append(key)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(key)
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray([output], np.int32)
        operator.builtinOptionsType = options_type
        operator.builtinOptions = options
        self.operators.append(operator)
        self.current = output
        return self

    def _scale(self):
        return np.float32(self.tensors[self.current].quantization.scale[0])

    def fully_connected(
        self, weights, weight_scales, out, bias=None, activation="none", keep_dims=False, shape=None
    ):
        """FULLY_CONNECTED: int8 `weights` [out, in], int32 `bias` [out] or None, output quantization `out`.

        One weight scale is per tensor, `out` of them are per channel. The bias scale is the
        product of the input and weight scales, as the format demands.
        """
        weights = np.asarray(weights, np.int8)
        count, layer = weights.shape[0], len(self.operators)
        scales = np.atleast_1d(np.asarray(weight_scales, np.float32))
        inputs = [self.current]
        inputs.append(
            self._tensor(f"weights{layer}", weights.shape, "int8", Quantization(scales), weights)
        )
        if bias is not None:
            quantization = Quantization(scales * self._scale())
            data = np.asarray(bias, np.int32)
            inputs.append(self._tensor(f"bias{layer}", data.shape, "int32", quantization, data))
        else:
            inputs.append(-1)
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = ACTIVATIONS[activation]
        options.keepNumDims = keep_dims
        output = self._tensor(f"dense{layer}", shape or [1, count], "int8", out)
        return self._operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            12 if len(scales) > 1 else 5 if keep_dims else 4,
            schema.BuiltinOptions.FullyConnectedOptions,
            options,
            inputs,
            output,
        )

    def reshape(self, shape, constant=True):
        """RESHAPE; the new shape as a constant second input or, if not `constant`, as an option only."""
        layer = len(self.operators)
        inputs = [self.current]
        if constant:
            data = np.asarray(shape, np.int32)
            inputs.append(self._tensor(f"shape{layer}", [len(shape)], "int32", None, data))
        options = schema.ReshapeOptionsT()
        options.newShape = np.asarray(shape, np.int32)
        source = self.tensors[self.current]
        size = int(np.prod(source.shape))
        known = int(np.prod([d for d in shape if d > 0]))
        resolved = [size // known if d < 0 else d for d in shape]
        output = self._like(f"reshape{layer}", resolved)
        return self._operator(
            schema.BuiltinOperator.RESHAPE,
            1,
            schema.BuiltinOptions.ReshapeOptions,
            options,
            inputs,
            output,
        )

    def _like(self, name, shape):
        source = self.tensors[self.current]
        tensor = schema.TensorT()
        tensor.name, tensor.shape = name.encode(), np.asarray(shape, np.int32)
        tensor.type, tensor.buffer, tensor.quantization = source.type, 0, source.quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def quantize(self, dtype, out):
        """QUANTIZE from float32 or from another integer quantization to `dtype`."""
        shape = list(self.tensors[self.current].shape)
        output = self._tensor(f"quantize{len(self.operators)}", shape, dtype, out)
        return self._operator(
            schema.BuiltinOperator.QUANTIZE,
            2,
            schema.BuiltinOptions.QuantizeOptions,
            schema.QuantizeOptionsT(),
            [self.current],
            output,
        )

    def dequantize(self):
        """DEQUANTIZE to float32."""
        shape = list(self.tensors[self.current].shape)
        output = self._tensor(f"dequantize{len(self.operators)}", shape, "float32")
        return self._operator(
            schema.BuiltinOperator.DEQUANTIZE,
            2,
            schema.BuiltinOptions.DequantizeOptions,
            schema.DequantizeOptionsT(),
            [self.current],
            output,
        )

    def softmax(self, beta=1.0):
        """SOFTMAX over the innermost dimension, int8 to int8 with scale 1/256 and zero point -128."""
        options = schema.SoftmaxOptionsT()
        options.beta = beta
        shape = list(self.tensors[self.current].shape)
        output = self._tensor(
            f"softmax{len(self.operators)}", shape, "int8", per_tensor(1.0 / 256, -128)
        )
        return self._operator(
            schema.BuiltinOperator.SOFTMAX,
            2,
            schema.BuiltinOptions.SoftmaxOptions,
            options,
            [self.current],
            output,
        )

    def to_bytes(self, upto=None):
        """The file's bytes; with `upto` only the first `upto` operators, the last one's output as result."""
        operators = self.operators if upto is None else self.operators[:upto]
        graph = schema.SubGraphT()
        graph.name = b"main"
        graph.tensors, graph.operators = self.tensors, operators
        graph.inputs = np.asarray(self.inputs, np.int32)
        graph.outputs = np.asarray(operators[-1].outputs, np.int32)
        model = schema.ModelT()
        model.version, model.description = 3, self.name.encode()
        model.subgraphs = [graph]
        model.operatorCodes = [self._code(*key) for key in self.codes]
        model.buffers = [self._buffer(data) for data in self.buffers]
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _code(code, version):
        record = schema.OperatorCodeT()
        record.builtinCode, record.deprecatedBuiltinCode = code, min(code, 127)
        record.version = version
        return record

    @staticmethod
    def _buffer(data):
        record = schema.BufferT()
        record.data = None if data is None else np.frombuffer(data.tobytes(), np.uint8)
        return record
