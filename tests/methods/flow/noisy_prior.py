"""A prior of noise for the tests of pairing; in a module, so that processes can be sent it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF


class NoisyPrior:
    """Uniform coordinates for the composition asked for; fails and errs as its seeds say."""

    def __init__(self, fail=0.0, mismatch=0.0, stop_after=None):
        self.fail, self.mismatch, self.stop_after, self.calls, self.seeds = (
            fail,
            mismatch,
            stop_after,
            0,
            [],
        )

    def sample(self, asked, settings, seeds, watch=None):
        self.calls += 1
        if self.stop_after is not None and self.calls > self.stop_after:
            raise KeyboardInterrupt
        self.seeds += list(seeds)
        parts = []
        for index, (conditions, seed) in enumerate(zip(asked, seeds, strict=True)):
            rng = np.random.default_rng(seed)
            luck = rng.random()
            if luck < self.fail:
                continue
            cell = conditions.composition.items()
            numbers = [NUMBER_OF[e] for e, count in cell for _ in range(count)]
            if luck > 1 - self.mismatch:
                numbers[0] = 118
            coords = rng.random((len(numbers), 3))
            cell = rng.uniform(4, 6, (1, 3))
            parts.append(
                CrystalBatch(numbers, coords, cell, [[90.0] * 3], [len(numbers)], [str(index)])
            )
        return CrystalBatch.concatenate(parts)


class FatalPrior(NoisyPrior):
    """Kills the process that samples a composition, as often as there are marks.

    Args:
        composition: which is fatal.
        marks: a folder; each death takes away one of its files.
    """

    def __init__(self, composition: dict[str, int], marks: Path):
        super().__init__()
        self.fatal, self.marks = composition, marks

    def sample(self, asked, settings, seeds, watch=None):
        for mark in (
            sorted(self.marks.iterdir()) if any(c.composition == self.fatal for c in asked) else []
        ):
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(asked, settings, seeds)


class RefusingPrior:
    """Cannot sample at all."""

    def sample(self, asked, settings, seeds, watch=None):
        raise self.error

    def __init__(self, error):
        self.error = error


def noisy_prior() -> NoisyPrior:
    """What loads a prior where it is needed."""
    return NoisyPrior(0.2, 0.2)
