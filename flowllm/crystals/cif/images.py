"""Atoms generated from sites by symmetry; images that coincide after rounding are merged."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flowllm.crystals.cells import wrap
from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.operations import Setting
from flowllm.crystals.cif.sites import MAX_ATOMS, SiteTable
from flowllm.crystals.cif.values import resolution
from flowllm.errors import InputError

# Images of one site nearer than this are one atom. Atoms are never so near; 0.33 for 1/3 is up to
# 0.2 Å off in a cell of 20 Å. Smaller ones are tried where the larger gives no special position.
TOLERANCES = (0.3, 0.15, 0.05, 0.01, 0.001)  # Å
SAME_ORBIT = 0.05  # Å; a site this near to an image of another is that image
_NEIGHBOURS = np.array(list(itertools.product((0, -1, 1), repeat=3)))


@dataclass
class Expanded:
    """The atoms of a cell.

    Attributes:
        coords: (n, 3) fractional, atoms of one site beside each other.
        atoms: for each site the indices of its atoms.
        remarks: on sites that were moved or are images of others.
        listed: whether each site is one atom, as the block lists them.
    """

    coords: np.ndarray
    atoms: list[range]
    remarks: list[str]
    listed: bool = False


def expand(sites: SiteTable, holders: list[int], setting: Setting, cell: Cell) -> Expanded:
    """Every atom of the cell.

    Args:
        sites: s sites.
        holders: for each site the site whose atoms it shares; itself in general.
        setting: m operations.
        cell: the unit cell, by which distances are measured.

    Raises:
        InputError: sites times operations are more than `MAX_ATOMS`; counted before any work.
    """
    size = len(sites.labels)
    if len(setting) == 1:
        if holders == list(range(size)):
            return Expanded(sites.coords, _ones(size), [], listed=True)
    elif size * len(setting) > MAX_ATOMS:
        raise InputError(
            f"{size} sites and {len(setting)} symmetry operations make up to {size * len(setting)} "
            f"atoms; at most {MAX_ATOMS} are read"
        )
    parts: list[np.ndarray] = []
    atoms: list[range] = []
    moved: list[str] = []
    repeated: list[str] = []
    start = 0
    orbits = _Orbits(cell)
    for row, label in enumerate(sites.labels):
        if holders[row] != row:
            atoms.append(atoms[holders[row]])
            continue
        place = special_position(sites.coords[row], setting, cell)
        twin = orbits.find(sites.elements[row], place) if len(setting) > 1 else None
        if twin is not None:
            atoms.append(atoms[twin])
            repeated.append(f"{label} of {sites.labels[twin]}")
            continue
        steps = np.array([resolution(raw) for raw in sites.written[row]])
        if (np.abs(place - sites.coords[row]) > steps * 1.01 + 1e-6).any():
            distance = float(cell.distances(place - sites.coords[row]))
            moved.append(f"{label} by {distance:.2f} Å")
        images = wrap(_orbit(place, setting, cell))
        orbits.add(sites.elements[row], row, images)
        parts.append(images)
        atoms.append(range(start, start + len(images)))
        start += len(images)
    remarks = []
    if moved:
        remarks.append(f"moved to a special position: {_few(moved)}")
    if repeated:
        remarks.append(f"images of other sites, read once: {_few(repeated)}")
    return Expanded(np.concatenate(parts), atoms, remarks)


@lru_cache(maxsize=64)
def _ones(size: int) -> list[range]:
    return [range(i, i + 1) for i in range(size)]


def special_position(place: np.ndarray, setting: Setting, cell: Cell) -> np.ndarray:
    """(3,) the special position near a point: the mean of its images under its site symmetry."""
    if len(setting) == 1:
        return place
    images = setting.rotations @ place + setting.translations
    delta = images - place
    delta -= np.round(delta)
    distances = cell.distances(delta)
    for tolerance in TOLERANCES:
        near = distances < tolerance
        if near.sum() == 1:
            return place
        centre = place + delta[near].mean(0)
        again = setting.rotations[near] @ centre + setting.translations[near] - centre
        if cell.distances(again).max() < 1e-4:
            return np.asarray(centre)
    return place


def _orbit(place: np.ndarray, setting: Setting, cell: Cell) -> np.ndarray:
    """(k, 3) the distinct images of a point, itself first."""
    images = setting.rotations @ place + setting.translations
    if (cell.distances(images - place) < TOLERANCES[-1]).sum() == 1:
        return images
    kept: list[int] = []
    left: np.ndarray = np.arange(len(images))
    while len(left):
        kept.append(int(left[0]))
        left = left[cell.distances(images[left] - images[left[0]]) >= TOLERANCES[-1]]
    return images[kept]


class _Orbits:
    """The atoms made so far, in bins not thinner than `SAME_ORBIT`."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.steps = np.maximum(np.floor(np.array(cell.heights) / SAME_ORBIT), 1).astype(np.int64)
        self.bins: dict[tuple[str, int, int, int], list[tuple[int, np.ndarray]]] = {}

    def add(self, element: str, row: int, images: np.ndarray) -> None:
        """Images of the site of a row, coordinates in [0, 1)."""
        for image, (i, j, k) in zip(images, self._places(images), strict=True):
            self.bins.setdefault((element, i, j, k), []).append((row, image))

    def find(self, element: str, place: np.ndarray) -> int | None:
        """The row of a site of the same element that has this point as an image."""
        for key in self._places(wrap(place) + _NEIGHBOURS / self.steps):
            for row, image in self.bins.get((element, *key), ()):
                if self.cell.distances(image - place) < SAME_ORBIT:
                    return row
        return None

    def _places(self, coords: np.ndarray) -> list[tuple[int, int, int]]:
        bins = np.floor(coords * self.steps).astype(np.int64) % self.steps
        return [(i, j, k) for i, j, k in bins.tolist()]


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
