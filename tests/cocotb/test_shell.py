"""Drives an emitted shell with cocotbext-axi's AXI models. Run by run.py."""

import itertools
import os
import random
from fractions import Fraction

import cocotb
from cocotb.clock import Clock
from cocotb.regression import TestFactory
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

import frames as f
import stalls

BUNDLE = f.Bundle(os.environ["SYSTOLE_BUNDLE"], os.environ["SYSTOLE_VECTORS"])
INTERVAL = max(1, int(Fraction(BUNDLE.manifest["predicted"]["initiation_interval"])))
SEED = int(os.environ.get("SYSTOLE_SEED", "1"))


class Host:
    """The shell's three AXI ports, out of reset and enabled."""

    def __init__(self, dut):
        self.dut = dut
        reset = dict(reset_active_level=False)
        self.registers = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, **reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, **reset)
        for model in [self.registers.write_if, self.registers.read_if, self.source, self.sink]:
            model.log.setLevel("WARNING")

    @classmethod
    async def start(cls, dut, enable=True):
        random.seed(SEED)
        cocotb.start_soon(Clock(dut.aclk, 10, units="ns").start())
        host = cls(dut)
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, 5)
        dut.aresetn.value = 1
        await ClockCycles(dut.aclk, 2)
        if enable:
            await host.write(f.CTRL, f.ENABLE)
        return host

    async def read(self, offset):
        return await self.registers.read_dword(offset)

    async def read_wide(self, offset):
        return await self.read(offset) | await self.read(offset + 4) << 32

    async def write(self, offset, value):
        await self.registers.write_dword(offset, value)

    async def answer(self, cycles=100_000):
        frame = await with_timeout(self.sink.recv(), cycles * 10, "ns")
        return bytes(frame.tdata)

    async def idle(self):
        while not await self.read(f.STATUS) & f.IDLE:
            pass

    async def recover(self, epoch):
        """As the driver does: soft reset, clear, next epoch."""
        self.source.clear()
        await self.write(f.CTRL, f.ENABLE | f.SOFT_RESET)
        while not await self.read(f.STATUS) & f.RESET_DONE:
            pass
        self.sink.clear()
        await self.write(f.ERROR, 0xFFFF_FFFF)
        await self.write(f.EPOCH, epoch)


async def exchange(host, images, epoch=0):
    """Sends all images in frames of random sizes and checks every answer."""
    sequence, order, sent = itertools.count(), list(range(images)), []
    while order:
        size = random.randint(1, 7)
        sent.append(order[:size])
        order = order[size:]
        await host.source.send(BUNDLE.frame(sent[-1], epoch=epoch, sequence=next(sequence)))
    ends = []
    for number, indices in enumerate(sent):
        BUNDLE.check(await host.answer(), indices, epoch, number)
        ends.append(get_sim_time("ns") / 10)
    # Behind the first answer: samples, and the cycles they took.
    return images - len(sent[0]), ends[-1] - ends[0]


@cocotb.test()
async def registers_read_as_the_manifest_says(dut):
    host = await Host.start(dut, enable=False)
    shell = BUNDLE.shell
    major, minor = map(int, shell["register_map_version"].split("."))
    expected = {f.ID: int.from_bytes(b"SYST", "big"), f.ABI: major << 16 | minor, f.CAPS: 0x701}
    for base, name in [(f.STRUCTURE_HASH, "structure_hash"), (f.PARAMETER_HASH, "parameter_hash")]:
        expected.update({base + 4 * word: value for word, value in enumerate(BUNDLE.words(name))})
    for offset, key in [(f.BEAT_BYTES, "beat_bytes"), (f.IN_BYTES, "in_bytes"), (f.OUT_BYTES, "out_bytes"),
                        (f.MAX_SAMPLES, "max_samples"), (f.FIFO_DEPTH, "fifo_depth")]:
        expected[offset] = shell[key]
    expected.update({f.STATUS: f.IDLE, f.CTRL: 0, f.IRQ_COALESCE: 1, 0x68: 0, 0x100: 0, 0xFFC: 0})
    for offset, value in expected.items():
        assert await host.read(offset) == value, f"offset {offset:#x}"
    # Accesses of any width and alignment, as a bus bridge makes them.
    await host.registers.write(f.SCRATCH, b"\x11\x22\x33\x44")
    await host.registers.write(f.SCRATCH + 1, b"\xaa\xbb")
    assert await host.read(f.SCRATCH) == 0x44BB_AA11
    assert (await host.registers.read(f.SCRATCH + 2, 2)).data == b"\xbb\x44"


@cocotb.test()
async def images_give_the_runtimes_answers_at_the_rate_of_the_interval(dut):
    host = await Host.start(dut)
    samples, cycles = await exchange(host, 120)
    share = samples * INTERVAL / cycles
    dut._log.info("%d samples in %d cycles, %.4f of the rate of the interval", samples, cycles, share)
    assert share >= 0.95
    assert await host.read(f.ERROR) == 0


async def answers_are_right_with_stalls(dut, mode):
    host = await Host.start(dut)
    make = stalls.modes(INTERVAL)[mode]
    source, sink = (stalls.Counted(make(SEED + side)) for side in range(2))
    host.source.set_pause_generator(iter(source))
    host.sink.set_pause_generator(iter(sink))
    await exchange(host, 24)
    assert await host.read(f.ERROR) == 0
    dut._log.info("source stalled in %.1f %% of cycles, sink in %.1f %%", 100 * source.share, 100 * sink.share)
    assert min(source.share, sink.share) >= 0.1


every_mode = TestFactory(answers_are_right_with_stalls)
every_mode.add_option("mode", list(stalls.modes(INTERVAL)))
every_mode.generate_tests()


@cocotb.test()
async def malformed_frames_halt_with_their_bit_and_a_reset_recovers(dut):
    host = await Host.start(dut)
    shell, right = BUNDLE.shell, dict(epoch=0, sequence=1, samples=2)
    flipped = bytearray(BUNDLE.header(**right))
    flipped[13] ^= 0x20
    cases = [
        (f.E_HEADER, BUNDLE.header(**right, magic=f.MAGIC ^ 1)),
        (f.E_HEADER, BUNDLE.header(**right, version=2)),
        (f.E_HEADER, BUNDLE.header(**right, flags=1)),
        (f.E_HEADER, BUNDLE.header(**{**right, "samples": 0})),
        (f.E_HEADER, BUNDLE.header(**{**right, "samples": shell["max_samples"] + 1})),
        (f.E_CRC, bytes(flipped)),
        (f.E_HASH, BUNDLE.header(**right, design=BUNDLE.hash ^ 1 << 31)),
        (f.E_EPOCH, BUNDLE.header(**{**right, "epoch": 5})),
        (f.E_LENGTH, BUNDLE.header(**right, length=2 * shell["in_bytes"] - 1)),
        (f.E_SEQUENCE, BUNDLE.header(**{**right, "sequence": 2})),
        (f.E_TKEEP, None),
    ]
    for case, (bit, header) in enumerate(cases):
        # Headers above are of epoch 0; each case starts there.
        await host.recover(0)
        await host.source.send(BUNDLE.frame([case], sequence=0))
        good = BUNDLE.frame([1, 2], sequence=1)
        bad = AxiStreamFrame(good if header is None else header + good[64:])
        if header is None:
            bad.tkeep = [1] * len(good)
            # In the first sample, so that nothing of the frame's answer leaves.
            bad.tkeep[random.randrange(64, 64 + shell["in_bytes"])] = 0
        await host.source.send(bad)
        # The fault may be found before the answer in front of it begins.
        BUNDLE.check(await host.answer(), [case], 0, 0, statuses=(0, bit))
        while not await host.read(f.STATUS) & f.HALTED:
            pass
        await ClockCycles(dut.aclk, 50)
        assert await host.read(f.ERROR) == bit, f"case {case}: {await host.read(f.ERROR):#x}, not {bit:#x}"
        assert await host.read(f.FIRST_ERROR_SEQ) == 1
        assert host.sink.empty()
    await host.recover(9)
    await exchange(host, 5, epoch=9)


@cocotb.test()
async def counters_credit_and_interrupt_do_what_the_map_says(dut):
    host = await Host.start(dut)
    await host.write(f.IRQ_MASK, 1)
    await host.write(f.CTRL, f.ENABLE | f.CREDIT)
    for sequence in range(3):
        await host.source.send(BUNDLE.frame([sequence], sequence=sequence))
    await ClockCycles(dut.aclk, 20 * INTERVAL)
    assert host.sink.empty() and not dut.irq.value
    await host.write(f.OUT_CREDIT, 2)
    for sequence in range(2):
        BUNDLE.check(await host.answer(), [sequence], 0, sequence)
    await ClockCycles(dut.aclk, 4 * INTERVAL)
    assert host.sink.empty() and dut.irq.value and await host.read(f.OUT_CREDIT) == 0
    await host.write(f.IRQ_STATUS, 1)
    await ClockCycles(dut.aclk, 3)
    assert not dut.irq.value
    await host.write(f.OUT_CREDIT, 1)
    BUNDLE.check(await host.answer(), [2], 0, 2)
    if not dut.irq.value:
        await RisingEdge(dut.irq)
    await host.idle()
    await host.write(f.CTRL, f.ENABLE | f.LATCH_COUNTERS)
    shell = BUNDLE.shell
    header = 64 // shell["beat_bytes"]
    assert await host.read_wide(f.FRAMES) == 3
    assert await host.read_wide(f.BEATS_IN) == 3 * (header + shell["in_bytes"] // shell["beat_bytes"])
    assert await host.read_wide(f.BEATS_OUT) == 3 * (header + shell["out_bytes"] // shell["beat_bytes"])
    assert await host.read_wide(f.DROPPED) == 0
