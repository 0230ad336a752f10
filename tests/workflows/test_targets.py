"""Crystal structure prediction by generate and evaluate: compositions, ids, resuming."""

from __future__ import annotations

import numpy as np
import pytest

from flowllm.bench.memory import peak_memory_mb
from flowllm.conditions.request import Request
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.inputs import read_inputs
from flowllm.methods.flow.settings import RefineSettings
from flowllm.metrics.prediction import targets_from_ids
from flowllm.workflows.generate import generate_run
from flowllm.workflows.settings import GenerateSettings


@pytest.fixture
def no_page(monkeypatch):
    target = "flowllm.workflows.results.write_report"
    monkeypatch.setattr(target, lambda page, **_: page.write_text("page"))


def settings_for(data, **changed):
    values = {"num": 3, "refinement": RefineSettings(steps=1), "part_size": 2, **changed}
    return GenerateSettings(targets=str(data), **values)


def test_each_target_gives_its_composition_and_its_id(system, prepared, tmp_path, no_page):
    made = generate_run(system, settings_for(prepared), tmp_path / "run")
    truth = load_dataset(prepared, "test").crystals
    place = {str(name): row for row, name in enumerate(truth.ids)}
    rows = [place[str(name)] for name in made.refined.ids]
    assert rows == sorted(set(rows)) and len(rows) == min(3, len(truth))
    assert made.refined.compositions == truth[np.array(rows)].compositions
    assert made.prior.ids.tolist() == made.refined.ids.tolist()
    path = Trajectory.load(tmp_path / "run" / "trajectories.npz")
    assert path.ids.tolist() == made.refined.ids.tolist()
    for folder in ("", "prior"):  # evaluate takes both states, and knows the targets by the ids
        inputs = read_inputs(tmp_path / "run" / folder)
        target, attempt = targets_from_ids(inputs.ids, truth.ids)
        assert sorted(target.tolist()) == rows and not attempt.any()


def test_a_run_goes_on_under_the_same_ids(system, prepared, tmp_path, no_page):
    whole = generate_run(system, settings_for(prepared), tmp_path / "run")
    (tmp_path / "run" / "parts" / "000002.npz").unlink(missing_ok=True)
    again = generate_run(system, settings_for(prepared), tmp_path / "run")
    assert again.refined.ids.tolist() == whole.refined.ids.tolist()
    with pytest.raises(InputError, match="seed is 0 there and 1 now"):
        generate_run(system, settings_for(prepared, seed=1), tmp_path / "run")


def test_with_fewer_crystals_than_asked_for_all_are_taken(system, prepared, tmp_path, no_page):
    settings = settings_for(prepared, num=10**6, split="val")
    made = generate_run(system, settings, tmp_path / "run")
    assert len(made.refined) == len(load_dataset(prepared, "val"))


def test_with_targets_nothing_else_can_be_asked_for(system, prepared, tmp_path):
    settings = settings_for(prepared, request=Request(num_atoms=2))
    with pytest.raises(InputError, match="leave out other conditions"):
        generate_run(system, settings, tmp_path / "run")


def test_data_without_a_test_split_are_refused_before_work(system, tmp_path):
    from flowllm.data import prepare

    cell = CrystalBatch([14], [[0, 0, 0]], [[3.8] * 3], [[60] * 3], [1], ["a"])
    (tmp_path / "cifs").mkdir()
    (tmp_path / "cifs" / "a.cif").write_text(cell.to_cif()[0])
    prepare(tmp_path / "cifs", tmp_path / "data", workers=1)
    with pytest.raises(InputError, match="has no split test"):
        generate_run(system, settings_for(tmp_path / "data"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_peak_memory_never_falls():
    before = peak_memory_mb()
    held = np.ones(30_000_000)  # 240 MB
    assert peak_memory_mb() >= before > 50
    del held
