"""One entry of a novelty index: a crystal's primitive cell and fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_volumes
from flowllm.errors import InputError
from flowllm.metrics.matching import MatchSettings
from flowllm.stability.fingerprint import CUTOFF, NEIGHBOURS, fingerprints
from flowllm.stability.same_formula import reduced


@dataclass(frozen=True)
class Entry:
    """What is kept of a crystal.

    Attributes:
        num_atoms: atoms in the primitive cell.
        cell: (6,) lengths over (V/n)^(1/3) and angles in degrees of that cell, Niggli-reduced.
        fingerprint: (e * e, k) average distances over (V/n)^(1/3).
    """

    num_atoms: int
    cell: np.ndarray
    fingerprint: np.ndarray

    def distance(self, other: Entry) -> float:
        """The largest difference of the fingerprints; inf if the primitive cells differ in size.

        pymatgen's StructureMatcher refuses those too.
        """
        if self.num_atoms != other.num_atoms or self.fingerprint.shape != other.fingerprint.shape:
            return float("inf")
        return float(np.abs(self.fingerprint - other.fingerprint).max())


def entry_of(crystal: CrystalBatch, neighbours: int = NEIGHBOURS, cutoff: float = CUTOFF) -> Entry:
    """The entry of one crystal.

    Raises:
        InputError: the crystal cannot be reduced, or has no fingerprint.
    """
    primitive = CrystalBatch.from_pymatgen([reduced(crystal)])
    fingerprint = fingerprints(primitive, neighbours, cutoff)[0]
    if fingerprint is None:
        raise InputError("its cell is too thin for a fingerprint")
    count = int(primitive.num_atoms[0])
    unit = (cell_volumes(primitive.lengths, primitive.angles)[0] / count) ** (1 / 3)
    cell = np.concatenate([primitive.lengths[0] / unit, primitive.angles[0]])
    return Entry(count, cell, fingerprint)


def can_map(reference: Entry, other: Entry, settings: MatchSettings) -> bool:
    """Whether the reference's lattice has a cell like the other's, within the tolerances.

    StructureMatcher looks for atoms only in such cells, scaled to equal volume as here.
    """
    from pymatgen.core import Lattice

    found = Lattice.from_parameters(*reference.cell).find_all_mappings(
        Lattice.from_parameters(*other.cell),
        ltol=settings.ltol,
        atol=settings.angle_tol,
        skip_rotation_matrix=True,
    )
    return any(abs(abs(np.linalg.det(matrix)) - 1) < 0.5 for _, _, matrix in found)
