"""Decoding constraints: whatever is drawn from the allowed tokens is the crystal that was asked."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.crystals.elements import RANK_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.text import build_tokenizer, parse_text, to_text
from flowllm.text.formats.gruver.state import GruverState
from flowllm.text.formats.gruver.table import GruverTable

COMPACT = build_tokenizer()
TABLE = GruverTable(COMPACT, 20)
MOST_TOKENS = 9 + 4 * 20 + 1

symbols = st.sampled_from(SYMBOLS[1:])
few = st.lists(symbols, min_size=1, max_size=4, unique=True).map(tuple)
compositions = few.flatmap(
    lambda found: st.fixed_dictionaries({s: st.integers(1, 5) for s in found})
)
rules = st.one_of(
    st.just(CompositionRule(20)),
    st.builds(CompositionRule, st.just(20), num_atoms=st.integers(1, 20)),
    st.builds(CompositionRule, st.just(20), elements=few),
    st.builds(CompositionRule, st.just(20), elements=few, num_atoms=st.integers(4, 20)),
    st.builds(lambda *c: CompositionRule(20, c), compositions, compositions),
    st.builds(CompositionRule, st.just(20), pool=few),
    st.builds(CompositionRule, st.just(20), num_atoms=st.integers(1, 20), pool=few),
    compositions.map(
        lambda unit: CompositionRule(
            20,
            tuple({s: n * k for s, n in unit.items()} for k in (1, 2, 3))
        )
    ),
)  # fmt: skip


def walk(rule, choose) -> list[int]:
    """Tokens drawn by `choose(state, allowed)` until the end."""
    state, tokens = GruverState(TABLE, rule), []
    while not state.finished:
        allowed = state.allowed()
        assert len(allowed) > 0 and len(set(allowed.tolist())) == len(allowed)
        tokens.append(int(choose(state, allowed)))
        state.advance(tokens[-1])
        assert len(tokens) <= MOST_TOKENS
    return tokens


def check(tokens: list[int], rule: CompositionRule) -> None:
    """The text of the tokens parses, is in order, and has the composition asked for."""
    text = COMPACT.decode(tokens, skip_special_tokens=True)
    crystal = parse_text(text)  # raises where the form is wrong or the cell has zero volume
    assert to_text(crystal) == [text]  # elements in order, and inside each element its atoms
    assert COMPACT(text)["input_ids"] == tokens[:-1]
    sites = np.round(crystal.frac_coords * 100).astype(int)
    for number in set(crystal.atomic_numbers.tolist()):
        written = [tuple(site) for site in sites[crystal.atomic_numbers == number].tolist()]
        assert all(a < b for a, b in itertools.pairwise(written))
    found = crystal.compositions[0]
    assert 1 <= sum(found.values()) <= 20
    if rule.compositions is not None:
        assert found in rule.compositions
    if rule.elements is not None:
        assert set(found) == set(rule.elements)
    if rule.num_atoms is not None:
        assert sum(found.values()) == rule.num_atoms
    if rule.pool is not None:
        assert set(found) <= set(rule.pool)


@given(rules, st.integers(0, 2**32))
def test_a_random_walk_gives_a_crystal_as_asked(rule, seed):
    rng = np.random.default_rng(seed)
    check(walk(rule, lambda state, allowed: rng.choice(allowed)), rule)


@given(rules, st.integers(0, 2**32))
@example(CompositionRule(20, elements=("O",), num_atoms=20), 0)
@example(CompositionRule(20, ({"O": 20},)), 0)
@example(CompositionRule(20, ({"O": 1}, {"O": 2}, {"O": 20})), 0)
@example(CompositionRule(20, num_atoms=20), 0)
def test_so_does_a_walk_into_the_last_corner_of_the_cell(rule, seed):
    # the largest coordinates leave no room for a further atom of the same element
    rng = np.random.default_rng(seed)

    def choose(state, allowed):
        place = (state.position - 9) % 4 if state.position >= 9 else 0
        if place:
            return allowed[-1]
        return rng.choice(allowed[: 2 if state.position >= 9 else None])

    check(walk(rule, choose), rule)


def test_no_real_crystal_is_forbidden(reduced):
    for text, composition in zip(to_text(reduced), reduced.compositions, strict=True):
        tokens = [*COMPACT(text)["input_ids"], TABLE.end]
        count = sum(composition.values())
        for rule in (
            CompositionRule(20),
            CompositionRule(20, num_atoms=count),
            CompositionRule(20, elements=tuple(composition)),
            CompositionRule(20, ({"H": 1}, composition)),
        ):
            state = GruverState(TABLE, rule)
            for token in tokens:
                assert token in state.allowed()
                state.advance(token)
            assert state.finished and state.allowed().tolist() == [TABLE.end]


def test_the_choice_left_open_is_all_of_it():
    rule = CompositionRule(20, ({"Na": 1, "Cl": 1}, {"Na": 2, "Cl": 2}))
    rng, sizes = np.random.default_rng(0), set()
    for _ in range(40):
        tokens = walk(rule, lambda state, allowed: rng.choice(allowed))
        sizes.add((len(tokens) - 10) // 4)
    assert sizes == {2, 4}
    # at the very beginning of an open text any element may come, and no end
    state = GruverState(TABLE, CompositionRule(20))
    for token in COMPACT("3.9 3.9 3.9\n90 90 90")["input_ids"]:
        state.advance(token)
    assert set(state.allowed().tolist()) == set(TABLE.elements.tolist())


def test_a_rule_of_any_size_keeps_the_rest():
    rule = CompositionRule(20, elements=("Li", "O"), num_atoms=6).any_size()
    assert rule.num_atoms is None and rule.largest == 6 and set(rule.elements) == {"Li", "O"}
    whole = CompositionRule(20, ({"O": 2}, {"O": 4}), num_atoms=4)
    assert whole.any_size() is whole and CompositionRule(20).any_size() == CompositionRule(20)
    assert whole.allows({"O": 4}) and not whole.allows({"O": 2})


def test_the_third_angle_spans_a_volume():
    allowed = [TABLE.angle_of[t] for t in TABLE.last_angles(60, 60).tolist()]
    assert max(allowed) == 119 and min(allowed) == 59
    assert [TABLE.angle_of[t] for t in TABLE.last_angles(90, 90).tolist()] == list(range(59, 122))


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"compositions": ({"O": 21},)}, "no composition"),
        ({"compositions": ({},)}, "no composition"),
        ({"compositions": ({"O": 2},), "num_atoms": 3}, "no composition"),
        ({"compositions": ({"O": 2},), "elements": ("O", "H")}, "no composition"),
        ({"elements": ("O", "H", "C"), "num_atoms": 2}, "3 elements do not fit in 2 atoms"),
        ({"elements": ()}, "empty"),
    ],
)
def test_rules_that_nothing_satisfies(wishes, said):
    with pytest.raises(InputError, match=said):
        CompositionRule(20, **wishes)


def test_a_rule_knows_its_paths_and_its_largest_cell():
    rule = CompositionRule(20, ({"O": 3, "Ti": 1, "Sr": 1}, {"O": 24, "Ti": 8, "Sr": 8}))
    assert rule.paths == (((RANK_OF["Sr"], 1), (RANK_OF["Ti"], 1), (RANK_OF["O"], 3)),)
    assert rule.largest == 5
    assert CompositionRule(20).largest == 20
    assert CompositionRule(20, elements=("O", "Fe", "O"), num_atoms=2).largest == 2


def test_another_tokenizer_is_refused():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    for model in (
        models.BPE(vocab={"a": 0}, merges=[]),
        models.WordLevel({"?": 0, "a": 1}, unk_token="?"),
    ):
        other = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(model), eos_token="a",
            unk_token="?" if isinstance(model, models.WordLevel) else None,
        )  # fmt: skip
        with pytest.raises(InputError, match="compact tokenizer"):
            GruverTable(other, 20)
