"""What is drawn of a crystal that moves: images, bonds and cell over all frames."""

import itertools

import numpy as np
import pytest
from ase.data import covalent_radii
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.viz.balls import OPEN_RADIUS, SPHERE
from flowllm.viz.picture import BOUNDARY
from flowllm.viz.structure3d import draw
from flowllm_widgets.structure.drawing import MAX_ATOMS, draw_moving, draw_still
from tests.widgets.trajectory_samples import changing

TRICLINIC = CrystalBatch(
    [38, 22, 8, 8, 8],
    [(0.01, 0.02, 0.98), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    [(4.2, 5.1, 6.3)],
    [(70, 82, 105)],
    [5],
    ["t"],
)


def moving(coords, numbers=None, lengths=(4, 5, 6), angles=(80, 95, 110)) -> Trajectory:
    """A trajectory of coordinates (T, N, 3) in one cell, or in one a frame."""
    coords = np.asarray(coords, dtype=float)
    steps, count = coords.shape[:2]
    cells = [np.broadcast_to(x, (steps, 3))[:, None] for x in (lengths, angles)]
    kinds = np.full(count, 11) if numbers is None else numbers
    return Trajectory(np.arange(steps), coords, *cells, kinds, [count], ["x"])


def as_set(points):
    return {tuple(p) for p in np.round(np.asarray(points, dtype=float), 3) + 0.0}


def random_trajectory(seed: int, steps: int = 6, count: int = 5) -> Trajectory:
    rng = np.random.default_rng(seed)
    return moving(
        rng.random((steps, count, 3)),
        rng.choice([8, 22, 38, 56, 17], count),
        rng.uniform(3, 8, (steps, 3)),
        rng.uniform(70, 110, (steps, 3)),
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_frame_is_drawn_as_the_report_draws_that_crystal(seed):
    trajectory = random_trajectory(seed)
    drawing = draw_moving(trajectory)
    for frame in range(len(trajectory)):
        mine, report = drawing.at(frame), draw(trajectory.frame(frame))
        centre = drawing.centres[frame]
        assert len(mine.positions) == len(report.positions)
        far = np.linalg.norm((mine.positions + centre)[:, None] - report.positions, axis=-1)
        assert far.min(0).max() < 1e-3 and far.min(1).max() < 1e-3
        assert len(mine.bonds) == len(report.bonds)
        edges = np.sort(np.linalg.norm(np.diff(mine.edges, axis=1)[:, 0], axis=-1))
        expected = np.sort(np.linalg.norm(np.diff(report.edges, axis=1)[:, 0], axis=-1))
        np.testing.assert_allclose(edges, expected, atol=1e-4)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 2)] * 3))
def test_what_belongs_to_a_frame_lies_in_the_repeated_cell_or_is_bonded_to_it(seed, supercell):
    trajectory = random_trajectory(seed, steps=3, count=3)
    drawing = draw_moving(trajectory, supercell)
    lattices = lattice_matrices(trajectory.lengths[:, 0], trajectory.angles[:, 0])
    for frame, lattice in enumerate(lattices):
        inverse = np.linalg.inv(lattice)
        frac = drawing.positions[frame] @ inverse
        inside = ((frac > -0.16) & (frac < np.array(supercell) + 0.16)).all(1)
        ends = drawing.bonds[drawing.bonded[frame]]
        reached = np.concatenate([ends[inside[ends[:, 0]], 1], ends[inside[ends[:, 1]], 0]])
        outside = np.flatnonzero(~inside & drawing.needed[frame])
        assert set(outside.tolist()) <= set(reached.tolist())
        home = trajectory.frac_coords[frame][drawing.source]
        np.testing.assert_allclose((frac - home) - np.round(frac - home), 0, atol=1e-4)
        # what is not needed coincides with something that is
        hidden = drawing.positions[frame][~drawing.needed[frame]]
        shown = drawing.positions[frame][drawing.needed[frame]]
        if len(hidden):
            assert np.linalg.norm(hidden[:, None] - shown, axis=-1).min(1).max() < 1e-6


def test_positions_are_fractional_coordinates_times_the_lattice():
    drawing = draw_still(TRICLINIC)
    home = TRICLINIC.frac_coords @ TRICLINIC.lattices[0]
    np.testing.assert_allclose(drawing.positions[0, :5], home, atol=1e-5)
    np.testing.assert_allclose(drawing.corners[0, -1], TRICLINIC.lattices[0].sum(0), atol=1e-5)
    assert drawing.edges.shape == (12, 2) and drawing.corners.shape == (1, 8, 3)


def test_an_atom_that_crosses_a_face_comes_in_through_the_opposite_one():
    x = np.linspace(0.9, 1.1, 21)
    trajectory = moving([[(value, 0.4, 0.6)] for value in x])
    drawing = draw_moving(trajectory)
    frac = drawing.positions @ np.linalg.inv(trajectory.first.lattices[0])
    assert drawing.positions.shape[1] == 3  # the atom, its image above and its image below
    assert frac[0, 0, 0] == pytest.approx(0.9, abs=1e-5)
    assert frac[-1, 0, 0] == pytest.approx(0.1, abs=1e-5)
    near = BOUNDARY / 3.7  # about the height along a
    for at, needed, value in zip(frac, drawing.needed, x, strict=True):
        places = sorted(at[needed][:, 0])
        assert len(places) == (2 if abs(value - 1) < near - 0.02 else len(places))
        if len(places) == 2:  # on both faces while it crosses
            assert places[1] - places[0] == pytest.approx(1, abs=1e-5)


def test_an_atom_at_rest_in_the_middle_has_no_image():
    drawing = draw_moving(moving([[(0.5, 0.5, 0.5)]] * 4))
    assert drawing.positions.shape == (4, 1, 3) and drawing.needed.all()


def test_a_bond_that_breaks_is_not_drawn():
    gap = [0.2, 0.3, 0.45]  # of 10 Å: bonded at 2 Å only
    trajectory = moving([[(0.3, 0.5, 0.5), (0.3 + g, 0.5, 0.5)] for g in gap], [11, 17], (10,) * 3)
    drawing = draw_moving(trajectory)
    assert drawing.bonds.tolist() == [[0, 1]]
    assert drawing.bonded[:, 0].tolist() == [True, True, False]
    assert len(drawing.at(0).bonds) == 1 and len(drawing.at(2).bonds) == 0


def test_a_hidden_image_has_no_bonds():
    drawing = draw_moving(random_trajectory(3, steps=12))
    for needed, bonded in zip(drawing.needed, drawing.bonded, strict=True):
        assert needed[drawing.bonds[bonded]].all()


def test_a_supercell_repeats_atoms_and_edges():
    one, eight = draw_still(TRICLINIC), draw_still(TRICLINIC, (2, 2, 2))
    assert (eight.source == 1).sum() == 8  # titanium in the middle
    lattice = TRICLINIC.lattices[0]
    middle = np.array([0.5, 0.5, 0.5]) + np.array(list(itertools.product((0, 1), repeat=3)))
    assert as_set(eight.positions[0, eight.source == 1]) == as_set(middle @ lattice)
    assert len(eight.edges) == 54 and eight.corners.shape == (1, 27, 3)
    assert eight.extent > 1.5 * one.extent
    assert eight.labels().count("Ti2") == 8 and set(eight.labels()) == set(one.labels())
    # written are those of the first cell alone, one for each atom
    assert one.labelled == len(one.source) > TRICLINIC.num_atoms[0] == eight.labelled
    assert eight.labels()[: eight.labelled] == ["Sr1", "Ti2", "O3", "O4", "O5"]
    home = eight.positions[0, : eight.labelled] @ np.linalg.inv(lattice)
    assert (home > -1e-5).all() and (home < 1).all()


def test_everything_lies_within_the_extent():
    drawing = draw_moving(random_trajectory(5))
    far = np.linalg.norm(drawing.positions - drawing.centres[:, None], axis=-1)
    assert (far + drawing.radii).max() <= drawing.extent + 1e-5
    corners = np.linalg.norm(drawing.corners - drawing.centres[:, None], axis=-1)
    assert corners.max() <= drawing.extent + 1e-5


@pytest.mark.parametrize("supercell", [(0, 1, 1), (1, 1), (1.5, 1, 1), (1, 1, -2)])
def test_a_supercell_that_is_none_is_refused(supercell):
    with pytest.raises(InputError, match="three whole numbers"):
        draw_still(TRICLINIC, supercell)


def test_a_supercell_too_large_to_draw_is_refused_with_its_size():
    with pytest.raises(InputError, match=f"holds 625 atoms; up to {MAX_ATOMS}"):
        draw_still(TRICLINIC, (5, 5, 5))


def test_several_crystals_are_refused():
    with pytest.raises(InputError, match="one crystal .* not 2"):
        draw_still(CrystalBatch.concatenate([TRICLINIC, TRICLINIC]))


def test_a_cell_without_volume_is_refused():
    with pytest.raises(InputError, match="zero volume"):
        draw_moving(moving([[(0, 0, 0)]], angles=(60, 60, 170)))


def test_an_open_type_is_drawn():
    drawing = draw_moving(moving([[(0.5, 0.5, 0.5), (0.2, 0.2, 0.2)]], [0, 8]))
    assert len(drawing.labels()) == 2 and drawing.radii[0, 0] > 0


# ---- species that change ------------------------------------------------------------------------


def test_colours_radii_and_labels_are_those_of_the_frame():
    drawing = draw_moving(changing())
    assert drawing.species_change and not draw_moving(random_trajectory(1)).species_change
    assert drawing.labels(2) == ["Na1", "Cl2", "X3"] and drawing.labels(3) == ["K1", "Cl2", "O3"]
    sizes = SPHERE * np.array([covalent_radii[[11, 17]], covalent_radii[[19, 17]]])
    np.testing.assert_allclose(drawing.radii[[0, 5], :2], sizes)
    assert drawing.radii[0, 2] == pytest.approx(SPHERE * OPEN_RADIUS)
    assert drawing.at(0).numbers.tolist() == [11, 17, 0]
    assert drawing.at(5).numbers.tolist() == [19, 17, 8]


def test_bonds_follow_the_species():
    drawing = draw_moving(changing())
    by_frame = [drawing.at(frame).bonds.tolist() for frame in range(6)]
    assert by_frame == [[[0, 1]]] * 3 + [[[0, 1], [0, 2]]] * 3  # an open species has no bonds


@pytest.mark.parametrize("seed", range(4))
def test_a_frame_of_changing_species_is_drawn_as_the_report_draws_that_crystal(seed):
    path = random_trajectory(seed)
    rng = np.random.default_rng(seed)
    numbers = rng.choice([0, 8, 22, 38, 56, 17], path.atomic_numbers.shape)
    path = Trajectory(**{**vars(path), "atomic_numbers": numbers})
    drawing = draw_moving(path)
    for frame in range(len(path)):
        mine, report = drawing.at(frame), draw(path.frame(frame))
        assert sorted(mine.numbers) == sorted(report.numbers)
        ends = [np.sort(np.sort(d.numbers[d.bonds], axis=1), axis=0) for d in (mine, report)]
        np.testing.assert_array_equal(*ends)


def test_images_and_copies_change_with_their_atom():
    path = changing()
    shifted = Trajectory(**{**vars(path), "frac_coords": path.frac_coords - [0.25, 0.5, 0.3]})
    drawing = draw_moving(shifted, (2, 1, 1))
    mine = drawing.source == 0
    assert mine.sum() > 2
    assert (drawing.numbers[0, mine] == 11).all() and (drawing.numbers[-1, mine] == 19).all()
