"""Relaxation of one chunk of crystals: evaluated together, refilled as crystals finish."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.relax.optimizer import Deformable, Fire
from flowllm.relax.potential import Potential
from flowllm.relax.settings import RelaxSettings

Chunk = tuple[CrystalBatch, RelaxSettings, Potential]
"""What is sent to a process."""


@dataclass
class Row:
    """One crystal during relaxation.

    Attributes:
        crystal: as it came in, a batch of one.
        shape: its atoms and cell; None where it has no cell to begin with.
        fire: its optimiser.
        sound: the last structure that could be evaluated; the input before that.
        steps: that the optimiser took.
        seconds: its share of the time.
        initial: energy of the input in eV/atom, NaN if it could not be evaluated.
        energy: energy of `sound` in eV/atom; NaN if the relaxation failed.
        converged: whether the forces got below the limit.
        reason: why it did not converge; "" if it did.
        frames: structures of each step, if they are recorded.
        frame_energies: their energies in eV/atom.
    """

    crystal: CrystalBatch
    shape: Deformable | None
    sound: CrystalBatch
    fire: Fire = field(default_factory=Fire)
    steps: int = 0
    seconds: float = 0.0
    initial: float = float("nan")
    energy: float = float("nan")
    converged: bool = False
    reason: str = ""
    frames: list[CrystalBatch] = field(default_factory=list)
    frame_energies: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, crystal: CrystalBatch, relax_cell: bool) -> Row:
        """A row before evaluation, or with the reason why it cannot be evaluated."""
        if not len(crystal.atomic_numbers):
            return cls(crystal, None, crystal, reason="it has no atoms")
        try:
            return cls(crystal, Deformable(crystal, relax_cell), crystal)
        except InputError:
            return cls(crystal, None, crystal, reason="its cell has zero volume")

    def fail(self, reason: str) -> bool:
        """Mark it as failed; its energy is unknown."""
        self.energy, self.reason = float("nan"), reason
        return False

    def advance(
        self, energy: float, forces: np.ndarray, stress: np.ndarray, settings: RelaxSettings
    ) -> bool:
        """Check an evaluation in eV, eV/Å and eV/Å^3 and take a step; False when finished."""
        assert self.shape is not None  # a row without one is never evaluated
        per_atom = energy / len(forces)
        if not abs(per_atom) <= settings.max_energy:
            return self.fail(f"energy went to {per_atom:.4g} eV/atom")
        strongest = float(np.linalg.norm(forces, axis=1).max())
        if not strongest <= settings.max_force:
            return self.fail(f"a force went to {strongest:.4g} eV/Å")
        ratio = float(np.linalg.det(self.shape.deformation))
        if not 1 / settings.max_volume_ratio <= ratio <= settings.max_volume_ratio:
            return self.fail(f"volume went to {ratio:.3g} times the first")
        pull = self.shape.forces(forces, stress)
        if not np.isfinite(pull).all():
            return self.fail("stress is not finite")
        self.energy = per_atom
        if self.steps == 0:
            self.initial = per_atom
        else:
            self.sound = self.shape.as_crystal()
        if settings.record:
            self.frames.append(self.sound)
            self.frame_energies.append(per_atom)
        self.converged = bool(np.linalg.norm(pull, axis=1).max() < settings.fmax)
        if self.converged:
            return False
        if self.steps >= settings.steps:
            self.reason = f"not converged in {settings.steps} steps"
            return False
        self.shape.move(self.fire.step(pull))
        self.steps += 1
        return True


def relax_chunk(item: Chunk) -> list[Row]:
    """Relax crystals in one process; as many as the settings allow are evaluated at once."""
    crystals, settings, potential = item
    rows = [Row.start(crystal, settings.relax_cell) for crystal in crystals]
    waiting = deque(row for row in rows if row.shape is not None)
    active: list[Row] = []
    while waiting or active:
        atoms = sum(len(row.crystal.atomic_numbers) for row in active)
        while waiting and (
            not active or atoms + waiting[0].crystal.num_atoms[0] <= settings.max_batch_atoms
        ):
            atoms += waiting[0].crystal.num_atoms[0]
            active.append(waiting.popleft())
        begun = time.perf_counter()
        batch, active = active, advance_together(active, settings, potential)
        elapsed = time.perf_counter() - begun
        for row in batch:
            row.seconds += elapsed * len(row.crystal.atomic_numbers) / atoms
        for row in active:
            if row.seconds > settings.time_limit:
                row.reason = f"took longer than {settings.time_limit:g} s"
        active = [row for row in active if not row.reason]
    for row in rows:
        row.shape = None  # of no use to whoever gets the rows
    return rows


def advance_together(rows: list[Row], settings: RelaxSettings, potential: Potential) -> list[Row]:
    """One evaluation and one step of each row; returns the unfinished ones.

    Where the potential fails for all, each crystal is tried alone, so that one cannot stop others.
    """
    shapes = [row.shape for row in rows if row.shape is not None]
    counts = np.array([len(shape.positions) for shape in shapes])
    try:
        result = potential(
            np.concatenate([row.crystal.atomic_numbers for row in rows]),
            np.concatenate([shape.frac_coords for shape in shapes]),
            np.stack([shape.lattice for shape in shapes]),
            counts,
        )
    except Exception as error:
        if len(rows) > 1:
            alone = [advance_together([row], settings, potential) for row in rows]
            return [row for part in alone for row in part]
        rows[0].fail(first_line(error))
        return []
    going = []
    ends = np.cumsum(counts)
    for index, (row, end) in enumerate(zip(rows, ends, strict=True)):
        if result.reasons[index]:
            row.fail(result.reasons[index])
            continue
        forces = result.forces[end - counts[index] : end]
        if row.advance(result.energies[index], forces, result.stresses[index], settings):
            going.append(row)
    return going
