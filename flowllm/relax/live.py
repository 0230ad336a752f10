"""Live relaxation of one crystal, step by step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.relax.batch import Row, advance_together
from flowllm.relax.potential import ChgnetPotential, Potential
from flowllm.relax.settings import RelaxSettings


@dataclass(frozen=True)
class RelaxStep:
    """The state of a relaxation.

    Attributes:
        step: of the optimiser; 0 is the crystal as it came in.
        crystal: a batch of one.
        energy: of the crystal in eV/atom.
        converged: whether forces and stress are below the limit; then it is the last step.
    """

    step: int
    crystal: CrystalBatch
    energy: float
    converged: bool


def relax_live(
    crystal: CrystalBatch,
    settings: RelaxSettings | None = None,
    potential: Potential | None = None,
) -> Iterator[RelaxStep]:
    """Relax one crystal as `flowllm.relax.relax` does, yielding every step.

    Args:
        crystal: a batch of one.
        settings: of the relaxation.
        potential: what computes energies; CHGNet if left out.

    Raises:
        InputError: the crystal cannot be evaluated, or leaves the limits of the settings; it and
            the reason are named. Steps given before remain right.
    """
    chosen = replace(settings or RelaxSettings(), record=True)
    energies = potential or ChgnetPotential()
    row = Row.start(crystal, chosen.relax_cell)
    going, begun = row.shape is not None, time.monotonic()
    while going:
        known = len(row.frames)
        going = bool(advance_together([row], chosen, energies))
        if len(row.frames) > known:
            yield RelaxStep(known, row.frames[-1], row.frame_energies[-1], row.converged)
        if going and time.monotonic() - begun > chosen.time_limit:
            row.reason = f"took longer than {chosen.time_limit:g} s"
            break
    if row.reason:
        raise InputError(f"{crystal.ids[0]}: {row.reason}")
