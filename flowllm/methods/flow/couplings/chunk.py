"""One chunk of pairs: sample the prior for each target, align, store; for any process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.flow.couplings.alignment import (
    align,
    mean_squared_torus_distance,
    squared_torus_distances,
)
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.seeds import Stream, child_seed, generator
from flowllm.systems.decoding_figures import DecodingFigures, count_decoding
from flowllm.systems.protocols import Prior

MAX_DRAWS = 4
"""The first draw and three more for a sample that is missing or of another composition."""
COUNTS = ("drawn", "failed", "mismatched", "dropped_targets", "pairs", "atoms")
SUMS = ("list_order", "aligned")


@dataclass(frozen=True)
class PairPlan:
    """The plan of the pairs to make.

    Attributes:
        num_pairs: number of draws of a target.
        seed: seed of everything random; each sample's own seed comes from it, the draw and the try.
        chunk_size: draws per chunk.
        samples_per_target: samples drawn for one target.
        keep: "closest" keeps the sample with the smallest aligned distance, "all" every one.
        alignment: method of `flowllm.methods.flow.couplings.alignment.align`.

    Raises:
        InputError: a value out of its range.
    """

    num_pairs: int
    seed: int
    chunk_size: int = 256
    samples_per_target: int = 1
    keep: str = "closest"
    alignment: str = "translation"

    def __post_init__(self) -> None:
        if min(self.num_pairs, self.chunk_size, self.samples_per_target) < 1:
            raise InputError("num_pairs, chunk_size and samples_per_target must be above 0")
        if self.keep not in ("closest", "all"):
            raise InputError(f"keep must be closest or all, not {self.keep!r}")


@dataclass(frozen=True)
class PairChunk:
    """A finished chunk.

    Attributes:
        pairs: its pairs, in the order of the draws.
        tally: (8,) what was counted, in the order of `COUNTS` and `SUMS`.
        work: (2,) seconds, and seconds of one core.
        decoding: what the language model wrote for it, if there is one.
    """

    pairs: PairSet
    tally: np.ndarray
    work: np.ndarray
    decoding: DecodingFigures

    def arrays(self) -> dict[str, np.ndarray]:
        """The chunk as arrays by name, those of the pairs as in `PairSet.arrays`."""
        decoding = np.array(astuple(self.decoding), dtype=np.float64)
        return {
            **self.pairs.arrays(), "tally": self.tally, "work": self.work, "decoding": decoding,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PairChunk:
        """Inverse of `arrays`.

        Raises:
            KeyError, ValueError: they are none of a chunk.
        """
        tally, work, counts = (arrays[name] for name in ("tally", "work", "decoding"))
        return cls(PairSet.from_arrays(arrays), tally, work, DecodingFigures.of(counts))


@dataclass(frozen=True)
class PairTask:
    """A chunk to make, self-contained so that any process can do it.

    Attributes:
        prior: what gives c0 for a composition, or a function that loads it where it is needed.
        targets: the chunk's targets c1.
        start: the number of its first draw.
        settings: passed on to the prior.
        plan: which pairs are made.
    """

    prior: Prior | Callable[[], Prior]
    targets: CrystalBatch
    start: int
    settings: Any
    plan: PairPlan


def make_chunk(task: PairTask) -> PairChunk:
    """Make a chunk on one thread: more may round sums differently."""
    torch.set_num_threads(1)
    prior: Any = task.prior if hasattr(task.prior, "sample") else task.prior()
    began, computed = time.perf_counter(), time.thread_time()
    with count_decoding() as decoding:
        pairs, tally = _pairs(task, prior)
    work = np.array([time.perf_counter() - began, time.thread_time() - computed])
    return PairChunk(pairs, tally, work, decoding)


def target_order(num_targets: int, num_pairs: int, seed: int) -> np.ndarray:
    """(num_pairs,) targets of the draws: shuffled passes; longer orders extend shorter ones."""
    passes = -(-num_pairs // num_targets)
    shuffled = [generator(Stream.TARGETS, seed, k).permutation(num_targets) for k in range(passes)]
    return np.concatenate(shuffled)[:num_pairs]


def sample_seed(seed: int, draw: int, sample: int, attempt: int) -> int:
    """The seed of one sample, below 2^63."""
    return child_seed(Stream.SAMPLE, seed, draw, sample, attempt, bits=63)


def _pairs(task: PairTask, prior: Prior) -> tuple[PairSet, np.ndarray]:
    """The pairs of one chunk and its tally."""
    targets, plan = task.targets, task.plan
    compositions = targets.compositions
    asked = [Conditions(composition=composition) for composition in compositions]
    open_slots = [(i, k) for i in range(len(targets)) for k in range(plan.samples_per_target)]
    good: dict[tuple[int, int], CrystalBatch] = {}
    drawn = failed = mismatched = 0
    for attempt in range(MAX_DRAWS):
        if not open_slots:
            break
        seeds = [sample_seed(plan.seed, task.start + i, k, attempt) for i, k in open_slots]
        result = prior.sample([asked[i] for i, _ in open_slots], task.settings, seeds)
        drawn += len(open_slots)
        failed += len(open_slots) - len(result)
        made = result.compositions
        for name, crystal, composition, volume in zip(
            result.ids, result, made, result.volumes, strict=True
        ):
            slot = _slot(str(name), open_slots)
            if composition == compositions[slot[0]] and volume > 0:
                good[slot] = crystal
            else:
                mismatched += 1
        open_slots = [slot for slot in open_slots if slot not in good]
    slots = sorted(good)
    dropped = len(targets) - len({i for i, _ in slots})
    rows = np.array([i for i, _ in slots], dtype=np.int64)
    c1 = targets[rows]
    raw = CrystalBatch.concatenate(good[slot] for slot in slots).replace(ids=c1.ids)
    listed, c0 = align(raw, c1, "list"), align(raw, c1, plan.alignment)
    if plan.keep == "closest" and plan.samples_per_target > 1:
        distances = squared_torus_distances(c0, c1)
        best = np.array(
            [min(np.flatnonzero(rows == i), key=lambda r: distances[r]) for i in np.unique(rows)],
            dtype=np.int64,
        )
        c0, c1, listed = c0[best], c1[best], listed[best]
    atoms = len(c1.frac_coords)
    sums = [mean_squared_torus_distance(c, c1) * atoms if atoms else 0.0 for c in (listed, c0)]
    tally = np.array([drawn, failed, mismatched, dropped, len(c1), atoms, *sums], dtype=np.float64)
    return PairSet(c0, c1), tally


def _slot(name: str, slots: list[tuple[int, int]]) -> tuple[int, int]:
    """The slot given by a sample's id, its position among the conditions."""
    if not name.isdigit() or int(name) >= len(slots):
        raise InputError(
            f"the prior returned id {name!r}; ids must be the positions of the conditions"
        )
    return slots[int(name)]
