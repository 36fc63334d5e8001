"""Make the convolutional QONNX cases; README.md says which environment and what the files hold.

Like make_qonnx.py: a case is stored only if the executor's float32 and exact rational evaluation agree on every
quantized tensor. No arguments; seeded, so that a second run writes the same bytes.
"""

import warnings

from maker.qonnx_convolutions import convolutions
from maker.qonnx_data import Maker
from maker.vectors import Index, count_operators


def main():
    """Write every case."""
    # The executor warns on every old domain name and every missing shape annotation.
    warnings.simplefilter("ignore")
    maker = Maker()
    maker.index = Index("make_qonnx_convolutions.py")
    redrawn = convolutions(maker)
    maker.index.write()
    print(f"{len(maker.index.cases)} cases, cases an operator: {count_operators(maker.index.cases)}")
    for reason in redrawn:
        print(f"drawn again: {reason}")


if __name__ == "__main__":
    main()
