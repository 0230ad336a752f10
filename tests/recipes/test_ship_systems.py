"""`recipes.ship_systems`: what is packed of a training, and what is not."""

from __future__ import annotations

import json

import pytest

from flowllm.errors import InputError
from flowllm.methods.diffcsp.settings import DiffCSPSettings, DiffCSPTrainSettings
from flowllm.networks.diffcsp_settings import DiffCSPConfig
from flowllm.systems.record import SystemRecord
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.system import SystemTraining, train_system
from recipes import ship_systems

TINY = DiffCSPTrainSettings(
    network=DiffCSPConfig(hidden=16, layers=1, time_dim=8, num_frequencies=2),
    epochs=1,
    batch_size=16,
    validation_rows=4,
    threads=1,
)


@pytest.fixture(scope="module")
def run(prepared, tmp_path_factory):
    out = tmp_path_factory.mktemp("diffcsp")
    train_system("diffcsp", prepared, out, SystemTraining(refiner=TINY), device="cpu")
    return out


@pytest.fixture(scope="module")
def home(run, prepared, tmp_path_factory):
    """Where models lie, with DiffCSP and both records of CrysLLMGen."""
    folder = tmp_path_factory.mktemp("pretrained")
    ship_systems.ship("diffcsp", run, folder, str(prepared), "a test")
    for name in ship_systems.MIXED:
        ship_systems.mix(name, folder, 0.9, str(prepared))
    return folder


def test_weights_ship_without_logs_checkpoints_and_paths(home, run, prepared):
    model = home / "mp20-diffcsp"
    names = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    weights = {f"refiner/{t}/{f}" for t in ("csp", "dng") for f in ("config.json",
               "model.safetensors")}  # fmt: skip
    assert names == {"system.json", "training.json", "prior/base.json", *weights}
    for path in model.rglob("*.json"):
        assert str(prepared) not in path.read_text() and str(run) not in path.read_text()
    one, other = (FlowLLM.from_pretrained(m, "cpu") for m in (model, run / "model"))
    assert one.digest().split()[1] == other.digest().split()[1]


def test_settings_and_last_figures_ship(home, run):
    about = json.loads((home / "mp20-diffcsp" / "training.json").read_text())
    assert about["machine"] == "a test"
    assert about["refiner"]["settings"]["epochs"] == 1
    assert about["refiner"]["crystals_trained_on"] > 0
    assert "crystals" in about["prior"]["settings"]
    lines = [json.loads(x) for x in (run / "refiner/dng/log.jsonl").read_text().splitlines()]
    figures = about["refiner/dng"]["figures"]
    assert figures["step"] == lines[-1]["step"]
    assert figures["seconds"] == lines[-1]["seconds"]


def test_crysllmgen_names_a_shipped_language_model(home):
    for name, text in (("crysllmgen", "mp20-compact"), ("crysllmgen-symmetric", "mp20-symmetric")):
        record = SystemRecord.read(home / f"mp20-{name}")
        assert (record.recipe, record.start) == (name, 0.9)
        assert record.parts["prior"].model == text
        assert not (home / f"mp20-{name}" / "prior").exists()
        system = FlowLLM.from_pretrained(home / f"mp20-{name}", "cpu")
        made = system.generate(2, formula="TiO2", refinement=DiffCSPSettings(steps=10))
        assert made.refined.formulas == ["TiO2"] * 2
        assert made.trajectory.times[0] == 0.9


def test_packing_again_gives_the_same_files(home, run, prepared):
    before = {p: p.read_bytes() for p in (home / "mp20-diffcsp").rglob("*") if p.is_file()}
    ship_systems.ship("diffcsp", run, home, str(prepared), "a test")
    assert {p: p.read_bytes() for p in before} == before


def test_what_is_not_finished_or_too_large_is_refused(home, run, prepared, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="prior is not finished"):
        ship_systems.ship("diffcsp", tmp_path, tmp_path, str(prepared))
    monkeypatch.setattr(ship_systems, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="mp20-diffcsp has .* bytes, more than 1,000"):
        ship_systems.ship("diffcsp", run, tmp_path, str(prepared))


def test_the_command_line_packs_what_is_named(run, prepared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ship_systems, "PRETRAINED", tmp_path)
    line = f"ship_systems --diffcsp {run} --data {prepared}"
    monkeypatch.setattr("sys.argv", line.split())
    ship_systems.main()
    assert (tmp_path / "mp20-diffcsp" / "training.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["mp20-diffcsp"]
    assert "mp20-diffcsp" in capsys.readouterr().out
