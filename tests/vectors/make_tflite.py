"""Make the TFLite int8 cases of this folder; README.md says which environment and what the files hold.

Each case is a model written by `maker/tflite_model.py` and the outputs of four runtimes for the
same inputs. No arguments; seeded, so that a second run writes the same bytes.
"""

from maker import fully_connected, tflite_borders
from maker.runtimes import PROFILES
from maker.tflite_data import Maker
from maker.vectors import count_operators

LEAST = 20
OPERATORS = ("DEQUANTIZE", "FULLY_CONNECTED", "QUANTIZE", "RESHAPE", "SOFTMAX")


def main():
    """Write every case, then check that each operator has enough of them and that none is constant."""
    maker = Maker()
    fully_connected.fully_connected(maker)
    tflite_borders.softmax(maker)
    tflite_borders.quantize(maker)
    tflite_borders.reshape(maker)
    tflite_borders.networks(maker)
    maker.index.write()
    counts = count_operators(maker.index.cases)
    print(f"{len(maker.index.cases)} cases, {len(PROFILES)} profiles, cases an operator: {counts}")
    short = [name for name in OPERATORS if counts.get(name, 0) < LEAST]
    if short:
        raise SystemExit(f"fewer than {LEAST} cases of {short}")


if __name__ == "__main__":
    main()
