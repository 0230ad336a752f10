"""Measuring a model: the table, what it keeps, and that it is not done twice."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings
from flowllm.workflows.measure import MeasureSettings, measure_model, peak_memory_mb, print_figures


@pytest.fixture(scope="module")
def measured(system_folder, prepared, tmp_path_factory):
    """A tiny measurement: (settings, folder, figures)."""
    out = tmp_path_factory.mktemp("measure") / "out"
    settings = MeasureSettings(
        str(system_folder), str(prepared), num=5, num_match=2, refinement=RefineSettings(steps=1)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
        )
        return settings, out, measure_model(settings, out, device="cpu")


def test_both_tables_hold_a_figure_for_prior_and_refined(measured):
    _, out, figures = measured
    rows = {name: (prior, refined) for name, prior, refined in figures["unconditional"]}
    assert rows["crystals"] == ("5", "5")
    assert {"valid structure", "valid composition (smact14)"} <= set(rows)
    # types are the prior's, so what depends on them alone is the same in both columns
    assert len(set(rows["valid composition (smact14)"])) == 1
    assert any("match" in name for name, _, _ in figures["match"])
    assert [stage["crystals"] for stage in figures["stages"]] == [5, 5]
    assert figures["seconds_with_files"] > sum(stage["seconds"] for stage in figures["stages"])
    assert figures["peak_memory_mb"] > 50
    stored = json.loads((out / "figures.json").read_text())
    assert [tuple(row) for row in stored["unconditional"]] == figures["unconditional"]


def test_test_crystals_get_their_own_composition_as_prompt(measured, prepared):
    _, out, _ = measured
    truth = load_dataset(prepared, "test").crystals
    files = sorted((out / "match" / "crystals").iterdir())
    assert len(files) == 2
    from flowllm.crystals.batch import CrystalBatch

    made = CrystalBatch.from_cif([file.read_text() for file in files])
    assert all(composition in truth.compositions for composition in made.compositions)


def test_a_finished_measurement_is_read_and_another_refused(measured, monkeypatch):
    settings, out, figures = measured
    monkeypatch.setattr("flowllm.workflows.measure.generate_run", None)
    again = measure_model(settings, out, device="cpu")
    assert again == json.loads(json.dumps(figures))
    other = MeasureSettings(**{**vars(settings), "num": 6})
    with pytest.raises(InputError, match="num is 5 there and 6 now"):
        measure_model(other, out, device="cpu")


def test_the_figures_are_printed_as_tables(measured, capsys):
    print_figures(measured[2])
    shown = capsys.readouterr().out
    for words in ("unconditional", "match", "prior", "refined", "valid structure", "peak memory"):
        assert words in shown


@pytest.mark.parametrize("change", [{"num": 0}, {"num_match": -1}, {"seed": -1}])
def test_settings_check_themselves(change):
    with pytest.raises(InputError, match=r"must be at least"):
        MeasureSettings(**change)


def test_data_without_a_test_split_are_refused_before_work(system_folder, tmp_path):
    from flowllm.crystals.batch import CrystalBatch
    from flowllm.data import prepare

    cell = CrystalBatch([14], [[0, 0, 0]], [[3.8] * 3], [[60] * 3], [1], ["a"])
    (tmp_path / "cifs").mkdir()
    (tmp_path / "cifs" / "a.cif").write_text(cell.to_cif()[0])
    prepare(tmp_path / "cifs", tmp_path / "data", workers=1)
    settings = MeasureSettings(str(system_folder), str(tmp_path / "data"))
    with pytest.raises(InputError, match="has no split test"):
        measure_model(settings, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_peak_memory_never_falls():
    before = peak_memory_mb()
    block = np.ones(40_000_000)  # 320 MB
    assert peak_memory_mb() >= max(before, block.nbytes / 2**20)
