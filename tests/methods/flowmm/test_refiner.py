"""From the base to crystals: exact velocities reach them, species are drawn or stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_volumes
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.manifolds import OpenCrystalState
from flowllm.manifolds.analog_bits import to_bits
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flowmm.cells import with_volume
from flowllm.methods.flowmm.path import OpenGeodesicPath, anti_annealed
from flowllm.methods.flowmm.refiner import FlowMMRefiner
from flowllm.methods.flowmm.settings import FlowMMSettings
from flowllm.methods.flowmm.velocity import OpenCrystalVelocity
from flowllm.metrics.validity import structural_validity
from flowllm.systems.testing import check_refiner
from tests.methods.flowmm.conftest import TINY, random_network

STEADY = FlowMMSettings(steps=8, csp_annealing=0.0, dng_annealing=0.0)


def drawn(base, like: CrystalBatch, open_species: bool) -> CrystalBatch:
    """A base with the species and sizes of some crystals, and with their ids."""
    numbers = like.atomic_numbers * (not open_species)
    start = base.put_many(numbers, like.num_atoms, np.random.default_rng(5))
    return start.replace(ids=like.ids)


class Oracle(OpenCrystalVelocity):
    """The exact conditional velocity towards known crystals, which come as one batch."""

    def __init__(self, targets: CrystalBatch, draws_species: bool) -> None:
        super().__init__(TINY, FlowStatistics.identity())
        types, coords, _ = (torch.from_numpy(part) for part in targets.padded())
        lengths, angles = (torch.from_numpy(x) for x in (targets.lengths, targets.angles))
        bits = to_bits(types) if draws_species else types[..., None][..., :0]
        self.end = OpenCrystalState(
            coords.float(), self.cell_map.to_flat(lengths, angles).float(), bits.float()
        )
        self.path: OpenGeodesicPath | None = None

    def forward(self, species, state, t, mask):
        """The constant velocity of the path that begins where the first call finds the crystals."""
        if self.path is None:
            self.path = OpenGeodesicPath(state, self.end, mask)
        return self.path.velocity()


@pytest.mark.parametrize("task", ["csp", "dng"])
def test_the_exact_velocity_reaches_the_crystals(crystals, base, task):
    targets = crystals[np.argsort(crystals.num_atoms, kind="stable")[::5]]
    start = drawn(base, targets, task == "dng")
    path = FlowMMRefiner({task: Oracle(targets, task == "dng")}).refine(start, STEADY)
    last = path.last
    assert np.array_equal(last.atomic_numbers, targets.atomic_numbers)
    assert np.allclose(last.lengths, targets.lengths, rtol=1e-4)
    assert np.allclose(last.angles, targets.angles, atol=0.02)
    for found, wanted in zip(last, targets, strict=True):
        gap = found.frac_coords - wanted.frac_coords
        gap = gap - gap[0]  # the mean of the motion is left out: equal but for a translation
        assert np.abs(gap - np.round(gap)).max() < 1e-4


def test_open_species_are_decided_on_the_way_and_given_ones_never_change(crystals, networks, base):
    refiner, settings = FlowMMRefiner(networks), FlowMMSettings(steps=12, record=True)
    known, unknown = drawn(base, crystals[:6], False), drawn(base, crystals[6:12], True)
    path = refiner.refine(CrystalBatch.concatenate([unknown, known]), settings, range(12))
    assert len(path) == 13
    parts: list[Trajectory] = [path.select(np.arange(6)), path.select(np.arange(6, 12))]
    assert (parts[0].atomic_numbers[0] == 0).all()
    assert (parts[0].atomic_numbers[1:] > 0).mean() > 0.5  # 28 of 128 indices stand for nothing
    assert (parts[0].atomic_numbers[1] != parts[0].atomic_numbers[-1]).any()
    assert not parts[1].species_change
    assert np.array_equal(parts[1].last.atomic_numbers, known.atomic_numbers)


def test_species_that_open_bits_begin_with_depend_on_the_crystals_own_seed(
    crystals, networks, base
):
    start = drawn(base, crystals[:8], True)
    refiner, settings = FlowMMRefiner(networks), FlowMMSettings(steps=2, batch_size=3)
    whole = refiner.refine(start, settings, range(8)).last
    alone = refiner.refine(start[5:6], settings, [5]).last
    other = refiner.refine(start[5:6], settings, [6]).last
    assert np.array_equal(whole[5].atomic_numbers, alone.atomic_numbers)
    assert not np.array_equal(other.atomic_numbers, alone.atomic_numbers)


@pytest.mark.parametrize("open_species", [False, True])
def test_it_keeps_the_promises_of_a_refiner(crystals, networks, base, tmp_path, open_species):
    task = "dng" if open_species else "csp"
    others = FlowMMRefiner({**networks, task: random_network(crystals, base, task, seed=1)})
    settings = FlowMMSettings(steps=3, csp_annealing=1.0, dng_annealing=1.0)
    start = drawn(base, crystals[:5], open_species)
    check_refiner(FlowMMRefiner(networks), tmp_path, start, settings, others)


def test_anti_annealing_hastens_the_coordinates_alone():
    ones = OpenCrystalState(torch.ones(1, 2, 3), torch.ones(1, 6), torch.ones(1, 2, 7))
    found = anti_annealed(lambda t, x: ones, 10.0)(0.5, ones)
    assert torch.equal(found.coords, torch.full((1, 2, 3), 6.0))
    assert torch.equal(found.cell, ones.cell) and torch.equal(found.bits, ones.bits)


def test_at_most_a_hundred_frames_are_kept(crystals, networks, base):
    start = drawn(base, crystals[:2], False)
    path = FlowMMRefiner(networks).refine(start, FlowMMSettings(steps=150, record=True))
    assert len(path) == 100


def test_angles_that_span_no_volume_become_a_cell_that_counts_as_invalid():
    lengths = np.array([[4.0, 5.0, 6.0], [4.0, 5.0, 6.0], [3.0, 3.0, 3.0]])
    angles = np.array([[120.1, 120.1, 120.1], [59.9, 59.9, 120.1], [90.0, 91.0, 100.0]])
    assert cell_volumes(lengths, angles)[:2].tolist() == [0, 0]
    found = with_volume(lengths, angles)
    assert np.array_equal(found[2], angles[2])
    assert cell_volumes(lengths, found)[:2] == pytest.approx(0.05)
    crystals = CrystalBatch(
        np.full(3, 11), np.zeros((3, 3)), lengths, found, np.ones(3), np.arange(3).astype(str)
    )
    assert structural_validity(crystals, self_images=False).tolist() == [False, False, True]


# ---- what cannot be done -------------------------------------------------------------------------


def test_a_task_without_a_network_is_refused(crystals, networks, base):
    for task, other, message in (
        ("dng", False, "a composition cannot be requested"),
        ("csp", True, "it needs a composition"),
    ):
        with pytest.raises(InputError, match=message):
            FlowMMRefiner({task: networks[task]}).refine(drawn(base, crystals[:2], other))
    with pytest.raises(InputError, match="at least one task"):
        FlowMMRefiner({})


def test_an_element_without_bits_is_named(crystals, networks, base):
    start = drawn(base, crystals[:2], False)
    start = start.replace(atomic_numbers=np.full(len(start.atomic_numbers), 103))
    with pytest.raises(
        InputError, match=f"{crystals.ids[0]}: FlowMM supports the elements 1 to 100"
    ):
        FlowMMRefiner(networks).refine(start)


def test_weights_of_another_kind_or_task_are_refused(networks, tmp_path):
    with pytest.raises(InputError, match="contains no network of FlowMM, in csp or dng/"):
        FlowMMRefiner.load(tmp_path)
    FlowMMRefiner({"csp": networks["csp"]}).save(tmp_path)
    (tmp_path / "csp").rename(tmp_path / "dng")
    with pytest.raises(InputError, match="a network for the other task, not for dng"):
        FlowMMRefiner.load(tmp_path)
    config = tmp_path / "dng" / "config.json"
    config.write_text(config.read_text().replace("flowllm-flowmm", "flowllm-flow"))
    with pytest.raises(InputError, match="does not describe a network of FlowMM"):
        FlowMMRefiner.load(tmp_path)


def test_sizes_that_are_not_those_of_the_weights_are_refused(networks, tmp_path):
    FlowMMRefiner({"csp": networks["csp"]}).save(tmp_path)
    config = tmp_path / "csp" / "config.json"
    text = config.read_text()
    for before, after, message in (
        ('"hidden": 16', '"hidden": 12', r"cell_head.weight is \(6, 16\)"),
        ('"layers": 2', '"layers": 10000000', "a larger network"),
    ):
        assert before in text
        config.write_text(text.replace(before, after))
        with pytest.raises(InputError, match=message):
            FlowMMRefiner.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"steps": 0}, "steps"), ({"solver": "heun"}, "unknown solver"), ({"record": 1}, "record"),
     ({"csp_annealing": -1.0}, "csp_annealing"), ({"dng_annealing": float("nan")}, "dng_annealing"),
     ({"batch_size": 0}, "batch_size")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        FlowMMSettings(**change)
