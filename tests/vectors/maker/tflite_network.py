"""Operators of image networks for `Chain`: windows, joins, activations, structure.

Tensors are `[1, H, W, C]`. An operator reads the current tensor; joins take the index of a second one,
so that a network may branch: keep `current` and set it again.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .tflite_model import ACTIVATIONS, Chain, Quantization

PADDINGS = {"same": schema.Padding.SAME, "valid": schema.Padding.VALID}
OPS, OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions


def output_size(size, kernel, stride, dilation, padding):
    """Rows or columns of a window operator's output."""
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == "same" else (size - reach) // stride + 1


class Network(Chain):
    """A `Chain` with the operators of image networks."""

    def dims(self):
        """Shape of the current tensor."""
        return [int(d) for d in self.tensors[self.current].shape]

    def quantization_of_current(self):
        """`(scale, zero point)` of the current tensor."""
        record = self.tensors[self.current].quantization
        return float(record.scale[0]), int(record.zeroPoint[0])

    def second_input(self, shape, quantization):
        """A further graph input; it becomes the current tensor."""
        self.current = self._tensor(f"input{len(self.inputs)}", shape, "int8", quantization)
        self.inputs.append(self.current)
        return self.current

    def constant(self, data, quantization=None, dtype="int8"):
        """A constant tensor; its index."""
        return self._tensor(f"constant{len(self.tensors)}", np.shape(data), dtype, quantization,
                            np.asarray(data, dtype))  # fmt: skip

    def _same_scale(self, name, shape):
        return self._like(f"{name}{len(self.operators)}", shape)

    def _layer(self, kind, weights, scales, axis, bias):
        layer = len(self.operators)
        scales = np.atleast_1d(np.asarray(scales, np.float32))
        quantization = Quantization(scales, axis=axis if len(scales) > 1 else 0)
        inputs = [self.current, self._tensor(f"weights{layer}", weights.shape, "int8", quantization,
                                             np.asarray(weights, np.int8))]  # fmt: skip
        if bias is None:
            return [*inputs, -1]
        record = Quantization(scales * self._scale())
        data = np.asarray(bias, np.int32)
        return [*inputs, self._tensor(f"bias{layer}", data.shape, "int32", record, data)]

    def _window(self, options, size, kernel, stride, dilation, padding, activation):
        options.padding = PADDINGS[padding]
        options.strideH, options.strideW = stride
        options.fusedActivationFunction = ACTIVATIONS[activation]
        if dilation is not None:
            options.dilationHFactor, options.dilationWFactor = dilation
        return [output_size(*each, padding)
                for each in zip(size, kernel, stride, dilation or (1, 1), strict=True)]  # fmt: skip

    def conv2d(self, weights, scales, out, bias=None, stride=(1, 1), dilation=(1, 1),
               padding="same", activation="none"):  # fmt: skip
        """CONV_2D: int8 `weights` [out, kh, kw, in / groups], int32 `bias` [out] or None."""
        inputs = self._layer("conv", weights, scales, 0, bias)
        options = schema.Conv2DOptionsT()
        size = self._window(options, self.dims()[1:3], weights.shape[1:3], stride, dilation, padding,
                            activation)  # fmt: skip
        shape = [self.dims()[0], *size, weights.shape[0]]
        output = self._tensor(f"conv{len(self.operators)}", shape, "int8", out)
        return self._operator(OPS.CONV_2D, 3, OPTIONS.Conv2DOptions, options, inputs, output)

    def depthwise(self, weights, scales, out, bias=None, stride=(1, 1), dilation=(1, 1),
                  padding="same", activation="none"):  # fmt: skip
        """DEPTHWISE_CONV_2D: int8 `weights` [1, kh, kw, in * multiplier]; scales along axis 3."""
        inputs = self._layer("depthwise", weights, scales, 3, bias)
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = weights.shape[3] // self.dims()[3]
        size = self._window(options, self.dims()[1:3], weights.shape[1:3], stride, dilation, padding,
                            activation)  # fmt: skip
        shape = [self.dims()[0], *size, weights.shape[3]]
        output = self._tensor(f"depthwise{len(self.operators)}", shape, "int8", out)
        return self._operator(
            OPS.DEPTHWISE_CONV_2D, 3, OPTIONS.DepthwiseConv2DOptions, options, inputs, output
        )

    def pool(self, kind, kernel, stride=None, padding="valid", activation="none"):
        """AVERAGE_POOL_2D or MAX_POOL_2D (`kind` is "average" or "max"); the input's quantization."""
        stride = stride or kernel
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = kernel
        _, height, width, channels = self.dims()
        size = self._window(options, (height, width), kernel, stride, None, padding, activation)
        output = self._same_scale(f"{kind}_pool", [1, *size, channels])
        code = OPS.AVERAGE_POOL_2D if kind == "average" else OPS.MAX_POOL_2D
        return self._operator(code, 2, OPTIONS.Pool2DOptions, options, [self.current], output)

    def join(self, kind, other, out, activation="none"):
        """`add`, `sub` or `mul` of the current tensor and tensor `other`."""
        options = {"add": schema.AddOptionsT, "sub": schema.SubOptionsT, "mul": schema.MulOptionsT}[
            kind
        ]()
        options.fusedActivationFunction = ACTIVATIONS[activation]
        name = kind.capitalize() + "Options"
        both = (self.tensors[self.current].shape, self.tensors[other].shape)
        shape = np.broadcast_shapes(*map(tuple, both))
        output = self._tensor(f"{kind}{len(self.operators)}", shape, "int8", out)
        return self._operator(
            getattr(OPS, kind.upper()), 2, getattr(OPTIONS, name), options, [self.current, other], output
        )

    def elementwise(self, name, out, version=2, options=None, more=()):
        """LOGISTIC, TANH, RELU, ...: one input, the same shape; `more` are further tensor indices."""
        kinds = {"LeakyReluOptionsT": OPTIONS.LeakyReluOptions,
                 "HardSwishOptionsT": OPTIONS.HardSwishOptions}  # fmt: skip
        kind = kinds[type(options).__name__] if options is not None else OPTIONS.NONE
        output = self._tensor(f"{name.lower()}{len(self.operators)}", self.dims(), "int8", out)
        inputs = [self.current, *more]
        return self._operator(getattr(OPS, name), version, kind, options, inputs, output)

    def activation(self, name, out):
        """LOGISTIC, TANH, HARD_SWISH, RELU, RELU6 or RELU_N1_TO_1 as a node of its own."""
        if name == "HARD_SWISH":
            return self.elementwise(name, out, 1, schema.HardSwishOptionsT())
        return self.elementwise(name, out, 1 if name == "RELU_N1_TO_1" else 2)

    def leaky_relu(self, alpha, out):
        """LEAKY_RELU with slope `alpha` below 0."""
        options = schema.LeakyReluOptionsT()
        options.alpha = alpha
        return self.elementwise("LEAKY_RELU", out, 2, options)

    def prelu(self, alpha, quantization, out):
        """PRELU: int8 `alpha` [1, 1, C]."""
        return self.elementwise("PRELU", out, 1, None, [self.constant(alpha, quantization)])

    def mean(self, out, keep_dims=False, axes=(1, 2)):
        """MEAN over `axes`, rows and columns unless told otherwise."""
        options = schema.ReducerOptionsT()
        options.keepDims = keep_dims
        positive = {axis % len(self.dims()) for axis in axes}
        shape = [1 if i in positive else d for i, d in enumerate(self.dims())]
        if not keep_dims:
            shape = [d for i, d in enumerate(shape) if i not in positive]
        inputs = [self.current, self.constant(axes, None, "int32")]
        output = self._tensor(f"mean{len(self.operators)}", shape, "int8", out)
        return self._operator(OPS.MEAN, 2, OPTIONS.ReducerOptions, options, inputs, output)

    def concatenate(self, tensors, out, axis=3, activation="none"):
        """CONCATENATION of tensors by index."""
        options = schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = axis, ACTIVATIONS[activation]
        shapes = [[int(d) for d in self.tensors[index].shape] for index in tensors]
        shape = list(shapes[0])
        shape[axis] = sum(each[axis] for each in shapes)
        output = self._tensor(f"concat{len(self.operators)}", shape, "int8", out)
        return self._operator(
            OPS.CONCATENATION, 2, OPTIONS.ConcatenationOptions, options, list(tensors), output
        )

    def pad(self, amounts, value=None):
        """PAD with the zero point, or PADV2 with a stored `value`; `amounts` are [4, 2]."""
        inputs = [self.current, self.constant(amounts, None, "int32")]
        shape = [d + a + b for d, (a, b) in zip(self.dims(), amounts, strict=True)]
        output = self._same_scale("pad", shape)
        if value is None:
            return self._operator(OPS.PAD, 2, OPTIONS.PadOptions, schema.PadOptionsT(), inputs, output)
        scale, zero = self.quantization_of_current()
        inputs.append(self.constant([value], Quantization([scale], [zero])))
        return self._operator(OPS.PADV2, 2, OPTIONS.PadV2Options, schema.PadV2OptionsT(), inputs, output)

    def resize_nearest(self, size, align_corners=False, half_pixel_centers=False):
        """RESIZE_NEAREST_NEIGHBOR to `size` rows and columns."""
        options = schema.ResizeNearestNeighborOptionsT()
        options.alignCorners, options.halfPixelCenters = align_corners, half_pixel_centers
        inputs = [self.current, self.constant(size, None, "int32")]
        output = self._same_scale("resize", [1, *size, self.dims()[3]])
        return self._operator(
            OPS.RESIZE_NEAREST_NEIGHBOR, 3 if half_pixel_centers else 2,
            OPTIONS.ResizeNearestNeighborOptions, options, inputs, output,
        )  # fmt: skip

    def reduce_max(self, keep_dims=False, axes=(1, 2)):
        """REDUCE_MAX over `axes`, rows and columns unless told otherwise."""
        options = schema.ReducerOptionsT()
        options.keepDims = keep_dims
        positive = {axis % len(self.dims()) for axis in axes}
        shape = [1 if i in positive else d for i, d in enumerate(self.dims())]
        if not keep_dims:
            shape = [d for i, d in enumerate(shape) if i not in positive]
        inputs = [self.current, self.constant(axes, None, "int32")]
        output = self._same_scale("greatest", shape)
        return self._operator(OPS.REDUCE_MAX, 2, OPTIONS.ReducerOptions, options, inputs, output)

    def tile(self, copies):
        """TILE: the tensor several times along each dimension."""
        inputs = [self.current, self.constant(copies, None, "int32")]
        output = self._same_scale("tile", [d * n for d, n in zip(self.dims(), copies, strict=True)])
        return self._operator(OPS.TILE, 2, OPTIONS.TileOptions, schema.TileOptionsT(), inputs, output)

    def broadcast_to(self, shape):
        """BROADCAST_TO a shape."""
        inputs = [self.current, self.constant(shape, None, "int32")]
        output = self._same_scale("broadcast", shape)
        options = schema.BroadcastToOptionsT()
        return self._operator(OPS.BROADCAST_TO, 2, OPTIONS.BroadcastToOptions, options, inputs, output)

    def space_to_batch(self, block, amounts):
        """SPACE_TO_BATCH_ND: rows and columns of an image taken apart after padding by `amounts` [2, 2]."""
        inputs = [self.current, self.constant(block, None, "int32"), self.constant(amounts, None, "int32")]
        batch, *image, channels = self.dims()
        image = [(d + a + b) // n for d, (a, b), n in zip(image, amounts, block, strict=True)]
        output = self._same_scale("apart", [batch * int(np.prod(block)), *image, channels])
        options = schema.SpaceToBatchNDOptionsT()
        return self._operator(OPS.SPACE_TO_BATCH_ND, 2, OPTIONS.SpaceToBatchNDOptions, options, inputs, output)

    def batch_to_space(self, block, crops):
        """BATCH_TO_SPACE_ND: the inverse, less `crops` [2, 2]."""
        inputs = [self.current, self.constant(block, None, "int32"), self.constant(crops, None, "int32")]
        batch, *image, channels = self.dims()
        image = [d * n - a - b for d, (a, b), n in zip(image, crops, block, strict=True)]
        output = self._same_scale("together", [batch // int(np.prod(block)), *image, channels])
        options = schema.BatchToSpaceNDOptionsT()
        return self._operator(OPS.BATCH_TO_SPACE_ND, 2, OPTIONS.BatchToSpaceNDOptions, options, inputs, output)
