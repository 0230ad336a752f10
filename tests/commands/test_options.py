"""Options come from the settings classes: the shipped recipe by default, presets, own kinds."""

from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_args

import pytest
import tyro

from flowllm.cli import main
from flowllm.commands.flatten import attributes, described, flat
from flowllm.commands.options import SHIPPED_MODEL, given_options
from flowllm.errors import InputError
from flowllm.manifolds import CELL_MAPS
from flowllm.methods.flow.ode import SOLVERS
from flowllm.methods.flow.settings import FlowTrainSettings, RefineSettings, Solver
from flowllm.methods.language_model.settings import LMTrainSettings, SamplingSettings
from flowllm.methods.templates.settings import RankedSettings
from flowllm.networks.settings import CellMapName, VelocityConfig
from flowllm.runs.identity import flat_settings
from flowllm.settings import preset, setting
from flowllm.systems.record import DEFAULT_MODEL
from flowllm.systems.system import FlowLLM
from flowllm.workflows.settings import GenerateSettings, InfillSettings
from flowllm.workflows.train.settings import LanguageModelSettings, PairSettings
from tests.systems.toys import RocksaltPrior, SwellRefiner

CPU = Path(__file__).parents[2] / "recipes" / "cpu.sh"
TRAINING_CRYSTALS = 26343  # of MP-20
SHIPPED: dict[str, dict[str, Any]] = {
    "train-lm": {
        "hidden": 224, "layers": 6, "heads": 7, "feed_forward": 576, "context": 512, "epochs": 6,
        "batch_size": 64, "learning_rate": 2.5e-3, "warmup_steps": 100, "weight_decay": 0.5,
        "optimizer": "muon", "augmentation": "none", "seed": 0, "validation_rows": 512,
        "checkpoint_steps": 200,
    },
    "pair": {
        "temperature": 0.7, "top_p": 0.9, "noise": 0.0, "overlap": False, "batch_size": 256,
        "max_new_tokens": None, "num_pairs": TRAINING_CRYSTALS, "samples_per_target": 1,
        "keep": "all", "perturbed": TRAINING_CRYSTALS, "alignment": "translation", "seed": 0,
        "chunk_size": 256,
    },
    "train-flow": {
        "hidden": 224, "layers": 5, "time_dim": 64, "num_frequencies": 10, "distance_features": 24,
        "cell_frequencies": 8, "num_types": 119, "cell_map": "log-matrix", "epochs": 16,
        "batch_size": 64, "learning_rate": 2e-3, "warmup_share": 0.03, "weight_decay": 0.1,
        "optimizer": "muon", "max_grad_norm": 1.0, "coord_weight": 6000.0, "cell_weight": 1.0,
        "max_distance": 0.02, "max_strain": 0.1, "coord_noise": 0.0, "cell_noise": 0.0,
        "ema_decay": 0.999, "validation_share": 0.02, "eval_steps": 500, "save_steps": 500,
        "seed": 0, "bf16": False,
    },
}  # fmt: skip
"""What the runs behind the shipped weights recorded, data and timings left out."""


@pytest.fixture
def asked(monkeypatch) -> dict[str, Any]:
    """The settings that the commands of training hand on, by command."""
    got: dict[str, Any] = {}

    def keep(name):
        return lambda first, second, third, settings=None, **_: (
            got.update({name: third if settings is None else settings}) or {"loss": 1.0}
        )

    train = "flowllm.workflows.train"
    monkeypatch.setattr(f"{train}.language_model.train_language_model", keep("train-lm"))
    monkeypatch.setattr(f"{train}.pairs.make_pairs", keep("pair"))
    monkeypatch.setattr(f"{train}.flow.train_on_pairs", keep("train-flow"))
    return got


def recorded(name: str, settings: Any) -> dict[str, Any]:
    """What a run of a stage with these settings records of them."""
    if name == "train-lm":
        flat_ones = {**flat_settings(settings.training), **flat_settings(settings.sizes)}
    elif name == "pair":
        flat_ones = flat_settings(settings.counted(TRAINING_CRYSTALS))
    else:
        flat_ones = flat_settings(settings)
    return {key: flat_ones[key] for key in SHIPPED[name]}


# ---- one set of defaults -------------------------------------------------------------------------


def test_the_defaults_are_the_recipe_of_the_shipped_weights():
    defaults = {
        "train-lm": LanguageModelSettings(), "pair": PairSettings(),
        "train-flow": FlowTrainSettings(),
    }  # fmt: skip
    assert {name: recorded(name, one) for name, one in defaults.items()} == SHIPPED
    config = json.loads(
        (CPU.parents[1] / "flowllm/pretrained/mp20-compact/flow/config.json").read_text()
    )
    assert VelocityConfig(**config["network"]) == VelocityConfig()


def test_the_recipe_of_the_shipped_weights_hands_on_what_it_always_did(monkeypatch, capsys):
    """`train` in recipes/cpu.sh asks for what its four commands with all their options did."""
    got: list[Any] = []
    monkeypatch.setattr(
        "flowllm.workflows.train.system.train_system",
        lambda system, data, out, settings, **_: got.append((system, settings)) or out / "model",
    )
    text = CPU.read_text().replace("\\\n", " ").replace("$out", "runs/x")
    (words,) = (
        shlex.split(line)[1:] for line in text.splitlines() if line.startswith("flowllm train")
    )
    assert main(words) == 0, capsys.readouterr().err
    ((system, settings),) = got
    handed = {"train-lm": settings.prior, "pair": settings.pairs, "train-flow": settings.refiner}
    assert system == "flowllm"
    assert {name: recorded(name, one) for name, one in handed.items()} == SHIPPED


def test_the_presets_of_the_paper():
    flow, pairs = FlowTrainSettings.paper(), PairSettings.paper()
    assert (flow.coord_weight, flow.cell_weight, flow.network.hidden) == (200.0, 1.0, 512)
    assert (flow.batch_size, flow.epochs, flow.optimizer) == (256, 20, "adamw")
    assert (pairs.sampling.temperature, pairs.sampling.top_p) == (0.9, 0.99)
    assert pairs.counted(10).num_pairs == 3_300_000 and pairs.alignment == "list"
    assert preset(RefineSettings, "paper").steps == 250
    assert preset(SamplingSettings, "paper") == SamplingSettings()  # it has no other
    assert preset(LMTrainSettings, "compact") == LMTrainSettings()
    with pytest.raises(InputError, match="unknown preset 'huge'; choose from compact, paper"):
        preset(FlowTrainSettings, "huge")


def test_options_override_a_preset(asked, capsys):
    words = ["train-flow", "--pairs", "p", "--out", "o", "--preset", "paper", "--epochs", "3"]
    assert main(words) == 0, capsys.readouterr().err
    settings = asked["train-flow"]
    assert (settings.epochs, settings.coord_weight, settings.network.hidden) == (3, 200.0, 512)
    assert main(["pair", "--lm", "l", "--out", "o", "--preset=paper", "--top-p", "0.5"]) == 0
    pairs = asked["pair"]
    assert (pairs.sampling.temperature, pairs.sampling.top_p, pairs.keep) == (0.9, 0.5, "all")


def test_a_pretrained_model_is_fine_tuned_as_in_the_paper(asked, capsys):
    words = ["train-lm", "--out", "o", "--model", "llama", "--lora", "--rank", "4"]
    assert main([*words, "--epochs", "2"]) == 0, capsys.readouterr().err
    large = asked["train-lm"].fine_tuning
    assert large.training == LMTrainSettings(
        epochs=2, batch_size=16, learning_rate=5e-4, weight_decay=0.0, optimizer="adamw"
    )
    assert large.adapter is not None and large.adapter.rank == 4
    assert main([*words, "--preset", "compact"]) == 0
    assert asked["train-lm"].training == LMTrainSettings()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lora"], "--lora, --load-in-4bit"),
        (["--model", "x", "--hidden", "16", "--heads", "2"], "--model, which has its own"),
        (["--model", "x", "--load-in-4bit", "--load-in-8bit"], "not both"),
    ],
)
def test_what_does_not_go_together_is_named(words, message, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["train-lm", "--out", str(out), *words]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_names_that_are_written_twice_are_the_same():
    assert set(get_args(Solver)) == set(SOLVERS)
    assert set(get_args(CellMapName)) == set(CELL_MAPS)
    assert SHIPPED_MODEL == DEFAULT_MODEL


# ---- options from settings -----------------------------------------------------------------------


@dataclass(frozen=True)
class Inner:
    """Settings in settings.

    Attributes:
        depth: how deep,
            in metres.
        secret: not for people.
    """

    depth: float = 2.0
    secret: int = setting(1, option=False)


@dataclass(frozen=True)
class Outer:
    """Settings.

    Attributes:
        names: of things, separated by commas.
        inner: what is inside.
        other: renamed.
    """

    names: tuple[str, ...] = setting(("a",), type=str, read=lambda text: tuple(text.split(",")))
    inner: Inner = setting(factory=lambda: Inner(3.0, secret=7))
    part: Any = setting(factory=SamplingSettings, part="prior")
    other: bool = setting(False, option="renamed")


def test_settings_become_options_and_settings_again():
    got = []

    def command(out: Path, settings: Outer) -> None:
        """Do it.

        Args:
            out: the folder.
        """
        got.append((out, settings))

    made = flat(command, {"prior": Inner}, types={"Outer": Outer})
    names = ["out", "names", "depth", "part_depth", "renamed"]  # the second depth is told apart
    assert list(inspect.signature(made).parameters) == names
    assert "        depth: how deep, in metres.\n" in (made.__doc__ or "")
    made(Path("x"))
    assert got[-1] == (Path("x"), Outer(part=Inner()))
    made(Path("x"), names="b,c", depth=1.0, part_depth=4.0, renamed=True)
    expected = Outer(("b", "c"), Inner(1.0, secret=7), Inner(4.0), True)
    assert got[-1] == (Path("x"), expected)


def test_a_system_without_a_part_has_none_of_its_options():
    got = []

    def command(settings: Outer) -> None:
        """Do it."""
        got.append(settings)

    made = flat(command, {"prior": None}, types={"Outer": Outer})
    assert "part_depth" not in inspect.signature(made).parameters
    made()
    assert got == [Outer(part=None)]


def test_every_option_of_a_settings_class_has_help():
    for settings in (
        GenerateSettings, InfillSettings, LanguageModelSettings, PairSettings, FlowTrainSettings,
    ):  # fmt: skip
        about = attributes(settings)
        assert {one.name for one in fields(settings)} <= set(about)
    assert described("Do.\n\nArgs:\n    a: one,\n        more.\n\nRaises:\n    b: two.") == {
        "a": "one, more."
    }


# ---- an own kind ---------------------------------------------------------------------------------


@pytest.fixture
def toy_folder(tmp_path) -> Path:
    FlowLLM(RocksaltPrior(), SwellRefiner(), [0, 1], "toy").save_pretrained(tmp_path / "toy")
    return tmp_path / "toy"


def test_the_settings_of_an_own_kind_are_options_and_reach_it(toy_folder, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["generate", "--model", str(toy_folder), "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for words in ("--spread", "--factor", "how many are kept, at least 2"):
        assert words in shown
    assert "--temperature" not in shown and "--solver" not in shown
    out = tmp_path / "out"
    words = ["generate", "--model", str(toy_folder), "--num", "3", "--out", str(out)]
    assert main([*words, "--spread", "0", "--factor", "1.5", "--frames", "3"]) == 0
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert (settings["spread"], settings["factor"], settings["frames"]) == (0.0, 1.5, 3)
    lengths = [
        float(line.split()[1])
        for file in (out / "crystals").iterdir()
        for line in file.read_text().splitlines()
        if line.startswith("_cell_length_a")
    ]
    # of rock salt's conventional cell; the primitive one has 6 Å
    assert lengths == pytest.approx([6.0 * 2**0.5] * 3, abs=1e-3)
    assert main([*words, "--refuse", "2", "--overwrite"]) == 2
    assert "refuse must be in" in capsys.readouterr().err


def test_a_system_without_a_refiner_has_no_options_of_one(tmp_path, capsys):
    FlowLLM(RocksaltPrior(), None, [0, 1], "toy").save_pretrained(tmp_path / "toy")
    with pytest.raises(SystemExit):
        main(["generate", "--model", str(tmp_path / "toy"), "--help"])
    shown = capsys.readouterr().out
    assert "--spread" in shown and "--steps" not in shown


def test_options_of_the_shipped_model_load_no_torch():
    code = (
        "import sys; from flowllm.cli import main\n"
        "try: main(['generate', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'pymatgen', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_the_text_format_is_chosen_by_text_or_by_its_former_name():
    got = []

    def train(settings: LanguageModelSettings) -> None:
        """Do it."""
        got.append(settings.training.text_format)

    made = flat(train, {}, types={"LanguageModelSettings": LanguageModelSettings})
    for words in ([], ["--text", "wyckoff"], ["--text-format", "wyckoff"]):
        tyro.cli(made, args=words)
    assert got == ["gruver", "wyckoff", "wyckoff"]
    with pytest.raises(
        InputError, match="unknown text format 'runes'; choose from gruver, wyckoff"
    ):
        tyro.cli(made, args=["--text", "runes"])


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], {"choice": 0.5, "temperature": 0.7, "top_p": 0.9}),
        (["--for", "predict"], {"choice": 0.0, "temperature": 0.3, "top_p": 1.0}),
        (["--for=predict", "--temperature", "0.9"], {"choice": 0.0, "temperature": 0.9}),
    ],
)
def test_what_crystals_are_for_gives_the_settings_that_are_left_open(words, wanted):
    found: list[GenerateSettings] = []

    def command(settings: GenerateSettings) -> None:
        found.append(settings)

    classes = {"prior": RankedSettings, "refiner": None}
    called = flat(command, classes, given_options(words), uses=True)
    tyro.cli(called, args=words)
    sampling = found[0].sampling
    assert isinstance(sampling, RankedSettings)
    assert {name: getattr(sampling, name) for name in wanted} == wanted
    rest = {f.name for f in fields(RankedSettings)} - {"choice", "temperature", "top_p"}
    assert all(getattr(sampling, name) == getattr(RankedSettings(), name) for name in rest)


@pytest.mark.parametrize("word", ["choice", "__doc__", "paper"])
def test_what_crystals_cannot_be_for_is_refused(word, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["generate", "--for", word, "--out", str(tmp_path / "run")])
    assert ended.value.code != 0
    assert "predict" in "".join(capsys.readouterr())
