"""The operators of image networks for `tflite_reference.Model`: stored arrays in, stored arrays out."""

import numpy as np

from . import image_formulas as image
from . import table_formulas as tables
from .formulas import clamp_range

ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
PADDINGS = {0: "same", 1: "valid"}


def window(options):
    """Stride, dilation and padding of a window operator."""
    stride = (options.strideH, options.strideW)
    dilation = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    return stride, dilation, PADDINGS[options.padding]


class ImageOperators:
    """Handlers `(profile, operator, *arrays)`; `arrays` are the operator's inputs, `[N, H, W, C]` where not constant."""

    def clamped(self, profile, operator, values):
        """Clamp to what the fused activation leaves of int8."""
        (so,), zo = self.scale(operator.outputs[0])
        activation = ACTIVATIONS[operator.builtinOptions.fusedActivationFunction]
        return np.clip(values, *clamp_range(profile, activation, so, zo)).astype(np.int8)

    def convolution(self, profile, operator, x, weights, bias, depthwise):
        """A window of products; several groups where the filters see fewer channels than the input has."""
        (sx,), zx = self.scale(operator.inputs[0])
        sw, _ = self.scale(operator.inputs[1])
        (so,), zo = self.scale(operator.outputs[0])
        acc = image.convolve(x.astype(np.int64) - zx, weights, *window(operator.builtinOptions), depthwise) + bias
        grouped = not depthwise and weights.shape[3] != x.shape[3]
        kind = "depthwise" if depthwise else "grouped" if grouped else "conv"
        return self.clamped(profile, operator, image.rescale_layer(profile, kind, acc, sx, sw, so) + zo)

    def conv_2d(self, profile, operator, x, weights, bias):
        """CONV_2D."""
        return self.convolution(profile, operator, x, weights, bias, False)

    def depthwise_conv_2d(self, profile, operator, x, weights, bias):
        """DEPTHWISE_CONV_2D."""
        return self.convolution(profile, operator, x, weights, bias, True)

    def pool(self, profile, operator, x, kind):
        """A pool; the delegate's bounds where it takes the operator."""
        options = operator.builtinOptions
        kernel, (stride, _, padding) = (options.filterHeight, options.filterWidth), window(options)
        delegated = kind == "max" and all(s <= k for s, k in zip(stride, kernel, strict=True))
        bounds = profile if delegated else "tflm"
        return self.clamped(bounds, operator, image.pool(kind, x, kernel, stride, padding))

    def average_pool_2d(self, profile, operator, x):
        """AVERAGE_POOL_2D."""
        return self.pool(profile, operator, x, "average")

    def max_pool_2d(self, profile, operator, x):
        """MAX_POOL_2D."""
        return self.pool(profile, operator, x, "max")

    def mean(self, profile, operator, x, axes):
        """MEAN over constant axes."""
        (si,), zi = self.scale(operator.inputs[0])
        (so,), zo = self.scale(operator.outputs[0])
        axes, keep = tuple(sorted(int(a) % x.ndim for a in axes)), operator.builtinOptions.keepDims
        total = x.astype(np.int64).sum(axes, keepdims=keep)
        count = int(np.prod([x.shape[a] for a in axes]))
        kept = bool(keep) and axes == (1, 2) and x.ndim == 4
        return np.clip(image.mean(profile, total, count, si, zi, so, zo, kept, total.shape[-1]), -128, 127).astype(np.int8)

    def join(self, profile, operator, a, b, kind):
        """A sum, difference or product."""
        triple = [(self.scale(t)[0][0], self.scale(t)[1]) for t in (*operator.inputs, operator.outputs[0])]
        delegated = image.delegated_join(kind, *(scale for scale, _ in triple))
        bounds = profile if delegated else "tflm"
        return self.clamped(bounds, operator, image.join(profile, kind, a, b, *triple))

    def add(self, profile, operator, a, b):
        """ADD."""
        return self.join(profile, operator, a, b, "add")

    def sub(self, profile, operator, a, b):
        """SUB."""
        return self.join(profile, operator, a, b, "sub")

    def mul(self, profile, operator, a, b):
        """MUL."""
        return self.join(profile, operator, a, b, "mul")

    def ends(self, operator):
        """Input scale and zero point, output scale and zero point."""
        (si,), zi = self.scale(operator.inputs[0])
        (so,), zo = self.scale(operator.outputs[0])
        return si, zi, so, zo

    def activation(self, profile, operator, x):
        """RELU, RELU6, RELU_N1_TO_1, LOGISTIC or TANH as a node of its own."""
        kind = self.code_name(operator)
        formula = tables.relu if kind.startswith("RELU") else tables.curve
        return formula(profile, kind, x, *self.ends(operator)).astype(np.int8)

    def leaky_relu(self, profile, operator, x):
        """LEAKY_RELU."""
        values = tables.leaky_relu(profile, x, *self.ends(operator), operator.builtinOptions.alpha)
        return np.clip(values, -128, 127).astype(np.int8)

    def prelu(self, profile, operator, x, alpha):
        """PRELU."""
        (sa,), za = self.scale(operator.inputs[1])
        values = tables.prelu(profile, x, *self.ends(operator), alpha, sa, za)
        return np.clip(values, -128, 127).astype(np.int8)

    def hard_swish(self, profile, operator, x):
        """HARD_SWISH."""
        return np.clip(tables.hard_swish(x, *self.ends(operator)), -128, 127).astype(np.int8)

    def pad(self, profile, operator, x, amounts, value=None):
        """PAD with the zero point, PADV2 with a stored value."""
        fill = self.scale(operator.inputs[0])[1] if value is None else int(value.ravel()[0])
        return np.pad(x, amounts.tolist(), constant_values=fill)

    def concatenation(self, profile, operator, *parts):
        """CONCATENATION of tensors of one scale."""
        return np.concatenate(parts, operator.builtinOptions.axis % parts[0].ndim)

    def resize_nearest_neighbor(self, profile, operator, x, size):
        """RESIZE_NEAREST_NEIGHBOR."""
        rules = (operator.builtinOptions.alignCorners, operator.builtinOptions.halfPixelCenters)
        rows, columns = (image.nearest_indices(before, int(after), *rules)
                         for before, after in zip(x.shape[1:3], size, strict=True))  # fmt: skip
        return x[:, rows][:, :, columns]
