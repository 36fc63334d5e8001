"""Make the cases of operators that arrange elements, for TFLite and ONNX; README.md says which environment and what the
files hold. No arguments; seeded, so that a second run writes the same bytes.
"""

from maker import arrangements, ort_arrangements
from maker.image_data import ImageMaker
from maker.vectors import count_operators

LEAST = 20
OPERATORS = (
    "RESIZE_NEAREST_NEIGHBOR", "ADD", "SUB", "MUL", "REDUCE_MAX", "TILE", "BROADCAST_TO", "CONCATENATION",
    "SPACE_TO_BATCH_ND", "Resize", "QLinearAdd", "QLinearMul", "QLinearConcat",
)  # fmt: skip


def main():
    """Write every case, then check that each operator has enough of them."""
    maker = ImageMaker("make_arrangements.py")
    arrangements.resizes(maker)
    for kind in ("add", "sub", "mul"):
        arrangements.broadcasts(maker, kind)
    arrangements.reductions(maker)
    arrangements.copies(maker)
    arrangements.concatenations(maker)
    arrangements.dilations(maker)
    ort_arrangements.resizes(maker.index)
    for kind in ("Add", "Mul"):
        ort_arrangements.broadcasts(maker.index, kind)
    ort_arrangements.concatenations(maker.index)
    maker.index.write()
    counts = count_operators(maker.index.cases)
    print(f"{len(maker.index.cases)} cases, cases an operator: {counts}")
    short = [name for name in OPERATORS if counts.get(name, 0) < LEAST]
    if short:
        raise SystemExit(f"fewer than {LEAST} cases of {short}")


if __name__ == "__main__":
    main()
