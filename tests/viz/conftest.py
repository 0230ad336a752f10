"""Crystals of which pages are made."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory

PEROVSKITE = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(3.9, 3.9, 3.9)],
    [(90, 90, 90)],
    [5],
    ["a"],
)
ROCK_SALT = CrystalBatch(
    [11, 17], [(0, 0, 0), (0.5, 0.5, 0.5)], [(4, 4, 4)], [(60, 60, 60)], [2], ["b"]
)
COPPER = CrystalBatch([29], [(0, 0, 0)], [(2.55, 2.55, 2.55)], [(60, 60, 60)], [1], ["c"])


@pytest.fixture
def refined():
    return CrystalBatch.concatenate([PEROVSKITE, ROCK_SALT, COPPER])


@pytest.fixture
def prior(refined):
    """The refined crystals, oxygens and chlorine displaced and the cells swollen."""
    coords = refined.frac_coords.copy()
    coords[2:5, 0] += 0.12
    coords[6, 2] += 0.1
    return refined.replace(frac_coords=coords, lengths=refined.lengths * 1.08)


@pytest.fixture
def report_inputs(prior, refined):
    """Everything that `write_report` takes, without a path."""
    rows = [
        {
            "id": name,
            "formula": formula,
            "prompt": "The chemical formula is <b>.",
            "valid_structure": True,
            "valid_composition": name != "c",
        }
        for name, formula in zip(refined.ids.tolist(), refined.formulas, strict=True)
    ]
    return {
        "title": "Three <crystals> & more",
        "prior": prior,
        "refined": refined,
        "rows": rows,
        "stages": [
            {"stage": "language model", "crystals": 3, "rejected": 0, "seconds": np.float64(1.25)},
            {"stage": "flow", "crystals": 3, "rejected": 1, "seconds": 2.5},
        ],
        "settings": {"temperature": 0.7, "steps": 50},
        "trajectories": Trajectory.from_frames([0.0, 1.0], [prior, refined]),
    }
