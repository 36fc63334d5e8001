"""The FULLY_CONNECTED cases: single layers, and the layers whose accumulators sit on rounding edges."""

import numpy as np

from .tflite_data import dense, edge_layer, f32, integer_inputs
from .tflite_model import Chain, per_tensor


def fully_connected(maker):
    """Single layers: shapes, zero points, activations, bias or none, per tensor and per channel, extremes."""
    plain = [
        # name, inputs, outputs, sx, zx, options of `dense`
        ("fc_7x5", 7, 5, 0.05, 3, {}),
        ("fc_1x1", 1, 1, 0.02, -7, {}),
        ("fc_10x1", 10, 1, 0.1, 0, {}),
        ("fc_1x13", 1, 13, 0.07, 11, {}),
        ("fc_33x17_relu", 33, 17, 0.0123, -5, {"activation": "relu"}),
        ("fc_17x3_no_bias", 17, 3, 0.3, 20, {"bias": False}),
        ("fc_9x6_relu6", 9, 6, 0.05, 2, {"activation": "relu6", "so": 0.05, "sw": 0.004}),
        ("fc_9x6_relu_n1_to_1", 9, 6, 0.05, 2,
         {"activation": "relu_n1_to_1", "so": 0.0113, "sw": 0.001}),
        ("fc_12x4_input_zero_-128", 12, 4, 0.02, -128, {}),
        ("fc_12x4_input_zero_127", 12, 4, 0.02, 127, {}),
        ("fc_11x8_output_zero_-128_relu", 11, 8, 0.05, 1, {"zo": -128, "activation": "relu"}),
        ("fc_11x8_output_zero_127", 11, 8, 0.05, 1, {"zo": 127}),
        ("fc_all_zero_points_-128", 5, 7, 0.05, -128, {"zo": -128, "bias": False}),
        ("fc_64x64", 64, 64, 0.0078125, -1, {}),
        ("fc_257x19_relu", 257, 19, 0.031, 4, {"activation": "relu"}),
        ("fc_per_channel_7x5", 7, 5, 0.05, 3, {"per_channel": True}),
        ("fc_per_channel_31x9_relu_no_bias", 31, 9, 0.05, -128,
         {"per_channel": True, "activation": "relu", "bias": False}),
        ("fc_per_channel_16x12_relu6", 16, 12, 0.05, 9,
         {"per_channel": True, "activation": "relu6", "zo": -128, "so": 0.0235,
          "sw": np.geomspace(2e-4, 5e-3, 12)}),
        ("fc_per_channel_scales_1e-9_to_1", 13, 10, 0.05, -3,
         {"sw": np.geomspace(1e-9, 1, 10), "so": 0.9}),
        ("fc_scale_1e-9", 8, 6, 0.05, 3, {"sw": 1e-9, "so": 0.5, "bias": False}),
        ("fc_all_scales_1e-9", 8, 6, 1e-9, 3, {"sw": 1e-9, "so": 7e-16}),
        ("fc_scales_1e6", 8, 6, 1e6, 3, {"sw": 1e4, "so": 2e12}),
    ]  # fmt: skip
    for name, inputs, outputs, sx, zx, options in plain:
        rng = maker.rng(name)
        chain = Chain(name, [1, inputs], quantization=per_tensor(sx, zx))
        dense(chain, rng, outputs, **options)
        features = ["per_channel"] if len(np.atleast_1d(options.get("sw", 0))) > 1 or options.get(
            "per_channel"
        ) else []
        maker.finish(
            "fully_connected", chain, integer_inputs(rng, [inputs], zx),
            "one layer", features,
        )  # fmt: skip
    fully_connected_rounding(maker)
    fully_connected_shapes(maker)


def fully_connected_rounding(maker):
    """Layers whose accumulators sit on or beside rounding edges and clamps."""
    for per_channel in (False, True):
        kind = "per_channel" if per_channel else "per_tensor"
        features = ["per_channel"] if per_channel else []
        for power in (-24, -20, -16):
            name = f"fc_edges_2^{power}_{kind}".replace("^", "")
            rng = maker.rng(name)
            chain = Chain(name, [1, 1], quantization=per_tensor(0.037, 5))
            edge_layer(chain, rng, 48, 2.0**power, per_channel, -9)
            inputs = np.arange(-128, 128, 4).astype(np.int8)[:, None]
            note = f"accumulators beside rounding edges, multiplier near 2^{power}"
            maker.finish("fully_connected", chain, inputs, note, features)
        for power in (1, 3, 6):
            name = f"fc_ties_shift{power}_{kind}"
            rng = maker.rng(name)
            chain = Chain(name, [1, 1], quantization=per_tensor(0.25, 2))
            weights, bias = rng.integers(-8, 9, (16, 1)), rng.integers(-500, 500, 16)
            scales = [2.0**-power] * (16 if per_channel else 1)
            chain.fully_connected(weights, scales, per_tensor(0.25, -3), bias)
            inputs = np.arange(-128, 128, 4).astype(np.int8)[:, None]
            note = f"multiplier exactly 2^-{power}: ties of both signs occur"
            maker.finish("fully_connected", chain, inputs, note, features)
    multipliers = [
        # name, multiplier, largest bias
        ("fc_multiplier_1.37", 1.37, 60),
        ("fc_multiplier_below_1", float(np.nextafter(f32(1), f32(0))), 90),
        ("fc_multiplier_exactly_1", 1.0, 90),
        ("fc_multiplier_100", 100.0, 2),
        ("fc_multiplier_1.4x2-30", 1.4 * 2.0**-30, 2**30),
        ("fc_multiplier_1.4x2-27", 1.4 * 2.0**-27, 2**30),
    ]
    for name, multiplier, largest in multipliers:
        rng = maker.rng(name)
        chain = Chain(name, [1, 2], quantization=per_tensor(0.5, 1))
        weights = rng.integers(-2, 3, (9, 2))
        bias = rng.integers(-largest, largest + 1, 9)
        chain.fully_connected(weights, 2 * multiplier, per_tensor(1.0, 6), bias)
        inputs = integer_inputs(rng, [2], 1)
        maker.finish("fully_connected", chain, inputs, f"multiplier {multiplier:.6g}")
    clamps = [
        ("fc_relu6_clamp_tie", "relu6", 4.0, 3),
        ("fc_relu6_clamp_tie_even", "relu6", 2.4, -2),
        ("fc_relu6_range_of_one_value", "relu6", 100.0, 0),
        ("fc_relu_n1_to_1_clamp_tie", "relu_n1_to_1", 2.0, 0),
        ("fc_relu_n1_to_1_clamp_near_tie", "relu_n1_to_1", 2 / 7, 4),
        ("fc_relu_n1_to_1_at_the_rim", "relu_n1_to_1", 0.4, -128),
    ]
    for name, activation, so, zo in clamps:
        rng = maker.rng(name)
        chain = Chain(name, [1, 3], quantization=per_tensor(0.5, 0))
        dense(chain, rng, 6, activation=activation, so=so, sw=so / 60, zo=zo)
        inputs = integer_inputs(rng, [3], 0)
        maker.finish(
            "fully_connected", chain, inputs, f"{activation} with output scale {so:.4g}: "
            "the clamp itself must be rounded",
        )  # fmt: skip


def fully_connected_shapes(maker):
    """Inputs of rank 3 and 4 without RESHAPE, and `keep_num_dims`."""
    for name, shape, outputs, keep in (
        ("fc_rank4_input_2x3x4", [2, 3, 4], 5, False),
        ("fc_rank3_input_3x5", [3, 5], 4, False),
        ("fc_keep_num_dims_1x6", [1, 6], 3, True),
        ("fc_keep_num_dims_4_rows", [4, 6], 3, True),
    ):
        rng = maker.rng(name)
        chain = Chain(name, [1, *shape], quantization=per_tensor(0.04, -2))
        result = [1, *shape[:-1], outputs] if keep else [1, outputs]
        dense(chain, rng, outputs, keep_dims=keep, shape=result)
        features = ["keep_num_dims"] if keep else []
        features += ["rows"] if keep and shape[0] > 1 else []
        inputs = integer_inputs(rng, shape, -2)
        maker.finish("fully_connected", chain, inputs, "input of higher rank", features)
