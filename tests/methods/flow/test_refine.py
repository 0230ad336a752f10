"""FlowRefiner: what it keeps, in what order, and folders that are broken."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.flow import FlowRefiner, RefineSettings
from flowllm.methods.flow.statistics import FlowStatistics
from flowllm.methods.flow.velocity import CrystalVelocity
from flowllm.networks.settings import VelocityConfig
from flowllm.systems.watch import Watch


@pytest.fixture
def refiner(small_velocity):
    return FlowRefiner(small_velocity, device="cpu")


def torus_difference(a, b):
    return np.abs((a - b) - np.round(a - b)).max()


def test_types_sizes_ids_and_order_stay(refiner, real_crystals):
    crystals = real_crystals[[5, 90, 3, 17, 44]]
    path = refiner.refine(crystals, RefineSettings(steps=4))
    for name in ("atomic_numbers", "num_atoms", "ids"):
        assert np.array_equal(getattr(path.last, name), getattr(crystals, name))
    assert path.times.tolist() == [0.0, 1.0]
    assert np.array_equal(path.first.frac_coords, crystals.frac_coords)
    assert np.array_equal(path.first.lengths, crystals.lengths)
    assert np.array_equal(path.first.angles, crystals.angles)
    assert torus_difference(path.last.frac_coords, crystals.frac_coords) > 1e-3
    assert np.abs(path.last.lengths - crystals.lengths).max() > 1e-3


def test_the_result_does_not_depend_on_the_split(refiner, real_crystals):
    crystals = real_crystals[:25]
    settings = [RefineSettings(steps=6, batch_size=size) for size in (1, 7, 100)]
    results = [refiner.refine(crystals, s).last for s in settings]
    results.append(CrystalBatch.concatenate(refiner.refine(c, settings[0]).last for c in crystals))
    for other in results[1:]:
        assert torus_difference(results[0].frac_coords, other.frac_coords) < 1e-5
        assert np.allclose(results[0].lengths, other.lengths, atol=1e-4)
        assert np.allclose(results[0].angles, other.angles, atol=1e-3)


def test_refining_twice_gives_the_same_bits(refiner, real_crystals):
    first, second = (
        refiner.refine(real_crystals[:10], RefineSettings(steps=3)).last for _ in range(2)
    )
    assert np.array_equal(first.frac_coords, second.frac_coords)
    assert np.array_equal(first.lengths, second.lengths)


@pytest.mark.parametrize(
    ("record", "times"),
    [
        (False, [0, 1]),
        (True, [0, 0.25, 0.5, 0.75, 1]),
        (3, [0, 0.5, 1]),
        (2, [0, 1]),
        (99, [0, 0.25, 0.5, 0.75, 1]),
    ],
)
def test_frames_that_are_kept(refiner, real_crystals, record, times):
    path = refiner.refine(real_crystals[:3], RefineSettings(steps=4, record=record))
    assert path.times.tolist() == times
    full = refiner.refine(real_crystals[:3], RefineSettings(steps=4))
    assert np.array_equal(path.last.frac_coords, full.last.frac_coords)


def test_anti_annealing_leaves_an_isolated_cell_velocity_alone(real_crystals):
    """With a network that predicts no motion, only the mean velocity of the cell is left."""
    statistics = FlowStatistics((1.6,) * 6, (0.3,) * 6, (0.05,) * 3 + (0.0,) * 3, (0.1,) * 6, 0.1)
    still = CrystalVelocity(VelocityConfig(hidden=8, layers=1, time_dim=4), statistics)
    refiner = FlowRefiner(still)
    crystals = real_crystals[:5]
    path = refiner.refine(crystals, RefineSettings(steps=3, anti_annealing=5.0))
    assert torus_difference(path.last.frac_coords, crystals.frac_coords) < 1e-6
    assert np.allclose(path.last.volumes, crystals.volumes * np.exp(0.15), rtol=1e-4)
    assert np.allclose(path.last.angles, crystals.angles, atol=1e-2)


def test_finished_crystals_add_up_to_all(refiner, real_crystals):
    seen = []
    watch = Watch(on_finished=seen.append)
    settings = RefineSettings(steps=1, batch_size=4)
    refiner.refine(real_crystals[:9], settings, watch=watch)
    assert seen == [4, 4, 1]


def test_no_crystals_give_no_crystals(refiner):
    path = refiner.refine(CrystalBatch.empty(), RefineSettings(steps=2))
    assert len(path.last) == 0


def test_an_open_type_passes_and_an_unknown_one_does_not(refiner, real_crystals):
    crystal = real_crystals[:1]
    opened = crystal.replace(atomic_numbers=np.zeros_like(crystal.atomic_numbers))
    assert (refiner.refine(opened, RefineSettings(steps=1)).last.atomic_numbers == 0).all()
    with pytest.raises(InputError, match=f"{crystal.ids[0]}.*type 119"):
        refiner.refine(crystal.replace(atomic_numbers=np.full_like(crystal.atomic_numbers, 119)))


def test_a_flat_cell_is_named(refiner, real_crystals):
    flat = real_crystals[:2].replace(angles=[[90, 90, 90], [60, 60, 150]], ids=["good", "flat"])
    with pytest.raises(InputError, match="flat"):
        refiner.refine(flat)


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"solver": "heun"}, {"anti_annealing": -1.0}, {"record": 1}, {"batch_size": 0}],
)
def test_bad_settings_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        RefineSettings(**change)


def test_saved_and_loaded_it_is_the_same_flow(refiner, real_crystals, tmp_path):
    refiner.save_pretrained(tmp_path / "whole", half=False)
    refiner.save_pretrained(tmp_path / "half")
    settings = RefineSettings(steps=5)
    expected = refiner.refine(real_crystals[:8], settings).last
    whole = (
        FlowRefiner.from_pretrained(tmp_path / "whole", "cpu")
        .refine(real_crystals[:8], settings)
        .last
    )
    assert np.array_equal(whole.frac_coords, expected.frac_coords)
    half = (
        FlowRefiner.from_pretrained(tmp_path / "half", "cpu")
        .refine(real_crystals[:8], settings)
        .last
    )
    assert torus_difference(half.frac_coords, expected.frac_coords) < 1e-2
    sizes = [(tmp_path / n / "model.safetensors").stat().st_size for n in ("half", "whole")]
    assert sizes[0] < 0.6 * sizes[1]
    assert {p.name for p in (tmp_path / "half").iterdir()} == {"config.json", "model.safetensors"}


def break_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:500])


BREAKS = {
    "no config": (lambda f: (f / "config.json").unlink(), "contains no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "contains no model.safetensors"),
    "cut weights": (cut_weights, "model.safetensors is corrupt"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), "not readable JSON"),
    "foreign": (lambda f: break_config(f, format="llama"), "does not describe a flow"),
    "version": (lambda f: break_config(f, version=9), "version 9"),
    "list": (lambda f: (f / "config.json").write_text("[]"), "contains no settings"),
    "bad size": (lambda f: break_config(f, network={"hidden": -3}), "hidden"),
    "other size": (lambda f: break_config(f, network={"hidden": 8}), "not a flow"),
    "unknown key": (lambda f: break_config(f, network={"depth": 8}), "network: depth is not known"),
    "no statistics": (lambda f: break_config(f, statistics={}), "cell_mean is missing"),
    "bad statistics": (
        lambda f: break_config(
            f, statistics={**FlowStatistics.identity().to_dict(), "coord_velocity_std": 0}
        ),
        "coord_velocity_std",
    ),
}


@pytest.mark.parametrize(("damage", "words"), BREAKS.values(), ids=BREAKS)
def test_a_broken_folder_is_named_with_what_is_wrong(refiner, tmp_path, damage, words):
    folder = tmp_path / "my-flow"
    refiner.save_pretrained(folder)
    damage(folder)
    with pytest.raises(InputError, match=f"my-flow.*{words}"):
        FlowRefiner.from_pretrained(folder, "cpu")


def test_weights_that_are_not_finite_are_refused(refiner, tmp_path):
    with torch.no_grad():
        refiner.velocity.net.coord_head.weight[0, 0] = float("nan")
    refiner.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="coord_head"):
        FlowRefiner.from_pretrained(tmp_path, "cpu")


def test_a_missing_folder_is_named():
    with pytest.raises(InputError, match="no weights folder"):
        FlowRefiner.from_pretrained("/nowhere/at/all")
