"""nglview's own widget gets atoms, cell and bonds where they are."""

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm_widgets.structure.drawing import draw_moving, draw_still
from flowllm_widgets.structure.nglview_adaptor import adaptors, nglview_widget
from tests.widgets.trajectory_samples import changing

TRICLINIC = CrystalBatch(
    [11, 17], [(0.1, 0.2, 0.3), (0.5, 0.55, 0.5)], [(4.1, 5.3, 6.7)], [(71, 83, 107)], [2], ["t"]
)
TRAJECTORY = Trajectory.from_frames(
    [0, 0.5, 1],
    [
        TRICLINIC.replace(lengths=TRICLINIC.lengths * s, frac_coords=TRICLINIC.frac_coords * s)
        for s in (1.2, 1.1, 1.0)
    ],
)


def rows(points, kind):
    return [r for r in points.get_structure_string().splitlines() if r.startswith(kind)]


def coordinates(points):
    text = [r[30:54] for r in rows(points, "HETATM")]
    return np.array([[float(t[8 * k : 8 * k + 8]) for k in range(3)] for t in text])


def test_atoms_of_a_triclinic_cell_are_where_its_lattice_puts_them():
    atoms = adaptors(draw_moving(TRAJECTORY))["atoms"]
    assert atoms.n_frames == 3
    for frame in range(3):
        crystal = TRAJECTORY.frame(frame)
        expected = crystal.frac_coords @ crystal.lattices[0]
        np.testing.assert_allclose(atoms.get_coordinates(frame)[:2], expected, atol=1e-3)
    np.testing.assert_allclose(coordinates(atoms), atoms.get_coordinates(0), atol=1e-3)


def test_no_text_holds_a_cell_that_nglview_would_apply():
    for points in adaptors(draw_still(TRICLINIC, (2, 1, 1))).values():
        assert "CRYST1" not in points.get_structure_string()
        assert all(len(row) == 78 for row in rows(points, "HETATM"))


def test_the_cell_moves_and_has_twelve_edges():
    cell = adaptors(draw_moving(TRAJECTORY))["cell"]
    assert len(rows(cell, "CONECT")) == 12 and len(rows(cell, "HETATM")) == 8
    for frame in range(3):
        far = cell.get_coordinates(frame)[-1]
        np.testing.assert_allclose(far, TRAJECTORY.frame(frame).lattices[0].sum(0), atol=1e-3)
    # in the text the corners lie too far apart to be joined by their distance
    gaps = np.linalg.norm(coordinates(cell)[:, None] - coordinates(cell), axis=-1)
    assert gaps[gaps > 0].min() > 10


def test_bonds_are_pairs_that_follow_the_frames():
    drawing = draw_still(TRICLINIC, (2, 2, 1))
    bonds = adaptors(drawing)["bonds"]
    pairs = [(int(r[6:11]), int(r[11:16])) for r in rows(bonds, "CONECT")]
    assert len(pairs) == len(drawing.bonds) and all(b == a + 1 for a, b in pairs)
    ends = bonds.get_coordinates(0).reshape(-1, 2, 3)
    np.testing.assert_allclose(ends, drawing.positions[0][drawing.bonds], atol=1e-6)


@pytest.mark.parametrize("what", [TRICLINIC, TRAJECTORY])
def test_the_widget_of_nglview_knows_all_frames(what):
    view = nglview_widget(what)
    assert view.max_frame == (2 if what is TRAJECTORY else 0)
    assert len(view._trajlist) == len(adaptors(draw_still(TRICLINIC)))


def test_species_that_change_are_refused_with_a_way_out():
    with pytest.raises(InputError, match="species change in this trajectory; show it with Player"):
        nglview_widget(changing())
    atoms = adaptors(draw_still(changing().last))["atoms"]
    assert atoms.symbols == ["K", "Cl", "O"] and atoms.names == ["K1", "Cl2", "O3"]
