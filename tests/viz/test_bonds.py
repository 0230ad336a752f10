"""Bonds, shells and polyhedra of crystals whose coordination is in every textbook."""

from collections import Counter

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.bonds import find_bonds
from flowllm.viz.polyhedra import enclosing, find_polyhedra
from flowllm.viz.structure3d import draw, traces

MADE = Structure.from_spacegroup
CUBE, THIRD = [0.5, 0.5, 0.5], 1 / 3
OLIVINE = [
    [0, 0, 0], [0.282, 0.25, 0.975], [0.095, 0.25, 0.418], [0.097, 0.25, 0.743],
    [0.457, 0.25, 0.206], [0.166, 0.046, 0.285],
]  # fmt: skip
PENTOXIDE = [[0.1012, 0.25, 0.8917], [0.1043, 0.25, 0.531], [0.9311, 0.25, 0.003], [0.25, 0.25, 0]]
CRYSTALS = {
    "SrTiO3": MADE(221, Lattice.cubic(3.905), ["Sr", "Ti", "O"], [[0] * 3, CUBE, [0.5, 0.5, 0]]),
    "rutile": MADE(
        136, Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0] * 3, [0.3053, 0.3053, 0]]
    ),
    "NaCl": MADE(225, Lattice.cubic(5.64), ["Na", "Cl"], [[0] * 3, CUBE]),
    "wurtzite": MADE(
        186, Lattice.hexagonal(3.82, 6.26), ["Zn", "S"], [[THIRD, 2 / 3, 0], [THIRD, 2 / 3, 0.3748]]
    ),
    "CsCl": MADE(221, Lattice.cubic(4.12), ["Cs", "Cl"], [[0] * 3, CUBE]),
    "MoS2": MADE(
        194,
        Lattice.hexagonal(3.16, 12.3),
        ["Mo", "S"],
        [[THIRD, 2 / 3, 0.25], [THIRD, 2 / 3, 0.621]],
    ),
    "LiCoO2": MADE(
        166,
        Lattice.hexagonal(2.816, 14.05),
        ["Li", "Co", "O"],
        [[0, 0, 0.5], [0] * 3, [0, 0, 0.2605]],
    ),
    "LiFePO4": MADE(
        62, Lattice.orthorhombic(10.33, 6.01, 4.69), ["Li", "Fe", "P"] + 3 * ["O"], OLIVINE
    ),
    "calcite": MADE(
        167,
        Lattice.hexagonal(4.99, 17.06),
        ["Ca", "C", "O"],
        [[0] * 3, [0, 0, 0.25], [0.257, 0, 0.25]],
    ),
    "V2O5": MADE("Pmmn:2", Lattice.orthorhombic(11.51, 3.56, 4.37), ["V"] + 3 * ["O"], PENTOXIDE),
    "PtS": MADE(131, Lattice.tetragonal(3.47, 6.11), ["Pt", "S"], [[0, 0.5, 0], [0, 0, 0.25]]),
    "pyrite": MADE(205, Lattice.cubic(5.417), ["Fe", "S"], [[0] * 3, [0.385] * 3]),
    "diamond": MADE(227, Lattice.cubic(3.567), ["C"], [[0] * 3]),
    "graphite": MADE(
        194, Lattice.hexagonal(2.46, 6.71), 2 * ["C"], [[0, 0, 0.25], [THIRD, 2 / 3, 0.25]]
    ),
    "copper": MADE(225, Lattice.cubic(3.61), ["Cu"], [[0] * 3]),
}
# crystal -> how many neighbours of which element an atom of an element has
SHELLS = {
    "SrTiO3": {"Ti": {"O": 6}},  # strontium has 12 oxygens, which would hide the octahedron
    "rutile": {"Ti": {"O": 6}},
    "NaCl": {"Na": {"Cl": 6}},
    "wurtzite": {"Zn": {"S": 4}},
    "CsCl": {"Cs": {"Cl": 8}},
    "MoS2": {"Mo": {"S": 6}},
    "LiCoO2": {"Li": {"O": 6}, "Co": {"O": 6}},
    "LiFePO4": {"Li": {"O": 6}, "Fe": {"O": 6}, "P": {"O": 4}},
    "calcite": {"Ca": {"O": 6}, "C": {"O": 3}},
    "V2O5": {"V": {"O": 5}},  # the sixth is at 2.8 Å
    "PtS": {"Pt": {"S": 4}},
    "pyrite": {"Fe": {"S": 6}, "S": {"S": 1}},
    "diamond": {"C": {"C": 4}},
    "graphite": {"C": {"C": 3}},
    "copper": {"Cu": {"Cu": 12}},
}
# crystal -> corners, triangles and edges of the polyhedra of an element
BODIES = {
    "SrTiO3": {"Ti": (6, 8, 12)},
    "rutile": {"Ti": (6, 8, 12)},
    "NaCl": {"Na": (6, 8, 12)},
    "wurtzite": {"Zn": (4, 4, 6)},
    "CsCl": {"Cs": (8, 12, 12)},  # a cube
    "MoS2": {"Mo": (6, 8, 9)},  # a trigonal prism
    "LiFePO4": {"Li": (6, 8, 12), "Fe": (6, 8, 12), "P": (4, 4, 6)},
    "calcite": {"Ca": (6, 8, 12)},
    "PtS": {},  # a square is no body
    "diamond": {},
    "copper": {},
}


def parts(name):
    structure = CRYSTALS[name]
    numbers = np.array(structure.atomic_numbers)
    return structure.lattice.matrix, structure.frac_coords, numbers


@pytest.mark.parametrize("name", SHELLS)
def test_every_atom_has_the_neighbours_of_the_textbook(name):
    lattice, coords, numbers = parts(name)
    bonds = find_bonds(lattice, coords, numbers)
    for atom, number in enumerate(numbers):
        found = Counter(SYMBOLS[numbers[j]] for j in bonds.stop[bonds.start == atom])
        assert dict(found) == SHELLS[name].get(SYMBOLS[number], {})


@pytest.mark.parametrize("name", BODIES)
def test_polyhedra_have_the_faces_of_the_textbook(name):
    lattice, coords, numbers = parts(name)
    bonds = find_bonds(lattice, coords, numbers)
    found = find_polyhedra(lattice, coords, bonds)
    expected = {n: BODIES[name].get(SYMBOLS[n]) for n in numbers}
    assert [body.centre for body in found] == [k for k, n in enumerate(numbers) if expected[n]]
    for body in found:
        sizes = len(body.bonds), len(body.triangles), len(body.edges)
        assert sizes == expected[numbers[body.centre]]


@pytest.mark.parametrize("seed", range(5))
def test_bonds_do_not_depend_on_origin_order_or_cell(seed):
    rng = np.random.default_rng(seed)
    lattice, coords, numbers = parts("LiFePO4")
    before = find_bonds(lattice, coords, numbers)
    order = rng.permutation(len(numbers))
    moved = coords[order] + rng.normal(size=3) + rng.integers(-2, 3, coords.shape)
    shear = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])  # the same lattice
    after = find_bonds(shear @ lattice, moved @ np.linalg.inv(shear), numbers[order])

    def lengths(bonds, cell, frac):
        ends = frac[bonds.stop] + bonds.shift - frac[bonds.start]
        return np.sort(np.linalg.norm(ends @ cell, axis=1))

    np.testing.assert_allclose(
        lengths(before, lattice, coords),
        lengths(after, shear @ lattice, moved @ np.linalg.inv(shear)),
        atol=1e-6,
    )


def test_an_open_species_has_no_bonds_and_a_cell_may_be_tiny():
    bonds = find_bonds(np.eye(3) * 2.0, np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([0, 8]))
    assert not (bonds.start == 0).any() and not (bonds.stop == 0).any()
    assert len(find_bonds(np.eye(3) * 0.3, np.zeros((1, 3)), np.array([11])).start) >= 0


def test_a_hull_is_closed_and_looks_outwards():
    corners = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    triangles, edges = enclosing(2 * corners)
    a, b, c = (2 * corners[triangles[:, k]] for k in range(3))
    assert ((np.cross(b - a, c - a) * a).sum(1) > 0).all()
    assert len(np.unique(np.sort(edges, 1), axis=0)) == 12
    assert enclosing(corners + np.array([3, 0, 0])) is None  # the cation is outside
    assert enclosing(corners[:4]) is None  # a square


def crystal(name):
    structure = CRYSTALS[name]
    lattice = structure.lattice
    return CrystalBatch(
        structure.atomic_numbers, structure.frac_coords % 1, [lattice.abc], [lattice.angles],
        [len(structure)], [name],
    )  # fmt: skip


@pytest.mark.parametrize("name", ["rutile", "NaCl", "wurtzite", "MoS2", "LiFePO4"])
def test_every_drawn_cation_has_its_whole_shell(name):
    drawing = draw(crystal(name))
    ends = np.concatenate([drawing.bonds, drawing.bonds[:, ::-1]])
    for element, shell in SHELLS[name].items():
        for atom in np.flatnonzero(drawing.numbers == SYMBOLS.index(element)):
            found = Counter(SYMBOLS[n] for n in drawing.numbers[ends[ends[:, 0] == atom, 1]])
            assert {k: found[k] for k in shell} == shell
    lengths = np.linalg.norm(np.diff(drawing.positions[drawing.bonds], axis=1), axis=-1)
    assert lengths.max() < 3.0


def test_polyhedra_are_drawn_around_each_cation_in_its_colour():
    drawing = draw(crystal("SrTiO3"))
    assert len(drawing.triangles) == 8 and len(drawing.creases) == 12
    assert (drawing.numbers[drawing.middles] == 22).all()
    assert (drawing.numbers[drawing.triangles] == 8).all()
    (mesh,) = [t for t in traces(drawing, polyhedra=True) if t.name == "polyhedra"]
    assert set(mesh.facecolor) == {drawing.colours[22]} and mesh.opacity < 0.6
    assert not [t for t in traces(drawing) if t.name == "polyhedra"]
