"""Pairs of a prior's prediction for a composition and the training crystal that has it.

Artificial noise is not what a prior gets wrong. A pair is written as the noise that would lead from
the training crystal to the prediction: displacements and a symmetric strain, in the crystal's own
cell and order of atoms (`noise.noisy_batch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.crystals.cells import concatenated_ranges
from flowllm.errors import InputError
from flowllm.methods.equivariant.targets import SymmetricTargets
from flowllm.runs.archive import open_archive, write_archive

NAMES = ("row", "displacement", "strain")
OTHERS = "contains no pairs of predictions and crystals"


@dataclass(frozen=True)
class Starts:
    """Starting points for some of B copies of N atoms in all, instead of noise.

    Attributes:
        used: (B,) bool, which copies have one.
        displacement: (N, 3) in Å to the target; 0 for the others.
        strain: (B, 3, 3) to the target; 0 for the others.
    """

    used: np.ndarray
    displacement: np.ndarray
    strain: np.ndarray


@dataclass(frozen=True)
class PredictedPairs:
    """P paths from predictions to targets.

    Attributes:
        row: (P,) ascending places of the targets; one target may have several pairs, or none.
        displacement: (M, 3) in Å from prediction to target, of the atoms of all pairs in turn, in
            the cell of the prediction; its mean over a crystal is 0.
        strain: (P, 3, 3) symmetric; the cell of the prediction is `lattices @ exp(-strain)`.
    """

    row: np.ndarray
    displacement: np.ndarray
    strain: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def check(self, targets: SymmetricTargets) -> None:
        """Check that they belong to these targets.

        Raises:
            InputError: they do not.
        """
        row = self.row
        shapes = self.strain.shape == (len(row), 3, 3) and self.displacement.shape[1:] == (3,)
        ordered = bool((np.diff(row) >= 0).all())
        inside = not len(row) or (row.min() >= 0 and row.max() < len(targets))
        if not (shapes and ordered and inside):
            raise InputError("the pairs belong to different crystals")
        if targets.num_atoms[row].sum() != len(self.displacement):
            raise InputError("the pairs belong to crystals with different numbers of atoms")

    def of(self, chosen: np.ndarray, num_atoms: np.ndarray) -> PredictedPairs:
        """The pairs of the targets at positions (K,), renumbered as in `targets[chosen]`.

        Args:
            chosen: the places.
            num_atoms: (B,) of all targets that the pairs belong to.
        """
        first, last = (np.searchsorted(self.row, chosen, side) for side in ("left", "right"))
        kept = concatenated_ranges(first, last - first)
        return PredictedPairs(
            np.repeat(np.arange(len(chosen)), last - first),
            self.displacement[self._atoms(kept, num_atoms)],
            self.strain[kept],
        )

    def draw(
        self, chosen: np.ndarray, num_atoms: np.ndarray, share: float, rng: np.random.Generator
    ) -> Starts:
        """Draw one pair each for a share of the copies whose target has any.

        Args:
            chosen: (K,) places of the copies' targets.
            num_atoms: (B,) of all targets that the pairs belong to.
            share: in [0, 1].
            rng: what is drawn from: always two numbers for each copy.
        """
        first, last = (np.searchsorted(self.row, chosen, side) for side in ("left", "right"))
        used = (rng.random(len(chosen)) < share) & (last > first)
        which = first + (rng.random(len(chosen)) * (last - first)).astype(np.int64)
        displacement = np.zeros((int(num_atoms[chosen].sum()), 3))
        strain = np.zeros((len(chosen), 3, 3))
        of_atoms = np.repeat(used, num_atoms[chosen])
        displacement[of_atoms] = self.displacement[self._atoms(which[used], num_atoms)]
        strain[used] = self.strain[which[used]]
        return Starts(used, displacement, strain)

    def _atoms(self, pairs: np.ndarray, num_atoms: np.ndarray) -> np.ndarray:
        """Positions of the atoms of some pairs."""
        sizes = num_atoms[self.row]
        offsets = np.cumsum(sizes) - sizes
        return concatenated_ranges(offsets[pairs], sizes[pairs])

    @classmethod
    def load(cls, path: Path, split: str = "train") -> PredictedPairs:
        """Read the pairs of a split that `save_pairs` wrote.

        Raises:
            InputError: the file is damaged or something else; it is named.
        """
        with open_archive(path, OTHERS) as archive:
            return cls(
                archive.typed(f"{split}_row", "i"),
                archive.typed(f"{split}_displacement", "f", 3),
                archive[f"{split}_strain"],
            )


def save_pairs(path: Path, **splits: PredictedPairs) -> None:
    """Write an archive of the pairs of some splits."""
    write_archive(
        path, {f"{s}_{name}": getattr(p, name) for s, p in splits.items() for name in NAMES}
    )
