"""Samples for the prompts of one kind: drawn, refined, analysed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.evaluation.adherence.energies import energies_of
from flowllm.evaluation.adherence.figures import ENERGIES, Outcome, groups_of, outcome_of
from flowllm.evaluation.adherence.kinds import Target, names_of, needs_places
from flowllm.evaluation.adherence.settings import AdherenceSettings
from flowllm.relax import RelaxSettings
from flowllm.runs.parts import Parts, Wanted
from flowllm.runs.progress import Progress, progress_of
from flowllm.stability import HullTable
from flowllm.systems.protocols import Prior
from flowllm.systems.sampling import crystal_seed
from flowllm.systems.system import FlowLLM

PART = 250  # prompts that are finished, and kept, together
STAGES = ("prior", "refined")
Pair = tuple[CrystalBatch, CrystalBatch]


@dataclass(frozen=True)
class Samples:
    """The samples of one kind of prompt in one mode, kept in parts.

    Attributes:
        kind: see `names_of`.
        mode: with or without decoding constraints.
        targets: what is asked.
        settings: of the run.
        folder: where parts are kept.
        run: the digest of the run that keeps them.
        workers: processes for energies and space groups.
        progress: callback.
    """

    kind: str
    mode: str
    targets: list[Target]
    settings: AdherenceSettings
    folder: Path
    run: str
    workers: int | None
    progress: Progress | None

    def prompts(self, system: FlowLLM) -> list[str]:
        """The prompt of each target."""
        seed = self.settings.seed
        asked = [system.asked(w.request, i, seed) for i, w in enumerate(self.targets)]
        return [system.prompt(conditions) for conditions in asked]

    def measure(
        self, system: FlowLLM, prior: Prior, hull: HullTable
    ) -> tuple[Outcome, Outcome, dict[str, np.ndarray] | None]:
        """Measure the prior's crystals, the refined ones, and energies after relaxation.

        Where only types are asked for nothing is refined, and nothing but types is looked at.
        """
        total = len(self.targets)
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

    def _part(self, system: FlowLLM, prior: Prior, indices: range) -> Pair:
        """The prior's crystals and the refined ones; an id is the position of the prompt."""

        def make() -> Pair:
            settings = self.settings
            asked = [system.asked(self.targets[i].request, i, settings.seed) for i in indices]
            seeds = [crystal_seed(settings.seed, i, 0) for i in indices]
            before = prior.sample(asked, settings.sampling, seeds)
            kept = [seeds[int(name)] for name in before.ids]
            ids = np.array([str(indices[int(name)]) for name in before.ids], dtype=np.str_)
            before = before.replace(ids=ids)
            after = before
            if needs_places(self.kind) and len(before):
                after = system.refine(before, settings.refinement, seeds=kept).last
            return before, after

        name = f"{indices.start:06d}"
        pair = self._kept_pairs.get(self._wanted(name, str(indices)), make)
        if self.progress is not None:
            self.progress(f"{self.kind}, {self.mode}", indices.stop, len(self.targets))
        return pair

    @cached_property
    def _kept_pairs(self) -> Parts[Pair]:
        return Parts(self.folder, _pair_arrays, _pair_from)

    @cached_property
    def _kept_columns(self) -> Parts[dict[str, np.ndarray]]:
        return Parts(self.folder, dict, dict)

    def _wanted(self, name: str, what: str) -> Wanted:
        full = f"{self.kind}-{self.mode}-{name}"
        return Wanted(full, f"{full}, {what} of {self.run}")

    def _groups(self, stage: str, crystals: CrystalBatch) -> dict[float, np.ndarray]:
        if not needs_places(self.kind):
            return {}

        def find() -> dict[str, np.ndarray]:
            return {str(k): v for k, v in groups_of(crystals, self.workers).items()}

        found = self._once(f"groups-{stage}", find)
        return {float(name): groups for name, groups in found.items()}

    def _energies(
        self, hull: HullTable, stage: str, crystals: CrystalBatch, steps: int = 0
    ) -> dict[str, np.ndarray]:
        def find() -> dict[str, np.ndarray]:
            report = progress_of(self.progress, f"energies, {stage}")
            return energies_of(crystals, hull, steps, self.workers, report)

        return self._once(f"energies-{stage}", find)

    def _once(self, name: str, find: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Columns from an earlier run, or computed now and stored."""
        return self._kept_columns.get(self._wanted(name, f"{len(self.targets)} prompts"), find)


def _pair_arrays(pair: Pair) -> dict[str, np.ndarray]:
    return {
        f"{stage}_{name}": values
        for stage, crystals in zip(STAGES, pair, strict=True)
        for name, values in crystals.arrays().items()
    }


def _pair_from(arrays: Mapping[str, np.ndarray]) -> Pair:
    before, after = (
        CrystalBatch.from_arrays(
            {k.removeprefix(f"{stage}_"): v for k, v in arrays.items() if k.startswith(stage)}
        )
        for stage in STAGES
    )
    return before, after
