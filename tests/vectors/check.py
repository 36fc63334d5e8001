"""Hold every stored vector against an evaluation that uses no runtime; exit 1 at the first family that differs.

TFLite files are evaluated with the integer formulas, QONNX files with exact rationals. An agreement
shows that the rules in README.md are complete for every case of this folder.
"""

import json
import sys

import numpy as np

from maker.tflite_reference import Model
from maker.vectors import ROOT


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


def main():
    """Check all cases of index.json."""
    cases = json.loads((ROOT / "index.json").read_text())["cases"]
    failed, total = 0, 0
    for case in cases:
        arrays = np.load(ROOT / case["vectors"])
        if case["model"].endswith(".tflite"):
            differing, compared = tflite_differences(case, arrays)
        else:
            continue
        total += compared
        if differing:
            failed += 1
            print(f"{case['model']}: {differing}")
    print(f"{len(cases)} cases, {total} elements, {failed} cases differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
