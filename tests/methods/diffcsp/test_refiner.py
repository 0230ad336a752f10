"""From noise to crystals: exact noise leads back to them, species are drawn or stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.diffcsp.schedule import schedule
from flowllm.methods.diffcsp.settings import DiffCSPSettings
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.systems.testing import check_refiner
from tests.methods.diffcsp.conftest import TINY, drawn, random_network


class Oracle(DiffCSPNet):
    """The exact noise and scores around known crystals, which come as one batch."""

    def __init__(self, targets: CrystalBatch) -> None:
        super().__init__(TINY)
        species, coords, _ = (torch.from_numpy(part) for part in targets.padded())
        self.coords, self.lattices = coords, torch.from_numpy(targets.lattices)
        self.vectors = one_hot((species - 1).clamp(min=0), 100).double()

    def forward(self, species, frac_coords, lattices, t, alpha_bar, mask):
        step = round(float(t[0]) * 1000)
        levels = schedule()
        signal = levels.alpha_bars[step]
        score = wrapped_score(frac_coords.double() - self.coords, float(levels.sigmas[step]))
        left = (1 - signal).sqrt()
        vectors = self.vectors if species.is_floating_point() else self.vectors[..., :0]
        noisy = species if species.is_floating_point() else vectors
        return (
            score / levels.score_norms[step] * mask[..., None],
            (lattices - signal.sqrt() * self.lattices) / left,
            (noisy - signal.sqrt() * vectors) / left,
        )


@pytest.mark.parametrize("task", ["csp", "dng"])
@pytest.mark.parametrize("steps", [1000, 50, 10])
def test_exact_noise_leads_to_the_crystals(crystals, task, steps):
    order = np.argsort(crystals.num_atoms, kind="stable")
    targets = crystals[order[:: 40 if steps == 1000 else 5]]
    start = drawn(targets, task == "dng")
    last = DiffCSPRefiner({task: Oracle(targets)}).refine(start, DiffCSPSettings(steps=steps)).last
    assert np.array_equal(last.atomic_numbers, targets.atomic_numbers)
    assert np.allclose(last.lengths, targets.lengths, rtol=1e-3)
    assert np.allclose(last.angles, targets.angles, atol=0.1)
    away = last.frac_coords - targets.frac_coords
    assert np.abs(away - np.round(away)).max() < 1e-3


@pytest.mark.parametrize("entry", ["raw", "scaled", "noised"])
def test_crystals_that_enter_on_the_way_arrive_in_each_way_of_entry(crystals, entry):
    targets = crystals[np.argsort(crystals.num_atoms, kind="stable")[::20]]
    settings = DiffCSPSettings(steps=200, entry=entry, record=True)
    path = DiffCSPRefiner({"csp": Oracle(targets)}).refine(targets, settings, start=0.5)
    away = path.last.frac_coords - targets.frac_coords
    assert np.abs(away - np.round(away)).max() < 1e-3
    assert np.allclose(path.last.lengths, targets.lengths, rtol=1e-3)
    assert path.times[0] == 0.5 and path.times[-1] == 1.0
    assert len(path) == 100  # of 101


def test_species_are_drawn_or_never_change(crystals, networks):
    refiner, settings = DiffCSPRefiner(networks), DiffCSPSettings(steps=12, record=True)
    known, unknown = drawn(crystals[:6], False), drawn(crystals[6:12], True)
    path = refiner.refine(CrystalBatch.concatenate([unknown, known]), settings, range(12))
    assert len(path) == 13
    parts = [path.select(np.arange(6)), path.select(np.arange(6, 12))]
    assert (parts[0].atomic_numbers[0] == 0).all()
    assert (parts[0].atomic_numbers[1:] >= 1).all() and (parts[0].atomic_numbers <= 100).all()
    assert not parts[1].species_change
    assert np.array_equal(parts[1].last.atomic_numbers, known.atomic_numbers)


def test_batches_and_chunks_change_nothing_and_seeds_do(crystals, networks):
    refiner = DiffCSPRefiner(networks)
    start = CrystalBatch.concatenate([drawn(crystals[:6], False), drawn(crystals[6:12], True)])
    whole = refiner.refine(start, DiffCSPSettings(steps=10, batch_size=64), range(12)).last
    small = refiner.refine(start, DiffCSPSettings(steps=10, batch_size=2), range(12)).last
    chunk = refiner.refine(start[4:9], DiffCSPSettings(steps=10), range(4, 9)).last
    other = refiner.refine(start[4:9], DiffCSPSettings(steps=10), range(5, 10)).last
    for found, wanted in ((small, whole), (chunk, whole[4:9])):
        assert np.array_equal(found.atomic_numbers, wanted.atomic_numbers)
        assert np.allclose(found.lengths, wanted.lengths, rtol=1e-3)
        away = found.frac_coords - wanted.frac_coords
        assert np.abs(away - np.round(away)).max() < 1e-3
    assert not np.allclose(other.lengths, chunk.lengths, rtol=0.01)


@pytest.mark.parametrize("open_species", [False, True])
def test_it_keeps_the_promises_of_a_refiner(crystals, networks, tmp_path, open_species):
    task = "dng" if open_species else "csp"
    others = DiffCSPRefiner({**networks, task: random_network(task, seed=1)})
    start = drawn(crystals[:5], open_species)
    check_refiner(DiffCSPRefiner(networks), tmp_path, start, DiffCSPSettings(steps=20), others)


@pytest.mark.parametrize("task", ["csp", "dng"])
def test_untrained_weights_give_crystals_with_a_volume(crystals, task):
    network = random_network(task, preconditioned=False)
    for head in (network.coord_head, network.lattice_head):
        torch.nn.init.zeros_(head.weight)  # noise is left in, and grows without a bound
    start = drawn(crystals[:20], task == "dng")
    last = DiffCSPRefiner({task: network}).refine(start, DiffCSPSettings(steps=20)).last
    assert np.isfinite(last.lengths).all() and (last.volumes > 0).all()


# ---- what cannot be done -------------------------------------------------------------------------


def test_weights_that_give_no_numbers_are_refused(crystals):
    network = random_network("csp")
    torch.nn.init.constant_(network.mix.weight, float("nan"))
    with pytest.raises(InputError, match="weights are damaged"):
        DiffCSPRefiner({"csp": network}).refine(drawn(crystals[:2], False))


def test_a_task_without_a_network_is_refused(crystals, networks):
    for task, other, message in (
        ("dng", False, "a composition cannot be asked for"),
        ("csp", True, "it needs a composition"),
    ):
        with pytest.raises(InputError, match=message):
            DiffCSPRefiner({task: networks[task]}).refine(drawn(crystals[:2], other))
    with pytest.raises(InputError, match="at least one task"):
        DiffCSPRefiner({})


def test_an_element_beyond_the_hundredth_is_named(crystals, networks):
    start = drawn(crystals[:2], False)
    start = start.replace(atomic_numbers=np.full(len(start.atomic_numbers), 103))
    with pytest.raises(InputError, match=f"{crystals.ids[0]}: DiffCSP knows the elements 1 to 100"):
        DiffCSPRefiner(networks).refine(start)


def test_weights_of_another_kind_task_or_size_are_refused(networks, tmp_path):
    with pytest.raises(InputError, match="holds no network of DiffCSP, in csp or dng/"):
        DiffCSPRefiner.load(tmp_path)
    DiffCSPRefiner({"csp": networks["csp"]}).save(tmp_path)
    config = tmp_path / "csp" / "config.json"
    text = config.read_text()
    for before, after, message in (
        ('"hidden": 16', '"hidden": 12', r"coord_head.weight is \(3, 16\)"),
        ('"layers": 2', '"layers": 10000000', "a larger network"),
        ("flowllm-diffcsp", "flowllm-flow", "does not describe a network of DiffCSP"),
    ):
        assert before in text
        config.write_text(text.replace(before, after))
        with pytest.raises(InputError, match=message):
            DiffCSPRefiner.load(tmp_path)
    config.write_text(text)
    (tmp_path / "csp").rename(tmp_path / "dng")
    with pytest.raises(InputError, match="a network of the other task, not of dng"):
        DiffCSPRefiner.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"steps": 0}, "steps"), ({"steps": 1001}, "steps"), ({"entry": "cold"}, "no entry"),
     ({"csp_gamma": -1.0}, "csp_gamma"), ({"dng_gamma": float("nan")}, "dng_gamma"),
     ({"record": 1}, "record"), ({"batch_size": 0}, "batch_size")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DiffCSPSettings(**change)
