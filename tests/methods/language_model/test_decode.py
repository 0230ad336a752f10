"""Sampling: the right distribution, one seed a text, the same whatever the batches are."""

import numpy as np
import pytest
import torch

from flowllm.conditions.composition_rule import CompositionRule
from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model import SamplingSettings
from flowllm.methods.language_model.decoding.decode import decode
from flowllm.methods.language_model.decoding.nucleus import nucleus, pick
from flowllm.text import build_prompt, parse_text
from flowllm.text.formats.gruver.state import GruverState
from flowllm.text.formats.gruver.table import GruverTable

GREEDY = SamplingSettings(temperature=1e-3, top_p=1e-9)


@pytest.fixture
def begin(tokenizer):
    """States at the beginning of texts under some rules."""
    table = GruverTable(tokenizer, 20)
    return lambda rules: [GruverState(table, rule) for rule in rules]


def numpy_nucleus(logits: np.ndarray, temperature: float, top_p: float) -> np.ndarray:
    """Probabilities (V,) after temperature and nucleus, in the order of the tokens."""
    weights = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    weights /= weights.sum()
    kept, total = np.zeros_like(weights), 0.0
    for token in np.argsort(-weights):
        kept[token] = weights[token]
        total += weights[token]
        if total >= top_p:
            break
    return kept / kept.sum()


@pytest.mark.parametrize("temperature", [0.3, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.2, 0.9, 1.0])
def test_draws_follow_an_independent_computation(temperature, top_p):
    logits = np.random.default_rng(1).normal(size=(3, 30)).astype(np.float32) * 2
    probabilities, tokens = nucleus(torch.from_numpy(logits), temperature, top_p)
    many = 20_000
    uniform = (torch.arange(many) + 0.5) / many
    for row in range(3):
        expected = numpy_nucleus(logits[row], temperature, top_p)
        found = np.zeros(30)
        found[tokens[row].numpy()] = probabilities[row].numpy()
        assert np.abs(found - expected).max() < 1e-5
        drawn = pick(
            probabilities[row].expand(many, -1), tokens[row].expand(many, -1), uniform
        ).numpy()
        share = np.bincount(drawn, minlength=30) / many
        assert np.abs(share - expected).max() < 2e-4
        assert set(drawn.tolist()) <= set(np.flatnonzero(expected).tolist())


def test_the_likeliest_token_is_always_left_and_the_forbidden_never_drawn():
    logits = torch.tensor([[0.0, 3.0, float("-inf"), 1.0]])
    probabilities, tokens = nucleus(logits, 1e-6, 1.0)  # no overflow either
    assert probabilities[0].tolist() == [1.0, 0.0, 0.0, 0.0] and tokens[0, 0] == 1
    probabilities, tokens = nucleus(logits, 1.0, 1.0)
    last = float(np.nextafter(np.float32(1), np.float32(0)))
    assert pick(probabilities, tokens, torch.tensor([last])).item() == 0
    for least in (1e-320, 1e-300):  # below every float32
        probabilities, tokens = nucleus(logits, 1.0, least)
        assert torch.equal(probabilities[:, 0], torch.ones(len(logits)))
        assert torch.equal(tokens[:, 0], logits.argmax(-1))
    probabilities, tokens = nucleus(logits, 1.0, 1e-12)
    assert pick(probabilities, tokens, torch.tensor([last])).item() == 1


def test_the_greedy_limit_is_that_of_transformers(tiny, tokenizer, begin):
    rules = [
        CompositionRule(20),
        CompositionRule(20, num_atoms=3),
        CompositionRule(20, elements=("Li", "O")),
        CompositionRule(20, ({"Na": 1, "Cl": 1},)),
    ]
    prompts = [
        build_prompt(c)
        for c in (Conditions(), Conditions(num_atoms=3), Conditions(formula="Li2O"), Conditions())
    ]
    found = decode(tiny, tokenizer, prompts, GREEDY, range(4), begin(rules))
    inputs = tokenizer(prompts, padding=True, return_tensors="pt", return_token_type_ids=False)
    width = inputs["input_ids"].shape[1]

    def allowed(row, ids):
        (state,) = begin([rules[row]])
        for token in ids[width:].tolist():
            if not state.finished:  # then only padding follows
                state.advance(token)
        return state.allowed().tolist()

    expected = tiny.generate(
        **inputs, do_sample=False, max_new_tokens=128, prefix_allowed_tokens_fn=allowed
    )
    assert found == tokenizer.batch_decode(expected[:, width:], skip_special_tokens=True)


def test_free_writing_is_that_of_transformers(tiny, tokenizer):
    with torch.no_grad():  # an end that comes soon, so that there is a text
        tiny.lm_head.weight[1] += 0.5 * tiny.lm_head.weight.mean(0)
    prompts = [build_prompt(Conditions(num_atoms=n)) for n in (2, 3, 4)]
    prompts += ["Some crystal, please.", build_prompt(Conditions(formula="SrTiO3"))]
    settings = SamplingSettings(temperature=1e-3, top_p=1e-9, max_new_tokens=60, batch_size=2)
    inputs = tokenizer(prompts, padding=True, return_tensors="pt", return_token_type_ids=False)
    expected = tiny.generate(**inputs, do_sample=False, max_new_tokens=60)
    written = expected[:, inputs["input_ids"].shape[1] :].tolist()
    ended = [tokenizer.decode(ids[: ids.index(1)]) if 1 in ids[:60] else None for ids in written]
    assert decode(tiny, tokenizer, prompts, settings, range(5)) == ended


def test_a_text_depends_on_its_seed_and_not_on_its_neighbours(tiny, tokenizer, begin):
    sizes = [3, 1, 6, 2, 6, 3, 4]
    prompts = [build_prompt(Conditions(num_atoms=n)) for n in sizes]
    prompts[5] = build_prompt(Conditions(formula="MgO"))
    rules = [CompositionRule(20, num_atoms=n) for n in sizes]
    rules[5] = CompositionRule(20, ({"Mg": 1, "O": 1}, {"Mg": 3, "O": 3}))
    seeds = [11, 12, 13, 14, 15, 16, 17]

    def texts(order, batch_size):
        settings = SamplingSettings(temperature=1.0, top_p=0.95, batch_size=batch_size)
        found = decode(
            tiny, tokenizer, [prompts[i] for i in order], settings,
            [seeds[i] for i in order], begin([rules[i] for i in order]),
        )  # fmt: skip
        return dict(zip(order, found, strict=True))

    whole = texts(range(7), 64)
    assert texts(range(7), 1) == whole
    assert texts([4, 0, 6, 2, 5, 1, 3], 3) == whole
    for index, text in whole.items():
        count = len(parse_text(text).atomic_numbers)
        assert count in ((2, 6) if index == 5 else (sizes[index],))
    # other seeds, other texts
    settings = SamplingSettings()
    other = decode(tiny, tokenizer, prompts[:3], settings, [1, 2, 3], begin(rules[:3]))
    assert all(a != b for a, b in zip(other, (whole[i] for i in range(3)), strict=True))


def test_every_finished_text_is_reported_once(tiny, tokenizer, begin):
    finished = []
    prompts = [build_prompt()] * 9
    settings = SamplingSettings(temperature=2.0, top_p=1.0, batch_size=4)
    found = decode(
        tiny, tokenizer, prompts, settings, range(9), begin([CompositionRule(20)] * 9),
        ended=lambda *a: finished.append(a),
    )  # fmt: skip
    assert sorted(finished) == list(enumerate(found)) and None not in found
    assert decode(tiny, tokenizer, [], settings, [], []) == []


def test_a_text_without_an_end_is_missing(tiny, tokenizer, begin):
    settings = SamplingSettings(max_new_tokens=12)
    rules = [CompositionRule(20, num_atoms=1), CompositionRule(20, num_atoms=5)]
    short = decode(tiny, tokenizer, [build_prompt()] * 2, settings, [0, 1], begin(rules))
    assert short == [None, None]
    longer = SamplingSettings(max_new_tokens=14)
    one = decode(tiny, tokenizer, [build_prompt()] * 2, longer, [0, 1], begin(rules))
    assert one[0] is not None and one[1] is None


def test_an_empty_prompt_is_named(tiny, tokenizer):
    with pytest.raises(InputError, match="'' is empty"):
        decode(tiny, tokenizer, [build_prompt(), ""], GREEDY, [0, 1])
