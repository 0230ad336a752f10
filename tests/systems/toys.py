"""A prior and refiners written from the docstrings of the protocols alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.systems.events import Rejected
from flowllm.systems.registry import register_prior, register_refiner
from flowllm.systems.watch import UNWATCHED

COMPOSITIONS = ({11: 1, 17: 1}, {12: 1, 8: 1}, {19: 1, 9: 1})


@dataclass(frozen=True)
class RocksaltSettings:
    """How rocksalt is drawn.

    Attributes:
        spread: standard deviation of the logarithm of the cell's length.
        refuse: share of the seeds that are rejected, 0 to 1.
    """

    spread: float = 0.05
    refuse: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.refuse < 1:
            raise InputError(f"refuse must be in [0, 1), not {self.refuse}")


class RocksaltPrior:
    """Primitive cells of rocksalt with a length of its own for each seed."""

    kind = "toy-rocksalt"
    label = "rocksalt"
    Settings = RocksaltSettings
    exact = frozenset({"composition"})
    heeded = frozenset({"num_atoms"})

    def __init__(self, length: float = 4.0) -> None:
        self.length = length

    def check(self, asked):
        if asked.composition is not None and len(asked.composition) != 2:
            raise InputError("rocksalt has two elements")

    def sample(self, asked, settings, seeds, watch=UNWATCHED):
        crystals = []
        for position, (conditions, seed) in enumerate(zip(asked, seeds, strict=True)):
            watch.step()
            rng = np.random.default_rng(seed)
            length = self.length * np.exp(settings.spread * rng.standard_normal())
            if rng.random() < settings.refuse:
                watch.event(Rejected(position, 0, "crystal", "refused"))
                watch.finished()
                continue
            cell = COMPOSITIONS[rng.integers(len(COMPOSITIONS))]
            numbers = list(cell)
            if conditions.composition is not None:
                from flowllm.crystals.elements import NUMBER_OF

                numbers = [NUMBER_OF[s] for s in conditions.composition]
            crystals.append(
                CrystalBatch(
                    numbers, [[0.0] * 3, [0.5] * 3], [[length] * 3], [[60.0] * 3], [2],
                    [str(position)],
                )
            )  # fmt: skip
            watch.finished()
        return CrystalBatch.concatenate(crystals)

    def save(self, folder, half=False):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rocksalt.json").write_text(json.dumps({"length": self.length}))

    @classmethod
    def load(cls, folder, device="cpu"):
        return cls(json.loads((folder / "rocksalt.json").read_text())["length"])

    def digest(self):
        return hashlib.sha256(str(self.length).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class SwellSettings:
    """How crystals swell.

    Attributes:
        factor: on the lengths of the cell, at the end.
        frames: how many are kept, at least 2.
    """

    factor: float = 1.1
    frames: int = 5


class SwellRefiner:
    """Stretches cells evenly."""

    kind = "toy-swell"
    label = "swelling"
    Settings = SwellSettings
    moves = frozenset({"lattice"})

    def __init__(self, power: float = 1.0) -> None:
        self.power = power

    def refine(self, crystals, settings, seeds, watch=UNWATCHED, start=0.0):
        times = np.linspace(start, 1.0, settings.frames)
        frames = []
        for time in times:
            watch.step()
            part = ((time - start) / (1 - start)) ** self.power
            lengths = crystals.lengths * (1 + (settings.factor - 1) * part)
            frames.append(self.changed(crystals.replace(lengths=lengths), part, seeds))
        watch.finished(len(crystals))
        return Trajectory.from_frames(times, frames)

    def changed(self, crystals, part, seeds):
        return crystals

    def save(self, folder, half=False):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "power.txt").write_text(str(self.power))

    @classmethod
    def load(cls, folder, device="cpu"):
        return cls(float((folder / "power.txt").read_text()))

    def digest(self):
        return f"{self.kind}-{self.power}"


class TransmuteRefiner(SwellRefiner):
    """Swells, and half-way makes every Cl, O and F a sulphur."""

    kind = "toy-transmute"
    label = "transmutation"
    moves = frozenset({"lattice", "species"})

    def changed(self, crystals, part, seeds):
        light = np.isin(crystals.atomic_numbers, (8, 9, 17)) & (part >= 0.5)
        return crystals.replace(atomic_numbers=np.where(light, 16, crystals.atomic_numbers))


register_prior(RocksaltPrior.kind, RocksaltPrior, "a toy")
register_refiner(SwellRefiner.kind, SwellRefiner, "a toy")
register_refiner(TransmuteRefiner.kind, TransmuteRefiner, "a toy")
