"""Decoding constraints of symmetric texts: what they take, and what every walk along them gives."""

from collections import Counter

import numpy as np
import pytest

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.crystals.volumes import volume_range
from flowllm.errors import InputError
from flowllm.symmetry.filling import has_sites
from flowllm.text import make_format
from flowllm.text.decoding_state import Restartable
from flowllm.text.formats.wyckoff import strings
from flowllm.text.formats.wyckoff.contacts import CLOSEST, closest
from flowllm.text.formats.wyckoff.state import Passage, WyckoffState
from flowllm.text.tokenizer import build_tokenizer

FORMAT = make_format("wyckoff", 20)
TITANATE = {"Sr": 1, "Ti": 1, "O": 3}


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(FORMAT)


def state_of(tokenizer, rule, group=None, overlap=False) -> WyckoffState:
    (state,) = FORMAT.states(tokenizer, [Conditions(space_group=group)], [rule], overlap)
    return state


def walk(state, rng) -> list[int]:
    """Random tokens to the end."""
    tokens: list[int] = []
    while not tokens or tokens[-1] != state.end:
        allowed = state.allowed()
        assert len(allowed) and len(set(allowed.tolist())) == len(allowed)
        tokens.append(int(rng.choice(allowed)))
        state.advance(tokens[-1])
        assert len(tokens) <= state.longest
    return tokens


def text_of(tokenizer, tokens) -> str:
    return tokenizer.decode(tokens, skip_special_tokens=True)


def test_real_texts_are_accepted_token_by_token(tokenizer, reduced):
    texts = FORMAT.to_text(reduced)
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    accepted = Counter()
    for crystal, ids in zip(reduced, encoded, strict=True):
        cell = crystal.compositions[0]
        group = int(tokenizer.decode(ids[:1]))
        rules = {
            "as it is": (CompositionRule(20, (cell,)), group),
            "open": (CompositionRule(20), None),
            "elements": (CompositionRule(20, elements=tuple(cell)), None),
        }
        for overlap in (True, False):
            for name, (rule, asked) in rules.items():
                state = state_of(tokenizer, rule, asked, overlap)
                for token in [*ids, state.end]:
                    if token not in state.allowed():
                        break
                    state.advance(token)
                else:
                    accepted[name, overlap] += 1
                    assert state.room == 1
    assert all(accepted[name, True] == len(reduced) for name in rules)
    assert all(accepted[name, False] >= 0.97 * len(reduced) for name in rules)


# composition, space groups that have sites for it
ASKED = [
    (TITANATE, (221, 1, 99, 123, 62, 140)),
    ({"Sr": 3, "Ti": 3, "O": 9}, (2, 12, 139, 166)),
    ({"Ti": 2, "O": 4}, (136, 141, 225, 61)),
    ({"Si": 2}, (227, 194, 166, 6)),
    ({"Na": 4, "Cl": 4, "O": 12}, (198, 14, 33, 62)),
    ({"Al": 4, "O": 6}, (167, 148, 161)),
]


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize(("cell", "groups"), ASKED)
def test_random_walks_give_what_is_asked(tokenizer, cell, groups, overlap):
    rng, free = np.random.default_rng(1), 0
    for group in groups:
        for _ in range(3):
            state = state_of(tokenizer, CompositionRule(20, (cell,)), group, overlap)
            text = text_of(tokenizer, walk(state, rng))
            crystal = strings.read(text)
            assert FORMAT.parse_text(text).compositions == [cell]
            possible = has_sites(group, cell.values())
            assert (crystal.number == group) is possible
            fixed = [x for x in crystal.letters if not crystal.group.positions[x].free]
            assert len(fixed) == len(set(fixed))
            whole = crystal.to_conventional()
            low, high = volume_range(whole.atomic_numbers)
            assert 0.99 * low <= whole.volumes[0] <= 1.01 * high, text
            if state.room < 1 or overlap:
                continue
            free += 1
            assert closest(crystal) >= CLOSEST - 1e-9
    assert overlap or free


def test_the_first_orbit_lies_at_the_origin_of_polar_axes(tokenizer):
    rng = np.random.default_rng(0)
    for group, axes in ((1, [0, 1, 2]), (33, [2]), (8, [0, 2]), (4, [1])):
        cell = {"Ga": 4, "O": 4}
        state = state_of(tokenizer, CompositionRule(20, (cell,)), group)
        crystal = strings.read(text_of(tokenizer, walk(state, rng)))
        assert (crystal.coords[0][axes] == crystal.positions[0].constant[axes]).all()


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (CompositionRule(20, num_atoms=7), lambda c: sum(c.values()) == 7),
        (CompositionRule(20, num_atoms=20), lambda c: sum(c.values()) == 20),
        (CompositionRule(20, elements=("Fe", "O")), lambda c: set(c) == {"Fe", "O"}),
        (CompositionRule(5, elements=("K", "Fe", "Mn", "S", "O")), lambda c: len(c) == 5),
        (CompositionRule(20, elements=("Li", "O"), num_atoms=6),
         lambda c: set(c) == {"Li", "O"} and sum(c.values()) == 6),
        (CompositionRule(20, ({"Si": 1, "O": 2}, {"Si": 2, "O": 4}, {"Si": 3, "O": 6})),
         lambda c: c["O"] == 2 * c["Si"] <= 6),
        (CompositionRule(6, pool=("Na", "Cl", "Br")), lambda c: set(c) <= {"Na", "Cl", "Br"}),
        (CompositionRule(1), lambda c: sum(c.values()) == 1),
    ],
)  # fmt: skip
def test_open_rules(tokenizer, rule, holds):
    rng, seen = np.random.default_rng(5), set()
    for _ in range(5):
        text = text_of(tokenizer, walk(state_of(tokenizer, rule), rng))
        (found,) = FORMAT.parse_text(text).compositions
        assert holds(found) and rule.allows(found), text
        seen.add(text.split("\n")[0])
    assert len(seen) > 1


def test_a_group_without_sites_leaves_the_group_open(tokenizer):
    rule = CompositionRule(20, ({"Si": 2},))
    state = state_of(tokenizer, rule, 229)  # bcc has no second place of one atom
    groups = {int(tokenizer.decode([token])) for token in state.allowed()}
    assert groups == {n for n in range(1, 231) if has_sites(n, [2])} and 229 not in groups
    assert state_of(tokenizer, rule, 227).allowed().tolist() == tokenizer.convert_tokens_to_ids(
        ["227"]
    )


def test_fixed_positions_are_offered_once(tokenizer):
    state = state_of(tokenizer, CompositionRule(20, (TITANATE,)), 221)
    words = ["221", "\nSr", " 1a", "\nTi"]
    for token in tokenizer.convert_tokens_to_ids(words):
        state.advance(token)
    assert tokenizer.convert_ids_to_tokens(state.allowed().tolist()) == [" 1b"]


def test_an_orbit_that_would_leave_atoms_without_sites_is_not_offered(tokenizer):
    state = state_of(tokenizer, CompositionRule(20, ({"Si": 1, "O": 2},)), 225)
    for token in tokenizer.convert_tokens_to_ids(["225", "\nSi"]):
        state.advance(token)
    # one atom has a or b, two need c, which no single atom has
    assert tokenizer.convert_ids_to_tokens(state.allowed().tolist()) == [" 4a", " 4b"]


def test_the_last_coordinate_keeps_atoms_apart(tokenizer):
    state = state_of(tokenizer, CompositionRule(20, ({"Ti": 2, "O": 4},)), 136)
    words = ["136", "\nTi", " 2a", "\nO", " 4f", "\n4", ".6", " 3", ".0"]
    for token in tokenizer.convert_tokens_to_ids(words):
        assert token in state.allowed()
        state.advance(token)
    steps = {round(100 * float(w)) for w in tokenizer.convert_ids_to_tokens(state.allowed())}
    assert 31 in steps and not steps & set(range(20)) and 50 not in steps
    for step in range(100):
        crystal = strings.read(f"136\nTi 2a\nO 4f\n4.6 3.0\n0.{step:02d}")
        assert (step in steps) is (closest(crystal) >= CLOSEST)
    free = state_of(tokenizer, CompositionRule(20, ({"Ti": 2, "O": 4},)), 136, overlap=True)
    for token in tokenizer.convert_tokens_to_ids(words):
        free.advance(token)
    assert len(free.allowed()) == 100


def crowded_state(tokenizer) -> WyckoffState:
    """Caesium iodide in a cell that its fixed positions do not fit in."""
    state = state_of(tokenizer, CompositionRule(20, ({"Cs": 1, "I": 1},)), 221)
    for token in tokenizer.convert_tokens_to_ids(["221", "\nCs", " 1a", "\nI", " 1b", "\n2", ".0"]):
        state.advance(token)
    return state


def test_what_has_no_room_is_noticed(tokenizer):
    state = crowded_state(tokenizer)
    assert 0 < state.room < 1 and state.stage is Passage.END
    roomy = state_of(tokenizer, CompositionRule(20, ({"Cs": 1, "I": 1},)), 221)
    for token in tokenizer.convert_tokens_to_ids(["221", "\nCs", " 1a", "\nI", " 1b", "\n4", ".6"]):
        assert token in roomy.allowed()
        roomy.advance(token)
    assert roomy.room == 1


def test_a_restarted_state_keeps_group_and_orbits(tokenizer):
    state = crowded_state(tokenizer)
    assert isinstance(state, Restartable)
    again = state.restarted()
    words = ["221", "\nCs", " 1a", "\nI", " 1b"]
    assert tokenizer.convert_ids_to_tokens(again.tokens) == words and again.room == 1
    assert again.stage is Passage.ORBITS and again.rule is state.rule
    rng = np.random.default_rng(0)
    rest = text_of(tokenizer, walk(again, rng))
    crystal = strings.read("".join(words) + rest)
    assert crystal.letters == ("a", "b") and closest(crystal) >= CLOSEST
    begun = state_of(tokenizer, CompositionRule(20, (TITANATE,)))
    assert begun.restarted() is None
    begun.advance(int(begun.allowed()[0]))
    assert begun.restarted() is None


def test_another_tokenizer_is_refused():
    with pytest.raises(InputError):
        FORMAT.states(build_tokenizer(make_format("gruver")), [], [])
