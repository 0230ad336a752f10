"""Contacts: the shortest distance of each pair of elements in a crystal, and how short it may be.

A distance is short for a pair of elements. Two measures stand here: the sum of the covalent radii
(Cordero et al., Dalton Trans. 2008, 2832), and the distances that occur in known crystals, the
lowest quantile of MP-20's training split for each pair (`recipes/contacts.py` makes the table).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import CHUNK, groups_of_shape, images_within, pair_blocks
from flowllm.crystals.elements import SYMBOLS
from flowllm.runs.archive import open_archive, write_archive

CUTOFF = 5.0
"""Å; longer contacts are not looked for, and no shortest distance allowed is longer."""
SHORT = 0.7
"""A contact below this share of the sum of the covalent radii counts as too short."""
QUANTILE = 0.005
"""Share of the training crystals of a pair of elements whose contact is shorter than allowed."""
FEWEST = 50
"""Crystals that a pair's own quantile takes; of rarer pairs the contacts are pooled over radii.

Of validation, 0.65 % of the contacts of pairs with at least 50 crystals are then shorter than
allowed and 0.52 % of the rarer pairs; with at least 20 it would be 1.13 and 0.46 %."""
TABLE = Path(str(files("flowllm.crystals"))) / "contacts.npz"
IMAGES = 1000  # in a reduced cell the primitive ones of dense metals are no thicker
SIZE = len(SYMBOLS)  # of tables by atomic number
RADII = (
    "0.2 0.31 0.28 1.28 0.96 0.84 0.76 0.71 0.66 0.57 0.58 1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06 "
    "2.03 1.76 1.7 1.6 1.53 1.39 1.39 1.32 1.26 1.24 1.32 1.22 1.22 1.2 1.19 1.2 1.2 1.16 2.2 1.95 "
    "1.9 1.75 1.64 1.54 1.47 1.46 1.42 1.39 1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.4 2.44 2.15 2.07 "
    "2.04 2.03 2.01 1.99 1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.9 1.87 1.87 1.75 1.7 1.62 1.51 1.44 "
    "1.41 1.36 1.36 1.32 1.45 1.46 1.48 1.4 1.5 1.5 2.6 2.21 2.15 2.06 2.0 1.96 1.9 1.87 1.8 1.69"
)
UNKNOWN = 2.0  # Å; of the elements beyond curium, for which Cordero et al. give none


@cache
def radii() -> np.ndarray:
    """(119,) covalent radii in Å by atomic number, read-only.

    Those of Cordero et al.; 0.2 of an open type and 2.0 beyond curium, as in ASE.
    """
    known = [float(word) for word in RADII.split()]
    return _frozen(np.array(known + [UNKNOWN] * (SIZE - len(known))))


@cache
def shortest_allowed() -> np.ndarray:
    """(119, 119) Å by atomic numbers, symmetric, read-only: contacts below are too short.

    For a pair of elements that at least 50 training crystals of MP-20 hold, the 0.5 % quantile
    of their shortest contacts; for others the 0.5 % quantile of the contacts of all such pairs
    over the sum of the radii, times the pair's sum. At most 5 Å.
    """
    with open_archive(TABLE, "is not a table of contacts") as archive:
        quantiles, ratio = archive["quantiles"].astype(float), float(archive["ratio"])
    sums = radii()[:, None] + radii()
    return _frozen(np.where(quantiles > 0, quantiles, np.minimum(ratio * sums, CUTOFF)))


@dataclass(frozen=True)
class Contacts:
    """The shortest contact of every pair of elements of every crystal: P rows.

    Attributes:
        crystal: (P,) int64 position of the crystal, ascending.
        first: (P,) int64 atomic number of one element.
        second: (P,) int64 atomic number of the other, at least `first`.
        distance: (P,) Å, periodic images of the same atom counted; `inf` beyond the cutoff.
        crystals: how many crystals there are; those that span no volume have no rows.
    """

    crystal: np.ndarray
    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    crystals: int

    @property
    def ratios(self) -> np.ndarray:
        """(P,) distance over the sum of the covalent radii."""
        return self.distance / (radii()[self.first] + radii()[self.second])

    @property
    def shortest_ratio(self) -> np.ndarray:
        """(B,) the least ratio of each crystal; NaN where it has no rows."""
        return self._least(self.ratios)

    @property
    def margin(self) -> np.ndarray:
        """(B,) Å: the least distance beyond `shortest_allowed`; negative where one is too short."""
        return self._least(self.distance - shortest_allowed()[self.first, self.second])

    def _least(self, values: np.ndarray) -> np.ndarray:
        least = np.full(self.crystals, np.inf)
        np.minimum.at(least, self.crystal, values)
        least[np.bincount(self.crystal, minlength=self.crystals) == 0] = np.nan
        return least


def shortest_contacts(crystals: CrystalBatch, cutoff: float = CUTOFF) -> Contacts:
    """The shortest contact of every pair of elements in each crystal.

    Args:
        crystals: B crystals.
        cutoff: Å; longer distances are not looked for.
    """
    keys, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    for rows, coords, lattices, reach in groups_of_shape(crystals, cutoff, IMAGES):
        count = coords.shape[1]
        numbers = crystals.atomic_numbers[crystals.offsets[rows][:, None] + np.arange(count)]
        images = images_within(reach)
        own = _own_images(lattices, images)[:, None].repeat(count, 1)
        for first, second, found in [
            (np.arange(count), np.arange(count), own),
            *((i, j, _between(coords, lattices, images, i, j)) for i, j in pair_blocks(count)),
        ]:
            low = np.minimum(numbers[:, first], numbers[:, second])
            high = np.maximum(numbers[:, first], numbers[:, second])
            keys.append(((rows[:, None] * SIZE + low) * SIZE + high).ravel())
            values.append(found.ravel())
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    distance = np.full(len(key), np.inf)
    np.minimum.at(distance, place, np.concatenate(values))
    distance[distance > cutoff] = np.inf
    pair = key % SIZE**2
    return Contacts(key // SIZE**2, pair // SIZE, pair % SIZE, distance, len(crystals))


def _own_images(lattices: np.ndarray, images: np.ndarray) -> np.ndarray:
    """(b,) the shortest translation of each lattice; `inf` if none is among the images."""
    others = images[(images != 0).any(-1)]
    return np.linalg.norm(others @ lattices, axis=-1).min(-1, initial=np.inf)


def _between(
    coords: np.ndarray,
    lattices: np.ndarray,
    images: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
) -> np.ndarray:
    """(b, p) the shortest distance of p pairs of atoms in each of b crystals."""
    result = np.empty((len(coords), len(first)))
    step = max(1, CHUNK // (len(first) * len(images)))
    for start in range(0, len(coords), step):
        part = slice(start, start + step)
        delta = coords[part][:, first] - coords[part][:, second]
        delta -= np.round(delta)
        shifts = images @ lattices[part]
        vectors = (delta @ lattices[part])[:, :, None] + shifts[:, None]
        result[part] = np.sqrt(np.einsum("bpmj,bpmj->bpm", vectors, vectors).min(-1))
    return result


def write_table(training: CrystalBatch, path: Path = TABLE) -> None:
    """Fit the table behind `shortest_allowed` to training crystals and write it."""
    found = shortest_contacts(training)
    quantiles = np.zeros((SIZE, SIZE), dtype=np.float32)
    pair = found.first * SIZE + found.second
    rare = np.zeros(len(pair), dtype=bool)
    for one in np.unique(pair):
        rows = pair == one
        if rows.sum() < FEWEST:
            rare |= rows
            continue
        lowest = np.quantile(np.minimum(found.distance[rows], CUTOFF), QUANTILE)
        quantiles[one // SIZE, one % SIZE] = quantiles[one % SIZE, one // SIZE] = lowest
    ratio = np.quantile(found.ratios[rare], QUANTILE) if rare.any() else SHORT
    write_archive(path, {"quantiles": quantiles, "ratio": np.array(ratio)})


def _frozen(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values
