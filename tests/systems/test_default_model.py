"""The model that comes without a name does what the package promises of it."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from flowllm import FlowLLM
from flowllm.cli import main
from flowllm.methods.language_model.decoding.events import Sentence, Token
from flowllm.metrics.composition import compositional_validity
from flowllm.metrics.symmetry import symmetry
from flowllm.metrics.validity import structural_validity
from flowllm.systems.events import Drawn
from flowllm.systems.record import DEFAULT_MODEL, PRETRAINED

pytestmark = pytest.mark.slow

FOLDER = PRETRAINED / DEFAULT_MODEL


@pytest.fixture(scope="module")
def default() -> FlowLLM:
    return FlowLLM.from_pretrained(device="cpu")


def test_it_is_small_and_in_half_precision() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25e6
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".pkl")]
    for name in ("prior/lm", "refiner"):
        with safe_open(FOLDER / name / "model.safetensors", "numpy") as weights:
            kinds = {weights.get_slice(key).get_dtype() for key in weights.keys()}  # noqa: SIM118
        assert kinds == {"F16"}


def test_most_of_what_it_generates_is_valid_and_symmetric(default: FlowLLM) -> None:
    made = default.generate(48, seed=5)
    assert [stage.name for stage in made.stages] == [
        "language model and templates", "equivariant flow",
    ]  # fmt: skip
    assert structural_validity(made.refined).mean() > 0.9
    assert compositional_validity(made.refined).mean() > 0.6
    assert len(set(made.refined.formulas)) > 40
    before, after = (symmetry(c, 0.01).space_groups for c in (made.prior, made.refined))
    assert (before > 1).mean() > 0.8
    assert (after >= before).mean() > 0.95  # the flow keeps every operation


def test_elements_and_sizes_are_met_exactly(default: FlowLLM) -> None:
    made = default.generate(6, elements=["Li", "Fe", "O"])
    assert all(set(c) == {"Li", "Fe", "O"} for c in made.refined.compositions)
    assert set(default.generate(6, num_atoms=4).refined.num_atoms) == {4}


def test_events_tell_the_text_and_whose_structure_was_chosen(default: FlowLLM) -> None:
    events = list(default.stream(3, seed=1))
    made = default.generate(3, seed=1)
    drawn = {e.index: e for e in events if isinstance(e, Drawn)}
    assert {e.source for e in drawn.values()} <= {"a template", "the text"}
    for index, crystal in enumerate(made.prior):
        assert np.array_equal(drawn[index].crystal.frac_coords, crystal.frac_coords)
        assert [t for t in events if isinstance(t, Token) and t.index == index]
    named = {e.index: e.value for e in events if isinstance(e, Sentence)}
    for index, cell in enumerate(made.prior.compositions):
        assert dict(re.findall(r"([A-Z][a-z]?)(\d+)", named[index])) == {
            symbol: str(count) for symbol, count in cell.items()
        }


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )


@pytest.mark.usefixtures("no_page")
def test_the_commands_take_it_without_a_name(tmp_path, capsys) -> None:
    run, out = tmp_path / "run", tmp_path / "scores.csv"
    words = ["--formula", "SrTiO3", "--num-atoms", "5", "--num", "2", "--choice", "0"]
    assert main(["generate", *words, "--steps", "5", "--out", str(run)]) == 0
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert settings["model"].startswith("mp20-symmetric (")
    assert (settings["choice"], settings["steps"]) == (0.0, 5)
    assert main(["score", str(run), "--out", str(out)]) == 0
    assert (pd.read_csv(out)["nats"] < 0).all()
    crystal = next((run / "crystals").iterdir())
    filled = tmp_path / "filled"
    words = ["--element", "Ti", "--elements", "Ti,Zr,Na", "--num", "1"]
    assert main(["infill", str(crystal), *words, "--out", str(filled)]) == 0
    assert pd.read_csv(filled / "crystals.csv")["formula"].tolist() == ["SrTiO3"]
    assert main(["refine", str(run / "prior"), "--out", str(tmp_path / "again")]) == 0
    assert "equivariant flow" in capsys.readouterr().out


def test_the_help_names_its_options_and_says_what_refines(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["generate", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "the language model writes them, the Riemannian flow refines them" in shown
    for option in ("--choice", "--likelihood", "--compositions", "--exchange", "--confidence"):
        assert option in shown
    assert "--solver" not in shown and "--symprec" not in shown


@pytest.mark.parametrize(
    "words", [["--symprec", "0.1"], ["--solver=rk4"], ["--anti-annealing", "2"]]
)
def test_options_of_the_papers_flow_say_which_model_has_them(words, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert main(["generate", *words, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert (
        said == f"flowllm: {words[0].partition('=')[0]} needs --model mp20-compact; "
        "mp20-symmetric has none\n"
    )
    assert not out.exists()


def test_what_takes_a_language_model_of_a_model_finds_it(tmp_path, capsys) -> None:
    """A model of templates alone has none, and says so."""
    (tmp_path / "a.cif").write_text(FlowLLM.from_pretrained("mp20-templates", "cpu").generate(
        1, formula="NaCl").refined.to_cif()[0])  # fmt: skip
    words = [str(tmp_path / "a.cif"), "--model", "mp20-templates"]
    assert main(["score", *words]) == 2
    assert "has no language model" in capsys.readouterr().err
    assert main(["infill", *words, "--element", "Na", "--out", str(tmp_path / "out")]) == 2
    assert "infilling needs a language model" in capsys.readouterr().err
