"""Builds an emitted shell with Icarus Verilog and drives it with test_shell.py.

usage: run.py BUNDLE VECTORS.npz BUILD_FOLDER
"""

import json
import os
import sys
from pathlib import Path

from cocotb.runner import get_results, get_runner


def main():
    bundle, vectors, build = (Path(argument).resolve() for argument in sys.argv[1:])
    shell = json.loads((bundle / "manifest.json").read_text())["shell"]
    if shell is None:
        sys.exit(f"{bundle} has no shell: compile with --shell axi")
    rtl = bundle / "rtl"
    os.environ.update(SYSTOLE_BUNDLE=str(bundle), SYSTOLE_VECTORS=str(vectors))
    sys.path.insert(0, str(Path(__file__).parent))
    runner = get_runner("icarus")
    runner.build(
        verilog_sources=[rtl / name for name in (rtl / "files.f").read_text().split()],
        hdl_toplevel=shell["top"],
        build_dir=build,
        timescale=("1ns", "1ps"),
        always=True,
    )
    # Memories are loaded from the folder of the Verilog.
    results = runner.test(
        test_module="test_shell", hdl_toplevel=shell["top"], build_dir=build, test_dir=rtl, results_xml=str(build / "results.xml")
    )
    tests, failed = get_results(results)
    print(f"{tests - failed} of {tests} tests of the shell passed")
    sys.exit(1 if failed or not tests else 0)


if __name__ == "__main__":
    main()
