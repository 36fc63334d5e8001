"""Frames and samples, written from the tables in docs/board.md and the manifest alone."""

import json
import random
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy

HEADER = struct.Struct("<IHHIIIIIII24x")
MAGIC = int.from_bytes(b"SYSF", "little")

# Byte offsets of registers and bits of theirs.
ID, ABI, STRUCTURE_HASH, PARAMETER_HASH, CAPS, BEAT_BYTES, IN_BYTES, OUT_BYTES = 0x00, 0x04, 0x08, 0x18, 0x28, 0x2C, 0x30, 0x34
MAX_SAMPLES, FIFO_DEPTH, CTRL, STATUS, ERROR, FIRST_ERROR_SEQ = 0x38, 0x3C, 0x40, 0x44, 0x48, 0x4C
EPOCH, WATCHDOG_CYCLES, OUT_CREDIT, IRQ_STATUS, IRQ_MASK, IRQ_COALESCE, SCRATCH = 0x50, 0x54, 0x58, 0x5C, 0x60, 0x64, 0x70
CYCLES, FRAMES, BEATS_IN, BEATS_OUT, STALLS_IN, STALLS_OUT, DROPPED = range(0x80, 0xB8, 8)
ENABLE, DRAIN, SOFT_RESET, LATCH_COUNTERS, CREDIT = (1 << bit for bit in range(5))
IDLE, RUN, DRAINING, HALTED, RESET_DONE, IN_STALL, OUT_STALL = (1 << bit for bit in range(7))
E_HEADER, E_HASH, E_EPOCH, E_LENGTH, E_SEQUENCE, E_TKEEP, E_CRC, E_OVERFLOW, E_WATCHDOG = (1 << bit for bit in range(9))


class Bundle:
    """A compiled network with a shell, and vectors of a named runtime."""

    def __init__(self, folder, vectors):
        self.manifest = json.loads((Path(folder) / "manifest.json").read_text())
        self.shell = self.manifest["shell"]
        self.input = next(s for s in self.manifest["streams"] if s["kind"] == "input")
        self.output = next(s for s in self.manifest["streams"] if s["kind"] == "output")
        arrays = numpy.load(vectors)
        self.inputs, self.outputs = arrays["input"], arrays["output"]

    def words(self, name):
        """The four register words of a hash."""
        return struct.unpack("<4I", bytes.fromhex(self.manifest[name])[:16])

    @property
    def hash(self):
        return self.words("structure_hash")[0] ^ self.words("parameter_hash")[0]

    def header(self, **changes):
        """A request's header, some of its numbers changed."""
        samples = changes.get("samples", 1)
        fields = dict(
            magic=MAGIC, version=1, flags=0, epoch=0, sequence=0, samples=samples,
            length=samples * self.shell["in_bytes"], design=self.hash, network=0, status=0,
        )
        fields.update(changes)
        body = HEADER.pack(*fields.values())
        return body + struct.pack("<I", zlib.crc32(body))

    def payload(self, sample):
        """One sample's bytes: the input border, then elements in lanes of whole bytes, beat by beat."""
        (border,) = self.manifest["input_border"]
        (quant,) = border["operations"]
        assert quant["op"] == "quant" and quant["rounding"] == "half_even", quant
        (scale,), (zero,) = quant["scale"]["values"], quant["zero_point"]["values"]
        values = numpy.clip(numpy.rint(sample.astype(float) / scale + zero), quant["lo"], quant["hi"]).astype(int)
        width = self.input["lane_bits"] // 8
        beats = []
        for pixel in values.reshape(self.input["pixels"], self.input["channels"]):
            for start in range(0, len(pixel), self.input["lanes"]):
                group = list(pixel[start:start + self.input["lanes"]])
                group += [0] * (self.input["lanes"] - len(group))
                beats += [int(value).to_bytes(width, "little", signed=value < 0) for value in group]
        data = b"".join(beats)
        # What stands behind a sample is nobody's business.
        return data + random.randbytes(self.shell["in_bytes"] - len(data))

    def results(self, payload):
        """The host's numbers from one sample's answer bytes."""
        (border,) = self.manifest["output_border"]
        (affine,) = border["operations"]
        assert affine["op"] == "affine" and affine["radicand"] == ["1"], affine
        width, lanes = self.output["lane_bits"] // 8, self.output["lanes"]
        signed = "signed" in self.output["element"]
        used = self.output["beats"] * lanes * width
        assert not any(payload[used:]), "padding behind a sample is 0"
        elements = [int.from_bytes(payload[at:at + width], "little", signed=signed) for at in range(0, used, width)]
        per_pixel = -(-self.output["channels"] // lanes) * lanes
        values = []
        for start in range(0, len(elements), per_pixel):
            values += elements[start:start + self.output["channels"]]
        scales = [Fraction(text) for text in affine["scale"]] * (len(values) // len(affine["scale"]))
        offsets = [Fraction(text) for text in affine["offset"]] * (len(values) // len(affine["offset"]))
        return [numpy.float32(float(value * scale + offset)) for value, scale, offset in zip(values, scales, offsets)]

    def frame(self, indices, **numbers):
        """A request of some of the vectors."""
        payload = b"".join(self.payload(self.inputs[index]) for index in indices)
        return self.header(samples=len(indices), **numbers) + payload

    def check(self, answer, indices, epoch, sequence, statuses=(0,)):
        """Compares an answer, bit by bit, with what the named runtime gave; its status is one of `statuses`."""
        length = len(indices) * self.shell["out_bytes"]
        numbers = dict(flags=1, epoch=epoch, sequence=sequence, samples=len(indices), length=length)
        wanted = [self.header(**numbers, status=status) for status in statuses]
        assert answer[:64] in wanted, f"header {answer[:64].hex()}, not {wanted[0].hex()}"
        assert len(answer) == 64 + length
        for place, index in enumerate(indices):
            start = 64 + place * self.shell["out_bytes"]
            found = self.results(answer[start:start + self.shell["out_bytes"]])
            expected = list(self.outputs[index])
            assert found == expected, f"sample {index}: {found}, not {expected}"
