"""Curves along a trajectory, against known answers and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.distances import shortest_distances
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm_widgets.shared.background import Cancelled
from flowllm_widgets.trajectory.data import (
    FRAMES_TOGETHER,
    EnergyCurve,
    describe,
    energy_curve,
    frames_as_batch,
    make_curves,
)
from tests.widgets.trajectory_samples import Springs, straight, triclinic, two_crystals

ONE_MOVES = ([[0, 0, 0], [0.5, 0.5, 0.5]], [[0, 0, 0], [0.2, 0, 0]])


def random_walk(seed: int, atoms: int, frames: int, step: float) -> Trajectory:
    """Frames that each differ from the one before by a random step of every atom."""
    rng = np.random.default_rng(seed)
    coords = rng.random((1, atoms, 3)) + rng.normal(0, step, (frames, atoms, 3)).cumsum(0)
    lengths = 5.0 + rng.random((frames, 1, 3))
    angles = 80.0 + 20.0 * rng.random((frames, 1, 3))
    return Trajectory(
        np.linspace(0, 1, frames), coords, lengths, angles, [6] * atoms, [atoms], ["walk"]
    )


# ---- distances and volumes -----------------------------------------------------------------------


def test_shortest_distance_counts_the_images_of_an_atom_itself():
    alone = straight([[0.3, 0.3, 0.3]], [[0, 0, 0]], (3.0, 4.0, 5.0), numbers=[29])
    assert make_curves(alone).shortest_distance == pytest.approx(3.0)


def test_shortest_distance_of_caesium_chloride_is_half_the_diagonal():
    curves = make_curves(straight(*ONE_MOVES, (4.0, 4.0, 4.0)))
    assert curves.shortest_distance[0] == pytest.approx(2 * np.sqrt(3))


def test_densest_packing_is_found_although_no_distance_is_longer_than_the_bound():
    side = 2.55  # copper: the primitive cell of fcc, one atom
    fcc = straight([[0, 0, 0]], [[0, 0, 0]], (side,) * 3, (60.0,) * 3, numbers=[29])
    assert make_curves(fcc).shortest_distance == pytest.approx(side)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_shortest_distance_equals_that_of_a_wide_search(seed, atoms):
    walk = random_walk(seed, atoms, 3, 0.05)
    wide = shortest_distances(frames_as_batch(walk), 8.0)
    assert make_curves(walk).shortest_distance == pytest.approx(wide)


def test_volume_grows_as_the_cell_does():
    curves = make_curves(straight(*ONE_MOVES, growth=0.3))
    assert curves.volume == pytest.approx(120.0 * np.exp(0.9 * curves.times))
    assert curves.volume_per_atom == pytest.approx(curves.volume / 2)


def test_a_frame_without_volume_has_no_distance_and_the_others_keep_theirs():
    way = straight(*ONE_MOVES, frames=3)
    angles = way.angles.copy()
    angles[1] = [60.0, 60.0, 120.0]
    flat = Trajectory(way.times, way.frac_coords, way.lengths, angles, [11, 17], [2], ["flat"])
    curves = make_curves(flat)
    assert np.isnan(curves.shortest_distance).tolist() == [False, True, False]
    assert curves.volume[1] == pytest.approx(0, abs=1e-4)
    assert "no volume" in describe(flat, curves, 1)


# ---- speeds and path -----------------------------------------------------------------------------


def test_speed_is_that_of_the_flow_less_the_common_translation():
    curves = make_curves(straight(*ONE_MOVES))
    assert curves.atom_speed == pytest.approx(0.1)  # each atom 0.1 from the mean, one each way
    assert curves.atom_speed_cartesian == pytest.approx(0.4)  # a is 4 Å


def test_speed_holds_until_the_last_frame():
    way = straight(*ONE_MOVES)
    faster = way.frac_coords.copy()
    faster[6:, 1, 0] += 0.1
    curves = make_curves(
        Trajectory(way.times, faster, way.lengths, way.angles, [11, 17], [2], ["x"])
    )
    assert np.argmax(curves.atom_speed) == 5  # the frame before the jump
    assert curves.atom_speed[-1] == curves.atom_speed[-2]


def test_an_atom_that_crosses_a_face_makes_no_jump():
    curves = make_curves(straight([[0, 0, 0], [0.95, 0.5, 0.5]], [[0, 0, 0], [0.2, 0, 0]]))
    assert curves.atom_speed == pytest.approx(0.1)
    assert curves.path_length[-1] == pytest.approx(0.1)


def test_lattice_speed_of_a_growing_cell_is_the_logarithm_of_its_stretch():
    curves = make_curves(straight(*ONE_MOVES, growth=0.3))
    assert curves.lattice_speed == pytest.approx(0.3 * np.sqrt(3))


def test_lattice_at_rest_has_no_speed():
    assert make_curves(straight(*ONE_MOVES)).lattice_speed == pytest.approx(0)


def test_a_straight_path_is_as_long_as_the_geodesic():
    curves = make_curves(triclinic())
    assert curves.path_length == pytest.approx(curves.geodesic_length)


def test_a_path_there_and_back_has_length_and_leads_nowhere():
    way = straight(*ONE_MOVES, frames=11)
    back = np.concatenate([way.frac_coords, way.frac_coords[-2::-1]])
    times, shape = np.linspace(0, 1, 21), (21, 1, 3)
    lengths, angles = np.broadcast_to(4.0, shape), np.broadcast_to(90.0, shape)
    curves = make_curves(Trajectory(times, back, lengths, angles, [11, 17], [2], ["back"]))
    assert curves.path_length[-1] == pytest.approx(0.2)
    assert curves.geodesic_length[-1] == pytest.approx(0, abs=1e-12)


def test_where_nothing_moves_paths_have_no_length():
    still = straight([[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)))
    curves = make_curves(still)
    assert curves.path_length[-1] == 0 and curves.geodesic_length[-1] == 0


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4), st.sampled_from([0.02, 0.2, 0.6]))
def test_no_path_is_shorter_than_the_geodesic(seed, atoms, step):
    curves = make_curves(random_walk(seed, atoms, 8, step))
    assert (curves.geodesic_length <= curves.path_length + 1e-9).all()
    assert (np.diff(curves.path_length) >= 0).all()


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_moving_the_whole_crystal_in_each_frame_changes_no_curve(seed):
    walk = random_walk(seed, 3, 6, 0.03)
    shift = np.random.default_rng(seed + 1).normal(0, 0.05, (6, 1, 3)).cumsum(0)
    moved = Trajectory(
        walk.times, walk.frac_coords + shift, walk.lengths, walk.angles, [6] * 3, [3], ["walk"]
    )
    one, other = make_curves(walk), make_curves(moved)
    for name in ("shortest_distance", "atom_speed", "path_length", "geodesic_length"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-9)


def test_path_is_the_integral_of_the_speed():
    curves = make_curves(random_walk(3, 4, 20, 0.02))
    integral = np.cumsum(curves.atom_speed[:-1] * np.diff(curves.times))
    assert curves.path_length[1:] == pytest.approx(integral)


# ---- odd input -----------------------------------------------------------------------------------


def test_a_single_frame_has_no_speed_and_no_path():
    curves = make_curves(straight(*ONE_MOVES, frames=1))
    assert np.isnan(curves.atom_speed).all() and np.isnan(curves.lattice_speed).all()
    assert curves.path_length.tolist() == [0] and np.isfinite(curves.shortest_distance).all()


def test_frames_at_one_time_have_no_speed():
    way = straight(*ONE_MOVES, frames=3)
    curves = make_curves(
        Trajectory([0, 0, 1], way.frac_coords, way.lengths, way.angles, [11, 17], [2], ["x"])
    )
    assert np.isnan(curves.atom_speed[0]) and np.isfinite(curves.atom_speed[1])


def test_several_crystals_are_refused():
    with pytest.raises(InputError, match="the trajectory has 2"):
        make_curves(two_crystals())


def test_a_crystal_without_atoms_is_refused_by_its_id():
    frames = np.full((2, 1, 3), 4.0)
    empty = Trajectory([0, 1], np.zeros((2, 0, 3)), frames, 20 * frames, [], [0], ["void"])
    with pytest.raises(InputError, match="void: it has no atoms"):
        make_curves(empty)


def test_frames_as_batch_keep_their_order():
    way = triclinic(4)
    batch = frames_as_batch(way)
    assert isinstance(batch, CrystalBatch) and batch.ids.tolist() == ["0", "1", "2", "3"]
    for k in range(4):
        assert batch[k].frac_coords == pytest.approx(way.frame(k).frac_coords)
        assert batch.lengths[k] == pytest.approx(way.lengths[k, 0])


def test_the_line_of_a_frame_names_formula_atoms_time_distance_and_volume():
    way = straight(*ONE_MOVES, (4.0, 4.0, 4.0))
    assert describe(way, make_curves(way), 0) == (
        "NaCl · 2 atoms · t = 0.00, frame 1 of 11 · shortest distance 3.46 Å · volume 64.0 Å³"
    )


def test_the_line_of_an_open_type_says_so():
    way = straight([[0, 0, 0]], [[0, 0, 0]], numbers=[0])
    assert describe(way, make_curves(way), 0).startswith("open types · 1 atom ·")


# ---- energies ------------------------------------------------------------------------------------


def test_energies_are_per_atom_and_in_the_order_of_the_frames():
    way = triclinic(10)
    curve = energy_curve(way, potential=Springs())
    assert curve.energies == pytest.approx(make_curves(way).volume / 3)
    assert curve.reasons == ("",) * 10 and curve.fault == ""


def test_energies_come_a_few_frames_at_a_time():
    seen, springs = [], Springs()
    energy_curve(
        triclinic(10), lambda c, done: seen.append((np.isfinite(c.energies).sum(), done)), springs
    )
    assert seen == [(4, 4), (8, 8), (10, 10)] and springs.calls == [4, 4, 2]
    assert max(springs.calls) == FRAMES_TOGETHER


def test_energies_end_when_the_progress_says_so():
    springs = Springs()

    def stop(curve, done):
        raise Cancelled

    with pytest.raises(Cancelled):
        energy_curve(triclinic(10), stop, springs)
    assert len(springs.calls) == 1


def test_a_curve_handed_out_does_not_change_afterwards():
    seen = []
    energy_curve(triclinic(8), lambda curve, _: seen.append(curve), Springs())
    assert np.isnan(seen[0].energies[4:]).all() and np.isfinite(seen[1].energies).all()


def test_a_frame_without_volume_has_no_energy_and_says_why():
    way = straight(*ONE_MOVES, frames=3)
    angles = way.angles.copy()
    angles[1] = [40.0, 40.0, 100.0]  # no such corner exists
    flat = Trajectory(way.times, way.frac_coords, way.lengths, angles, [11, 17], [2], ["flat"])
    curve = energy_curve(flat, potential=Springs())
    assert np.isfinite(curve.energies).tolist() == [True, False, True]
    assert curve.fault == "no energy for frame 2: its cell has zero volume"


def test_frames_that_the_potential_refuses_are_named_by_the_first():
    curve = energy_curve(triclinic(5), potential=Springs("atoms lie on top of each other"))
    assert np.isnan(curve.energies).all()
    assert curve.fault == "no energy for 5 frames, the first 1: atoms lie on top of each other"


def test_no_fault_of_a_curve_that_is_not_finished():
    assert EnergyCurve(np.array([1.0, np.nan]), ("", "")).fault == ""


@pytest.mark.slow
def test_chgnet_finds_rock_salt_most_stable_near_its_lattice_constant():
    primitive = straight(
        [[0, 0, 0], [0.5, 0.5, 0.5]], np.zeros((2, 3)), (3.4,) * 3, (60.0,) * 3, frames=7,
        growth=0.3,
    )  # fmt: skip
    curve = energy_curve(primitive)
    assert curve.fault == "" and 1 <= np.argmin(curve.energies) <= 5
    best = 3.4 * np.exp(0.3 * np.argmin(curve.energies) / 6)
    assert best == pytest.approx(5.64 / np.sqrt(2), rel=0.06)
    assert -3.8 < curve.energies.min() < -3.0
