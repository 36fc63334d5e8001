"""Stall processes: for each cycle whether a side holds back."""

import itertools
import random


class Counted:
    """A stall process that counts its cycles and those in which it held back."""

    def __init__(self, process):
        self.process, self.cycles, self.stalled = process, 0, 0

    def __iter__(self):
        for stalled in self.process:
            self.cycles += 1
            self.stalled += stalled
            yield stalled

    @property
    def share(self):
        return self.stalled / self.cycles


def probability(share, seed):
    source = random.Random(seed)
    return (source.random() < share for _ in itertools.count())


def bursts(longest, seed):
    source = random.Random(seed)
    for stalled in itertools.cycle([False, True]):
        yield from itertools.repeat(stalled, source.randint(1, longest))


def gaps(sample_cycles, seed):
    """Pauses of one or two samples' length between stretches of about a sample."""
    source = random.Random(seed)
    while True:
        yield from itertools.repeat(False, source.randint(sample_cycles // 2, 2 * sample_cycles))
        yield from itertools.repeat(True, sample_cycles * source.randint(1, 2))


def modes(sample_cycles):
    """Name and process of every mode; the process takes a seed."""
    return {
        "probability 1/8": lambda seed: probability(1 / 8, seed),
        "probability 1/2": lambda seed: probability(1 / 2, seed),
        "probability 7/8": lambda seed: probability(7 / 8, seed),
        "bursts of 1 to 2,000 cycles": lambda seed: bursts(2_000, seed),
        "whole-sample gaps": lambda seed: gaps(sample_cycles, seed),
    }
