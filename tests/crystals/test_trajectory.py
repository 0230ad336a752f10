"""Trajectory: frames, crystals, joining, files."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError


def make(num_frames: int = 3, counts=(2, 1, 4), prefix: str = "c", seed: int = 0) -> Trajectory:
    rng = np.random.default_rng(seed)
    atoms, size = sum(counts), len(counts)
    return Trajectory(
        np.linspace(0, 1, num_frames),
        rng.random((num_frames, atoms, 3)),
        rng.uniform(3, 8, (num_frames, size, 3)),
        rng.uniform(70, 110, (num_frames, size, 3)),
        rng.integers(1, 90, atoms),
        counts,
        [f"{prefix}{k}" for k in range(size)],
    )


def same(a: Trajectory, b: Trajectory) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)


def test_frames_are_batches_of_all_crystals():
    path = make()
    assert len(path) == 3 and path.num_crystals == 3
    assert np.array_equal(path.frame(1).frac_coords, path.frac_coords[1])
    assert np.array_equal(path.first.lengths, path.lengths[0])
    assert np.array_equal(path.last.angles, path.angles[2])
    assert [len(frame) for frame in path] == [3, 3, 3]
    assert path.last.ids.tolist() == ["c0", "c1", "c2"]


def test_one_crystal_is_cut_out_with_its_atoms():
    path = make()
    third = path.crystal(2)
    assert third.num_atoms.tolist() == [4] and third.ids.tolist() == ["c2"]
    assert np.array_equal(third.frac_coords, path.frac_coords[:, 3:7])
    assert np.array_equal(third.last.lengths, path.last[2].lengths)
    assert same(path.crystal(-1), third)
    for index in (3, -4):
        with pytest.raises(InputError, match="holds 3"):
            path.crystal(index)


def test_crystals_put_together_again_are_the_trajectory():
    path = make()
    assert same(Trajectory.concatenate(path.crystal(k) for k in range(3)), path)
    assert same(path.select([2, 0]).crystal(1), path.crystal(0))
    with pytest.raises(InputError, match="different times"):
        Trajectory.concatenate([path, make(num_frames=4)])
    with pytest.raises(InputError, match="no trajectory"):
        Trajectory.concatenate([])


def test_frames_put_together_again_are_the_trajectory():
    path = make()
    assert same(Trajectory.from_frames(path.times, list(path)), path)
    renamed = path.last.replace(ids=["x", "y", "z"])
    with pytest.raises(InputError, match="ids"):
        Trajectory.from_frames([0, 1], [path.first, renamed])
    with pytest.raises(InputError, match="at least one"):
        Trajectory.from_frames([], [])


def test_coordinates_are_wrapped():
    path = make()
    moved = Trajectory(**{**vars(path), "frac_coords": path.frac_coords - 2})
    assert np.allclose(moved.frac_coords, path.frac_coords)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    path = make()
    path.save(tmp_path / "path.npz")
    assert same(Trajectory.load(tmp_path / "path.npz"), path)


def test_files_that_are_no_trajectory_are_named(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 broken")
    make().first.save(tmp_path / "crystals.npz")
    for name in ("broken.npz", "crystals.npz"):
        with pytest.raises(InputError, match=f"{name} is not a trajectory"):
            Trajectory.load(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        Trajectory.load(tmp_path / "absent.npz")


def test_extended_xyz_holds_every_frame_with_id_and_time(tmp_path):
    import ase.io

    path = make()
    path.to_extxyz(tmp_path / "path.xyz")
    images = ase.io.read(tmp_path / "path.xyz", ":")
    assert [(image.info["id"], image.info["t"]) for image in images] == [
        (f"c{k}", t) for k in range(3) for t in (0.0, 0.5, 1.0)
    ]
    last = path.crystal(2).last
    assert np.allclose(images[-1].get_scaled_positions(), last.frac_coords, atol=1e-6)
    assert np.allclose(images[-1].cell.cellpar(), [*last.lengths[0], *last.angles[0]], atol=1e-5)
    assert images[-1].numbers.tolist() == last.atomic_numbers.tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times": []}, "at least one frame"),
        ({"num_atoms": [2, 1, 3]}, "6 atoms"),
        ({"ids": ["a"]}, "1 ids"),
        ({"lengths": np.ones((3, 2, 3))}, "lengths has shape"),
        ({"angles": np.full((3, 3, 3), np.nan)}, "angles holds"),
        ({"frac_coords": np.full((3, 7, 3), np.inf)}, "frac_coords holds"),
    ],
)
def test_shapes_that_disagree_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        Trajectory(**{**vars(make()), **change})


def test_a_trajectory_of_no_crystals():
    empty = CrystalBatch.empty()
    path = Trajectory.from_frames([0.0, 1.0], [empty, empty])
    assert len(path) == 2 and len(path.last) == 0


# ---- species that change ------------------------------------------------------------------------


def changing() -> Trajectory:
    """Three crystals of `make`; the second atom becomes potassium, the last one is open first."""
    path = make()
    numbers = path.atomic_numbers.copy()
    numbers[1:, 1], numbers[0, -1] = 19, 0
    return Trajectory(**{**vars(path), "atomic_numbers": numbers})


def test_species_that_stay_are_given_once_and_kept_once():
    path = make()
    assert path.atomic_numbers.shape == (3, 7) and not path.species_change
    assert path.atomic_numbers.strides[0] == 0
    per_frame = Trajectory(**{**vars(path), "atomic_numbers": np.array(path.atomic_numbers)})
    assert same(per_frame, path) and per_frame.atomic_numbers.strides[0] == 0
    frame = path.frame(1)
    frame.atomic_numbers[0] = 1  # a frame is a batch of its own
    assert not path.species_change and path.frame(1).atomic_numbers[0] != 1


def test_every_frame_has_its_species():
    path = changing()
    assert path.species_change
    assert path.last.atomic_numbers[1] == 19 != path.first.atomic_numbers[1]
    assert path.first.atomic_numbers[-1] == 0 < path.last.atomic_numbers[-1]
    assert [f.atomic_numbers.tolist() for f in path] == path.atomic_numbers.tolist()
    assert not path.crystal(1).species_change
    third = path.crystal(2)
    assert np.array_equal(third.atomic_numbers, path.atomic_numbers[:, 3:])
    assert same(path.select([2, 0]).crystal(0), third)


def test_changing_species_survive_joining_frames_and_files(tmp_path):
    path = changing()
    assert same(Trajectory.concatenate(path.crystal(k) for k in range(3)), path)
    assert same(Trajectory.from_frames(path.times, list(path)), path)
    path.save(tmp_path / "path.npz")
    assert same(Trajectory.load(tmp_path / "path.npz"), path)


def test_files_with_one_species_for_each_atom_are_read_and_still_written(tmp_path):
    path = make()
    old = {**path.arrays(), "atomic_numbers": path.atomic_numbers[0]}
    np.savez_compressed(tmp_path / "old.npz", **old)
    assert same(Trajectory.load(tmp_path / "old.npz"), path)
    path.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as archive:
        assert archive["atomic_numbers"].shape == (7,)


def test_frames_of_other_sizes_are_refused():
    path = make()
    with pytest.raises(InputError, match="num_atoms differs"):
        Trajectory.from_frames([0, 1], [path.first, make(counts=(2, 2, 3)).first])


@pytest.mark.parametrize("shape", [(2, 7), (3, 1, 7), ()])
def test_species_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match="one species for each atom, or one for each of 3 frames"):
        Trajectory(**{**vars(make()), "atomic_numbers": np.ones(shape)})


def test_extended_xyz_has_the_species_of_each_frame_and_x_for_open_ones(tmp_path):
    import ase.io

    path = changing()
    path.to_extxyz(tmp_path / "path.xyz")
    images = ase.io.read(tmp_path / "path.xyz", ":")
    back = np.array([[*images[k].numbers, *images[3 + k].numbers, *images[6 + k].numbers]
                     for k in range(3)])  # fmt: skip
    assert np.array_equal(back, path.atomic_numbers)
    assert images[6].get_chemical_symbols()[-1] == "X"


def test_a_frame_with_an_open_species_has_no_cif():
    path = changing()
    assert len(path.last.to_cif()) == 3
    with pytest.raises(InputError, match=r"c2: the species of atom 4 is open \(X\)"):
        path.first.to_cif()
