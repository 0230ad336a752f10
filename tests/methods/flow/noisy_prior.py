"""A prior of noise for the tests of pairing; in a module, so that processes can be sent it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF


def prompt_for(composition):
    return json.dumps(composition)


class NoisyPrior:
    """Uniform coordinates for the prompted composition; fails and errs as its seeds say."""

    def __init__(self, fail=0.0, mismatch=0.0, stop_after=None):
        self.fail, self.mismatch, self.stop_after, self.calls, self.seeds = (
            fail,
            mismatch,
            stop_after,
            0,
            [],
        )

    def sample(self, prompts, settings, seeds):
        self.calls += 1
        if self.stop_after is not None and self.calls > self.stop_after:
            raise KeyboardInterrupt
        self.seeds += list(seeds)
        parts = []
        for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            rng = np.random.default_rng(seed)
            luck = rng.random()
            if luck < self.fail:
                continue
            numbers = [
                NUMBER_OF[e] for e, count in json.loads(prompt).items() for _ in range(count)
            ]
            if luck > 1 - self.mismatch:
                numbers[0] = 118
            coords = rng.random((len(numbers), 3))
            cell = rng.uniform(4, 6, (1, 3))
            parts.append(
                CrystalBatch(numbers, coords, cell, [[90.0] * 3], [len(numbers)], [str(index)])
            )
        return CrystalBatch.concatenate(parts)


class FatalPrior(NoisyPrior):
    """Kills the process that samples the prompt of a composition, as often as there are marks.

    Args:
        composition: whose prompt is fatal.
        marks: a folder; each death takes away one of its files.
    """

    def __init__(self, composition: dict[str, int], marks: Path):
        super().__init__()
        self.fatal, self.marks = prompt_for(composition), marks

    def sample(self, prompts, settings, seeds):
        for mark in sorted(self.marks.iterdir()) if self.fatal in prompts else []:
            mark.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sample(prompts, settings, seeds)


class RefusingPrior:
    """Cannot sample at all."""

    def sample(self, prompts, settings, seeds):
        raise self.error

    def __init__(self, error):
        self.error = error


def noisy_prior() -> NoisyPrior:
    """What loads a prior where it is needed."""
    return NoisyPrior(0.2, 0.2)
