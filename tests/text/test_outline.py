"""The sentences that the model writes: whatever is drawn is a composition that was asked for."""

import numpy as np
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.crystals.elements import SYMBOLS
from flowllm.symmetry.filling import can_be_completed, has_sites
from flowllm.text import build_prompt, build_tokenizer, parse_prompt
from flowllm.text.outline import OUTLINE_STATES, CompositionState, SpaceGroupState
from flowllm.text.prompts import OUTLINE, STEMS, add_sentence
from flowllm.text.token_table import PromptTable

COMPACT = build_tokenizer()
TABLE = PromptTable(COMPACT, 20)

few = st.lists(st.sampled_from(SYMBOLS[1:]), min_size=1, max_size=4, unique=True).map(tuple)
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
)


def walk(state, choose) -> list[int]:
    """Tokens drawn by `choose(allowed)` until the end."""
    tokens = []
    while not tokens or tokens[-1] != state.end:
        allowed = state.allowed().tolist()
        assert allowed and len(set(allowed)) == len(allowed)
        tokens.append(choose(allowed))
        state.advance(tokens[-1])
        assert len(tokens) <= state.longest
    return tokens


@given(rules, st.integers(0, 2**32), st.sampled_from(["any", "first", "last"]))
@example(
    CompositionRule(20, ({"H": 4}, {"H": 4, "He": 1})), 0, "first"
)  # one ends where another goes on
@example(CompositionRule(20, num_atoms=20), 0, "last")  # tungsten to lawrencium: the order's last
@example(CompositionRule(20, elements=("O",), num_atoms=20), 0, "first")
def test_a_walk_gives_a_composition_that_is_allowed(rule, seed, how):
    rng = np.random.default_rng(seed)
    choose = {"any": rng.choice, "first": lambda a: a[0], "last": lambda a: a[-1]}[how]
    tokens = walk(CompositionState(TABLE, rule), lambda allowed: int(choose(allowed)))
    value = COMPACT.decode(tokens)
    prompt = add_sentence(build_prompt(), "composition", value.strip().removesuffix("."))
    found = parse_prompt(prompt).composition
    assert build_prompt(Conditions(composition=found)) == prompt  # elements in order
    assert COMPACT(STEMS["composition"] + value)["input_ids"][1:] == tokens
    assert 1 <= sum(found.values()) <= 20
    assert rule.compositions is None or found in rule.compositions
    assert rule.elements is None or set(found) == set(rule.elements)
    assert rule.num_atoms in (None, sum(found.values()))
    assert rule.pool is None or set(found) <= set(rule.pool)


def test_no_real_composition_is_forbidden(reduced):
    for composition in reduced.compositions:
        count = sum(composition.values())
        text = build_prompt(Conditions(composition=composition))
        value = text.split(STEMS["composition"])[1].split(". ")[0] + ". "
        tokens = COMPACT(STEMS["composition"] + value)["input_ids"][1:]
        for rule in (
            CompositionRule(20),
            CompositionRule(20, num_atoms=count),
            CompositionRule(20, elements=tuple(composition)),
            CompositionRule(20, ({"H": 1}, composition)),
        ):
            state = CompositionState(TABLE, rule)
            for token in tokens:
                assert token in state.allowed()
                state.advance(token)


@given(
    st.integers(1, 230),
    few,
    st.sampled_from([None, *range(1, 21)]),
    st.integers(0, 2**32),
)
def test_a_composition_for_a_space_group_has_sites_in_it(group, elements, num_atoms, seed):
    """Where one of these elements, and of this size, has: else any is written."""
    sizes = range(num_atoms or 1, (num_atoms or 20) + 1)
    assume(len(elements) <= sizes[-1])
    rule = CompositionRule(20, elements=elements, num_atoms=num_atoms, space_group=group)
    rng = np.random.default_rng(seed)
    tokens = walk(CompositionState(TABLE, rule), lambda allowed: int(rng.choice(allowed)))
    prompt = add_sentence(
        build_prompt(), "composition", COMPACT.decode(tokens).strip().removesuffix(".")
    )
    found = parse_prompt(prompt).composition
    assert set(found) == set(elements) and sum(found.values()) in sizes
    possible = can_be_completed(group, (), len(elements), sizes)
    assert has_sites(group, found.values()) == possible


def test_of_some_compositions_those_with_sites_are_written():
    rule = CompositionRule(20, ({"Na": 2, "Cl": 3}, {"Na": 1, "Cl": 1}), space_group=225)
    tokens = walk(CompositionState(TABLE, rule), lambda allowed: allowed[-1])
    assert COMPACT.decode(tokens) == " Na1 Cl1. "


def test_a_space_group_is_one_of_230():
    assert SpaceGroupState(TABLE, CompositionRule(20)).allowed().tolist() == [
        COMPACT(STEMS["space_group"] + f" {n}")["input_ids"][1] for n in range(1, 231)
    ]
    tokens = walk(SpaceGroupState(TABLE, CompositionRule(20)), lambda allowed: allowed[-1])
    assert COMPACT.decode(tokens) == " 230. "
    assert set(OUTLINE_STATES) == set(OUTLINE)
