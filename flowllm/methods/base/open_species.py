"""Priors of systems that generate species too: open species, atoms from a simple base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import numpy as np

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.base.geometry import NormalLattice, SimpleBase, listed
from flowllm.methods.base.open_settings import OpenSettings
from flowllm.runs.files import write_json
from flowllm.runs.identity import digest
from flowllm.runs.json_object import JsonObject
from flowllm.systems.watch import UNWATCHED, Watch

FILE = "base.json"
FLOWMM, DIFFCSP = "flowmm-base", "diffcsp-base"


class OpenGeometry(Protocol):
    """Places atoms of any species in a cell."""

    def put(self, numbers: np.ndarray, seed: int) -> CrystalBatch:
        """A batch of one crystal of these (n,) atomic numbers."""
        ...

    def digest(self) -> str:
        """A short hash of everything that the crystals depend on."""
        ...


class OpenPrior:
    """The requested number of atoms, with the requested species or, without any, open ones.

    With `SimpleBase` it is the base of FlowMM (section 3.2), with `NormalLattice` the end of
    DiffCSP's diffusion (section 4). The number of atoms comes from the training data's histogram.

    Args:
        geometry: where the atoms are.
    """

    label = "base distribution"
    Settings = OpenSettings
    exact = frozenset({"composition", "num_atoms"})
    heeded: frozenset[str] = frozenset()

    def __init__(self, geometry: OpenGeometry) -> None:
        self.geometry = geometry

    @classmethod
    def fit(cls, kind: str, training: CrystalBatch) -> OpenPrior:
        """A prior of a kind, with the lengths of training crystals where it has any.

        Raises:
            InputError: no such kind, or no crystals.
        """
        if kind not in (FLOWMM, DIFFCSP):
            raise InputError(f"unknown prior {kind!r}; choose from {FLOWMM}, {DIFFCSP}")
        return cls(SimpleBase.fit(training) if kind == FLOWMM else NormalLattice())

    @property
    def kind(self) -> str:
        """The name of its kind; its class for a custom geometry."""
        known = {SimpleBase: FLOWMM, NormalLattice: DIFFCSP}
        return known.get(
            type(self.geometry), f"species left open in {type(self.geometry).__name__}"
        )

    def leaves_open(self, asked: Conditions) -> bool:
        """Whether no composition is requested."""
        return asked.composition is None

    def check(self, asked: Conditions) -> None:
        """Every number of atoms and every composition is possible."""

    def sample(
        self,
        asked: Sequence[Conditions],
        settings: OpenSettings,
        seeds: Sequence[int],
        watch: Watch = UNWATCHED,
    ) -> CrystalBatch:
        """One crystal for each conditions; an id is their position.

        Raises:
            InputError: conditions that give neither a composition nor a number of atoms.
        """
        crystals = []
        for index, (conditions, seed) in enumerate(zip(asked, seeds, strict=True)):
            watch.step()
            if conditions.composition is not None:
                numbers = listed(conditions.composition)
            elif conditions.num_atoms is not None:
                numbers = np.zeros(conditions.num_atoms, dtype=np.int64)
            else:
                raise InputError(f"the prior {self.kind!r} needs a number of atoms")
            crystals.append(self.geometry.put(numbers, seed).replace(ids=[str(index)]))
            watch.finished()
        return CrystalBatch.concatenate(crystals)

    def digest(self) -> str:
        """A short hash of everything that the crystals depend on."""
        return digest(self.kind, self.geometry.digest())

    def save(self, folder: Path, half: bool = False) -> None:
        """Write base.json."""
        folder.mkdir(parents=True, exist_ok=True)
        about = asdict(self.geometry) if isinstance(self.geometry, SimpleBase) else {}
        write_json(folder / FILE, {"prior": self.kind, "base": about})

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> OpenPrior:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing or damaged.
        """
        about = JsonObject.read(folder / FILE)
        kind = about.text("prior")
        if kind == DIFFCSP:
            return cls(NormalLattice())
        if kind != FLOWMM:
            raise InputError(
                f"{folder / FILE}: unknown prior {kind!r}; choose from {FLOWMM}, {DIFFCSP}"
            )
        stored = about.record("base")
        mean, std = (stored.numbers(name, length=3) for name in ("log_mean", "log_std"))
        return cls(SimpleBase((mean[0], mean[1], mean[2]), (std[0], std[1], std[2])))
