"""From noise to crystals: exact denoisers reach them, species are drawn or stay, cells are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, cell_volumes
from flowllm.errors import InputError
from flowllm.manifolds.wrapped_normal import wrapped_score
from flowllm.methods.base.geometry import NormalLattice
from flowllm.methods.diffcsp.cells import written_cells
from flowllm.methods.diffcsp.refiner import DiffCSPRefiner
from flowllm.methods.diffcsp.schedule import schedule
from flowllm.methods.diffcsp.settings import DiffCSPSettings
from flowllm.metrics.validity import structural_validity
from flowllm.networks.diffcsp import DiffCSPNet
from flowllm.networks.diffcsp_settings import NUM_SPECIES
from flowllm.systems.testing import check_refiner
from tests.methods.diffcsp.conftest import TINY, random_network


def drawn(like: CrystalBatch, open_species: bool) -> CrystalBatch:
    """The end of the diffusion with the species and sizes of some crystals, and with their ids."""
    geometry = NormalLattice()
    parts = [
        geometry.put(one.atomic_numbers * (not open_species), seed) for seed, one in enumerate(like)
    ]
    return CrystalBatch.concatenate(parts).replace(ids=like.ids)


class Oracle(DiffCSPNet):
    """The exact noise of known crystals, which come as one batch."""

    def __init__(self, targets: CrystalBatch) -> None:
        super().__init__(TINY)
        species, coords, _ = (torch.from_numpy(part) for part in targets.padded())
        self.ends = coords, torch.from_numpy(targets.lattices)
        self.one_hot = torch.nn.functional.one_hot((species - 1).clamp(min=0), NUM_SPECIES)

    def forward(self, species, frac_coords, lattices, t, alpha_bar, mask):
        """What takes each part to its end."""
        step, levels = round(float(t[0]) * 1000), schedule()
        a = float(levels.alpha_bars[step])
        score = wrapped_score(frac_coords.double() - self.ends[0], float(levels.sigmas[step]))
        lattice = (lattices.double() - a**0.5 * self.ends[1]) / (1 - a) ** 0.5
        score = score / float(levels.score_norms[step]) * mask[..., None]
        if species.ndim == 2:
            return score, lattice, frac_coords[..., :0]
        return score, lattice, (species - a**0.5 * self.one_hot) / (1 - a) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1000, 30])
@pytest.mark.parametrize("open_species", [False, True])
def test_the_exact_noise_reaches_the_crystals(crystals, open_species, steps):
    targets = crystals[np.argsort(crystals.num_atoms, kind="stable")[::16]]
    refiner = DiffCSPRefiner({"dng" if open_species else "csp": Oracle(targets)})
    path = refiner.refine(drawn(targets, open_species), DiffCSPSettings(steps=steps))
    last = path.last
    assert np.array_equal(last.atomic_numbers, targets.atomic_numbers)
    assert np.allclose(last.lengths, targets.lengths, rtol=1e-3)
    assert np.allclose(last.angles, targets.angles, atol=0.1)
    gap = last.frac_coords - targets.frac_coords
    assert np.abs(gap - np.round(gap)).max() < 2e-3


def test_open_species_are_decided_on_the_way_and_given_ones_never_change(crystals, networks):
    refiner, settings = DiffCSPRefiner(networks), DiffCSPSettings(steps=12, record=True)
    known, unknown = drawn(crystals[:6], False), drawn(crystals[6:12], True)
    path = refiner.refine(CrystalBatch.concatenate([unknown, known]), settings, range(12))
    assert len(path) == 13
    parts = [path.select(np.arange(6)), path.select(np.arange(6, 12))]
    assert (parts[0].atomic_numbers[0] == 0).all()
    assert (parts[0].atomic_numbers[1:] > 0).all()
    assert (parts[0].atomic_numbers[1] != parts[0].atomic_numbers[-1]).any()
    assert not parts[1].species_change
    assert np.array_equal(parts[1].last.atomic_numbers, known.atomic_numbers)


@pytest.mark.parametrize("open_species", [False, True])
def test_a_crystal_depends_on_its_own_seed_and_not_on_how_the_work_is_cut(
    crystals, networks, open_species
):
    start, refiner = drawn(crystals[:8], open_species), DiffCSPRefiner(networks)
    whole = refiner.refine(start, DiffCSPSettings(steps=20, batch_size=3), range(8)).last
    halves = [
        refiner.refine(start[part], DiffCSPSettings(steps=20), seeds).last
        for part, seeds in ((slice(0, 4), range(4)), (slice(4, 8), range(4, 8)))
    ]
    cut = CrystalBatch.concatenate(halves)
    assert np.array_equal(whole.atomic_numbers, cut.atomic_numbers)
    assert np.allclose(whole.lengths, cut.lengths, atol=1e-7)
    gap = whole.frac_coords - cut.frac_coords
    assert np.abs(gap - np.round(gap)).max() < 1e-7
    other = refiner.refine(start[5:6], DiffCSPSettings(steps=20), [77]).last
    assert np.abs(other.lengths - whole[5].lengths).max() > 1e-2


def test_single_precision_gives_the_same_to_its_rounding(crystals, networks):
    start, refiner = drawn(crystals[:4], False), DiffCSPRefiner(networks)
    one, other = (
        refiner.refine(start, DiffCSPSettings(steps=4, single_precision=single)).last
        for single in (False, True)
    )
    assert np.abs(one.lengths - other.lengths).max() > 1e-12
    assert np.allclose(one.lengths, other.lengths, atol=1e-3)
    assert next(refiner.networks["csp"].parameters()).dtype == torch.float32


@pytest.mark.parametrize("open_species", [False, True])
def test_it_keeps_the_promises_of_a_refiner(crystals, networks, tmp_path, open_species):
    task = "dng" if open_species else "csp"
    others = DiffCSPRefiner({**networks, task: random_network(task, seed=1)})
    start = drawn(crystals[:5], open_species)
    check_refiner(DiffCSPRefiner(networks), tmp_path, start, DiffCSPSettings(steps=6), others)


@pytest.mark.slow
def test_frames_are_labelled_by_the_share_of_the_noise_that_is_gone(crystals, networks):
    refiner, start = DiffCSPRefiner(networks), drawn(crystals[:2], False)
    path = refiner.refine(start, DiffCSPSettings(steps=4, record=True), start=0.5)
    assert path.times.tolist() == [0.5, 0.75, 1.0]
    path = refiner.refine(start, DiffCSPSettings(steps=120, record=True))
    assert len(path) == 100 and path.times[0] == 0 and path.times[-1] == 1
    path = refiner.refine(start, DiffCSPSettings(steps=120, record=7))
    assert len(path) == 7
    assert len(refiner.refine(start, DiffCSPSettings(steps=120, record=180))) == 100


@pytest.mark.parametrize("entry", ["raw", "scaled", "noised"])
def test_crystals_that_enter_on_the_way_are_kept_as_given_in_the_first_frame(crystals, entry):
    targets = crystals[np.argsort(crystals.num_atoms, kind="stable")[:12]]
    refiner = DiffCSPRefiner({"csp": Oracle(targets)})
    settings = DiffCSPSettings(steps=100, entry=entry, record=True)
    path = refiner.refine(targets, settings, start=0.7)
    assert path.times[0] == 0.7 and np.array_equal(path.first.lengths, targets.lengths)
    assert np.array_equal(path.first.frac_coords, targets.frac_coords)
    assert np.allclose(path.last.lengths, targets.lengths, rtol=1e-3)


def test_volumes_after_the_first_step_tell_the_ways_to_enter_apart(crystals):
    targets = crystals[crystals.num_atoms > 4][:16]
    refiner = DiffCSPRefiner({"csp": Oracle(targets)})
    signal = float(schedule().alpha_bars[500])
    found = {}
    for entry in ("raw", "scaled", "noised"):
        settings = DiffCSPSettings(steps=200, entry=entry, record=True)
        path = refiner.refine(targets, settings, start=0.5)
        found[entry] = np.median(path.frame(1).volumes / targets.volumes)
    # the exact noise takes a raw cell, larger than those of its level, back within the first steps
    assert found["raw"] > 1.2 * found["scaled"]
    assert found["scaled"] == pytest.approx(signal**1.5, rel=0.2)


# ---- cells ---------------------------------------------------------------------------------------


def test_ordinary_cells_are_written_as_they_are():
    matrices = np.random.default_rng(0).standard_normal((50, 3, 3)) + 4 * np.eye(3)
    lengths, angles = written_cells(matrices)
    expected = cell_parameters(matrices)
    assert np.array_equal(lengths, expected[0]) and np.array_equal(angles, expected[1])


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 3)),
        np.ones((3, 3)),
        np.array([[5.0, 0, 0], [0, 5.0, 0], [5.0, 5.0, 1e-9]]),
        np.array([[1e3, 0, 0], [1e3, 1e-4, 0], [0, 0, 1e-7]]),
        np.full((3, 3), -1e3),
    ],
)
def test_flat_cells_are_written_with_a_volume(matrix):
    lengths, angles = written_cells(matrix[None])
    assert np.isfinite(lengths).all() and (lengths > 0).all()
    assert cell_volumes(lengths, angles)[0] > 1e-7 * lengths.prod()


class Flattening(DiffCSPNet):
    """Predicts whatever noise makes the cell flat, or too large for any number."""

    def __init__(self, factor: float) -> None:
        super().__init__(TINY)
        self.factor = factor

    def forward(self, species, frac_coords, lattices, t, alpha_bar, mask):
        """Noise along one direction."""
        noise = lattices * (1 - alpha_bar[:, None, None]).rsqrt()
        noise[:, :, 2] *= self.factor
        return torch.zeros_like(frac_coords), noise, frac_coords[..., :0]


@pytest.mark.parametrize("factor", [1.0, -1e6, 1e6])
def test_a_diffusion_that_goes_astray_ends_in_crystals_that_can_be_read(crystals, factor):
    refiner = DiffCSPRefiner({"csp": Flattening(factor)})
    start = drawn(crystals[:4], False)
    path = refiner.refine(start, DiffCSPSettings(steps=50, record=True))
    last = path.last
    assert (last.volumes > 0).all() and np.isfinite(last.lengths).all()
    assert len(last.to_pymatgen()) == 4 and len(last.to_cif()) == 4
    assert structural_validity(last).any() == (factor != 1.0)  # shrunk to nothing, or huge


def test_weights_that_give_no_numbers_are_called_damaged(crystals):
    network = random_network("csp")
    torch.nn.init.constant_(network.coord_head.weight, float("nan"))
    with pytest.raises(InputError, match="not finite"):
        DiffCSPRefiner({"csp": network}).refine(drawn(crystals[:2], False))


# ---- what cannot be done -------------------------------------------------------------------------


def test_a_task_without_a_network_is_refused(crystals, networks):
    for task, other, message in (
        ("dng", False, "a composition cannot be requested"),
        ("csp", True, "it needs a composition"),
    ):
        with pytest.raises(InputError, match=message):
            DiffCSPRefiner({task: networks[task]}).refine(drawn(crystals[:2], other))
    with pytest.raises(InputError, match="at least one task"):
        DiffCSPRefiner({})


def test_an_element_beyond_the_hundredth_is_named(crystals, networks):
    start = drawn(crystals[:2], False)
    start = start.replace(atomic_numbers=np.full(len(start.atomic_numbers), 103))
    with pytest.raises(
        InputError, match=f"{crystals.ids[0]}: DiffCSP supports the elements 1 to 100"
    ):
        DiffCSPRefiner(networks).refine(start)


def test_weights_of_another_kind_or_task_are_refused(networks, tmp_path):
    with pytest.raises(InputError, match="contains no network of DiffCSP, in csp or dng/"):
        DiffCSPRefiner.load(tmp_path)
    DiffCSPRefiner({"csp": networks["csp"]}).save(tmp_path)
    (tmp_path / "csp").rename(tmp_path / "dng")
    with pytest.raises(InputError, match="a network for the other task, not for dng"):
        DiffCSPRefiner.load(tmp_path)
    config = tmp_path / "dng" / "config.json"
    config.write_text(config.read_text().replace("flowllm-diffcsp", "flowllm-flow"))
    with pytest.raises(InputError, match="does not describe a network of DiffCSP"):
        DiffCSPRefiner.load(tmp_path)


def test_sizes_that_are_not_those_of_the_weights_are_refused(networks, tmp_path):
    DiffCSPRefiner({"csp": networks["csp"]}).save(tmp_path)
    config = tmp_path / "csp" / "config.json"
    text = config.read_text()
    for before, after, message in (
        ('"hidden": 16', '"hidden": 12', r"coord_head.weight is \(3, 16\)"),
        ('"layers": 2', '"layers": 10000000', "a larger network"),
    ):
        assert before in text
        config.write_text(text.replace(before, after))
        with pytest.raises(InputError, match=message):
            DiffCSPRefiner.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"steps": 0}, "steps"), ({"steps": 1001}, "steps"), ({"steps": True}, "steps"),
     ({"entry": "late"}, "unknown entry"), ({"record": 1}, "record"),
     ({"csp_gamma": -1.0}, "csp_gamma"),
     ({"dng_gamma": float("nan")}, "dng_gamma"), ({"batch_size": 0}, "batch_size")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        DiffCSPSettings(**change)
