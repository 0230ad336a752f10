"""One accepted crystal for each prompt: tries, their seeds, and the names of what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.seeds import Stream, child_seed
from flowllm.systems.generation import Prior, Progress

DEFAULT_NUM = 16  # crystals, where nothing is said
MAX_TRIES = 20  # draws for one crystal before its prompt is given up


def draw(
    prior: Prior,
    indices: range,
    prompts: Sequence[str],
    seed: int,
    sampling: SamplingSettings,
    progress: Progress | None = None,
) -> tuple[CrystalBatch, int]:
    """One accepted crystal for each prompt; what a prior rejects is drawn again.

    Args:
        prior: what draws.
        indices: positions of the crystals in their run; they give the seeds and the ids.
        prompts: as many.
        seed: of the run.
        sampling: how the language model draws.
        progress: called for the stage "language model".

    Returns:
        The crystals in the order of the prompts, and how many samples were rejected.

    Raises:
        InputError: no crystal in `MAX_TRIES` tries for a prompt.
    """
    accepted: dict[int, CrystalBatch] = {}
    waiting, rejected, total = list(range(len(prompts))), 0, len(prompts)
    for attempt in range(MAX_TRIES):
        seeds = [crystal_seed(seed, indices[place], attempt) for place in waiting]
        options: dict[str, Any] = {}
        if progress is not None:
            report, done = progress, [len(accepted)]

            def advance(count: int, done: list[int] = done, report: Progress = report) -> None:
                done[0] += count
                report("language model", min(done[0], total), total)

            options["progress"] = advance
        batch = prior.sample([prompts[p] for p in waiting], sampling, seeds, **options)
        for crystal in batch:
            accepted[waiting[int(crystal.ids[0])]] = crystal
        rejected += len(waiting) - len(batch)
        waiting = [place for place in waiting if place not in accepted]
        if not waiting:
            break
    if waiting:
        raise gave_up(prompts[waiting[0]])
    crystals = CrystalBatch.concatenate(accepted[place] for place in range(total))
    return crystals.replace(ids=np.array([crystal_id(index) for index in indices])), rejected


def gave_up(prompt: str) -> InputError:
    """What is raised when every try for a prompt was rejected."""
    return InputError(f"no crystal in {MAX_TRIES} tries for the prompt {prompt.strip()!r}")


def crystal_id(index: int) -> str:
    """The name of one crystal of a run; its letter keeps tables from reading it as a number."""
    return f"c{index:06d}"


def crystal_seed(seed: int, index: int, attempt: int) -> int:
    """The seed of one try at one crystal of a run."""
    return child_seed(Stream.CRYSTAL, seed, index, attempt)


def check_num(num: int, seed: int) -> None:
    """Refuse a number of crystals below 1 and a negative seed.

    Raises:
        InputError: names the one that is wrong.
    """
    if num < 1:
        raise InputError(f"the number of crystals must be at least 1, not {num}")
    if seed < 0:
        raise InputError(f"the seed must be at least 0, not {seed}")
