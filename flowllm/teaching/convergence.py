"""Discretisation error of the flow's ODE, against a much finer solution."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.flow.couplings.alignment import torus_log
from flowllm.methods.flow.couplings.pairs import flat_cells
from flowllm.methods.flow.refiner import FlowRefiner
from flowllm.methods.flow.settings import RefineSettings

EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4}
"""How often a solver asks the network in one step."""
FINE = RefineSettings(steps=50, solver="rk4")
"""What counts as the true solution, unless another is given."""


@dataclass(frozen=True)
class SolverError:
    """Integration errors of one setting for B crystals.

    Attributes:
        settings: solver, steps and the rest.
        evaluations: of the network, for each crystal.
        seconds: for all crystals.
        displacements: (B,) Å, root mean square distance of the atoms from where the fine solution
            has them, in the fine solution's cell.
        strains: (B,) by how much the cell is stretched against the fine solution's, relative.
        crystals: B crystals at t = 1.
    """

    settings: RefineSettings
    evaluations: int
    seconds: float
    displacements: np.ndarray
    strains: np.ndarray
    crystals: CrystalBatch


def solver_errors(
    refiner: FlowRefiner,
    crystals: CrystalBatch,
    settings: Iterable[RefineSettings],
    fine: RefineSettings = FINE,
) -> list[SolverError]:
    """Integrate the same crystals by several settings, and once very finely to compare with.

    Args:
        refiner: the flow.
        crystals: B crystals at t = 0.
        settings: what to try.
        fine: what counts as the true solution.

    Raises:
        InputError: a crystal cannot be refined.
    """
    truth = refiner.refine(crystals, fine).last
    results = []
    for one in settings:
        began = time.perf_counter()
        got = refiner.refine(crystals, one).last
        seconds = time.perf_counter() - began
        results.append(
            SolverError(
                one,
                one.steps * EVALUATIONS[one.solver],
                seconds,
                displacements(got, truth),
                strains(got, truth),
                got,
            )
        )
    return results


def displacements(crystals: CrystalBatch, truth: CrystalBatch) -> np.ndarray:
    """(B,) Å: root mean square distance between corresponding atoms, by the nearest image.

    Args:
        crystals: B crystals.
        truth: the same atoms elsewhere; distances are measured in these cells.
    """
    difference = torus_log(truth.frac_coords, crystals.frac_coords)
    vectors = np.einsum("nx,nxy->ny", difference, truth.lattices[truth.crystal_of_atom])
    squared = np.bincount(truth.crystal_of_atom, (vectors**2).sum(-1), minlength=len(truth))
    return np.sqrt(squared / np.maximum(truth.num_atoms, 1))


def strains(crystals: CrystalBatch, truth: CrystalBatch) -> np.ndarray:
    """(B,) length of the logarithmic strain between two cells, the relative stretch if small.

    In the coordinates of the "log-matrix" map, in which 0.01 means that the cell is stretched by
    one per cent along one direction.
    """
    cells = [flat_cells(batch, "log-matrix") for batch in (crystals, truth)]
    return np.linalg.norm(cells[0] - cells[1], axis=1)
