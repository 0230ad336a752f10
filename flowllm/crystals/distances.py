"""Shortest distances between atoms under periodic boundaries, exact in skewed cells.

Two atoms whose fractional difference along an axis is x are at least |x| h apart, where h is the
cell's height along that axis (volume over the area of the opposite face). So images beyond
cutoff / h along an axis cannot lie within the cutoff, whatever the cell's shape; in a cell that is
thicker than twice the cutoff only the nearest image is left to look at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import lattice_matrices

MIN_HEIGHT = 1e-4  # Å; a thinner cell counts as one without volume
MAX_IMAGES = 125  # more images than this: reduce the cell first
CHUNK = 2_000_000  # distances held in memory at a time


def shortest_distances(
    crystals: CrystalBatch, cutoff: float, self_images: bool = True
) -> np.ndarray:
    """The shortest distance between atoms of each crystal, if below a cutoff.

    Args:
        crystals: B crystals.
        cutoff: Å; longer distances are not looked for.
        self_images: count the distance between an atom and its own periodic images.

    Returns:
        (B,) Å: exact where at most the cutoff; `inf` where no distance is; NaN where the cell spans
        no volume (a height below 1e-4 Å).
    """
    result = np.full(len(crystals), np.nan)
    for rows, coords, lattices, reach in groups_of_shape(crystals, cutoff):
        result[rows] = _shortest(coords, lattices, reach, self_images)
    result[result > cutoff] = np.inf
    return result


def groups_of_shape(
    crystals: CrystalBatch, cutoff: float, most: int = MAX_IMAGES
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, ...]]]:
    """Crystals in groups of equal number of atoms and of images that a cutoff can reach.

    Args:
        crystals: B crystals; those that span no volume are in no group.
        cutoff: Å.
        most: images; a cell that needs more is replaced by its LLL-reduced one.

    Yields:
        (b,) positions of b crystals, their fractional coordinates (b, n, 3), lattices (b, 3, 3) in
        Å, and the images to either side along each axis that may lie within the cutoff, for
        differences wrapped into [-1/2, 1/2].
    """
    lattices, heights = safe_lattices(crystals)
    sound = np.flatnonzero(heights.min(-1, initial=np.inf) >= MIN_HEIGHT)
    ranges = np.zeros((len(crystals), 3), dtype=np.int64)
    ranges[sound] = _image_range(heights[sound], cutoff)
    thin = sound[np.prod(2 * ranges[sound] + 1, axis=-1) > most]
    for index in thin:
        coords, lattice = _in_reduced_cell(crystals[int(index)])
        thickness = cell_heights(lattice)
        if thickness.min() >= MIN_HEIGHT:
            yield np.array([index]), coords, lattice, tuple(_image_range(thickness, cutoff)[0])
    rest = np.setdiff1d(sound, thin)
    keys = np.column_stack([crystals.num_atoms[rest], ranges[rest]])
    groups, member = np.unique(keys, axis=0, return_inverse=True)
    for group, (count, *reach) in enumerate(groups):
        chosen = rest[member.ravel() == group]
        atoms = crystals.offsets[chosen][:, None] + np.arange(count)
        yield chosen, crystals.frac_coords[atoms], lattices[chosen], tuple(reach)


def safe_lattices(crystals: CrystalBatch) -> tuple[np.ndarray, np.ndarray]:
    """Lattices (B, 3, 3) in Å and heights (B, 3) in Å along a, b, c; zeros without volume."""
    lattices = np.zeros((len(crystals), 3, 3))
    heights = np.zeros((len(crystals), 3))
    solid = np.flatnonzero(crystals.volumes > 0)
    if len(solid):
        lattices[solid] = lattice_matrices(crystals.lengths[solid], crystals.angles[solid])
        heights[solid] = cell_heights(lattices[solid])
    return lattices, heights


def cell_heights(lattices: np.ndarray) -> np.ndarray:
    """(B, 3) heights in Å over the faces bc, ca and ab of lattices (B, 3, 3)."""
    a, b, c = np.moveaxis(lattices, -2, 0)
    faces = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=-2)
    volumes = np.abs((a * faces[:, 0]).sum(-1, keepdims=True))
    areas = np.linalg.norm(faces, axis=-1)
    return np.divide(volumes, areas, out=np.zeros_like(areas), where=areas > 0)


def _image_range(heights: np.ndarray, cutoff: float) -> np.ndarray:
    """Images to either side along each axis, for differences wrapped into [-1/2, 1/2]."""
    return np.floor(cutoff / heights + 0.5 + 1e-9).astype(np.int64)


def images_within(reach: tuple[int, ...]) -> np.ndarray:
    """(M, 3) float64 translations of the cell, up to `reach` to either side along each axis."""
    return np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))), dtype=float)


def _shortest(
    coords: np.ndarray, lattices: np.ndarray, reach: tuple[int, ...], self_images: bool
) -> np.ndarray:
    """(b,) shortest distances of b crystals of n atoms (b, n, 3) over images up to `reach`."""
    images = images_within(reach)
    result = np.full(len(coords), np.inf)
    others = images[(images != 0).any(-1)]
    if self_images and len(others):
        vectors = np.einsum("mi,bij->bmj", others, lattices)
        result = np.sqrt((vectors**2).sum(-1)).min(-1)
    for first, second in pair_blocks(coords.shape[1]):
        step = max(1, CHUNK // (len(first) * len(images)))
        width = max(1, CHUNK // len(first))
        for start in range(0, len(coords), step):
            part = slice(start, start + step)
            delta = coords[part][:, first] - coords[part][:, second]
            delta -= np.round(delta)
            nearest = delta @ lattices[part]
            for begin in range(0, len(images), width):
                shifts = images[begin : begin + width] @ lattices[part]
                vectors = nearest[:, :, None, :] + shifts[:, None, :, :]
                squared = np.einsum("bpmj,bpmj->bpm", vectors, vectors)
                result[part] = np.minimum(result[part], np.sqrt(squared.min((1, 2))))
    return result


def pair_blocks(count: int, most: int = CHUNK) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of `count` atoms, each once, in blocks of at most about `most` pairs.

    Args:
        count: number of atoms.
        most: pairs in a block; a block holds all pairs of an atom with later ones.

    Yields:
        (P,) and (P,) int64 positions, the first of each pair before the second.
    """
    begin = 0
    while begin < count - 1:
        lengths = np.arange(count - 1 - begin, 0, -1)  # pairs of each atom with later ones
        rows = max(1, int(np.searchsorted(np.cumsum(lengths), most, side="right")))
        first = np.repeat(np.arange(begin, begin + rows), lengths[:rows])
        ends = np.cumsum(lengths[:rows])
        second = np.arange(len(first)) - np.repeat(ends - lengths[:rows], lengths[:rows])
        yield first, first + 1 + second
        begin += rows


def _in_reduced_cell(crystal: CrystalBatch) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (1, n, 3) and lattice (1, 3, 3) of one crystal in its LLL-reduced cell."""
    from pymatgen.core import Lattice

    lattice = Lattice(crystal.lattices[0]).get_lll_reduced_lattice()
    coords = lattice.get_fractional_coords(crystal.frac_coords @ crystal.lattices[0])
    return coords[None], lattice.matrix[None]
