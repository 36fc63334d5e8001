"""Make the QONNX cases of this folder; README.md says which environment and what the files hold.

Each case is a model built by `maker/qonnx_model.py` and the qonnx executor's output for every input. No
arguments; seeded, so that a second run writes the same bytes. A case is stored only if float32 execution and
exact rational evaluation agree on every quantized tensor.
"""

import warnings

from maker import qonnx_layers, qonnx_networks, qonnx_quantizers
from maker.qonnx_data import Maker
from maker.vectors import count_operators

LEAST = 20
OPERATORS = (
    "Add", "ArgMax", "BatchNormalization", "BipolarQuant", "Div", "Flatten", "Gemm", "Identity", "MatMul",
    "Mul", "Quant", "Relu", "Reshape", "Sign", "Softmax", "Sub", "TopK", "Trunc",
)  # fmt: skip


def main():
    """Write every case, then check that each operator has enough of them."""
    # The executor warns on every old domain name and every missing shape annotation.
    warnings.simplefilter("ignore")
    maker = Maker()
    qonnx_quantizers.quant(maker)
    qonnx_quantizers.bipolar_and_sign(maker)
    qonnx_quantizers.trunc(maker)
    qonnx_layers.middle(maker)
    qonnx_layers.quantized_bias(maker)
    qonnx_layers.gemm(maker)
    qonnx_layers.shapes(maker)
    qonnx_layers.float_front(maker)
    qonnx_layers.tails(maker)
    redrawn = qonnx_networks.networks(maker)
    maker.index.write()
    counts = count_operators(maker.index.cases)
    print(f"{len(maker.index.cases)} cases, cases an operator: {counts}")
    for reason in redrawn:
        print(f"drawn again: {reason}")
    short = [name for name in OPERATORS if counts.get(name, 0) < LEAST]
    if short:
        raise SystemExit(f"fewer than {LEAST} cases of {short}")


if __name__ == "__main__":
    main()
