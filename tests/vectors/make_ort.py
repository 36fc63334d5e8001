"""Make the cases of quantized ONNX files; README.md says which environment and what the files hold.

QOperator cases hold what onnxruntime gives, the same at every optimization level. QDQ cases hold the fused
integer formula (`maker/ort_reference.py`); their notes say in how many elements the runtime differs. No arguments;
seeded, so that a second run writes the same bytes.
"""

from maker import ort_layers, ort_networks
from maker.ort_data import Maker, new_index
from maker.vectors import count_operators

LEAST = 20
OPERATORS = (
    "QLinearConv", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearAveragePool",
    "QLinearMatMul", "QGemm", "MaxPool", "QLinearSigmoid", "QLinearLeakyRelu", "ConvInteger", "MatMulInteger",
)  # fmt: skip


def main():
    """Write every case, then check that each operator has enough of them."""
    index = new_index()
    operators = Maker(index, "onnx_qoperator", "qoperator")
    ort_layers.convolutions(operators)
    ort_layers.joins(operators, "Add")
    ort_layers.joins(operators, "Mul")
    ort_layers.concatenations(operators)
    ort_layers.pools(operators)
    ort_layers.matrices(operators)
    ort_layers.tables(operators)
    ort_layers.integer_chains(operators)
    ort_networks.networks(operators)
    quantizers = Maker(index, "onnx_qdq", "qdq")
    ort_networks.networks(quantizers)
    index.write()
    counts = count_operators(index.cases)
    print(f"{len(index.cases)} cases, {operators.compared} elements, cases an operator: {counts}")
    print(f"QDQ: {quantizers.compared} elements, onnxruntime differs in {quantizers.differing}")
    for reason in operators.redrawn + quantizers.redrawn:
        print(f"drawn again: {reason}")
    short = [name for name in OPERATORS if counts.get(name, 0) < LEAST]
    if short:
        raise SystemExit(f"fewer than {LEAST} cases of {short}")


if __name__ == "__main__":
    main()
