"""How close crystals are to their relaxed states.

As in the papers of FlowMM (Miller et al., 2024) and FlowLLM (Sriram et al., 2024): match rate and
root mean square displacement by pymatgen's StructureMatcher with its defaults, the energy that the
relaxation gained, and the steps it took. The papers do not say whether their displacement is over
(V/n)^(1/3) or in Å, so both stand here.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings, match
from flowllm.metrics.statistics import Estimate, estimate, median_estimate
from flowllm.relax.relaxation import Relaxation
from flowllm.runs.progress import ItemProgress

DEFAULT_TOLERANCES = MatchSettings(stol=0.3, angle_tol=5.0, ltol=0.2)
"""pymatgen's own, which differ from those of crystal structure prediction."""
LARGE_VOLUME_CHANGE = 0.05
"""Relative change of the volume beyond which a cell was not the right one."""


@dataclass(frozen=True)
class Closeness:
    """B crystals before and after their relaxation.

    Attributes:
        rms: (B,) displacement over (V/n)^(1/3); NaN where they do not match or relaxation failed.
        rms_angstrom: (B,) the same in Å.
        energy_drops: (B,) eV/atom that the relaxation gained; NaN where it failed.
        volume_changes: (B,) relaxed volume over the volume before, less 1; NaN where it failed.
        steps: (B,) steps of the optimiser.
        relaxed: (B,) bool, not failed; one that ran out of steps or time counts as it is.
        converged: (B,) bool.
        settings: tolerances of the matcher.
    """

    rms: np.ndarray
    rms_angstrom: np.ndarray
    energy_drops: np.ndarray
    volume_changes: np.ndarray
    steps: np.ndarray
    relaxed: np.ndarray
    converged: np.ndarray
    settings: MatchSettings

    @property
    def matched(self) -> np.ndarray:
        """(B,) bool: relaxed to a structure that still matches."""
        return ~np.isnan(self.rms)

    @property
    def match_rate(self) -> Estimate:
        """Matches over all crystals; a failed relaxation is not a match."""
        return estimate(self.matched)

    @property
    def convergence_rate(self) -> Estimate:
        """Converged over all crystals."""
        return estimate(self.converged)

    @property
    def rmsd(self) -> Estimate:
        """Mean displacement over (V/n)^(1/3) of those that match."""
        return estimate(self.rms[self.matched])

    @property
    def rmsd_angstrom(self) -> Estimate:
        """Mean displacement in Å of those that match."""
        return estimate(self.rms_angstrom[self.matched])

    @property
    def energy_drop(self) -> Estimate:
        """Mean energy gained in eV/atom by those that did not fail."""
        return estimate(self.energy_drops[self.relaxed])

    @property
    def median_energy_drop(self) -> Estimate:
        """Median energy gained in eV/atom by those that did not fail."""
        return median_estimate(self.energy_drops[self.relaxed])

    @property
    def volume_change_rate(self) -> Estimate:
        """Share of those that did not fail whose volume changed by more than 5 %."""
        return estimate(np.abs(self.volume_changes[self.relaxed]) > LARGE_VOLUME_CHANGE)

    @property
    def median_volume_change(self) -> Estimate:
        """Median relative change of the volume of those that did not fail, with its sign."""
        return median_estimate(self.volume_changes[self.relaxed])

    @property
    def mean_steps(self) -> Estimate:
        """Mean number of steps of those that did not fail."""
        return estimate(self.steps[self.relaxed])


def closeness(
    before: CrystalBatch,
    relaxation: Relaxation,
    settings: MatchSettings = DEFAULT_TOLERANCES,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    progress: ItemProgress | None = None,
) -> Closeness:
    """Compare crystals with their relaxed states.

    Args:
        before: B crystals as they were relaxed.
        relaxation: of these crystals, in the same order.
        settings: tolerances of the matcher; pymatgen's defaults.
        executor: any `concurrent.futures` executor; by default `workers` processes.
        workers: processes without an executor; 1 runs in this one.
        progress: called as progress(done, total).

    Raises:
        InputError: the ids differ.
    """
    if not np.array_equal(before.ids, relaxation.crystals.ids):
        raise InputError("the relaxation is of different crystals: their ids differ")
    relaxed = ~relaxation.failed
    rows = np.flatnonzero(relaxed)
    found = match(
        before[rows],
        relaxation.crystals[rows],
        settings,
        valid=np.ones(len(rows), dtype=bool),
        executor=executor,
        workers=workers,
        progress=progress,
    )
    rms, volume_changes = np.full(len(before), np.nan), np.full(len(before), np.nan)
    rms[rows] = found.rms
    volume_changes[rows] = relaxation.crystals.volumes[rows] / before.volumes[rows] - 1
    return Closeness(
        rms,
        rms * free_lengths(before, relaxation.crystals),
        relaxation.initial_energies - relaxation.energies,
        volume_changes,
        relaxation.steps,
        relaxed,
        relaxation.converged,
        settings,
    )


def free_lengths(one: CrystalBatch, other: CrystalBatch) -> np.ndarray:
    """(B,) the length (V/n)^(1/3) in Å by which StructureMatcher divides.

    It scales both cells to the geometric mean of their volumes and takes the cell of their mean
    lengths and angles, whose volume is that mean to first order in the difference of their shapes.
    """
    volumes = np.sqrt(one.volumes * other.volumes)
    return np.cbrt(volumes / np.maximum(one.num_atoms, 1))
