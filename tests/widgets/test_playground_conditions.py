"""The prompt as text and fields: what is read, what is written, what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.ranges import Range, TrainingRanges
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.text import build_prompt, parse_prompt
from flowllm.text.prompts import OPENING, REQUEST, STEMS
from flowllm_widgets.playground.conditions import FIELDS, canonical, check, values_of, with_value
from flowllm_widgets.playground.form import PromptForm

EMPTY = build_prompt()
FULL = Conditions(
    formula="SrTiO3", composition={"Sr": 1, "Ti": 1, "O": 3}, elements=("Sr", "Ti", "O"),
    num_atoms=5, space_group=221, formation_energy=-3.4, e_above_hull=0.01, band_gap=1.8,
)  # fmt: skip

ELEMENTS = st.lists(st.sampled_from(SYMBOLS[1:]), min_size=1, max_size=4, unique=True)
CONDITIONS = st.builds(
    Conditions,
    elements=st.none() | ELEMENTS.map(tuple),
    num_atoms=st.none() | st.integers(1, 20),
    space_group=st.none() | st.integers(1, 230),
    formation_energy=st.none() | st.floats(-5, 5),
    e_above_hull=st.none() | st.floats(0, 1),
    band_gap=st.none() | st.floats(0, 9),
)


def test_every_standard_sentence_has_a_field():
    assert set(FIELDS) == set(STEMS)


@given(CONDITIONS)
def test_writing_the_values_of_a_prompt_into_a_bare_one_gives_that_prompt(conditions):
    prompt, built = EMPTY, build_prompt(conditions)
    for name, value in reversed(values_of(built).items()):  # in any order
        prompt = with_value(prompt, name, value)
    assert prompt == built
    for name in STEMS:
        prompt = with_value(prompt, name, "")
    assert prompt == EMPTY


def test_values_are_those_that_the_package_reads():
    prompt = build_prompt(FULL)
    assert check(prompt).problems == {} and check(prompt).warning == ""
    values = values_of(prompt)
    assert values["formula"] == "SrTiO3" and values["elements"] == "Sr, Ti, O"
    assert values["composition"] == "Sr1 Ti1 O3" and values["num_atoms"] == "5"
    assert parse_prompt(prompt) == FULL


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        ("formula", "O3TiSr", "SrTiO3"),
        ("formula", "Sr2Ti2O6", "SrTiO3"),
        ("elements", "O,Ti Sr", "Sr, Ti, O"),
        ("composition", "SrTiO3", "Sr1 Ti1 O3"),
        ("num_atoms", "007", "7"),
        ("space_group", "P 63/m m c", "194"),
        ("composition", "Li1 D1", "Li1 H1"),
        ("band_gap", "1.2345", "1.23"),
        ("e_above_hull", "-0.001", "0.00"),
        ("formation_energy", "1e-1", "0.10"),
    ],
)
def test_values_are_written_as_in_the_training_data(name, text, written):
    assert canonical(name, text) == written
    prompt = with_value(EMPTY, name, f"  {text} ")
    assert f"{STEMS[name]} {written}. " in prompt and check(prompt).problems == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("formula", "SrXx3", "unknown element 'Xx'"),
        ("formula", "Sr(", "cannot be read"),
        ("formula", "SrTiO30", "at most 20"),
        ("elements", "Li, Xx", "unknown element 'Xx'"),
        ("elements", ",", "empty"),
        ("composition", "Sr1 tI1", "write it as Sr1 Ti1 O3"),
        ("composition", "Sr1 Sr2", "write it as Sr1 Ti1 O3"),
        ("composition", "Sr30", "at most 20 atoms"),
        ("composition", "Sr0", "at least 1"),
        ("composition", "Qq1", "unknown element 'Qq'"),
        ("num_atoms", "0", "at least 1"),
        ("num_atoms", "21", "at most 20 atoms"),
        ("num_atoms", "5.5", "not a whole number"),
        ("space_group", "231", "from 1 to 230"),
        ("space_group", "Pm-3k", "unknown space group"),
        ("space_group", "cubic", "195 to 230"),
        ("e_above_hull", "low", "not a number"),
        ("band_gap", "nan", "must be finite"),
        ("formation_energy", "inf", "must be finite"),
    ],
)
def test_a_bad_value_is_named_beside_its_field_and_no_other(name, text, message):
    found = check(with_value(EMPTY, name, text))
    assert set(found.problems) == {name} and message in found.problems[name]
    assert found.values[name] == text
    if "at most 20" not in message:  # which is for the model to say
        with pytest.raises(InputError):
            canonical(name, text)


@pytest.mark.parametrize(
    ("values", "culprit", "message"),
    [
        (
            {"formula": "SrTiO3", "elements": "Li, O"},
            "elements",
            "Ti, O, not the elements Li, O",
        ),
        (
            {"formula": "SrTiO3", "num_atoms": "7"},
            "num_atoms",
            "15 or 20 atoms, not the number of",
        ),
        (
            {"formula": "SrTiO3", "composition": "Sr1 O1"},
            "composition",
            "multiple of formula SrTiO3",
        ),
        (
            {"composition": "Sr1 O1", "elements": "Sr"},
            "elements",
            "Sr1 O1 holds Sr, O, not",
        ),
        (
            {"composition": "Sr1 O1", "num_atoms": "3"},
            "num_atoms",
            "Sr1 O1 has 2 atoms, not",
        ),
        ({"elements": "Li, Fe, O", "num_atoms": "2"}, "num_atoms", "3 elements"),
        ({"elements": ", ".join(SYMBOLS[1:23])}, "elements", "22 elements"),
        ({"composition": "Na2", "space_group": "229"}, "space_group", "sites for unit cell Na2"),
        ({"num_atoms": "6", "space_group": "19"}, "space_group", "not the number of atoms 6"),
    ],
)
def test_contradictions_are_named_beside_one_of_the_fields(values, culprit, message):
    prompt = EMPTY
    for name, text in values.items():
        prompt = with_value(prompt, name, text)
    found = check(prompt)
    assert set(found.problems) == {culprit} and message in found.problems[culprit]


def test_a_bad_field_does_not_hide_a_contradiction_of_others():
    prompt = with_value(with_value(EMPTY, "formula", "SrTiO3"), "num_atoms", "7")
    assert set(check(with_value(prompt, "space_group", "999")).problems) == {
        "num_atoms",
        "space_group",
    }


def test_what_fits_together_is_no_problem():
    prompt = EMPTY
    values = {"formula": "SrTiO3", "elements": "Ti, O, Sr", "num_atoms": "20", "space_group": "62"}
    for name, text in values.items():
        prompt = with_value(prompt, name, text)
    assert check(prompt).problems == {}


def test_foreign_words_are_kept_and_warned_of_with_the_known_sentences():
    prompt = EMPTY.replace(REQUEST, "It is blue. " + REQUEST)
    found = check(prompt)
    assert "It is blue." in found.warning and not found.problems
    assert all(stem in found.warning for stem in STEMS.values())
    grown = with_value(prompt, "formula", "SrTiO3")
    assert grown == OPENING + "It is blue. The chemical formula is SrTiO3. " + REQUEST
    changed = with_value(grown, "formula", "CaTiO3")
    assert changed == grown.replace("SrTiO3", "CaTiO3")
    assert with_value(changed, "formula", "") == prompt


@pytest.mark.parametrize(
    ("prompt", "words"),
    [("A red crystal", "begin with"), (OPENING + "blue", "end with"), (EMPTY.strip(), "end with")],
)
def test_a_prompt_without_its_frame_is_told_which_part_it_lacks(prompt, words):
    assert words in check(prompt).warning
    assert values_of(with_value(prompt, "num_atoms", "5"))["num_atoms"] == "5"


def test_an_empty_prompt_cannot_be_used():
    assert check("  \n").problems == {"prompt": "the prompt is empty"}


# ---- what training did not have

SEEN = TrainingRanges(
    50, {"band_gap": Range(50, 0.0, 0.0, 5.0, 9.0)}, {"Na": 50, "Cl": 50}, {225: {2: 50}}
)


def test_a_condition_out_of_the_range_is_warned_of_and_one_inside_is_not():
    prompt = with_value(with_value(EMPTY, "band_gap", "12"), "space_group", "225")
    found = check(prompt, SEEN)
    assert set(found.notes) == {"band_gap"} and "0.00 to 9.00 eV" in found.notes["band_gap"]
    assert found.problems == {} and check(prompt).notes == {}
    # what is wrong comes first
    wrong = check(with_value(prompt, "band_gap", "nan"), SEEN)
    assert set(wrong.problems) == {"band_gap"} and wrong.notes == {}


def test_the_warning_stands_beside_its_field_and_forbids_nothing():
    form = PromptForm(SEEN)
    form.fields["space_group"].value = "12"
    note = form.notes["space_group"]
    assert note.kind == "warning" and "none of 50" in note.text and form.valid
    form.fields["num_atoms"].value = "7"
    form.fields["space_group"].value = "225x"
    assert note.kind == "error" and not form.valid
    form.fields["space_group"].value = "225"
    assert note.text == note.kind == "" and form.valid


# ---- text and fields beside each other


def test_a_field_rewrites_its_sentence_and_is_left_as_it_was_typed():
    form = PromptForm()
    form.fields["formula"].value = "O3TiSr"
    assert form.prompt == form.text.value == build_prompt(Conditions(formula="SrTiO3"))
    assert form.fields["formula"].value == "O3TiSr"
    form.fields["num_atoms"].value = "5"
    assert form.fields["formula"].value == "SrTiO3"  # as the prompt has it
    form.fields["formula"].value = form.fields["num_atoms"].value = ""
    assert form.prompt == EMPTY


def test_a_comma_of_a_number_is_read_as_its_point_and_said():
    form = PromptForm()
    form.fields["e_above_hull"].value = "0,1"
    assert form.valid and "is 0.10" in form.prompt.replace("0.100", "0.10")
    assert form.notes["e_above_hull"].text == "read as 0.1"
    form.fields["e_above_hull"].value = "0,1,2"
    assert not form.valid


def test_enter_in_a_field_is_heard():
    form, heard = PromptForm(), []
    form.on_enter(lambda: heard.append(form.prompt))
    form.fields["formula"].value = "SrTiO3"
    form.fields["formula"]._handle_custom_msg({"event": "submit"}, [])
    assert len(heard) == 1 and "SrTiO3" in heard[0]


def test_text_fills_the_fields():
    form = PromptForm()
    form.text.value = build_prompt(FULL)
    assert {name: field.value for name, field in form.fields.items()} == values_of(form.prompt)
    form.clear.click()
    assert form.prompt == EMPTY and not any(field.value for field in form.fields.values())


def test_text_is_never_rewritten_under_the_hands_of_its_author():
    form = PromptForm()
    for end in range(0, len(EMPTY), 7):
        form.text.value = EMPTY[:end] + "The number of atoms is 3"
        assert form.text.value == form.prompt == EMPTY[:end] + "The number of atoms is 3"


def test_what_is_wrong_stands_beside_its_field_until_it_is_mended():
    form, seen = PromptForm(), []
    form.observe(lambda change: seen.append(change["new"]), "valid")
    form.fields["elements"].value = "Sr, Xx"
    assert form.notes["elements"].text == "unknown element 'Xx'"
    assert 'role="alert"' in form.notes["elements"].value
    assert form.text.value.count("Xx") == 1
    form.fields["elements"].value = "Sr, O"
    assert form.notes["elements"].text == "" and seen == [False, True]


def test_the_warning_is_shown_and_forbids_nothing():
    form = PromptForm()
    form.text.value = EMPTY.replace(REQUEST, "It is blue. " + REQUEST)
    assert form.valid and form.warning.kind == "warning" and "blue" in form.warning.text
    form.clear.click()
    assert form.warning.text == ""
