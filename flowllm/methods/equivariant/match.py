"""The shortest path between two crystals of one composition, by cell and atoms.

Both stand in reduced primitive cells. Cells are compared in all bases whose change has the entries
-1, 0 and 1, mirrored ones too; atoms by the translations that bring one of the rarest element onto
another. Limits are those of a structure match (ltol 0.3, angle_tol 10°), or narrower.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters

MOST_STRAIN = 0.3
MOST_DISPLACEMENT = 1.0
"""Å of any atom; a prediction that is farther off is another structure."""
MOST_ANGLE = 10.0
STRAIN_SCALE = 2.0
"""Å by which a strain counts beside the displacements."""
SHAPE = 3.25
"""Upper bound of tr(G) / det(G)^(1/3) of a metric strained by 0.3."""
TOGETHER, TRIED = 48, 6
Places = tuple[np.ndarray, np.ndarray]
"""Of one element's atoms in the target and in the start."""


def _bases() -> np.ndarray:
    made = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return made[np.abs(np.abs(np.linalg.det(made)) - 1) < 0.1].astype(float)


BASES = _bases()
"""(6960, 3, 3) of determinant 1 or -1."""


@dataclass(frozen=True)
class Way:
    """The path from a start to a target of n atoms, in the target's order, cell and frame.

    Attributes:
        displacement: (n, 3) in Å of the start's cell, of mean 0.
        strain: (3, 3) symmetric; the start's cell is the target's times exp(-strain), up to
            rotation and reflection.
    """

    displacement: np.ndarray
    strain: np.ndarray


def way_between(
    start: CrystalBatch, numbers: np.ndarray, frac: np.ndarray, lattice: np.ndarray
) -> Way | None:
    """The path to a target with the same composition; None if it is too far.

    Args:
        start: a batch of one, in a reduced primitive cell.
        numbers: (n,) atomic numbers of the target.
        frac: (n, 3) its coordinates.
        lattice: (3, 3) its reduced cell in Å, vectors as rows.
    """
    changes, strains, cells = _bases_near(start.lattices[0], lattice)
    far = STRAIN_SCALE * np.linalg.norm(strains, axis=(1, 2))
    kinds: list[Places] = [
        (np.flatnonzero(numbers == z), np.flatnonzero(start.atomic_numbers == z))
        for z in np.unique(numbers)
    ]
    kinds.sort(key=lambda kind: len(kind[0]))
    best, found = np.inf, None
    for first in range(0, len(changes), TOGETHER):
        if far[first] >= best:
            break
        part = slice(first, first + TOGETHER)
        moved = start.frac_coords @ np.linalg.inv(changes[part])
        spread = _spread(moved, frac, cells[part], kinds)
        rough = spread + far[part, None] ** 2
        for flat in np.argsort(rough, axis=None)[:TRIED]:
            if rough.flat[flat] >= best**2:
                break
            basis, shift = divmod(int(flat), rough.shape[1])
            offset = frac[kinds[0][0][0]] - moved[basis, kinds[0][1][shift]]
            cell = cells[first + basis]
            displacement = _displacement(moved[basis] + offset, frac, cell, kinds)
            squares = (displacement**2).sum(1)
            cost = float(np.sqrt(squares.mean() + far[first + basis] ** 2))
            if cost < best and squares.max() <= MOST_DISPLACEMENT**2:
                best, found = cost, Way(displacement, strains[first + basis])
    return found


def _bases_near(start: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
    """Basis changes (K, 3, 3) of the start, strains, and its cells in the target's orientation."""
    back = np.linalg.inv(target)
    mapped = BASES.reshape(-1, 9) @ np.kron(back.T, start)  # rows are T^-1 M S
    scale = np.abs(np.linalg.det(start) * np.linalg.det(back)) ** (2 / 3)
    near = (mapped**2).sum(1) <= SHAPE * scale
    kept = mapped[near].reshape(-1, 3, 3)
    values, vectors = np.linalg.eigh(kept @ kept.transpose(0, 2, 1))
    logs = 0.5 * np.log(values)
    strains = -(vectors * logs[:, None]) @ vectors.transpose(0, 2, 1)
    cells = target @ ((vectors * np.exp(logs)[:, None]) @ vectors.transpose(0, 2, 1))
    sizes = np.linalg.norm(strains, axis=(1, 2))
    angles = np.array([cell_parameters(cell)[1] for cell in cells]).reshape(-1, 3)
    turned = np.abs(angles - cell_parameters(target)[1]).max(1, initial=0)
    order = np.argsort(sizes, kind="stable")
    order = order[(sizes[order] <= MOST_STRAIN) & (turned[order] <= MOST_ANGLE)]
    return BASES[near][order], strains[order], cells[order]


def _spread(
    moved: np.ndarray, frac: np.ndarray, cells: np.ndarray, kinds: list[Places]
) -> np.ndarray:
    """(K, R) mean square of nearest gaps about their mean, in Å^2, of K bases and R translations.

    A lower estimate: two atoms may take the same one.
    """
    anchor, rarest = kinds[0][0][0], kinds[0][1]
    shifts = frac[anchor] - moved[:, rarest]  # (K, R, 3)
    total, squares = np.zeros(shifts.shape), np.zeros(shifts.shape[:2])
    for ours, theirs in kinds:
        gaps = frac[ours][:, None] - (moved[:, None, None, theirs] + shifts[:, :, None, None])
        gaps -= np.round(gaps)
        gaps = gaps @ cells[:, None, None]
        lengths = (gaps**2).sum(-1)  # (K, R, m, m)
        nearest = lengths.argmin(-1)[..., None]
        squares += np.take_along_axis(lengths, nearest, -1).sum((2, 3))
        total += np.take_along_axis(gaps, nearest[..., None], 3).sum((2, 3))
    spread: np.ndarray = squares / len(frac) - ((total / len(frac)) ** 2).sum(-1)
    return spread


def _displacement(
    start: np.ndarray, frac: np.ndarray, cell: np.ndarray, kinds: list[Places]
) -> np.ndarray:
    """(n, 3) of the best assignment, the translation found again by its mean."""
    back = np.linalg.inv(cell)
    found = np.zeros_like(frac)
    shift = np.zeros(3)
    for _ in range(3):
        for ours, theirs in kinds:
            gaps = frac[ours][:, None] - (start[theirs] + shift)
            gaps -= np.round(gaps)
            gaps = gaps @ cell
            lengths = (gaps**2).sum(-1)
            taken = lengths.argmin(1)
            if len(np.unique(taken)) < len(taken):
                taken = linear_sum_assignment(lengths)[1]
            found[ours] = gaps[np.arange(len(ours)), taken]
        mean = found.mean(0)
        shift = shift + mean @ back
    found -= mean
    return found
