"""Runs, checks and stores the cases that onnxruntime computes."""

import numpy as np

from .ort_model import LEVELS, OrtNet, run
from .ort_reference import evaluate
from .vectors import Index

ATTEMPTS = 12


class Differs(Exception):
    """The case cannot be stored: runtime and reference disagree, or nothing varies."""


class Maker:
    """Cases of one style; `finish` stores a case or raises `Differs`."""

    def __init__(self, index, family, style):
        self.index, self.family, self.style = index, family, style
        self.redrawn = []
        self.attempt, self.compared, self.differing = 0, 0, dict.fromkeys(LEVELS, 0)

    def net(self, name, shape, dtype, border, **options):
        """A network whose numbers are seeded by its name."""
        rng = np.random.default_rng([*name.encode(), *self.style.encode(), self.attempt])
        return OrtNet(name, rng, shape, self.style, dtype, border, **options)

    def redraw(self, case):
        """Run `case` with other numbers until runtime and reference agree, and say how often that was needed."""
        for self.attempt in range(ATTEMPTS):
            try:
                case()
                break
            except Differs as reason:
                self.redrawn.append(str(reason))
        else:
            raise Differs(f"no draw of {ATTEMPTS} agrees: {self.redrawn[-1]}")
        self.attempt = 0

    def finish(self, net, output, note, features=()):
        """Execute at every optimization level and with the reference, compare, store."""
        model = net.model(output)
        data = model.SerializeToString(deterministic=True)
        expected = evaluate(model, net.samples)
        found = {level: run(data, net.samples, level) for level in self.differing}
        differing = {level: int((expected != result).sum()) for level, result in found.items()}
        if self.style == "qoperator" and any(differing.values()):
            raise Differs(f"{net.name}: {differing} of {expected.size}")
        if any(result.dtype != expected.dtype for result in found.values()):
            raise Differs(f"{net.name}: {expected.dtype} {found['enable_all'].dtype}")
        if expected.shape != found["enable_all"].shape:
            raise Differs(f"{net.name}: {expected.shape} {found['enable_all'].shape}")
        if (expected == expected[:1]).all():
            raise Differs(f"{net.name}: every sample gives the same output")
        if self.style == "qdq":
            counts = "; ".join(f"{level}: {count}" for level, count in differing.items())
            note = f"{note}; elements of {expected.size} that onnxruntime differs in: {counts}"
        self.compared += expected.size
        for level, count in differing.items():
            self.differing[level] += count
        features = {*features, str(net.dtype)} | ({"float_border"} if net.border == "float" else set())
        self.index.add(self.family, net.name, "onnx", data, net.operators,
                       {"input": net.samples, "output_ort": expected}, note, features,
                       {"profiles": ["ort"], "opset": net.opset})  # fmt: skip


def new_index():
    """The index of this generator."""
    return Index("make_ort.py")
