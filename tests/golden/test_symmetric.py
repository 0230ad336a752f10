"""The default model gives the crystals that it gave when its weights were added.

`mp20_symmetric.json` holds 12 crystals of seed 0 for which nothing was asked, and 6 each of SrTiO3
and LiFePO4: formula, space group at 0.01 Å and cell, as the prior drew them and refined. Where the
default model is to give others, `python -m tests.golden.test_symmetric` writes the file anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowllm import FlowLLM
from flowllm.crystals.batch import CrystalBatch
from flowllm.metrics.symmetry import symmetry

FILE = Path(__file__).parent / "mp20_symmetric.json"
ASKED: dict[str, tuple[int, dict[str, str]]] = {
    "free": (12, {}),
    "SrTiO3": (6, {"formula": "SrTiO3"}),
    "LiFePO4": (6, {"formula": "LiFePO4"}),
}
SYMPREC = 0.01  # Å


def described(crystals: CrystalBatch) -> list[dict[str, Any]]:
    """Formula, atoms, space group and cell of each crystal."""
    groups = symmetry(crystals, SYMPREC).space_groups
    return [
        {
            "formula": crystals.formulas[k],
            "atoms": int(crystals.num_atoms[k]),
            "space_group": int(groups[k]),
            "cell": [round(float(x), 4) for x in (*crystals.lengths[k], *crystals.angles[k])],
        }
        for k in range(len(crystals))
    ]


def made(model: FlowLLM, name: str) -> dict[str, list[dict[str, Any]]]:
    """The crystals of a request, before and after refinement."""
    num, conditions = ASKED[name]
    found = model.generate(num, seed=0, **conditions)
    return {"prior": described(found.prior), "refined": described(found.refined)}


@pytest.fixture(scope="module")
def model() -> FlowLLM:
    return FlowLLM.from_pretrained(device="cpu")


@pytest.mark.parametrize("name", ASKED)
def test_the_default_model_gives_the_same_crystals(model: FlowLLM, name: str) -> None:
    assert model.name == "mp20-symmetric"
    before, now = json.loads(FILE.read_text())[name], made(model, name)
    for state in ("prior", "refined"):
        for then, crystal in zip(before[state], now[state], strict=True):
            for key in ("formula", "atoms", "space_group"):
                assert crystal[key] == then[key]
            np.testing.assert_allclose(crystal["cell"], then["cell"], rtol=0, atol=2e-3)
    for old, new in zip(now["prior"], now["refined"], strict=True):
        assert new["space_group"] == old["space_group"]  # the flow keeps it


def write(model: FlowLLM) -> None:
    """Write the file, one crystal a line."""
    parts = []
    for name in ASKED:
        states = [
            f'  "{state}": [\n   ' + ",\n   ".join(map(json.dumps, crystals)) + "\n  ]"
            for state, crystals in made(model, name).items()
        ]
        parts.append(f' "{name}": {{\n' + ",\n".join(states) + "\n }")
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n")


if __name__ == "__main__":
    write(FlowLLM.from_pretrained(device="cpu"))
