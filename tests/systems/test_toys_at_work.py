"""A prior and refiners of another making, through every command, the playground and the viewers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowllm.bench.generation import bench_model, print_bench
from flowllm.cli import main
from flowllm.crystals.trajectory import Trajectory
from flowllm.evaluation import evaluate
from flowllm.systems.system import FlowLLM
from flowllm_widgets.playground.widget import PromptPlayground
from flowllm_widgets.trajectory.source import Source
from flowllm_widgets.trajectory.widget import TrajectoryViewer
from tests.systems.toys import RocksaltPrior, SwellRefiner, SwellSettings, TransmuteRefiner

pytestmark = pytest.mark.slow

WAIT = 60  # seconds; far more than any of these needs
REFINERS = [None, SwellRefiner, TransmuteRefiner]


@pytest.fixture(params=REFINERS, ids=["alone", "swell", "transmute"])
def toy(request):
    return FlowLLM(RocksaltPrior(), request.param() if request.param else None, [0, 1], "toy")


@pytest.fixture
def folder(toy, tmp_path):
    toy.save_pretrained(tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture
def no_page(monkeypatch):
    target = "flowllm.workflows.results.write_report"
    monkeypatch.setattr(target, lambda page, **_: page.write_text("page"))


def test_generate_has_the_options_of_its_parts_and_a_run_goes_on(
    toy, folder, tmp_path, capsys, no_page
):
    out, options = tmp_path / "out", ["--spread", "0.2"]
    if toy.refiner is not None:
        options += ["--factor", "1.5", "--frames", "3"]
    start = ["generate", "--model", str(folder), "--out", str(out), *options]
    command = [*start, "--num", "4"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "rocksalt" in shown and (toy.refiner is None or toy.refiner.label in shown)
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert settings["spread"] == 0.2 and settings.get("factor") == (toy.refiner and 1.5)
    path = Trajectory.load(out / "trajectories.npz")
    assert len(path) == (1 if toy.refiner is None else 2) or len(path) == 3
    assert main(command) == 0  # finished: nothing is done twice
    assert main([*start, "--num", "5"]) == 2  # another run
    assert "num is 4 there and 5 now" in capsys.readouterr().err
    with pytest.raises(SystemExit):  # it has no temperature
        main(["generate", "--model", str(folder), "--out", str(tmp_path / "x"), "--temperature=1"])


def test_refine_takes_files_or_says_that_there_is_no_refiner(
    toy, folder, tmp_path, capsys, no_page
):
    file = tmp_path / "salt.cif"
    file.write_text(toy.generate(1).prior.to_cif()[0])
    code = main(["refine", str(file), "--model", str(folder), "--out", str(tmp_path / "refined")])
    if toy.refiner is None:
        assert code == 2 and "has no refiner" in capsys.readouterr().err
        return
    assert code == 0
    path = Trajectory.load(tmp_path / "refined" / "trajectories.npz")
    np.testing.assert_allclose(path.last.lengths, 1.1 * path.first.lengths)


def test_what_was_generated_can_be_evaluated(toy, folder, tmp_path, no_page):
    assert (
        main(["generate", "--model", str(folder), "--num", "6", "--out", str(tmp_path / "run")])
        == 0
    )
    report = evaluate(
        tmp_path / "run", "mp_20", tmp_path / "evaluated", only=["validity"], workers=1
    )
    assert len(report.rows) == 6 and report.rows["valid_structure"].all()


def test_the_bench_times_its_stages(toy, capsys, monkeypatch):
    monkeypatch.setattr("flowllm.bench.generation.SIZES", (32,))
    monkeypatch.setattr("flowllm.bench.generation.SECONDS", 0.01)
    bench = bench_model(toy, num=4, threads=1)
    labels = ["rocksalt"] + ([] if toy.refiner is None else [toy.refiner.label])
    assert [stage.name for stage in bench.stages] == labels
    assert {stage.unit for stage in bench.stages} == {"crystals"}
    assert bench.writing.crystals == 4
    assert bench.writing.per_second == pytest.approx(4 / bench.writing.seconds)
    print_bench(bench)
    assert "rocksalt" in capsys.readouterr().out


def test_the_playground_has_its_settings_and_shows_its_crystals(toy):
    playground = PromptPlayground(toy, num=3, seed=1)
    shown = {name for name in ("spread", "refuse", "factor") if hasattr(playground.settings, name)}
    assert shown == {"spread", "refuse"} | (set() if toy.refiner is None else {"factor"})
    playground.generate.click()
    assert playground.wait(WAIT) and playground.state == "finished", playground.message.text
    made = toy.generate(3, seed=1)
    np.testing.assert_allclose(playground.crystals.lengths, made.refined.lengths)
    assert playground.crystals.atomic_numbers.tolist() == made.refined.atomic_numbers.tolist()


def test_the_viewer_plays_its_trajectories():
    toy = FlowLLM(RocksaltPrior(), TransmuteRefiner(), [0, 1], "toy")
    made = toy.generate(2, refinement=SwellSettings(frames=3))
    assert made.trajectory.species_change
    stills = Source.of(made).stills(0)
    assert stills["prior (t = 0)"].atomic_numbers.tolist() == made.prior[0].atomic_numbers.tolist()
    assert 16 in stills["refined (t = 1)"].atomic_numbers
    viewer = TrajectoryViewer(made, renderer="flat")
    assert viewer.source.trajectory.species_change
