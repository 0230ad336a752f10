"""Text formats: the registry, and what each of them promises."""

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.text import build_prompt, make_format
from flowllm.text.formats.base import TextError
from flowllm.text.formats.registry import FORMATS, register_format
from flowllm.text.prompts import OUTLINE
from flowllm.text.tokenizer import build_tokenizer
from tests.text.backward import BackwardText

MATCHER = StructureMatcher(ltol=0.1, stol=0.15, angle_tol=5)


@pytest.fixture(params=["gruver", "backward", "wyckoff"])
def text_format(request, monkeypatch):
    monkeypatch.setitem(FORMATS, "backward", BackwardText)
    return make_format(request.param, 24)


def test_texts_and_tokens_round_trip(text_format, reduced):
    tokenizer = build_tokenizer(text_format)
    texts = text_format.to_text(reduced)
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    assert tokenizer.batch_decode(ids) == texts
    assert max(map(len, ids)) + 1 <= text_format.longest(tokenizer)
    changed = 0
    for crystal, text in zip(reduced, texts, strict=True):
        read = text_format.parse_text(text, "x")
        assert read.ids.tolist() == ["x"] and read.compositions == crystal.compositions
        changed += text_format.to_text(read) != [text]
        if text_format.name == "wyckoff":  # writes another cell, so that all of it is compared
            assert MATCHER.fit(read.to_pymatgen()[0], crystal.to_pymatgen()[0]), crystal.ids[0]
        else:
            np.testing.assert_allclose(read.lengths, crystal.lengths, atol=0.051)
            np.testing.assert_allclose(read.angles, crystal.angles, atol=0.51)
    # rounding may make another of two descriptions the canonical one
    assert changed <= (5 if text_format.name == "wyckoff" else 0)
    with pytest.raises(TextError):
        text_format.parse_text("a crystal")


def test_a_random_walk_gives_a_crystal_as_asked(text_format):
    tokenizer, rng = build_tokenizer(text_format), np.random.default_rng(0)
    cell = {"Sr": 3, "Ti": 3, "O": 18}
    asked = [Conditions(composition=cell), Conditions(), Conditions(num_atoms=24)]
    rules = [
        CompositionRule(24, (cell,)),
        CompositionRule(24),
        CompositionRule(24, num_atoms=24),
    ]
    states = text_format.states(tokenizer, asked, rules)
    found = []
    for state in states:
        tokens = []
        while not tokens or tokens[-1] != state.end:
            tokens.append(int(rng.choice(state.allowed())))
            state.advance(tokens[-1])
            assert len(tokens) <= state.longest <= text_format.longest(tokenizer)
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        found.append(text_format.parse_text(text).compositions[0])
    assert found[0] == cell and sum(found[2].values()) == 24
    assert 1 <= sum(found[1].values()) <= 24


def test_equal_crystals_have_equal_canonical_texts(text_format, reduced):
    few = reduced[:20]
    moved = few.replace(frac_coords=few.frac_coords + 0.5)
    expected, found = (text_format.to_text(text_format.canonical(each)) for each in (few, moved))
    assert found == expected
    if text_format.name == "wyckoff":  # its texts are of crystals as such, wherever the origin is
        assert text_format.to_text(moved) == text_format.to_text(few) == expected
    else:
        assert found != text_format.to_text(moved)


def test_the_outline_stands_last_in_its_own_order():
    asked = Conditions(band_gap=1.0, composition={"Na": 1, "Cl": 1}, space_group=225)
    usual = build_prompt(asked)
    assert build_prompt(asked, OUTLINE) == usual
    turned = build_prompt(asked, ("space_group", "composition"))
    assert turned.index("band gap") < turned.index("space group") < turned.index("unit cell")
    first = build_prompt(asked, ("band_gap",))
    assert first.index("unit cell") < first.index("band gap")


def test_words_up_to_ninety_nine_atoms_are_those_of_twenty():
    assert make_format("gruver", 99).words() == make_format().words()
    more = make_format("gruver", 120).words()
    assert more[: len(make_format().words())] == make_format().words()
    tokenizer = build_tokenizer(make_format("gruver", 120))
    prompt = build_prompt(Conditions(composition={"Si": 120}))
    assert len(tokenizer(prompt)["input_ids"]) == 6
    assert tokenizer.model_max_length >= 4 * 120 + 10
    assert build_tokenizer().model_max_length == 512


def test_the_registry_names_what_is_missing(monkeypatch):
    with pytest.raises(InputError, match="unknown text format 'runes'; choose from gruver"):
        make_format("runes")
    with pytest.raises(InputError, match="max_atoms must be at least 1"):
        make_format("gruver", 0)
    with pytest.raises(InputError, match="already registered"):
        register_format("gruver", BackwardText)
    monkeypatch.setitem(FORMATS, "gone", "flowllm.text.formats.nowhere:Text")
    with pytest.raises(InputError, match="cannot be imported"):
        make_format("gone")
