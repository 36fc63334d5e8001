"""Hold every stored vector against an evaluation that uses no runtime; exit 1 if any differs.

TFLite and quantized ONNX files are evaluated with the runtimes' formulas, QONNX files with exact rationals. An agreement
shows that the rules in README.md are complete for every case of this folder.
"""

import json
import sys

import numpy as np
import onnx

from maker import ort_reference
from maker.exact import Evaluator
from maker.qonnx_data import Differs, common_step, compare
from maker.tflite_reference import Model
from maker.vectors import ROOT, SECTIONS


def tflite_differences(case, arrays):
    """Differing elements a profile, and the number compared."""
    model = Model((ROOT / case["model"]).read_bytes())
    differing, compared = {}, 0
    for profile in case["profiles"]:
        expected = arrays[f"output_{profile}"]
        found = model.evaluate(profile, arrays["input"])
        if found.shape != expected.shape or found.dtype != expected.dtype:
            differing[profile] = f"{found.dtype}{found.shape} against {expected.dtype}{expected.shape}"
        elif (found != expected).any():
            differing[profile] = int((found != expected).sum())
        compared += expected.size
    return differing, compared


def qonnx_differences(case, arrays):
    """Like `tflite_differences`, for exact rationals; in front of a softmax the logits are compared."""
    model = onnx.load(ROOT / case["model"])
    result = model.graph.output[0].name
    if "logits" in arrays:
        result = next(node.input[0] for node in model.graph.node if result in node.output)
    expected = arrays["logits" if "logits" in arrays else "output"]
    evaluator = Evaluator(model)
    found = np.concatenate([evaluator.run(sample[None])[result] for sample in arrays["input"]])
    if found.shape != expected.shape:
        return {"qonnx": f"{found.shape} against {expected.shape}"}, expected.size
    if expected.dtype.kind == "i":
        differing = int((found != expected).sum())
        return ({"qonnx": differing} if differing else {}), expected.size
    try:
        for index in np.ndindex(found.shape[1:]):
            column = found[(slice(None), *index)]
            compare(case["name"], column, expected[(slice(None), *index)], common_step(column))
    except Differs as reason:
        return {"qonnx": str(reason)}, expected.size
    return {}, expected.size


def ort_differences(case, arrays):
    """Like `tflite_differences`, for quantized ONNX files."""
    expected = arrays["output_ort"]
    found = ort_reference.evaluate(onnx.load(ROOT / case["model"]), arrays["input"])
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return {"ort": f"{found.dtype}{found.shape} against {expected.dtype}{expected.shape}"}, expected.size
    differing = int((found != expected).sum())
    return ({"ort": differing} if differing else {}), expected.size


def main():
    """Check all cases of index.json."""
    index = json.loads((ROOT / "index.json").read_text())
    cases = [case for section in SECTIONS for case in index.get(section, [])]
    failed, total = 0, 0
    for case in cases:
        arrays = np.load(ROOT / case["vectors"])
        if case["model"].endswith(".tflite"):
            differing, compared = tflite_differences(case, arrays)
        elif case["profiles"] == ["ort"]:
            differing, compared = ort_differences(case, arrays)
        else:
            differing, compared = qonnx_differences(case, arrays)
        total += compared
        if differing:
            failed += 1
            print(f"{case['model']}: {differing}")
    print(f"{len(cases)} cases, {total} elements, {failed} cases differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
