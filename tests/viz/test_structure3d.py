"""What is drawn of a crystal: atoms on the boundary, bonds, edges, spheres."""

import numpy as np
import pytest
from ase.data import covalent_radii
from ase.data.colors import jmol_colors

from flowllm.crystals.batch import CrystalBatch
from flowllm.viz.structure3d import SPHERE, cell_edges, colour, draw, traces, unit_sphere


def test_a_perovskite_is_drawn_as_in_textbooks(refined):
    drawing = draw(refined[0])
    counts = {int(n): int((drawing.numbers == n).sum()) for n in np.unique(drawing.numbers)}
    assert counts == {38: 8, 22: 1, 8: 6}  # corners, centre, faces
    octahedron = [b for b in drawing.bonds if {22, 8} == set(drawing.numbers[b].tolist())]
    assert len(octahedron) == 6
    lengths = np.linalg.norm(np.diff(drawing.positions[octahedron], axis=1), axis=-1)
    np.testing.assert_allclose(lengths, 3.9 / 2)
    metals = [b for b in drawing.bonds if 8 not in drawing.numbers[b]]
    assert metals == []


def test_repetitions_are_whole_lattice_vectors_away():
    crystal = CrystalBatch(
        [11, 17], [(0.995, 0.3, 0.004), (0.5, 0.5, 0.5)], [(4, 5, 6)], [(80, 95, 110)], [2], ["x"]
    )
    drawing = draw(crystal)
    frac = drawing.positions @ np.linalg.inv(crystal.lattices[0])
    near = ((frac > -0.1) & (frac < 1.1)).all(1)
    assert near.sum() == 5  # sodium on the edge: four times
    shell = np.unique(drawing.bonds[~near[drawing.bonds].all(1)])
    assert set(np.flatnonzero(~near)) <= set(shell)  # farther ones complete a shell
    assert (drawing.numbers[~near] == 17).all()
    home = crystal.frac_coords[drawing.source] @ crystal.lattices[0]
    shifts = (drawing.positions - home) @ np.linalg.inv(crystal.lattices[0])
    np.testing.assert_allclose(shifts, np.round(shifts), atol=1e-9)


def test_metals_alone_are_bonded_to_their_neighbours(refined):
    drawing = draw(refined[2])
    assert len(drawing.positions) == 8
    lengths = np.linalg.norm(np.diff(drawing.positions[drawing.bonds], axis=1), axis=-1)
    np.testing.assert_allclose(lengths, 2.55)
    assert len(lengths) >= 12


def test_edges_of_a_triclinic_cell(refined):
    lattice = np.array([[4.0, 0, 0], [1, 5, 0], [0.5, 0.7, 6]])
    vectors = np.diff(cell_edges(lattice), axis=1)[:, 0]
    assert len(vectors) == 12
    for row in lattice:
        assert np.isclose(np.abs(vectors @ row), row @ row).sum() >= 4
        assert (np.abs(np.abs(vectors) - np.abs(row)).max(-1) < 1e-9).sum() == 4


def test_spheres_have_their_radius_colour_and_outward_faces(refined):
    drawing = draw(refined[0])
    meshes = {t.name: t for t in traces(drawing) if t.type == "mesh3d"}
    assert set(meshes) == {"Sr", "Ti", "O"}
    titanium = meshes["Ti"]
    vertices = np.stack([titanium.x, titanium.y, titanium.z], 1)
    centre = drawing.positions[drawing.numbers == 22][0]
    np.testing.assert_allclose(
        np.linalg.norm(vertices - centre, axis=1), SPHERE * covalent_radii[22], rtol=1e-5
    )
    points, faces = unit_sphere()
    assert (len(points), len(faces)) == (162, 320)
    a, b, c = np.moveaxis(points[faces], 1, 0)
    assert ((np.cross(b - a, c - a) * a).sum(-1) > 0).all()
    assert len(meshes["Sr"].x) == 8 * len(points)
    assert int(max(meshes["Sr"].i.max(), meshes["Sr"].k.max())) == 8 * len(points) - 1


@pytest.mark.parametrize("number", [1, 8, 26, 79])
def test_colours_are_jmol_s(number):
    channels = [int(colour(number)[k : k + 2], 16) for k in (1, 3, 5)]
    np.testing.assert_allclose(np.array(channels) / 255, jmol_colors[number], atol=0.003)


def test_an_open_type_is_grey():
    assert colour(0) == colour(130)
