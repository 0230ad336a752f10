"""Samples for the prompts of one kind: written, refined, looked at."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.evaluation.adherence.energies import energies_of
from flowllm.evaluation.adherence.figures import ENERGIES, SYMPRECS, Outcome, groups_of, outcome_of
from flowllm.evaluation.adherence.kinds import Wish, names_of, needs_places
from flowllm.evaluation.adherence.settings import AdherenceSettings
from flowllm.relax import RelaxSettings
from flowllm.runs.files import atomic_write
from flowllm.runs.progress import Progress
from flowllm.stability import HullTable
from flowllm.systems.protocols import Prior
from flowllm.systems.sampling import crystal_seed
from flowllm.systems.system import FlowLLM
from flowllm.text.prompts import prompt_of

PART = 250  # prompts that are finished, and kept, together


@dataclass(frozen=True)
class Samples:
    """The samples of one kind of prompt in one mode, kept in parts.

    Attributes:
        kind: see `names_of`.
        mode: with or without decoding constraints.
        wishes: what is asked.
        settings: of the run.
        folder: where parts are kept.
        workers: processes for energies and space groups.
        progress: callback.
    """

    kind: str
    mode: str
    wishes: list[Wish]
    settings: AdherenceSettings
    folder: Path
    workers: int | None
    progress: Progress | None

    def prompts(self, system: FlowLLM) -> list[str]:
        """The prompt of each wish."""
        seed = self.settings.seed
        asked = [system.asked(w.request, i, seed) for i, w in enumerate(self.wishes)]
        return [prompt_of(conditions) for conditions in asked]

    def measure(
        self, system: FlowLLM, prior: Prior, hull: HullTable
    ) -> tuple[Outcome, Outcome, dict[str, np.ndarray] | None]:
        """What the prior wrote, what the refiner made of it, and energies after relaxation.

        Where only types are asked for nothing is refined, and nothing but types is looked at.
        """
        total = len(self.wishes)
        parts = [
            self._part(system, prior, range(s, min(s + PART, total))) for s in range(0, total, PART)
        ]
        before = CrystalBatch.concatenate(part[0] for part in parts)
        after = CrystalBatch.concatenate(part[1] for part in parts)
        positions = before.ids.astype(np.int64)
        energies: list[dict[str, np.ndarray]] = [{}, {}]
        relaxed = None
        if set(ENERGIES) & set(names_of(self.kind)):
            energies = [
                self._energies(hull, stage, crystals)
                for stage, crystals in (("prior", before), ("refined", after))
            ]
            if self.settings.relax_num:
                chosen = np.flatnonzero(positions < self.settings.relax_num)
                values = self._energies(hull, "relaxed", after[chosen], RelaxSettings().steps)
                relaxed = {name: np.full(total, np.nan) for name in values}
                for name, numbers in values.items():
                    relaxed[name][positions[chosen]] = numbers
        found = [
            outcome_of(crystals, positions, total, self._groups(stage, crystals), own)
            for stage, crystals, own in zip(
                ("prior", "refined"), (before, after), energies, strict=True
            )
        ]
        return found[0], found[1], relaxed

    def _part(
        self, system: FlowLLM, prior: Prior, indices: range
    ) -> tuple[CrystalBatch, CrystalBatch]:
        """The prior's crystals and the refined ones; an id is the position of the prompt."""
        path = self.folder / f"{self.kind}-{self.mode}-{indices.start:06d}"
        files = [path.with_name(f"{path.name}-{stage}.npz") for stage in ("prior", "refined")]
        try:
            before, after = (CrystalBatch.load(file) for file in files)
        except (InputError, OSError, zipfile.BadZipFile):
            settings = self.settings
            asked = [system.asked(self.wishes[i].request, i, settings.seed) for i in indices]
            seeds = [crystal_seed(settings.seed, i, 0) for i in indices]
            before = prior.sample(asked, settings.sampling, seeds)
            ids = np.array([str(indices[int(name)]) for name in before.ids], dtype=np.str_)
            before = before.replace(ids=ids)
            after = before
            if needs_places(self.kind) and len(before):
                after = system.refine(before, settings.refinement).last
            for file, crystals in zip(files, (before, after), strict=True):
                _save(file, {f.name: getattr(crystals, f.name) for f in fields(CrystalBatch)})
        if self.progress is not None:
            self.progress(f"{self.kind}, {self.mode}", indices.stop, len(self.wishes))
        return before, after

    def _groups(self, stage: str, crystals: CrystalBatch) -> dict[float, np.ndarray]:
        if not needs_places(self.kind):
            return {}

        def find() -> dict[str, np.ndarray]:
            return {str(k): v for k, v in groups_of(crystals, self.workers).items()}

        found = self._once(f"groups-{stage}", [str(t) for t in SYMPRECS], find)
        return {float(name): groups for name, groups in found.items()}

    def _energies(
        self, hull: HullTable, stage: str, crystals: CrystalBatch, steps: int = 0
    ) -> dict[str, np.ndarray]:
        def find() -> dict[str, np.ndarray]:
            return energies_of(crystals, hull, steps, self.workers, tell)

        def tell(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(f"energies, {stage}", done, total)

        return self._once(f"energies-{stage}", list(ENERGIES), find)

    def _once(
        self, name: str, columns: list[str], find: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Columns that were found before, or are found now and kept."""
        file = self.folder / f"{self.kind}-{self.mode}-{name}.npz"
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {column: archive[column] for column in columns}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
            found = find()
            _save(file, found)
            return found


def _save(file: Path, arrays: dict[str, Any]) -> None:
    atomic_write(file, lambda handle: np.savez_compressed(handle, **arrays))
