"""Random crystals of a given space group, and the same crystals described otherwise."""

from __future__ import annotations

import itertools

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, cell_volumes
from flowllm.symmetry.crystal import SymmetricCrystal
from flowllm.symmetry.space_group import space_group

GROUPS = (
    1, 2, 3, 4, 5, 7, 8, 9, 12, 14, 15, 16, 19, 20, 22, 24, 33, 36, 38, 43, 44, 57, 62, 63, 64, 69,
    70, 71, 74, 75, 79, 82, 86, 88, 91, 95, 96, 110, 122, 136, 139, 141, 143, 144, 146, 148, 152,
    155, 160, 161, 166, 167, 173, 176, 178, 180, 186, 187, 191, 194, 198, 199, 203, 205, 206, 212,
    213, 216, 217, 220, 221, 225, 227, 229, 230,
)  # fmt: skip
"""All 14 lattices; polar groups, enantiomorphic pairs, groups with two origins."""
ROOM = 15.0  # Å³ an atom
SPECIES = (8, 22, 56, 17)
CLASSES = {
    "triclinic": "a", "monoclinic": "m", "orthorhombic": "o", "tetragonal": "t", "hexagonal": "h",
    "cubic": "c",
}  # fmt: skip


def lattice_type(number: int) -> str:
    """The Bravais lattice, as in "oS"; A and C are one."""
    group = space_group(number)
    return CLASSES[group.family] + group.centring.replace("A", "S").replace("C", "S")


def random_cell(number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and angles that the family allows, and no special ones beyond."""
    of = space_group(number).family
    a, b, c = np.array([5.31, 6.43, 7.79]) + rng.uniform(-0.4, 0.4, 3)
    right = np.full(3, 90.0)
    if of == "cubic":
        return np.full(3, a), right
    if of in ("tetragonal", "hexagonal"):
        return np.array([a, a, c]), np.array([90, 90, 120.0 if of == "hexagonal" else 90])
    if of == "orthorhombic":
        return np.array([a, b, c]), right
    if of == "monoclinic":
        return np.array([a, b, c]), np.array([90, rng.uniform(96, 108), 90])
    return np.array([a, b, c]), np.array([81.3, 77.9, 85.2]) + rng.uniform(-2, 2, 3)


def random_crystal(number: int, rng: np.random.Generator) -> SymmetricCrystal:
    """The general position, two special ones where there are any; all of different elements.

    Atoms are at least 1 Å apart, so that no program takes two for one.
    """
    group = space_group(number)
    letters = list(group.positions)
    general = [letters[-1]] * (3 if len(letters) == 1 else 1)
    while True:
        special = rng.choice(letters[:-1], min(2, len(letters) - 1), replace=False)
        chosen = [*general, *special.tolist()]
        coords = [
            group.positions[letter].place(
                rng.uniform(0.02, 0.98, len(group.positions[letter].free))
            )
            for letter in chosen
        ]
        lengths, angles = random_cell(number, rng)
        atoms = sum(group.positions[letter].multiplicity for letter in chosen)
        lengths *= (atoms * ROOM / cell_volumes(lengths[None], angles[None])[0]) ** (1 / 3)
        made = SymmetricCrystal(
            number, lengths, angles, np.array(SPECIES[: len(chosen)]), tuple(chosen),
            np.array(coords),
        )  # fmt: skip
        if nearest(made) > 1:
            return made


def nearest(crystal: SymmetricCrystal) -> float:
    """The shortest distance of two atoms in Å."""
    cell = crystal.to_conventional()
    coords, lattice = cell.frac_coords, cell.lattices[0]
    gaps = coords[:, None] - coords[None]
    gaps -= np.round(gaps)
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    found = np.inf
    for image in images:
        distances = np.linalg.norm((gaps + image) @ lattice, axis=-1)
        found = min(found, distances[distances > 1e-9].min(initial=np.inf))
        if (np.diag(distances) < 1e-9).all() and (distances < 1e-9).sum() > len(coords):
            return 0.0
    return float(found)


def unimodular(rng: np.random.Generator) -> np.ndarray:
    """A (3, 3) change of axes of determinant 1, some steps away from none."""
    found = np.eye(3)
    for _ in range(4):
        step = np.eye(3)
        i, j = rng.choice(3, 2, replace=False)
        step[i, j] = rng.choice([-1, 1])
        found = step @ found
    return found


def described_otherwise(crystal: CrystalBatch, rng: np.random.Generator) -> CrystalBatch:
    """The same crystal: other axes of the same handedness, another origin, atoms in disorder."""
    change = unimodular(rng)
    lengths, angles = cell_parameters(change @ crystal.lattices[0])
    coords = crystal.frac_coords @ np.linalg.inv(change) + rng.random(3)
    order = rng.permutation(len(coords))
    return CrystalBatch(
        crystal.atomic_numbers[order], coords[order] % 1.0, lengths[None], angles[None],
        crystal.num_atoms, crystal.ids,
    )  # fmt: skip


def mirrored(crystal: CrystalBatch) -> CrystalBatch:
    """The mirror image: the same cell, all atoms inverted."""
    return crystal.replace(frac_coords=(-crystal.frac_coords) % 1.0)


def handedness(crystal: CrystalBatch) -> dict[int, np.ndarray]:
    """A signed sum of volumes for each atom, sorted; those of a mirror image have other signs.

    The volumes are spanned by the vectors to three of the nearest atoms, from near to far.
    """
    lattice, coords = crystal.lattices[0], crystal.frac_coords
    images = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)))
    triples = np.array(list(itertools.combinations(range(24), 3)))
    found: dict[int, list[float]] = {}
    for number, point in zip(crystal.atomic_numbers.tolist(), coords, strict=True):
        gaps = coords - point
        vectors = ((gaps - np.round(gaps))[:, None] + images[None]).reshape(-1, 3) @ lattice
        near = vectors[np.argsort(np.linalg.norm(vectors, axis=1))[1:26]]
        weights = np.exp(-((np.linalg.norm(near, axis=1) / 2) ** 2))
        weights = weights[:-1] - weights[-1]  # 0 where the sum is cut off
        a, b, c = weights[triples].T
        order = a * b * c * (a - b) * (b - c) * (c - a)
        total = 1e6 * float((np.linalg.det(near[triples]) * order).sum())
        found.setdefault(number, []).append(total)
    return {number: np.sort(values) for number, values in found.items()}
