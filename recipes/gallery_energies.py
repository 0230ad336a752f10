"""Energies of the gallery's crystals by CHGNet: as they came out, and after relaxation.

The relaxation is that of `flowllm evaluate`: FIRE to 0.1 eV/Å, at most 1,500 steps, cell free. As
there, a crystal whose structure is invalid is not relaxed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.facts import CrystalFacts

NONE = "–"
PATIENCE = 24 * 3600.0
"""Seconds for a crystal: the steps end a relaxation, not how busy the machine is."""


@dataclass(frozen=True)
class Energies:
    """Of one crystal, in eV/atom; None where there is none.

    Attributes:
        above: above the hull, as the crystal came out.
        relaxed: above the hull, after relaxation.
        drop: what the relaxation gained.
        steps: of the optimiser.
        converged: whether the forces fell below the limit within the steps.
    """

    above: float | None
    relaxed: float | None
    drop: float | None
    steps: int
    converged: bool

    @property
    def text(self) -> str:
        """A sentence for the page with the 3-D views."""
        if self.above is None:
            return "CHGNet gives it no energy."
        if self.relaxed is None:
            return f"E_hull {number(self.above)} eV/atom as it came out; not relaxed."
        after = f"{number(self.relaxed)} after {self.steps} steps of relaxation"
        ended = "" if self.converged else ", which did not converge"
        return f"E_hull {number(self.above)} eV/atom as it came out, {after}{ended}."

    @property
    def cells(self) -> str:
        """Cells of a table: before, after, and the drop."""
        after = number(self.relaxed) + (
            " *" if self.relaxed is not None and not self.converged else ""
        )
        return f"{number(self.above)} | {after} | {number(self.drop)}"


def number(energy: float | None) -> str:
    """An energy in eV/atom."""
    return NONE if energy is None else f"{energy + 0.0:.3f}"


def measure(
    crystals: CrystalBatch, facts: Sequence[CrystalFacts], workers: int | None = None
) -> dict[str, Energies]:
    """The energies of each crystal, by its id."""
    from flowllm.relax import RelaxSettings, relax
    from flowllm.stability import load_hull

    sound = np.array([not one.fault for one in facts])
    still = relax(crystals[~sound], RelaxSettings(steps=0), workers=workers)
    moved = relax(crystals[sound], RelaxSettings(time_limit=PATIENCE), workers=workers)
    hull = load_hull()
    found = {}
    for part, was_relaxed in ((still, False), (moved, True)):
        before, after = (
            hull.e_above_hull(
                part.crystals, hull.references.formation_energy(part.crystals, energies)
            )
            for energies in (part.initial_energies, part.energies)
        )
        for place, name in enumerate(map(str, part.crystals.ids)):
            drop = part.initial_energies[place] - part.energies[place]
            found[name] = Energies(
                rounded(before[place]),
                rounded(after[place]) if was_relaxed else None,
                rounded(drop) if was_relaxed else None,
                int(part.steps[place]),
                bool(part.converged[place]) and was_relaxed,
            )
    return {str(name): found[str(name)] for name in crystals.ids}


def rounded(value: float) -> float | None:
    """An energy as it is stored."""
    return round(float(value), 3) if np.isfinite(value) else None


def save(path: Path, energies: dict[str, Energies]) -> None:
    """Write them, a line for each crystal."""
    lines = (f" {json.dumps(name)}: {json.dumps(asdict(one))}" for name, one in energies.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def load(path: Path) -> dict[str, Energies]:
    """What `save` wrote."""
    return {
        name: Energies(**values) for name, values in json.loads(path.read_text("utf-8")).items()
    }
