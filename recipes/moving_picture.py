"""The moving picture of the README: DiffCSP's way from noise to SrTiO3.

Usage: python -m recipes.moving_picture [docs/images/diffusion.gif]

The crystal is the first of seed 0, five atoms asked for, that has the perovskite's space group;
seven of twelve have it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from flowllm import FlowLLM
from flowllm.metrics.symmetry import space_groups
from flowllm_widgets.trajectory.gif import make_gif

PEROVSKITE = 221
TRIES = 12


def main() -> None:
    """Generate, choose, draw."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/diffusion.gif")
    system = FlowLLM.from_pretrained("diffcsp", "cpu")
    assert system.refiner is not None
    settings = system.refiner.Settings(record=36)
    made = system.generate(TRIES, formula="SrTiO3", num_atoms=5, refinement=settings)
    found = np.flatnonzero(space_groups(made.refined, 0.1) == PEROVSKITE)
    print(f"{len(found)} of {TRIES} have space group {PEROVSKITE} at 0.1 Å")
    out.write_bytes(make_gif(made.trajectory.crystal(int(found[0])), 5.0, polyhedra=True))


if __name__ == "__main__":
    main()
