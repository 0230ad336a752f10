"""Coverage of a test set by generated crystals, as CDVAE's code computes it.

Xie et al., ICLR 2022, section 5 (COV-R and COV-P): a crystal is covered when the other set holds a
structural fingerprint within 0.4 and a compositional one within 10. The paper's text reads as if
one crystal had to be near in both; its code, and all later papers with it, takes the two nearest
distances separately, and so does this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flowllm.errors import InputError
from flowllm.metrics.fingerprints import Fingerprints
from flowllm.metrics.magpie import CompositionScaler
from flowllm.metrics.statistics import Estimate, estimate

STRUCTURE_CUTOFF = 0.4
COMPOSITION_CUTOFF = 10.0
BLOCK = 2_000_000  # distances held in memory at a time


@dataclass(frozen=True)
class Coverage:
    """How G generated crystals and R reference crystals cover each other.

    Distances are Euclidean, to the nearest crystal of the other set; NaN of a crystal without
    fingerprints, `inf` where the other set has none.

    Attributes:
        recall_structure: (R,) structural distance of each reference crystal.
        recall_composition: (R,) its compositional distance, of standardised fingerprints.
        precision_structure: (G,) structural distance of each generated crystal.
        precision_composition: (G,) its compositional distance.
        structure_cutoff: largest structural distance of a covered crystal.
        composition_cutoff: largest compositional distance of a covered crystal.
    """

    recall_structure: np.ndarray
    recall_composition: np.ndarray
    precision_structure: np.ndarray
    precision_composition: np.ndarray
    structure_cutoff: float
    composition_cutoff: float

    @property
    def recalled(self) -> np.ndarray:
        """(R,) bool: reference crystals that are covered."""
        return self._covered(self.recall_structure, self.recall_composition)

    @property
    def precise(self) -> np.ndarray:
        """(G,) bool: generated crystals that are covered."""
        return self._covered(self.precision_structure, self.precision_composition)

    @property
    def recall(self) -> Estimate:
        """Covered share of all reference crystals."""
        return estimate(self.recalled)

    @property
    def precision(self) -> Estimate:
        """Covered share of all generated crystals, those without fingerprints included."""
        return estimate(self.precise)

    def _covered(self, structure: np.ndarray, composition: np.ndarray) -> np.ndarray:
        return (structure <= self.structure_cutoff) & (composition <= self.composition_cutoff)


def coverage(
    generated: Fingerprints,
    reference: Fingerprints,
    scaler: CompositionScaler,
    structure_cutoff: float = STRUCTURE_CUTOFF,
    composition_cutoff: float = COMPOSITION_CUTOFF,
) -> Coverage:
    """Recall over the reference and precision over the generated crystals.

    Args:
        generated: of G crystals; incomplete ones cover nothing and count as not covered.
        reference: of R crystals, the test split in the papers.
        scaler: of the compositional fingerprints.
        structure_cutoff: largest structural distance of a covered crystal.
        composition_cutoff: largest compositional distance of a covered crystal.

    Raises:
        InputError: a cutoff is not positive.
    """
    if not (structure_cutoff > 0 and composition_cutoff > 0):
        raise InputError("the cutoffs of coverage must be positive")
    here, there = np.flatnonzero(generated.complete), np.flatnonzero(reference.complete)
    columns = []
    for ours, theirs in (
        (generated.structure, reference.structure),
        (scaler.transform(generated.composition), scaler.transform(reference.composition)),
    ):
        precision, recall = np.full(len(generated), np.nan), np.full(len(reference), np.nan)
        precision[here], recall[there] = nearest_distances(ours[here], theirs[there])
        columns.append((recall, precision))
    (recall_s, precision_s), (recall_c, precision_c) = columns
    return Coverage(
        recall_s, recall_c, precision_s, precision_c, structure_cutoff, composition_cutoff
    )


def nearest_distances(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distances (A,) and (B,) from each row to the nearest row of the other set.

    |x - y|² = |x|² + |y|² - 2 x · y finds the nearest row by matrix products; its distance is then
    computed from the difference, since the products cancel to 1e-7 only.

    Args:
        one: (A, D) rows without NaN.
        other: (B, D) rows without NaN.
    """
    to_one, to_other = np.full(len(other), np.inf), np.full(len(one), np.inf)
    if not len(one) or not len(other):
        return to_other, to_one
    centre = other.mean(0)
    a, b = one - centre, other - centre
    squares_a, squares_b = (a**2).sum(-1), (b**2).sum(-1)
    best, best_row = np.full(len(other), np.inf), np.zeros(len(other), dtype=np.int64)
    step = max(1, BLOCK // len(other))
    for start in range(0, len(one), step):
        rows = slice(start, start + step)
        squared = squares_a[rows, None] + squares_b - 2 * a[rows] @ b.T
        nearest = squared.argmin(1)
        to_other[rows] = np.linalg.norm(one[rows] - other[nearest], axis=-1)
        row = squared.argmin(0)
        value = squared[row, np.arange(len(other))]
        better = value < best
        best[better], best_row[better] = value[better], row[better] + start
    to_one[:] = np.linalg.norm(other - one[best_row], axis=-1)
    return to_other, to_one
