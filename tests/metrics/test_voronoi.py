"""Voronoi cells of lattices whose cells are known solids, and pymatgen's tessellation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.metrics.voronoi import voronoi_faces


def one(coords, lengths, angles=(90, 90, 90)):
    return CrystalBatch([11] * len(coords), coords, [lengths], [angles], [len(coords)], ["x"])


def test_cell_of_the_simple_cubic_lattice_is_the_cube():
    faces = voronoi_faces(one([(0.2, 0.3, 0.4)], (3, 3, 3)))
    large = faces.areas > 1e-9
    assert large.sum() == 6
    np.testing.assert_allclose(faces.areas[large], 9)
    np.testing.assert_allclose(faces.solid_angles[large], 4 * np.pi / 6)
    np.testing.assert_allclose(np.linalg.norm(faces.vectors[large], axis=-1), 3)


def test_cell_of_the_face_centred_lattice_is_the_rhombic_dodecahedron():
    edge = 4.0
    faces = voronoi_faces(one([(0, 0, 0)], (edge / np.sqrt(2),) * 3, (60, 60, 60)))
    large = faces.areas > 1e-9
    assert large.sum() == 12
    # a rhomb with diagonals edge / 2 and edge / sqrt(2)
    np.testing.assert_allclose(faces.areas[large], edge**2 / 4 / np.sqrt(2))
    np.testing.assert_allclose(faces.solid_angles[large], np.pi / 3)


def test_cell_of_the_body_centred_lattice_is_the_truncated_octahedron():
    edge = 4.0
    faces = voronoi_faces(one([(0, 0, 0), (0.5, 0.5, 0.5)], (edge,) * 3))
    own = (faces.cell == 0) & (faces.areas > 1e-9)
    side = edge / np.sqrt(8)
    hexagon, square = 1.5 * np.sqrt(3) * side**2, side**2
    np.testing.assert_allclose(np.sort(faces.areas[own]), [square] * 6 + [hexagon] * 8)
    distances = np.linalg.norm(faces.vectors[own], axis=-1)
    behind = faces.neighbour[own]
    np.testing.assert_allclose(np.sort(distances[behind == 0]), [edge] * 6)
    np.testing.assert_allclose(np.sort(distances[behind == 1]), [edge * np.sqrt(3) / 2] * 8)


@st.composite
def triclinic(draw):
    length, angle = st.floats(2.5, 7.0), st.floats(55.0, 125.0)
    lengths, angles = draw(st.tuples(length, length, length)), draw(st.tuples(angle, angle, angle))
    count, seed = draw(st.integers(1, 5)), draw(st.integers(0, 10_000))
    return one(np.random.default_rng(seed).random((count, 3)), lengths, angles)


@settings(max_examples=40, deadline=None)
@given(crystal=triclinic())
def test_cells_fill_the_crystal_and_close_around_each_atom(crystal):
    if crystal.volumes[0] < 0.2 * crystal.lengths.prod():
        return
    faces = voronoi_faces(crystal, radius=20.0)
    atoms = len(crystal.atomic_numbers)
    np.testing.assert_allclose(
        np.bincount(faces.cell, faces.solid_angles, minlength=atoms), 4 * np.pi, rtol=1e-6
    )
    pyramids = faces.areas * np.linalg.norm(faces.vectors, axis=-1) / 2 / 3
    assert pyramids.sum() == pytest.approx(crystal.volumes[0], rel=1e-6)
    # the areas' vectors of a closed surface cancel
    normals = faces.vectors / np.linalg.norm(faces.vectors, axis=-1, keepdims=True)
    flux = np.zeros((atoms, 3))
    np.add.at(flux, faces.cell, normals * faces.areas[:, None])
    np.testing.assert_allclose(flux, 0, atol=1e-5 * faces.areas.max())


@pytest.mark.parametrize("seed", range(4))
def test_equals_pymatgen_in_random_cells(seed):
    from pymatgen.analysis.local_env import VoronoiNN

    rng = np.random.default_rng(seed)
    crystal = one(rng.random((3, 3)), rng.uniform(3, 6, 3), rng.uniform(65, 115, 3))
    structure = crystal.to_pymatgen()[0]
    faces = voronoi_faces(crystal)
    theirs = VoronoiNN(cutoff=7, compute_adj_neighbors=False)
    for site in range(3):
        found = list(theirs.get_voronoi_polyhedra(structure, site).values())
        expected = sorted((f["area"], f["solid_angle"]) for f in found if f["area"] > 1e-7)
        own = (faces.cell == site) & (faces.areas > 1e-7)
        ours = sorted(zip(faces.areas[own], faces.solid_angles[own], strict=True))
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)


def test_an_open_cell_is_closed_by_a_larger_radius():
    chain = one([(0, 0, 0)], (2.5, 9.0, 30.0))  # within 7 Å there is nothing but the chain itself
    faces = voronoi_faces(chain)
    np.testing.assert_allclose(np.sort(faces.areas)[-6:], [22.5, 22.5, 75, 75, 270, 270])
    assert np.linalg.norm(faces.vectors, axis=-1).max() == pytest.approx(30.0)


def test_endless_gaps_are_given_up_before_they_fill_the_memory():
    with pytest.raises(InputError, match="too many neighbours within 1792 Å"):
        voronoi_faces(one([(0, 0, 0)], (1.5, 2.5, 4000)))


def test_atoms_in_the_same_place_are_refused():
    with pytest.raises(InputError, match="in the same place"):
        voronoi_faces(one([(0.3, 0.3, 0.3), (0.3, 0.3, 0.3)], (4, 4, 4)))
