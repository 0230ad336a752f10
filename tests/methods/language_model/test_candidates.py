"""A composition for a space group: chosen by the model's own probabilities, with sites for it."""

import numpy as np
import pytest
import torch

from flowllm.conditions.conditions import Conditions
from flowllm.methods.language_model import LanguageModelPrior, SamplingSettings
from flowllm.methods.language_model import candidates as module
from flowllm.methods.language_model.candidates import (
    group_log_probabilities,
    needs_composition,
    with_compositions,
)
from flowllm.symmetry.filling import has_sites
from flowllm.text import build_prompt, parse_prompt
from flowllm.text.prompts import STEMS, add_sentence, prompt_of, read_prompt, with_sentence

CUBIC = build_prompt(Conditions(num_atoms=5, space_group=221, band_gap=1.0))


@pytest.fixture
def prior(tiny, tokenizer):
    return LanguageModelPrior(tiny, tokenizer)


def test_the_weights_are_the_models_probabilities_one_prompt_at_a_time(prior, tokenizer):
    prompts = [
        build_prompt(Conditions(composition=cell, band_gap=gap))
        for cell, gap in (({"Sr": 1, "Ti": 1, "O": 3}, None), ({"Na": 1}, 2.0), ({"Si": 2}, None))
    ]
    groups = [221, 229, 227]
    found = group_log_probabilities(prior.model, prior.tokenizer, prompts, groups)
    for prompt, group, value in zip(prompts, groups, found, strict=True):
        ids = tokenizer(add_sentence(prompt, "space_group"))["input_ids"]
        with torch.inference_mode():
            logits = prior.model(input_ids=torch.tensor([ids])).logits[0, -1].double().numpy()
        numbers = [tokenizer.convert_tokens_to_ids(f" {n}") for n in range(1, 231)]
        chances = np.exp(logits[numbers]) / np.exp(logits[numbers]).sum()
        assert value == pytest.approx(np.log(chances[group - 1]), abs=1e-4)


def test_only_a_space_group_with_an_open_composition_asks_for_one():
    assert needs_composition(read_prompt(CUBIC))
    assert needs_composition(Conditions(space_group=1, elements=("Li",)))
    assert not needs_composition(Conditions(space_group=1, composition={"Li": 1}))
    assert not needs_composition(Conditions(num_atoms=3))
    assert not needs_composition(read_prompt(f"{STEMS['space_group']} 12. Please."))


def grow(prior, prompts, seeds, complete):
    """The prompts with compositions that go with their space groups."""
    asked = [read_prompt(prompt) for prompt in prompts]
    found = with_compositions(prior.model, prior.tokenizer, prior.format, asked, seeds, complete)
    return [prompt_of(each) for each in found]


def scripted(*cells):
    """Completes prompts with these compositions in turn."""

    def complete(asked, seeds, groups):
        return [
            with_sentence(each, "composition", cells[place % len(cells)])
            for place, each in enumerate(asked)
        ]

    return complete


def test_the_choice_follows_the_weights(prior, monkeypatch):
    monkeypatch.setattr(module, "CANDIDATES", 2)
    weights = np.log([0.8, 0.2])
    monkeypatch.setattr(
        module,
        "group_log_probabilities",
        lambda *a: np.tile(weights, len(a[2]) // 2),
    )
    prompts = [CUBIC] * 600
    grown = grow(prior, prompts, range(600), scripted("Sr1 Ti1 O3", "Ca1 Ti1 O3"))
    assert all(text.index("unit cell") < text.index("space group") for text in grown)
    assert all(parse_prompt(text).space_group == 221 for text in grown)
    assert all(parse_prompt(text).band_gap == 1.0 for text in grown)
    share = np.mean(["Sr1" in text for text in grown])
    assert abs(share - 0.8) < 0.06  # 3.7 standard errors
    again = grow(prior, prompts[:9], range(9), scripted("Sr1 Ti1 O3", "Ca1 Ti1 O3"))
    assert again == grown[:9]


def test_compositions_without_sites_are_passed_over_where_others_are(prior, monkeypatch):
    monkeypatch.setattr(module, "CANDIDATES", 3)
    monkeypatch.setattr(
        module,
        "group_log_probabilities",
        lambda *a: np.tile([0.0, 0.0, -50.0], len(a[2]) // 3),
    )
    asked = build_prompt(Conditions(space_group=225))
    cells = scripted("Li1 Be1 B1", "Na1 K1 Rb1", "Na1 Cl1")
    for seed in range(20):
        (grown,) = grow(prior, [asked], [seed], cells)
        assert parse_prompt(grown).composition == {"Na": 1, "Cl": 1}
    (grown,) = grow(prior, [asked], [0], scripted("Li1 Be1 B1"))
    assert parse_prompt(grown).composition == {"Li": 1, "Be": 1, "B": 1}


def test_a_model_completes_what_is_asked_and_leaves_other_prompts_alone(prior):
    prompts = [
        CUBIC,
        build_prompt(Conditions(elements=("O", "Fe"), num_atoms=10, space_group=167)),
        build_prompt(Conditions(composition={"Na": 1}, space_group=229)),
    ]
    hot = SamplingSettings(temperature=2.0, top_p=1.0)
    asked = [prior.read(read_prompt(prompt)) for prompt in prompts]
    grown = [prompt_of(each) for each in prior.complete(asked, hot, [3, 4, 5])]
    first, second, third = map(parse_prompt, grown)
    assert sum(first.composition.values()) == 5 and first.space_group == 221
    assert set(second.composition) == {"O", "Fe"} and sum(second.composition.values()) == 10
    assert has_sites(167, second.composition.values())
    assert grown[2] == prompts[2]
    assert third.composition == {"Na": 1}
    alone = prior.complete([asked[1]], hot, [4])
    assert prompt_of(alone[0]) == grown[1]
