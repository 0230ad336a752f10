"""Prompts: the frame, the sentences, and reading them back."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.text import build_prompt, parse_prompt
from flowllm.text.prompts import (
    OPENING,
    REQUEST,
    STEMS,
    add_sentence,
    foreign_text,
    without_frame,
)

elements = st.lists(st.sampled_from(SYMBOLS[1:]), min_size=1, max_size=5, unique=True)
numbers = st.integers(-999, 999).map(lambda n: n / 100)
conditions = st.builds(
    Conditions,
    formula=st.none() | st.sampled_from(["SrTiO3", "Fe2O3", "O2", "Ba(NO3)2"]),
    composition=st.none() | elements.flatmap(
        lambda found: st.fixed_dictionaries({s: st.integers(1, 4) for s in found})
    ),
    elements=st.none() | elements.map(tuple),
    num_atoms=st.none() | st.integers(1, 20),
    space_group=st.none() | st.integers(1, 230),
    formation_energy=st.none() | numbers,
    e_above_hull=st.none() | numbers,
    band_gap=st.none() | numbers,
)  # fmt: skip


def test_the_prompt_of_the_papers():
    assert build_prompt() == (
        "Below is a description of a bulk material. Generate a description of the lengths and "
        "angles of the lattice vectors and then the element type and coordinates for each atom "
        "within the lattice:\n"
    )
    asked = Conditions(band_gap=-0.001, formula="SrTiO3", space_group=221, e_above_hull=0.0249)
    assert without_frame(build_prompt(asked)) == (
        "The chemical formula is SrTiO3. The energy above the convex hull is 0.02. "
        "The band gap is 0.00. The space group number is 221."
    )
    full = Conditions(composition={"O": 3, "Sr": 1, "Ti": 1}, elements=("O", "Ti", "Sr"))
    assert without_frame(build_prompt(full)) == (
        "The elements are Sr, Ti, O. The unit cell contains Sr1 Ti1 O3."
    )


@given(conditions)
def test_a_prompt_says_what_was_asked(asked):
    prompt = build_prompt(asked)
    read = parse_prompt(prompt)
    for name in STEMS:
        before, after = getattr(asked, name), getattr(read, name)
        assert (set(before) == set(after)) if name == "elements" and before else before == after
    assert build_prompt(read) == prompt
    assert foreign_text(prompt) == ""
    # known sentences stand in one order
    places = [prompt.index(STEMS[name]) for name in asked.known()]
    assert places == sorted(places)


@given(conditions)
def test_a_sentence_is_added_where_it_belongs(asked):
    rest = asked.only(set(STEMS) - {"composition", "space_group"})
    for name in ("composition", "space_group"):
        if getattr(asked, name) is None:
            continue
        grown = asked.only({*rest.known(), name})
        value = without_frame(build_prompt(asked.only({name})))
        value = value.removeprefix(STEMS[name] + " ").removesuffix(".")
        before = build_prompt(rest)
        assert add_sentence(before, name, value) == build_prompt(grown)
        assert build_prompt(grown).startswith(add_sentence(before, name))
        assert add_sentence(before, name).endswith(STEMS[name])
        rest = grown


def test_nothing_is_added_to_a_prompt_without_request():
    with pytest.raises(ValueError, match="request"):
        add_sentence(OPENING, "space_group", "221")


def test_only_keeps_the_named_conditions():
    asked = Conditions(formula="NaCl", num_atoms=2, band_gap=5.0)
    assert asked.only({"num_atoms"}) == Conditions(num_atoms=2)
    assert asked.only(["band_gap", "formula"]).known() == ["formula", "band_gap"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"elements": ("Fe", "Xx")}, "'Xx'"),
        ({"elements": ()}, "empty"),
        ({"composition": {"Qq": 1}}, "'Qq'"),
        ({"composition": {"Fe": 0}}, "at least 1 atom of Fe, got 0"),
        ({"composition": {}}, "no atoms"),
        ({"num_atoms": 0}, "number of atoms must be at least 1, not 0"),
        ({"space_group": 231}, "space group must be from 1 to 230, not 231"),
        ({"band_gap": float("nan")}, "band_gap must be finite, not nan"),
        ({"e_above_hull": float("inf")}, "e_above_hull must be finite, not inf"),
    ],
)
def test_conditions_out_of_range_are_named(values, said):
    with pytest.raises(InputError, match=said):
        Conditions(**values)


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("The number of atoms is many.", "'many'"),
        ("The unit cell contains SrTiO3.", "'SrTiO3'"),
        ("The unit cell contains O2 O3.", "'O2 O3'"),
        ("The band gap is wide.", "'wide'"),
        ("The elements are Fe, Zz.", "'Zz'"),
        ("The space group number is 231.", "231"),
    ],
)
def test_sentences_that_cannot_be_read_are_named(sentence, said):
    with pytest.raises(InputError, match=said):
        parse_prompt(OPENING + sentence + " " + REQUEST)


def test_foreign_text_is_what_no_standard_sentence_covers():
    assert foreign_text(OPENING + "The band gap is 1.5. " + REQUEST) == ""
    mixed = OPENING + "The band gap is 1.50. It should glow. " + REQUEST
    assert foreign_text(mixed) == "It should glow."
    assert parse_prompt(mixed) == Conditions(band_gap=1.5)
    assert foreign_text("Write me a crystal.") == "Write me a crystal."
    assert parse_prompt("Write me a crystal.") == Conditions()


def test_a_prompt_of_thousands_of_unended_sentences_is_read_in_linear_time():
    stems = " ".join(STEMS.values())
    began = time.perf_counter()
    assert parse_prompt(f"{stems} " * 500) == Conditions()  # 0.1 million characters
    assert time.perf_counter() - began < 5  # without a bound of the values' length, a minute
