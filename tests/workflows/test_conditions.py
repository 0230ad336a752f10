"""Any subset of the conditions, with the weights that ship, and what training did not have."""

import csv
import json
import warnings

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowllm.cli import main
from flowllm.conditions.conditions import Conditions
from flowllm.conditions.ranges import OutOfRangeWarning
from flowllm.conditions.request import Request
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model.decoding.events import Sentence
from flowllm.systems.events import Refined
from flowllm.systems.system import FlowLLM
from flowllm.text import parse_prompt
from flowllm.text.prompts import STEMS, read_prompt

KNOWN = [
    {"formula": "NaCl", "composition": {"Na": 1, "Cl": 1}, "elements": ("Na", "Cl"),
     "num_atoms": 2, "space_group": 225, "formation_energy": -2.1, "e_above_hull": 0.0,
     "band_gap": 5.0},
    {"formula": "SrTiO3", "composition": {"Sr": 1, "Ti": 1, "O": 3}, "elements": ("Sr", "Ti", "O"),
     "num_atoms": 5, "space_group": 221, "formation_energy": -3.4, "e_above_hull": 0.01,
     "band_gap": 1.8},
    {"formula": "Fe", "composition": {"Fe": 1}, "elements": ("Fe",), "num_atoms": 1,
     "space_group": 229, "formation_energy": 0.0, "e_above_hull": 0.0, "band_gap": 0.0},
]  # fmt: skip
ONE_STEP = RefineSettings(steps=1)


@pytest.fixture(scope="module")
def shipped():
    return FlowLLM.from_pretrained("mp20-compact", "cpu")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KNOWN), st.sets(st.sampled_from(sorted(STEMS))), st.integers(0, 99))
@example(KNOWN[1], set(), 0)
@example(KNOWN[1], set(STEMS), 0)
@example(KNOWN[0], {"space_group"}, 0)
@example(KNOWN[0], {"space_group", "elements", "band_gap"}, 1)
def test_every_subset_of_the_conditions_generates(shipped, known, names, seed):
    wishes = {name: known[name] for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutOfRangeWarning)
        made = shipped.generate(1, **wishes, seed=seed, refinement=ONE_STEP)
    (cell,) = made.refined.compositions
    if "formula" in names:
        assert made.refined.formulas == [known["formula"]]
    if "composition" in names:
        assert cell == known["composition"]
    if "elements" in names:
        assert set(cell) == set(known["elements"])
    if "num_atoms" in names:
        assert sum(cell.values()) == known["num_atoms"]
    told = parse_prompt(made.prompts[0])
    for name in names & {"space_group", "formation_energy", "e_above_hull", "band_gap"}:
        assert getattr(told, name) == known[name]


def test_streaming_tells_the_composition_that_was_chosen_for_a_space_group(shipped):
    wishes = {"space_group": 225, "elements": "Na,Cl", "refinement": ONE_STEP, "seed": 3}
    events = list(shipped.stream(2, **wishes))
    sentences = [event for event in events if isinstance(event, Sentence)]
    assert [event.name for event in sentences] == ["composition"] * 2
    made = shipped.generate(2, **wishes)
    refined = [event for event in events if isinstance(event, Refined)]
    for event, sentence, crystal in zip(refined, sentences, made.refined, strict=True):
        assert event.trajectory.last.compositions == crystal.compositions
        assert (event.trajectory.last.frac_coords == crystal.frac_coords).all()
        assert parse_prompt(sentence.prompt).composition == crystal.compositions[0]


# ---- what training did not have


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"formation_energy": -9.0}, "formation energy -9.00 eV/atom is outside .* -5.16 to 0.08"),
        ({"e_above_hull": 3.0}, "energy above the hull 3.00"),
        ({"band_gap": 25.0}, "0.00 to 17.91 eV"),
        ({"space_group": 93}, "space group 93: none of 26,343"),
        ({"elements": "Po,O"}, "contains Po"),
        ({"prompts": ["The band gap is 30.00. "]}, "band gap 30.00"),
    ],
)
def test_the_shipped_system_warns_with_the_range_where_the_caller_stands(shipped, wishes, said):
    with pytest.warns(OutOfRangeWarning, match=said) as caught:
        shipped.check(Request.read(**wishes))
    ours = [w.filename for w in caught if w.category is OutOfRangeWarning]  # libraries warn, too
    assert ours == [__file__]
    with pytest.warns(OutOfRangeWarning, match=said):
        stream = shipped.stream(1, **wishes)
    stream.close()


def test_generate_warns_too_and_nothing_is_said_of_what_training_had(shipped):
    with pytest.warns(OutOfRangeWarning, match="rare in training") as caught:
        shipped.generate(1, formula="NaCl", band_gap=8.0, refinement=ONE_STEP)
    assert [w.filename for w in caught if w.category is OutOfRangeWarning] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shipped.check(Request(**KNOWN[0]))
        shipped.check(Request())


def test_many_prompts_give_one_warning_for_each_condition(shipped):
    prompts = tuple(f"The band gap is {gap}.00. " for gap in range(30, 40))
    with pytest.warns(OutOfRangeWarning) as caught:
        shipped.check(Request(prompts=prompts))
    assert len(caught) == 1 and "so for 9 more prompts" in str(caught[0].message)


def test_a_system_of_an_older_version_warns_of_nothing(system):
    assert system.training is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)  # spglib's
        made = system.generate(2, band_gap=99.0, space_group=93, refinement=ONE_STEP)
    assert len(made.refined) == 2


def test_contradictions_are_refused_before_anything_is_drawn(shipped, monkeypatch):
    monkeypatch.setattr(shipped, "prior", None)
    for wishes in (
        {"formula": "NaCl", "num_atoms": 3},
        {"composition": "Na2", "space_group": 229},
        {"elements": "Na,Cl", "formula": "KCl"},
    ):
        for call in (shipped.generate, shipped.stream):
            with pytest.raises(InputError, match="leave one of them out"):
                call(1, **wishes)


def test_prompts_that_contradict_themselves_are_refused_where_the_model_keeps_to_them(system):
    prompts = ["The chemical formula is NaCl. The number of atoms is 3. "]
    with pytest.raises(InputError, match="formula NaCl has .* not the number of atoms 3") as caught:
        system.check(Request(prompts=tuple(prompts)))
    assert "prompt 'The chemical formula is NaCl." in str(caught.value)
    free = system.prior.unconstrained()
    FlowLLM(free, None, [1]).check(Request(prompts=tuple(prompts)))  # any text is fine
    asked = read_prompt("A red one. The band gap is 2.00. ")
    assert asked.only({"band_gap"}) == Conditions(band_gap=2.0) and asked.known() == ["band_gap"]


# ---- the command line


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(
        "flowllm.workflows.results.write_report", lambda page, **_: page.write_text("page")
    )


def flowllm(*words: str) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("always", OutOfRangeWarning)
        return main(list(words))


def test_the_command_takes_every_condition(tmp_path, no_page, capsys):
    out = tmp_path / "out"
    code = flowllm(
        "generate", "--formula", "SrTiO3", "--composition", "Sr1 Ti1 O3", "--elements", "O,Ti,Sr",
        "--num-atoms", "5", "--space-group", "221", "--formation-energy", "-3.4",
        "--e-above-hull", "0.01", "--band-gap", "1.8", "--num", "1", "--steps", "1",
        "--out", str(out),
    )  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0 and "note" not in shown.err
    (row,) = csv.DictReader((out / "crystals.csv").read_text().splitlines())
    told = parse_prompt(row["prompt"])
    assert row["formula"] == "SrTiO3" and told.space_group == 221
    assert (told.formation_energy, told.e_above_hull, told.band_gap) == (-3.4, 0.01, 1.8)
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert settings["space_group"] == 221 and settings["band_gap"] == 1.8
    # other conditions are another run
    assert flowllm("generate", "--space-group", "221", "--out", str(out)) == 2
    assert "contains another run" in capsys.readouterr().err


def test_the_command_says_in_one_line_what_training_did_not_have(tmp_path, no_page, capsys):
    words = ["generate", "--formula", "NaCl", "--num", "1", "--steps", "1"]
    assert flowllm(*words, "--band-gap", "25", "--out", str(tmp_path / "out")) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "note" in line]
    assert len(lines) == 1 and lines[0].startswith("flowllm: note: band gap 25.00 eV is outside")
    assert "0.00 to 17.91 eV" in lines[0]
