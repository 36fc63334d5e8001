"""Make the TFLite int8 cases of image networks; README.md says which environment and what the files hold.

No arguments; seeded, so that a second run writes the same bytes.
"""

from maker import image_elements, image_layers, image_networks
from maker.image_data import ImageMaker
from maker.vectors import count_operators

LEAST = 20
TABLES = ("RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "PRELU", "HARD_SWISH", "LOGISTIC", "TANH")
OPERATORS = (
    "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "ADD", "SUB", "MUL", "PAD", "PADV2",
    "CONCATENATION", "RESIZE_NEAREST_NEIGHBOR", *TABLES,
)  # fmt: skip


def main():
    """Write every case, then check that each operator has enough of them."""
    maker = ImageMaker("make_tflite_images.py")
    image_layers.convolutions(maker)
    image_layers.depthwise(maker)
    image_layers.pools(maker)
    image_layers.means(maker)
    for kind in ("add", "sub", "mul"):
        image_elements.joins(maker, kind)
    for kind in TABLES:
        image_elements.tables(maker, kind)
    image_elements.pads(maker)
    image_elements.padv2(maker)
    image_elements.concatenations(maker)
    image_elements.resizes(maker)
    image_networks.networks(maker)
    maker.index.write()
    counts = count_operators(maker.index.cases)
    print(f"{len(maker.index.cases)} cases, cases an operator: {counts}")
    short = [name for name in OPERATORS if counts.get(name, 0) < LEAST]
    if short:
        raise SystemExit(f"fewer than {LEAST} cases of {short}")


if __name__ == "__main__":
    main()
