"""Watching a model write: the same crystals as generate, honest probabilities, a prompt stop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.methods.flow.settings import RefineSettings
from flowllm.methods.language_model import SamplingSettings
from flowllm.methods.language_model.decoding.events import Sentence, Token
from flowllm.methods.language_model.rules import rule_for
from flowllm.systems.events import Asked, Drawn, Refined, Refining, Rejected
from flowllm.systems.system import FlowLLM
from flowllm.systems.watch import Watch
from flowllm.text import build_prompt, parse_prompt
from flowllm.text.formats.gruver.state import GruverState
from flowllm.text.formats.gruver.table import GruverTable
from flowllm.text.prompts import read_prompt

PROMPTS = [
    build_prompt(c)
    for c in (
        Conditions(),
        Conditions(num_atoms=7),
        Conditions(formula="SrTiO3"),
        Conditions(elements=("Li", "O"), e_above_hull=0.0),
        Conditions(space_group=225, num_atoms=3),
    )
]
STEPS = RefineSettings(steps=3)


def told(system, *args, **kwargs):
    return list(system.stream(*args, **{"refinement": STEPS, **kwargs}))


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def assert_same(system, events, *args, **kwargs):
    """The crystals that were streamed are those of generate, bit for bit."""
    made = system.generate(*args, **{"refinement": STEPS, **kwargs})
    refined = of(Refined, events)
    assert [event.index for event in refined] == list(range(len(made.prior)))
    for streamed, batch in (
        (CrystalBatch.concatenate(event.prior for event in refined), made.prior),
        (CrystalBatch.concatenate(event.trajectory.last for event in refined), made.refined),
    ):
        for name in ("atomic_numbers", "frac_coords", "lengths", "angles", "num_atoms", "ids"):
            assert np.array_equal(getattr(streamed, name), getattr(batch, name)), name
    assert [event.prompt for event in of(Asked, events)] == made.prompts


@pytest.mark.parametrize("num", [1, 7])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(),
        SamplingSettings(temperature=1.3, top_p=1.0, noise=0.02, overlap=True),
        SamplingSettings(batch_size=2),
    ],
)
def test_streaming_and_batch_give_the_same_crystals(system, num, sampling):
    wishes = {"prompts": PROMPTS, "seed": 5, "sampling": sampling}
    events = told(system, num, **wishes)
    assert_same(system, events, num, **wishes)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31),
    temperature=st.floats(0.1, 3),
    top_p=st.floats(0.05, 1),
    place=st.integers(0, len(PROMPTS) - 1),
)
def test_they_agree_at_any_setting(system, seed, temperature, top_p, place):
    sampling = SamplingSettings(temperature, top_p)
    wishes = {"prompts": [PROMPTS[place]], "seed": seed, "sampling": sampling}
    assert_same(system, told(system, 2, **wishes), 2, **wishes)


@pytest.mark.parametrize(
    "wishes", [{"formula": "SrTiO3"}, {"elements": "Li,Fe,O"}, {"num_atoms": 4}, {}]
)
def test_wishes_are_those_of_generate(system, wishes):
    assert_same(system, told(system, 3, **wishes), 3, **wishes)


def test_what_is_rejected_is_told_with_its_reason_and_drawn_again(system):
    # cells of one or two formula units end in time, others do not
    wishes = {"prompts": [PROMPTS[2]], "sampling": SamplingSettings(max_new_tokens=55), "seed": 1}
    events = told(system, 6, **wishes)
    assert_same(system, events, 6, **wishes)
    failed = [event for event in of(Rejected, events) if event.part == "crystal"]
    assert failed and {event.reason for event in failed} == {"no end within 55 tokens"}
    drawn = {event.index: event.attempt for event in of(Drawn, events)}
    for event in failed:
        assert event.attempt < drawn[event.index]
    astray = told(system, 24, num_atoms=15)
    reasons = [event.reason for event in of(Rejected, astray) if event.part == "composition"]
    assert reasons and all(reason.endswith("atoms instead of 15") for reason in reasons)
    draws = {t.draw for t in of(Token, astray) if t.part == "composition"}
    assert len(draws) > 1


def test_tokens_add_up_to_the_texts(system):
    events = told(system, 4, prompts=PROMPTS, seed=2)
    accepted = {(event.index, event.attempt): event.text for event in of(Drawn, events)}
    for (index, attempt), text in accepted.items():
        own = [t for t in of(Token, events) if (t.index, t.attempt) == (index, attempt)]
        crystal = [t for t in own if t.part == "crystal"]
        assert "".join(t.text for t in crystal if not t.end) == text
        assert [t.end for t in crystal] == [False] * (len(crystal) - 1) + [True]
    for sentence in of(Sentence, events):
        assert str(sentence.value) in sentence.prompt
        own = [t for t in of(Token, events) if (t.index, t.part) == (sentence.index, sentence.name)]
        last = [t for t in own if t.draw == own[-1].draw]
        assert "".join(t.text for t in last if not t.end).strip() == sentence.value


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_probabilities_are_those_of_one_pass_over_the_whole_text(system, temperature):
    sampling = SamplingSettings(temperature, top_p=1.0, overlap=True)
    events = told(system, 1, prompts=PROMPTS[:1], seed=3, sampling=sampling, alternatives=5)
    prompt, text = of(Sentence, events)[-1].prompt, of(Drawn, events)[-1].text
    prior = system.prior
    head, ids = (prior.tokenizer(part)["input_ids"] for part in (prompt, text))
    with torch.inference_mode():
        logits = prior.model(input_ids=torch.tensor([head + ids])).logits[0, len(head) - 1 :]
    logits = logits.double().numpy()
    state = GruverState(
        GruverTable(prior.tokenizer, 20), rule_for(read_prompt(prompt), 20), overlap=True
    )
    tokens = [t for t in of(Token, events) if t.part == "crystal"]
    for row, token, drawn in zip(logits, [*ids, state.end], tokens, strict=True):
        allowed = state.allowed()
        weights = np.exp((row[allowed] - row[allowed].max()) / temperature)
        expected = dict(zip(allowed.tolist(), weights / weights.sum(), strict=True))
        raw = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        assert drawn.probability == pytest.approx(expected[token], abs=1e-4)
        assert drawn.raw == pytest.approx(raw[token], abs=1e-4)
        best = sorted(expected.values(), reverse=True)[:5]
        assert [a.probability for a in drawn.alternatives] == pytest.approx(best, abs=1e-4)
        texts = {prior.tokenizer.decode([t]): t for t in allowed.tolist()}
        for other in drawn.alternatives:
            assert other.raw == pytest.approx(raw[texts[other.text]], abs=1e-4)
        state.advance(token)


def test_outside_the_nucleus_nothing_is_drawn(system):
    sampling = SamplingSettings(1.0, top_p=0.3)
    tokens = of(Token, told(system, 3, prompts=PROMPTS, sampling=sampling))
    cut = [a for t in tokens for a in t.alternatives if a.probability == 0]
    assert cut and all(a.raw > 0 for a in cut)
    for token in tokens:
        assert token.probability > 0
        assert sum(a.probability for a in token.alternatives) <= 1 + 1e-5
        chances = [a.probability for a in token.alternatives]
        assert chances == sorted(chances, reverse=True)


def test_without_alternatives_the_crystals_come_without_tokens(system):
    events = told(system, 3, prompts=PROMPTS, alternatives=0)
    assert not of(Token, events) and len(of(Drawn, events)) == len(of(Refined, events)) == 3
    assert_same(system, events, 3, prompts=PROMPTS)


def test_events_come_in_the_order_of_the_work(system):
    events = told(system, 2, prompts=PROMPTS[:1])
    kinds = [type(event) for event in events]
    assert kinds[:2] == [Asked, Asked] and kinds[-3:] == [Refining, Refined, Refined]
    assert kinds.index(Sentence) < kinds.index(Drawn)
    first = next(i for i, e in enumerate(events) if isinstance(e, Token) and e.part == "crystal")
    assert kinds.index(Sentence) < first < kinds.index(Drawn)
    sentence = of(Sentence, events)[-1]
    drawn = next(e for e in of(Drawn, events) if e.index == sentence.index)
    assert parse_prompt(sentence.prompt).composition == drawn.crystal.compositions[0]


@pytest.mark.parametrize("tokens", [1, 5, 40])
def test_a_stop_is_heard_at_the_next_token(system, tokens):
    seen = []
    for event in system.stream(2, prompts=PROMPTS[:1], stop=lambda: len(seen) >= tokens):
        if isinstance(event, Token):
            seen.append(event)
    assert tokens <= len(seen) <= tokens + 1  # two crystals are written side by side


def test_a_stop_is_heard_at_each_step_of_the_flow(system):
    calls, refining = [], []

    def stop() -> bool:
        if refining:
            calls.append(1)
        return len(calls) > 4

    events = []
    for event in system.stream(2, refinement=RefineSettings(steps=50), stop=stop):
        events.append(event)
        refining += [event] if isinstance(event, Refining) else []
    assert len(of(Drawn, events)) == 2 and not of(Refined, events)
    assert len(calls) == 5


def test_a_stop_from_the_beginning_leaves_nothing_but_the_prompts(system):
    assert {type(event) for event in system.stream(2, stop=lambda: True)} == {Asked}


def test_the_hook_of_the_flow_sees_every_step_and_changes_nothing(system):
    prior = system.generate(3, refinement=STEPS).prior
    steps = []
    settings = RefineSettings(steps=4, batch_size=2)
    path = system.refiner.refine(prior, settings, watch=Watch(stop=lambda: steps.append(1)))
    assert len(steps) == 2 * 5
    plain = system.refiner.refine(prior, settings)
    assert np.array_equal(path.frac_coords, plain.frac_coords)
    with pytest.raises(ZeroDivisionError):
        system.refiner.refine(prior, settings, watch=Watch(stop=lambda: 1 / 0))


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"num": 0}, "at least 1"),
        ({"seed": -1}, "seed"),
        ({"alternatives": -1}, "alternatives"),
        ({"elements": "Xx"}, "unknown element 'Xx'"),
        ({"formula": "SrTiO3", "num_atoms": 7}, "SrTiO3"),
        ({"prompts": [build_prompt(Conditions(formula="SrTiO3", num_atoms=7))]}, "or 20 atoms"),
    ],
)
def test_bad_wishes_are_refused_before_the_first_event(system, wishes, message):
    with pytest.raises(InputError, match=message):
        system.stream(**wishes)


def test_a_prompt_without_a_crystal_ends_in_an_error(system):
    free = FlowLLM(
        system.prior.unconstrained(),
        system.refiner,
        system.num_atoms_histogram,
    )
    seen = []
    sampling = SamplingSettings(max_new_tokens=4)
    with pytest.raises(InputError, match="no crystal in 20 tries"):
        seen.extend(free.stream(1, sampling=sampling))
        pytest.fail("the error comes with the events")
    for event in free.stream(1, sampling=sampling, stop=lambda: len(seen) > 8):
        seen.append(event)
    assert all(event.part == "crystal" for event in of(Token, seen))  # it writes no outline


class Shelf:
    """A prior that takes crystals from a shelf, or a refiner of the bare protocol."""

    kind = label = "shelf"
    Settings = SamplingSettings
    exact, heeded, moves = frozenset(), frozenset({"num_atoms"}), frozenset()

    def __init__(self, crystals):
        self.crystals = crystals

    def check(self, asked):
        pass

    def sample(self, asked, settings, seeds, watch):
        chosen = [seed % len(self.crystals) for seed in seeds]
        return self.crystals[chosen].replace(ids=[str(i) for i in range(len(asked))])

    def refine(self, crystals, settings, seeds, watch, start):
        return Trajectory.from_frames([0.0, 1.0], [crystals, crystals])


class Shelved(Shelf):
    """The refiner, whose settings are those of the flow."""

    Settings = RefineSettings


def test_another_prior_is_told_by_its_crystals(system):
    crystals = system.generate(5, refinement=STEPS).prior
    other = FlowLLM(Shelf(crystals), Shelved(crystals), [1.0, 1.0])
    events = told(other, 3, seed=4)
    assert [type(e) for e in events] == [Asked] * 3 + [Drawn] * 3 + [Refining] + [Refined] * 3
    assert_same(other, events, 3, seed=4)
    assert {type(e) for e in told(other, 3, stop=lambda: True)} == {Asked}
