"""The folder's format: write a case (model file + arrays) and the index."""

import importlib.metadata
import io
import json
import platform
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "ai-edge-litert",
    "flatbuffers",
    "numpy",
    "onnx",
    "onnxruntime",
    "qonnx",
    "tflite-micro",
)


def save_arrays(path, arrays):
    """Write `arrays` as a compressed .npz whose bytes depend on nothing but the arrays."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(entry, data.getvalue(), compresslevel=9)


def render(document):
    """index.json as text: one line a case, so that a changed case is one changed line."""
    head = json.dumps({"versions": document["versions"]}, indent=1)[:-2]
    lines = ",\n".join("  " + json.dumps(case) for case in document["cases"])
    return f'{head},\n "cases": [\n{lines}\n ]\n}}\n'


class Index:
    """The cases of one generator; `write` replaces that generator's part of index.json."""

    def __init__(self, generator):
        self.generator, self.cases = generator, []

    def add(self, family, name, suffix, model, operators, arrays, note, features=(), extra=None):
        """Write one case. `operators` in execution order, `arrays` from name to array."""
        folder = ROOT / family
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.{suffix}").write_bytes(model)
        save_arrays(folder / f"{name}.npz", arrays)
        case = {
            "name": name,
            "family": family,
            "model": f"{family}/{name}.{suffix}",
            "vectors": f"{family}/{name}.npz",
            "operators": list(operators),
            "arrays": {
                key: [str(value.dtype), list(value.shape)] for key, value in arrays.items()
            },
            "features": sorted(features),
            "note": note,
            "generator": self.generator,
        }
        case.update(extra or {})
        self.cases.append(case)

    def write(self):
        """Merge into index.json, drop files that no case names, and print the count a family."""
        path = ROOT / "index.json"
        old = json.loads(path.read_text()) if path.exists() else {}
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        versions["python"] = platform.python_version()
        kept = [case for case in old.get("cases", []) if case["generator"] != self.generator]
        cases = sorted(kept + self.cases, key=lambda case: (case["family"], case["name"]))
        path.write_text(render({"versions": versions, "cases": cases}))
        named = {case["model"] for case in cases} | {case["vectors"] for case in cases}
        for family in {case["family"] for case in cases}:
            for file in (ROOT / family).iterdir():
                if str(file.relative_to(ROOT)) not in named:
                    file.unlink()
        return cases


def count_operators(cases):
    """How many cases hold each operator."""
    counts = {}
    for case in cases:
        for operator in set(case["operators"]):
            counts[operator] = counts.get(operator, 0) + 1
    return dict(sorted(counts.items()))
