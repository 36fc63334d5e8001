"""ONNX cases of operators that arrange elements: Resize by whole factors, QLinearAdd and QLinearMul with broadcasting,
QLinearConcat along rows and columns. The outputs are onnxruntime's, the same at every optimization level."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .ort_model import LEVELS, run

FAMILY = "onnx_arrangements"
SHAPES = ([3, 2, 4], [1, 3, 3], [5, 1, 2], [2, 4, 1], [4, 3, 2])
SAMPLES = 4
OPSET = 18
MICROSOFT = "com.microsoft"


class Graph:
    """A small graph of quantized operators on one image, with numbers seeded by its name."""

    def __init__(self, name, number):
        self.name, self.rng = name, np.random.default_rng(list(name.encode()))
        self.dtype = (np.uint8, np.int8)[number % 2]
        self.shape = SHAPES[number % len(SHAPES)]
        self.nodes, self.constants, self.quantization = [], [], {}
        self.quantization["x"] = self.numbers()

    def constant(self, value):
        """Name of a constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def numbers(self, typical=0.03):
        """Names of a random scale around `typical` and of a zero point."""
        limits = np.iinfo(self.dtype)
        zero = self.rng.integers(limits.min + 40, limits.max - 40)
        scale = np.float32(typical * self.rng.uniform(0.5, 2))
        return self.constant(scale), self.constant(np.asarray(zero, self.dtype))

    def node(self, kind, inputs, domain="", **attributes):
        """Append a node, and give its result's name."""
        result = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [result], f"{kind}_{len(self.nodes)}", domain=domain, **attributes))
        return result

    def scale(self, tensor):
        """Scale of a tensor."""
        return float(numpy_helper.to_array(self.constants[int(self.quantization[tensor][0][1:])]))

    def quantized(self, kind, operands, domain=MICROSOFT, first=False, **attributes):
        """A QLinear operator: each operand with its numbers, those of the result last, or first."""
        scales = [self.scale(operand) for operand in operands]
        own = self.numbers(np.prod(scales) * 60 if kind == "QLinearMul" else max(scales))
        inputs = [name for operand in operands for name in (operand, *self.quantization[operand])]
        result = self.node(kind, [*own, *inputs] if first else [*inputs, *own], domain, **attributes)
        self.quantization[result] = own
        return result

    def same(self, kind, inputs, **attributes):
        """An operator that keeps the numbers of its first operand."""
        result = self.node(kind, inputs, **attributes)
        self.quantization[result] = self.quantization[inputs[0]]
        return result

    def convolution(self, filters):
        """QLinearConv of single pixels of the input."""
        weights = self.rng.integers(-100, 100, (filters, self.shape[0], 1, 1)).astype(np.int8)
        if self.dtype == np.uint8:
            weights = (weights.astype(int) + 128).astype(np.uint8)
        scale, zero = np.float32(0.01), np.asarray(128 if self.dtype == np.uint8 else 0, self.dtype)
        own = self.numbers()
        inputs = ["x", *self.quantization["x"], self.constant(weights), self.constant(scale), self.constant(zero), *own]
        result = self.node("QLinearConv", inputs)
        self.quantization[result] = own
        return result

    def store(self, index, output, note, features=()):
        """Run at every level, compare, and add the case."""
        element = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        graph = helper.make_graph(
            self.nodes, self.name, [helper.make_tensor_value_info("x", element, [1, *self.shape])],
            [helper.make_tensor_value_info(output, element, None)], self.constants,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        data = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString(deterministic=True)
        limits = np.iinfo(self.dtype)
        samples = self.rng.integers(limits.min, limits.max + 1, (SAMPLES, *self.shape)).astype(self.dtype)
        found = [run(data, samples, level) for level in LEVELS]
        if any((result != found[0]).any() for result in found) or (found[0] == found[0][:1]).all():
            raise SystemExit(f"{self.name}: levels differ, or nothing varies")
        index.add(FAMILY, self.name, "onnx", data, [node.op_type for node in self.nodes],
                  {"input": samples, "output_ort": found[0]}, note, {*features, np.dtype(self.dtype).name},
                  {"profiles": ["ort"], "opset": OPSET})  # fmt: skip


def resizes(index):
    """Resize by whole factors, as factors or as sizes, in the coordinate modes that then take equal numbers of copies."""
    modes = (("half_pixel", "round_prefer_floor"), ("asymmetric", "floor"), ("half_pixel", "round_prefer_ceil"),
             ("pytorch_half_pixel", "round_prefer_floor"), ("tf_half_pixel_for_nn", "floor"))  # fmt: skip
    for number in range(24):
        graph = Graph(f"resize_{number:02}", number)
        # Both 1 would leave nothing to compute.
        factors = [1, 1, 1 + number % 4, 1 + max(number // 4 % 3, number % 4 == 0)]
        coordinates, nearest = modes[number % len(modes)]
        attributes = {"mode": "nearest", "coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
        source = graph.convolution(3) if number % 3 == 2 else "x"
        if number % 2:
            sizes = np.multiply([1, 3 if source != "x" else graph.shape[0], *graph.shape[1:]], factors)
            inputs = [source, "", "", graph.constant(sizes.astype(np.int64))]
        else:
            inputs = [source, "", graph.constant(np.asarray(factors, np.float32))]
        graph.store(index, graph.same("Resize", inputs, **attributes), f"factors {factors[2:]}, {coordinates}, {nearest}")


def small_operand(graph, number):
    """A tensor that repeats along some dimensions of the image, and which."""
    rows, columns = graph.shape[1:]
    kind = number % 4
    if kind == 0:
        return graph.quantized("QLinearGlobalAveragePool", ["x"], channels_last=0), "rows and columns"
    if kind == 1:
        return graph.same("MaxPool", ["x"], kernel_shape=[rows, 1]), "rows"
    if kind == 2:
        return graph.same("MaxPool", ["x"], kernel_shape=[1, columns]), "columns"
    return graph.convolution(1), "channels"


def broadcasts(index, kind):
    """QLinearAdd or QLinearMul of an image and a tensor that repeats, either one first."""
    for number in range(24):
        graph = Graph(f"{kind.lower()}_broadcast_{number:02}", number)
        small, along = small_operand(graph, number)
        image = graph.convolution(graph.shape[0]) if number % 3 == 2 else "x"
        operands = [small, image] if number // 4 % 2 else [image, small]
        output = graph.quantized(f"QLinear{kind}", operands)
        graph.store(index, output, f"one operand repeats along {along}", {"fork", "broadcast"})


def concatenations(index):
    """QLinearConcat along rows or columns, with the same and other scales."""
    for number in range(20):
        graph = Graph(f"concat_pixels_{number:02}", number)
        axis = 2 + number % 2
        kernel = [graph.shape[1], 1] if axis == 2 else [1, graph.shape[2]]
        parts = ["x", graph.convolution(graph.shape[0])]
        if number % 3 == 0:
            parts.append(graph.same("MaxPool", ["x"], kernel_shape=kernel))
        output = graph.quantized("QLinearConcat", parts, first=True, axis=axis)
        graph.store(index, output, f"{len(parts)} images along axis {axis}", {"fork", "concat_axis"})
