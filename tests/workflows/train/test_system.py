"""A system by its name: the steps of its recipe on disk, resumed, one at a time, of own kinds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flowllm.bench.generation import bench_model
from flowllm.cli import main
from flowllm.data import load_dataset
from flowllm.errors import InputError
from flowllm.methods.base import BasePrior
from flowllm.methods.flow.settings import FlowTrainSettings
from flowllm.methods.language_model.settings import CompactConfig, LMTrainSettings, SamplingSettings
from flowllm.networks.settings import VelocityConfig
from flowllm.systems import recipes, registry
from flowllm.systems.events import Refined
from flowllm.systems.recipes import Recipe
from flowllm.systems.record import SystemRecord
from flowllm.systems.system import FlowLLM
from flowllm.workflows.train.settings import LanguageModelSettings, PairSettings
from flowllm.workflows.train.system import SystemTraining, train_system
from tests.systems.toys import RocksaltPrior, SwellRefiner

pytestmark = pytest.mark.slow

LANGUAGE_MODEL = LanguageModelSettings(
    sizes=CompactConfig(16, 1, 2, 24),
    training=LMTrainSettings(epochs=1, batch_size=9, validation_rows=3, threads=1),
)
TINY = SystemTraining(
    LANGUAGE_MODEL,
    PairSettings(SamplingSettings(0.9), num_pairs=8, chunk_size=4),
    FlowTrainSettings(
        network=VelocityConfig(16, 1, time_dim=8, num_frequencies=3, distance_features=4),
        epochs=2,
        batch_size=4,
        save_steps=2,
        validation_share=0.2,
    ),
)
OPTIONS = {"device": "cpu", "workers": 1}
NAMES = ("flowllm", "flowllm-types", "crystalllm", "flowllm-compositions")


def tiny(name: str) -> SystemTraining:
    return replace(TINY, prior=None) if name == "flowllm-compositions" else TINY


@pytest.fixture(scope="module")
def walked(prepared, tmp_path_factory):
    """Folders of systems that were trained without an interruption, by name; made on demand."""
    torch.set_num_threads(1)
    made: dict[str, Path] = {}

    def walk(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            train_system(name, prepared, made[name], tiny(name), **OPTIONS)
        return made[name]

    return walk


def digest(folder: Path) -> str:
    """Of the system in a folder, its name left out."""
    return FlowLLM.from_pretrained(folder, "cpu").digest().partition(" ")[2]


# ---- the walk ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_walked_from_crystals_to_a_system(name, walked, prepared):
    folder, recipe = walked(name), recipes.recipe(name)
    assert sorted(p.name for p in folder.iterdir()) == sorted([*recipe.steps, "model"])
    for step in recipe.steps:
        assert json.loads((folder / step / "run.json").read_text())["status"] == "finished"
    record = SystemRecord.read(folder / "model")
    assert record.recipe == name
    assert record.parts["prior"].kind == recipe.prior
    assert ("refiner" in record.parts) == (recipe.refiner is not None)
    assert (folder / "model" / "prior" / "log.jsonl").is_file() == (name != "flowllm-compositions")
    system = FlowLLM.from_pretrained(folder / "model", "cpu")
    training = load_dataset(prepared, "train").crystals
    assert sum(system.num_atoms_histogram) == len(training)
    assert system.generate(2, formula="NaCl").refined.formulas == ["NaCl"] * 2


@pytest.mark.parametrize("name", NAMES)
def test_finished_steps_are_not_done_again(name, walked, prepared, monkeypatch):
    for place in ("language_model.train_lm", "pairs.sample_pairs", "flow.train_flow"):
        monkeypatch.setattr(f"flowllm.workflows.train.{place}", None)
    monkeypatch.setattr(BasePrior, "save_geometry", None)
    monkeypatch.setattr("flowllm.workflows.train.system.package", lambda *a, **o: None)
    assert train_system(name, prepared, walked(name), tiny(name), **OPTIONS)


@pytest.mark.parametrize("place", ["pairs.sample_pairs", "flow.train_flow", "package.FlowLLM"])
def test_an_interrupted_walk_goes_on_to_the_same_system(
    place, walked, prepared, tmp_path, monkeypatch
):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"flowllm.workflows.train.{place}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_system("flowllm", prepared, tmp_path / "out", TINY, **OPTIONS)
    assert not (tmp_path / "out" / "model").exists()
    written = (tmp_path / "out" / "prior" / "model.safetensors").stat().st_mtime_ns
    made = train_system("flowllm", prepared, tmp_path / "out", TINY, **OPTIONS)
    assert (tmp_path / "out" / "prior" / "model.safetensors").stat().st_mtime_ns == written
    assert digest(made) == digest(walked("flowllm") / "model")


def test_a_walk_in_single_steps_gives_the_same_system(walked, prepared, tmp_path):
    out = tmp_path / "out"
    for step, missing in (("pairs", "prior"), ("refiner", "prior")):
        with pytest.raises(InputError, match=f"{missing} contains no finished {missing}"):
            train_system("flowllm", prepared, out, TINY, only=step, **OPTIONS)
    assert not out.exists()
    assert train_system("flowllm", prepared, out, TINY, only="prior", **OPTIONS) is None
    with pytest.raises(InputError, match="pairs contains no finished pairs"):
        train_system("flowllm", prepared, out, TINY, only="refiner", **OPTIONS)
    assert train_system("flowllm", prepared, out, TINY, only="pairs", **OPTIONS) is None
    made = train_system("flowllm", prepared, out, TINY, only="refiner", **OPTIONS)
    assert made == out / "model" and digest(made) == digest(walked("flowllm") / "model")


def test_one_step_is_done_again_on_request(prepared, walked, tmp_path):
    out = tmp_path / "out"
    train_system("flowllm", prepared, out, TINY, **OPTIONS)
    before, written = digest(out / "model"), (out / "prior" / "model.safetensors").stat()
    other = replace(TINY, refiner=replace(TINY.refiner, epochs=1))
    with pytest.raises(InputError, match="epochs is 2 there and 1 now.*--overwrite"):
        train_system("flowllm", prepared, out, other, **OPTIONS)
    again = {"only": "refiner", "overwrite": True, **OPTIONS}
    assert digest(train_system("flowllm", prepared, out, other, **again)) != before
    assert (out / "prior" / "model.safetensors").stat().st_mtime_ns == written.st_mtime_ns


def test_the_command_walks_and_says_how_to_go_on(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    line = f"train flowllm-types {prepared} --out {out} --device cpu --workers 1"
    tiny_options = (
        "--prior-epochs 1 --prior-batch-size 9 --prior-hidden 16 --prior-layers 1 --prior-heads 2 "
        "--prior-feed-forward 24 --prior-threads 1 --pairs-num-pairs 4 --refiner-epochs 1 "
        "--refiner-batch-size 4 --refiner-hidden 16 --refiner-layers 1"
    )
    assert main([*line.split(), *tiny_options.split()]) == 0, capsys.readouterr().err
    assert f"flowllm generate --model {out / 'model'}" in capsys.readouterr().out
    settings = json.loads((out / "prior" / "lm" / "run.json").read_text())["settings"]
    assert (settings["hidden"], settings["epochs"], settings["weight_decay"]) == (16, 1, 0.5)
    settings = json.loads((out / "refiner" / "run.json").read_text())["settings"]
    assert (settings["hidden"], settings["coord_weight"]) == (16, 200.0)
    assert SystemRecord.read(out / "model").recipe == "flowllm-types"


# ---- what cannot be trained ----------------------------------------------------------------------


def test_what_cannot_be_walked_is_named(prepared, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="unknown system 'magic'; choose from flowllm, crystalllm"):
        train_system("magic", prepared, out)
    with pytest.raises(InputError, match="crystalllm has no step pairs; it has prior"):
        train_system("crystalllm", prepared, out, only="pairs")
    toys = Recipe("toys", RocksaltPrior.kind, SwellRefiner.kind, "crystals")
    with pytest.raises(InputError, match="toy-rocksalt cannot be trained"):
        train_system(toys, prepared, out)
    late = Recipe("", "compositions", "flow", "crystals")
    with pytest.raises(InputError, match="the flow is trained on pairs"):
        train_system(late, prepared, out, replace(TINY, prior=None), **OPTIONS)
    for words in (["magic"], ["crystalllm", "--only", "pairs"], ["flowllm", "nowhere"]):
        assert main(["train", *words, "--out", str(tmp_path / "new"), "--device", "cpu"]) == 2
        assert words[-1] in capsys.readouterr().err
        assert not (tmp_path / "new").exists()


# ---- own kinds -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SwellTraining:
    """How the toy learns.

    Attributes:
        power: of time.
    """

    power: float = 2.0


@pytest.fixture
def own_system(monkeypatch):
    """A refiner of another method, trained on crystals alone, behind a prior of this package."""
    seen = []

    def train_swelling(task):
        seen.append(task)
        task.progress(1, 1)
        SwellRefiner(task.settings.power).save(task.out)
        (task.out / "run.json").write_text(
            json.dumps({"command": "swell", "settings": {}, "status": "finished"})
        )

    kind = replace(
        registry.REFINERS[SwellRefiner.kind], training=train_swelling,
        training_settings=SwellTraining,
    )  # fmt: skip
    monkeypatch.setitem(registry.REFINERS, SwellRefiner.kind, kind)
    own = Recipe("own", "compositions", SwellRefiner.kind, "crystals", start=0.25)
    monkeypatch.setitem(recipes.SYSTEMS, "own", own)
    return seen


def test_a_refiner_of_another_method_is_trained_on_crystals(own_system, prepared, tmp_path, capsys):
    out = tmp_path / "out"
    line = f"train own {prepared} --out {out} --refiner-power 3 --device cpu"
    assert main(line.split()) == 0, capsys.readouterr().err
    (task,) = own_system
    assert (task.kind, task.pairs, task.settings.power) == (SwellRefiner.kind, None, 3.0)
    assert not (out / "pairs").exists()
    record = SystemRecord.read(out / "model")
    assert (record.recipe, record.start) == ("own", 0.25)
    made = FlowLLM.from_pretrained(out / "model", "cpu").generate(2)
    assert made.trajectory.times[0] == 0.25
    assert np.allclose(made.refined.lengths, 1.1 * made.prior.lengths)
    with pytest.raises(SystemExit):
        main(["train", "own", "--help"])
    options = re.findall(r"(?m)^  (--[\w-]+)", capsys.readouterr().out)
    assert "--refiner-power" in options
    assert not [name for name in options if name.startswith(("--pairs", "--prior"))]


# ---- a system without a refiner ------------------------------------------------------------------


def test_a_language_model_alone_generates_streams_and_is_timed(walked, tmp_path, capsys):
    folder = walked("crystalllm") / "model"
    system = FlowLLM.from_pretrained(folder, "cpu")
    made = system.generate(2, elements="Na,Cl", seed=1)
    assert [stage.name for stage in made.stages] == ["language model"]
    assert np.array_equal(made.refined.frac_coords, made.prior.frac_coords)
    finished = [e for e in system.stream(2, elements="Na,Cl", seed=1) if isinstance(e, Refined)]
    assert [e.trajectory.last.formulas for e in finished] == [[f] for f in made.refined.formulas]
    bench = bench_model(system, 2, threads=1)
    assert [stage.name for stage in bench.stages] == ["language model"]
    out = tmp_path / "out"
    words = ["--model", str(folder), "--device", "cpu"]
    assert main(["generate", "--num", "2", "--out", str(out), *words]) == 0
    files = sorted(map(str, (out / "crystals").iterdir()))
    capsys.readouterr()
    assert main(["refine", *files, "--out", str(tmp_path / "refined"), *words]) == 2
    assert "has no refiner" in capsys.readouterr().err
    evaluate = ["evaluate", str(out), "--only", "validity", "--out", str(tmp_path / "eval")]
    assert main([*evaluate, "--workers", "1"]) == 0
