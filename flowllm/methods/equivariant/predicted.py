"""Pairs of templates of other formulas with the crystals that they predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.equivariant.match import Way, way_between
from flowllm.methods.equivariant.pairs import PredictedPairs
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.methods.templates.dress import dressed
from flowllm.methods.templates.prior import TemplatePrior


def predicted_pairs(
    prior: TemplatePrior,
    targets: SymmetricTargets,
    most: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> PredictedPairs:
    """The pairs of targets and their predictions, without those too far apart.

    Args:
        prior: what predicts; templates of a target's own reduced formula are left out.
        targets: the crystals.
        most: predictions for each, the likeliest ones.
        progress: called with (targets done, targets in all).
    """
    rows: list[int] = []
    ways: list[Way] = []
    offsets = np.cumsum(targets.num_atoms) - targets.num_atoms
    for row, (first, count) in enumerate(zip(offsets, targets.num_atoms, strict=True)):
        own = slice(first, first + count)
        numbers, frac = targets.atomic_numbers[own], targets.frac_coords[own]
        for start in predictions(prior, numbers, most):
            way = way_between(start, numbers, frac, targets.lattices[row])
            if way is not None:
                rows.append(row)
                ways.append(way)
        if progress:
            progress(row + 1, len(targets))
    displacements = [np.zeros((0, 3)), *(way.displacement for way in ways)]
    return PredictedPairs(
        np.array(rows, dtype=np.int64),
        np.concatenate(displacements).astype(np.float32),
        np.array([way.strain for way in ways], dtype=np.float32).reshape(-1, 3, 3),
    )


def predictions(prior: TemplatePrior, numbers: np.ndarray, most: int) -> Iterator[CrystalBatch]:
    """Primitive cells of the likeliest crystals with the atomic numbers (n,) of a primitive cell.

    Templates of the same reduced formula are left out.
    """
    elements, counts = np.unique(numbers, return_counts=True)
    cell = dict(zip(elements.tolist(), counts.tolist(), strict=True))
    for candidate in prior.ranking.candidates(cell, most, same_formula=False):
        try:
            yield dressed(prior.table, candidate).to_primitive()
        except InputError:  # a cell that cannot be reduced
            continue
