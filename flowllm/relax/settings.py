"""Settings of relaxation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flowllm.errors import InputError
from flowllm.settings import setting

OPTIMIZERS = ("fire",)


@dataclass(frozen=True)
class RelaxSettings:
    """Settings of a relaxation; the defaults are those of the literature (CHGNet, FIRE, 1,500).

    Attributes:
        fmax: largest force at convergence, in eV/Å; of any atom, or of a row of the cell's
            generalised force (ASE's criterion behind `FrechetCellFilter`).
        steps: maximum number of optimiser steps.
        optimizer: "fire", with the constants of ASE.
        relax_cell: move the cell too, not only the atoms.
        time_limit: time limit per crystal, in seconds; in a batch each crystal is charged its share
            of atoms.
        max_force: a crystal leaves when an atom's force exceeds it, in eV/Å.
        max_energy: a crystal leaves when its energy is further from 0, in eV/atom.
        max_volume_ratio: a crystal leaves when its volume has grown or shrunk by this factor.
        max_batch_atoms: atoms that are evaluated together.
        record: keep every step of every relaxation; structure and energy, as in an evaluation's
            stages/relaxation/relaxed.npz.

    Raises:
        InputError: a number out of range, or an unknown optimiser.
    """

    fmax: float = 0.1
    steps: int = setting(1500, option="relax_steps")
    optimizer: str = setting("fire", option=False)
    relax_cell: bool = setting(True, option=False)
    time_limit: float = setting(600.0, option="relax_seconds")
    max_force: float = setting(1e4, option=False)
    max_energy: float = setting(100.0, option=False)
    max_volume_ratio: float = setting(10.0, option=False)
    max_batch_atoms: int = setting(100, option=False)
    record: bool = setting(False, option="trajectories")

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise InputError(f"optimizer must be {' or '.join(OPTIMIZERS)}, not {self.optimizer}")
        if self.steps < 0:
            raise InputError(f"steps must be at least 0, not {self.steps}")
        if self.max_batch_atoms < 1:
            raise InputError(f"max_batch_atoms must be at least 1, not {self.max_batch_atoms}")
        for name in ("fmax", "time_limit", "max_force", "max_energy"):
            if not getattr(self, name) > 0:  # NaN too
                raise InputError(f"{name} must be positive, not {getattr(self, name)}")
        if not (1 < self.max_volume_ratio < math.inf):
            raise InputError(f"max_volume_ratio must be above 1, not {self.max_volume_ratio}")
