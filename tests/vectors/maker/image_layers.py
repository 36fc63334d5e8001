"""The cases of CONV_2D, DEPTHWISE_CONV_2D, pools and MEAN."""

from .image_data import conv
from .tflite_model import per_tensor

ACTIVATIONS = ("none", "relu", "relu6", "relu_n1_to_1")


def features(per_channel, dilation, groups=1, depth_multiplier=1):
    """What index.json says about a layer."""
    flags = {"per_channel": per_channel, "dilation": max(dilation) > 1, "groups": groups > 1,
             "depth_multiplier": depth_multiplier > 1}  # fmt: skip
    return [name for name, value in flags.items() if value]


def convolutions(maker):
    """CONV_2D: kernels, strides, dilations, paddings, groups, activations, odd sizes, one-pixel images."""
    table = [
        # image, outputs, kernel, options of `conv`
        ([5, 5, 3], 4, (3, 3), {}),
        ([7, 5, 3], 5, (3, 3), {"stride": (2, 2), "activation": "relu"}),
        ([6, 6, 2], 3, (3, 3), {"stride": (2, 2), "dyadic": True}),
        ([1, 1, 5], 7, (1, 1), {"dyadic": True}),
        ([1, 1, 3], 2, (3, 3), {}),
        ([4, 6, 1], 3, (2, 2), {"padding": "valid", "activation": "relu6"}),
        ([1, 13, 4], 3, (1, 5), {"stride": (1, 2)}),
        ([1, 16, 1], 4, (1, 3), {"padding": "valid", "dyadic": True}),
        ([11, 1, 3], 2, (4, 1), {"stride": (2, 1)}),
        ([9, 1, 2], 6, (3, 1), {"padding": "valid", "activation": "relu_n1_to_1"}),
        ([4, 5, 3], 6, (4, 5), {"padding": "valid", "activation": "relu"}),
        ([5, 4, 2], 3, (5, 4), {}),
        ([7, 7, 2], 2, (2, 2), {"stride": (3, 3)}),
        ([8, 7, 2], 2, (1, 1), {"stride": (3, 2), "padding": "valid"}),
        ([9, 9, 2], 3, (2, 3), {"stride": (4, 5), "padding": "valid"}),
        ([7, 7, 3], 4, (3, 3), {"dilation": (2, 2)}),
        ([9, 8, 2], 3, (3, 2), {"dilation": (2, 3), "padding": "valid", "dyadic": True}),
        ([6, 5, 2], 9, (3, 3), {"per_channel": False}),
        ([6, 5, 2], 9, (3, 3), {"per_channel": False, "dyadic": True, "activation": "relu"}),
        ([5, 6, 4], 6, (3, 3), {"groups": 2, "dyadic": True}),
        ([4, 4, 6], 9, (2, 2), {"groups": 3, "stride": (2, 2)}),
        ([3, 3, 5], 5, (3, 3), {"groups": 5, "per_channel": False}),
        ([4, 4, 3], 5, (3, 3), {"so": 4.0, "zo": 3, "activation": "relu6"}),
        ([5, 3, 2], 17, (1, 1), {"dyadic": True, "zo": -128, "activation": "relu"}),
        ([2, 2, 16], 3, (1, 1), {"bias": False}),
        ([3, 10, 2], 3, (2, 5), {"stride": (1, 3)}),
    ]
    for number, (image, outputs, kernel, options) in enumerate(table):
        name = f"conv_{'x'.join(map(str, image))}_{outputs}_{number:02}"
        rng, net = maker.start(name, image, 0.05 if not options.get("dyadic") else 0.0625, (-3, -128, 17)[number % 3])
        conv(net, rng, outputs, kernel, **options)
        flags = features(options.get("per_channel", True), options.get("dilation", (1, 1)), options.get("groups", 1))
        maker.finish("convolutions", net, rng, "one convolution", flags)


def depthwise(maker):
    """DEPTHWISE_CONV_2D: multipliers, channels beside blocks of 8, strides, dilations, paddings."""
    table = [
        # image, kernel, depth multiplier, options of `conv`
        ([5, 5, 3], (3, 3), 1, {}),
        ([5, 5, 8], (3, 3), 1, {"dyadic": True}),
        ([4, 4, 11], (3, 3), 1, {"dyadic": True, "activation": "relu"}),
        ([3, 4, 16], (2, 2), 1, {"dyadic": True, "padding": "valid"}),
        ([3, 3, 7], (3, 3), 1, {"dyadic": True}),
        ([6, 5, 3], (3, 3), 2, {"stride": (2, 2), "activation": "relu6"}),
        ([5, 4, 2], (2, 3), 3, {"padding": "valid"}),
        ([4, 4, 1], (3, 3), 5, {"dyadic": True}),
        ([4, 4, 1], (3, 3), 9, {"dyadic": True, "stride": (2, 1)}),
        ([1, 1, 6], (1, 1), 1, {}),
        ([1, 1, 3], (3, 3), 4, {"dyadic": True}),
        ([7, 7, 2], (2, 2), 1, {"stride": (3, 3), "activation": "relu"}),
        ([9, 8, 2], (2, 2), 1, {"stride": (4, 3), "padding": "valid"}),
        ([7, 7, 3], (3, 3), 1, {"dilation": (2, 2)}),
        ([8, 9, 2], (3, 2), 2, {"dilation": (3, 2), "padding": "valid", "dyadic": True}),
        ([4, 6, 3], (4, 6), 1, {"padding": "valid", "activation": "relu_n1_to_1"}),
        ([1, 12, 3], (1, 5), 1, {}),
        ([10, 1, 3], (4, 1), 2, {"stride": (2, 1), "padding": "valid"}),
        ([5, 4, 9], (3, 3), 1, {"per_channel": False, "dyadic": True}),
        ([5, 4, 3], (3, 3), 1, {"per_channel": False, "activation": "relu"}),
        ([4, 4, 3], (3, 3), 1, {"so": 2.4, "zo": -2, "activation": "relu6"}),
        ([3, 3, 24], (3, 3), 1, {"dyadic": True, "zo": -128, "activation": "relu"}),
    ]
    for number, (image, kernel, multiplier, options) in enumerate(table):
        name = f"depthwise_{'x'.join(map(str, image))}_{multiplier}_{number:02}"
        rng, net = maker.start(name, image, 0.05 if not options.get("dyadic") else 0.0625, (-3, -128, 17)[number % 3])
        conv(net, rng, None, kernel, depth_multiplier=multiplier, **options)
        flags = features(options.get("per_channel", True), options.get("dilation", (1, 1)), 1, multiplier)
        maker.finish("convolutions", net, rng, "one depthwise convolution", flags)


def pools(maker):
    """AVERAGE_POOL_2D and MAX_POOL_2D with the same windows, alone and behind a convolution."""
    table = [
        # image, kernel, stride, padding, activation, scale
        ([4, 4, 3], (2, 2), (2, 2), "valid", "none", 0.05),
        ([5, 5, 2], (2, 2), (2, 2), "same", "none", 0.05),
        ([5, 7, 3], (3, 3), (2, 2), "same", "none", 0.05),
        ([6, 5, 2], (3, 3), (1, 1), "same", "relu", 0.05),
        ([6, 5, 2], (3, 2), (1, 2), "valid", "none", 0.05),
        ([1, 1, 4], (1, 1), (1, 1), "valid", "none", 0.05),
        ([1, 1, 3], (3, 3), (2, 2), "same", "none", 0.05),
        ([4, 5, 3], (4, 5), (4, 5), "valid", "none", 0.05),
        ([8, 8, 1], (8, 8), (1, 1), "valid", "none", 0.05),
        ([3, 3, 2], (5, 5), (1, 1), "same", "none", 0.05),
        ([1, 9, 2], (1, 3), (1, 2), "same", "none", 0.05),
        ([9, 1, 2], (4, 1), (2, 1), "valid", "relu6", 0.05),
        ([7, 7, 2], (2, 2), (3, 3), "valid", "none", 0.05),
        ([7, 6, 2], (2, 2), (4, 3), "same", "relu_n1_to_1", 0.01),
        ([4, 4, 3], (2, 2), (2, 2), "valid", "relu6", 4.0),
        ([5, 4, 3], (1, 2), (2, 2), "same", "relu6", 2.4),
        ([4, 4, 2], (3, 3), (1, 1), "same", "relu_n1_to_1", 2 / 7),
        ([6, 6, 17], (3, 3), (3, 3), "valid", "none", 0.05),
        ([5, 5, 5], (5, 5), (5, 5), "same", "relu", 0.05),
        ([3, 8, 2], (2, 4), (1, 1), "same", "none", 0.05),
    ]
    for kind in ("average", "max"):
        for number, (image, kernel, stride, padding, activation, scale) in enumerate(table):
            name = f"{kind}_pool_{'x'.join(map(str, image))}_{number:02}"
            rng, net = maker.start(name, image, scale, (3, -128, -2)[number % 3])
            net.pool(kind, kernel, stride, padding, activation)
            maker.finish("pools", net, rng, "one pool", ["no_layer"])
        for number, image in enumerate(([6, 6, 2], [5, 7, 3])):
            name = f"{kind}_pool_behind_conv_{number}"
            rng, net = maker.start(name, image)
            conv(net, rng, 4, (3, 3), activation="relu", zo=-128).pool(kind, (2, 2), (2, 2), ("valid", "same")[number])
            maker.finish("pools", net, rng, "a pool behind a convolution", ["per_channel"])


def means(maker):
    """MEAN over rows and columns, kept or not, with and without a change of scale; ties; blocks of 16 channels."""
    table = [
        # image, ratio of output and input scale, output zero point (None: the input's), keep_dims, axes
        ([4, 4, 3], 1.0, None, True, (1, 2)), ([4, 4, 3], 1.0, None, False, (1, 2)),
        ([3, 5, 4], 0.6, 7, True, (1, 2)), ([3, 5, 4], 0.6, 7, False, (1, 2)),
        ([2, 4, 16], 1.0, 5, True, (1, 2)), ([2, 4, 19], 0.5, -8, True, (1, 2)),
        ([2, 4, 19], 0.5, -8, False, (1, 2)), ([1, 1, 3], 0.7, 0, True, (1, 2)),
        ([7, 7, 2], 1.0, None, False, (1, 2)), ([1, 2, 33], 2.0, 3, True, (1, 2)),
        ([1, 2, 5], 1.0, 4, False, (1, 2)), ([8, 8, 1], 0.3, 12, True, (1, 2)),
        ([5, 3, 4], 1.0, None, True, (2, 1)), ([5, 3, 4], 0.8, 9, False, (-3, -2)),
        ([4, 2, 8], 0.25, 1, True, (1, 2)), ([4, 8, 3], 1.0, -1, False, (1, 2)),
        ([1, 9, 6], 0.5, 20, True, (1, 2)), ([9, 1, 6], 0.5, 20, False, (1, 2)),
        ([6, 6, 3], 1.3, 126, True, (1, 2)), ([2, 2, 17], 1.0, -2, True, (1, 2)),
    ]  # fmt: skip
    for number, (image, ratio, zero, keep, axes) in enumerate(table):
        name = f"mean_{'x'.join(map(str, image))}_{number:02}"
        start = (2, -128, 31)[number % 3]
        rng, net = maker.start(name, image, 0.0625 if number % 2 else 0.05, start)
        scale = net.quantization_of_current()[0]
        net.mean(per_tensor(scale * ratio, start if zero is None else zero), keep, axes)
        maker.finish("pools", net, rng, "a mean over rows and columns", ["no_layer"])
    for number in range(2):
        name = f"mean_behind_conv_{number}"
        rng, net = maker.start(name, [5, 5, 2])
        conv(net, rng, (18, 5)[number], (3, 3), activation="relu", zo=-128)
        net.mean(per_tensor(net.quantization_of_current()[0] * 0.7, -100), number == 0)
        maker.finish("pools", net, rng, "a mean behind a convolution", ["per_channel"])
