"""Rejection sampling: one accepted crystal per request, each attempt with its own seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.seeds import Stream, child_seed
from flowllm.settings import check_seed
from flowllm.systems.events import Attempted, Drawn, Event
from flowllm.systems.protocols import Prior
from flowllm.systems.watch import UNWATCHED, Watch
from flowllm.text.prompts import prompt_of

DEFAULT_NUM = 16  # crystals, where nothing is said
MOST = 10**9  # crystals of a run
MAX_TRIES = 20  # attempts at one crystal before its conditions are given up


@dataclass(frozen=True)
class Rename:
    """Forwards a part's events under the run's names, as its positions are those of an attempt.

    Attributes:
        watch: to which they go.
        indices: of the crystals in the run, by their positions in the attempt.
        attempt: counted from 0.
        drawn: positions whose crystal has been reported.
    """

    watch: Watch
    indices: Sequence[int]
    attempt: int
    drawn: set[int]

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        index = self.indices[event.index]
        if isinstance(event, Drawn):
            self.drawn.add(event.index)
            crystal = event.crystal.replace(ids=[crystal_id(index)])
            event = replace(event, index=index, attempt=self.attempt, crystal=crystal)
        elif isinstance(event, Attempted):
            event = replace(event, index=index, attempt=self.attempt)
        else:
            event = replace(event, index=index)
        self.watch.event(event)


@dataclass(frozen=True)
class Accepted:
    """The result of rejection sampling.

    Attributes:
        crystals: B crystals.
        rejected: how many samples were rejected.
        seeds: (B,) of the attempts that were accepted; a refiner is given them, too.
    """

    crystals: CrystalBatch
    rejected: int
    seeds: list[int]


def draw(
    prior: Prior,
    indices: Sequence[int],
    asked: Sequence[Conditions],
    seed: int,
    settings: Any,
    watch: Watch = UNWATCHED,
) -> Accepted:
    """One accepted crystal for each of P conditions; rejected ones are redrawn.

    Args:
        prior: what draws.
        indices: positions of the crystals in their run; they give the seeds and the ids.
        asked: as many conditions.
        seed: of the run.
        settings: of the prior.
        watch: receives every event, and each crystal once it is accepted.

    Returns:
        The crystals in the order of the conditions.

    Raises:
        InputError: no crystal in `MAX_TRIES` attempts for some conditions.
    """
    accepted: dict[int, CrystalBatch] = {}
    accepted_seeds: dict[int, int] = {}
    waiting, rejected, total = list(range(len(asked))), 0, len(asked)
    count = _Count(watch, total)
    for attempt in range(MAX_TRIES):
        seeds = [crystal_seed(seed, indices[place], attempt) for place in waiting]
        names = [indices[place] for place in waiting]
        rename = Rename(watch, names, attempt, set())
        told = replace(
            watch,
            on_finished=None if watch.on_finished is None else count,
            on_event=None if watch.on_event is None else rename,
        )
        batch = prior.sample([asked[p] for p in waiting], settings, seeds, told)
        for crystal in batch:
            place = _position(str(crystal.ids[0]), len(waiting))
            accepted[waiting[place]] = crystal
            accepted_seeds[waiting[place]] = seeds[place]
            if watch.on_event is not None and place not in rename.drawn:
                rename(Drawn(place, attempt, "", crystal))
        rejected += len(waiting) - len(batch)
        waiting = [place for place in waiting if place not in accepted]
        if not waiting:
            break
    if waiting:
        prompt = prompt_of(asked[waiting[0]]).strip()
        raise InputError(f"no crystal in {MAX_TRIES} tries for the prompt {prompt!r}")
    crystals = CrystalBatch.concatenate(accepted[place] for place in range(total))
    named = crystals.replace(ids=np.array([crystal_id(index) for index in indices]))
    return Accepted(named, rejected, [accepted_seeds[place] for place in range(total)])


class _Count:
    """Forwards the number of finished crystals, capped at the total.

    Args:
        watch: to which it goes.
        total: in all.
    """

    def __init__(self, watch: Watch, total: int) -> None:
        self.watch, self.done, self.total = watch, 0, total

    def __call__(self, count: int) -> None:
        kept = min(count, self.total - self.done)
        self.done += kept
        if kept:
            self.watch.finished(kept)


def _position(name: str, count: int) -> int:
    """The position in a sample's id."""
    if not name.isdigit() or int(name) >= count:
        raise InputError(
            f"the prior returned id {name!r}; ids must be the positions of the conditions"
        )
    return int(name)


def crystal_id(index: int) -> str:
    """The name of one crystal of a run; its letter keeps tables from reading it as a number."""
    return f"c{index:06d}"


def crystal_seed(seed: int, index: int, attempt: int) -> int:
    """The seed of one attempt at one crystal of a run."""
    return child_seed(Stream.CRYSTAL, seed, index, attempt)


def check_num(num: int, seed: int) -> None:
    """Refuse an invalid number of crystals or seed.

    Raises:
        InputError: names the one that is wrong.
    """
    if num < 1:
        raise InputError(f"the number of crystals must be at least 1, not {num}")
    if num > MOST:
        raise InputError(f"the number of crystals must be at most {MOST:,}, not {num}")
    check_seed(seed)
