"""The language model as a prior: folders, prompts, noise, other tokenizers."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from flowllm.conditions.conditions import Conditions
from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model import (
    CompactConfig,
    LanguageModelPrior,
    SamplingSettings,
    build_compact,
    perturb,
)
from flowllm.methods.language_model import outline as outline_module
from flowllm.methods.language_model import prior as prior_module
from flowllm.methods.language_model import redraw as redraw_module
from flowllm.methods.language_model.outline import OUTLINE_TRIES
from flowllm.methods.language_model.rules import rule_for
from flowllm.systems.events import Rejected
from flowllm.systems.watch import Watch
from flowllm.text import build_prompt, parse_prompt, to_text
from flowllm.text.prompts import REQUEST, prompt_of, read_prompt

STO = build_prompt(Conditions(composition={"Sr": 1, "Ti": 1, "O": 3}))


@pytest.fixture
def prior(tiny, tokenizer):
    return LanguageModelPrior(tiny, tokenizer)


@pytest.fixture
def folder(prior, tmp_path):
    prior.save_pretrained(tmp_path / "lm", half=True)
    return tmp_path / "lm"


def logits(model):
    with torch.inference_mode():
        return model(input_ids=torch.arange(2, 40)[None]).logits


# ---- folders


def test_half_precision_on_disk_and_single_in_memory(prior, folder):
    stored = load_file(folder / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16}
    loaded = LanguageModelPrior.from_pretrained(folder)
    for name, weight in prior.model.state_dict().items():
        assert loaded.model.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.model.state_dict()[name], weight.half().float())
    assert {p.dtype for p in prior.model.parameters()} == {torch.float32}  # saving changes nothing


def test_full_precision_gives_the_same_logits_and_crystals(prior, tmp_path):
    prior.save_pretrained(tmp_path)
    loaded = LanguageModelPrior.from_pretrained(tmp_path)
    assert torch.equal(logits(loaded.model), logits(prior.model))
    first, second = (
        p.sample([read_prompt(STO)] * 3, SamplingSettings(), [1, 2, 3]) for p in (prior, loaded)
    )
    assert to_text(first) == to_text(second)


def remove_config(folder):
    (folder / "config.json").unlink()


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def remove_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def spoil_config(folder):
    (folder / "config.json").write_text("{ not JSON")


def unknown_model_type(folder):
    (folder / "config.json").write_text('{"model_type": "crystal_ball"}')


def cut_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def weights_of_another_network(folder):
    save_file({"layers.0.weight": torch.zeros(3)}, folder / "model.safetensors")


def one_weight_missing(folder):
    stored = load_file(folder / "model.safetensors")
    del stored["model.layers.1.mlp.up_proj.weight"]
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


def other_sizes(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))


def spoil_tokenizer(folder):
    (folder / "tokenizer.json").write_text("[]")


def tokenizer_of_another_model(folder):
    small_tokenizer(["abc", "abd"]).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_config, "config.json"),
        (remove_weights, "model.safetensors"),
        (remove_tokenizer, "tokenizer.json"),
        (spoil_config, "config.json is not readable JSON"),
        (unknown_model_type, "cannot be loaded"),
        (cut_weights, "cannot be loaded"),
        (weights_of_another_network, "num_hidden_layers is 2, but the weights allow at most 1"),
        (one_weight_missing, "model.layers.1.mlp.up_proj.weight"),
        (other_sizes, "(32, 64) instead of (32, 48)"),
        (spoil_tokenizer, "tokenizer.json is damaged"),
        (tokenizer_of_another_model, "1210 tokens"),
        (shutil.rmtree, "not a language model"),
    ],
)
def test_a_damaged_or_foreign_folder_is_named(folder, damage, said):
    damage(folder)
    with pytest.raises(InputError) as caught:
        LanguageModelPrior.from_pretrained(folder)
    assert str(folder) in str(caught.value) and said in str(caught.value)


# ---- prompts


def test_what_the_prompt_says_is_what_comes(prior):
    asked = [
        Conditions(composition={"Sr": 1, "Ti": 1, "O": 3}),
        Conditions(formula="Fe2O3"),
        Conditions(elements=("Li", "O"), num_atoms=5),
        Conditions(formula="NaCl", num_atoms=6),
        Conditions(num_atoms=1),
        Conditions(formula="NaCl", composition={"Na": 2, "Cl": 2}),
    ]
    settings = SamplingSettings(temperature=2.0, top_p=1.0)
    crystals = prior.sample(asked, settings, range(6))
    assert crystals.ids.tolist() == ["0", "1", "2", "3", "4", "5"]
    found = crystals.compositions
    assert found[0] == {"Sr": 1, "Ti": 1, "O": 3}
    assert crystals.formulas[1] == "Fe2O3" and crystals.num_atoms[1] in (5, 10, 15, 20)
    assert set(found[2]) == {"Li", "O"} and crystals.num_atoms[2] == 5
    assert found[3] == {"Na": 3, "Cl": 3}
    assert crystals.num_atoms[4] == 1
    assert found[5] == {"Na": 2, "Cl": 2}


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        (Conditions(formula="Qq2"), ["chemical formula is Qq2", "unknown element 'Qq'"]),
        (Conditions(formula="NaCl", num_atoms=3), ["number of atoms is 3", "no composition"]),
        (Conditions(formula="NaCl", composition={"K": 1}), ["unit cell contains K1"]),
        (Conditions(elements=("Li", "O"), num_atoms=1), ["2 elements do not fit in 1 atoms"]),
    ],
)
def test_prompts_that_cannot_be_met_are_named(prior, conditions, said):
    with pytest.raises(InputError) as caught:
        prior.sample([read_prompt(STO), conditions], SamplingSettings(), [0, 1])
    for part in said:
        assert part in str(caught.value)


def test_foreign_prompts_are_warned_about(prior):
    glowing = read_prompt(
        build_prompt(Conditions(num_atoms=2)).replace(". Gen", ". It should glow. Gen")
    )
    with pytest.warns(UserWarning, match="It should glow"):
        prior.sample([glowing], SamplingSettings(), [0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prior.check(glowing)  # what is sampled warns, once is enough
        assert rule_for(prior.read(read_prompt(build_prompt())), 20).num_atoms is None


# ---- the outline


def completions(prior, prompts, settings, seeds):
    """The prompts as the model completes them."""
    asked = [prior.read(read_prompt(prompt)) for prompt in prompts]
    return [prompt_of(found) for found in prior.complete(asked, settings, seeds)]


def test_what_is_left_open_is_written_into_the_prompt(prior):
    asked = [
        Conditions(),
        Conditions(num_atoms=7, band_gap=1.0),
        Conditions(elements=("Li", "O"), num_atoms=5),
        Conditions(formula="Fe2O3"),
        Conditions(composition={"Sr": 1, "Ti": 1, "O": 3}),
        Conditions(composition={"Na": 2}, space_group=229),
    ]
    prompts = [build_prompt(c) for c in asked]
    hot = SamplingSettings(temperature=3.0, top_p=1.0)
    completed = completions(prior, prompts, hot, range(6))
    for prompt, conditions, text in zip(prompts, asked, completed, strict=True):
        found = parse_prompt(text)
        assert found.only(conditions.known()) == parse_prompt(prompt)
        assert found.composition is not None and found.space_group is not None
        assert text.startswith(prompt.removesuffix(REQUEST)) and text.endswith(REQUEST)
    assert completed[5] == prompts[5]
    crystals = prior.sample([read_prompt(p) for p in prompts], hot, range(6))
    assert crystals.compositions == [parse_prompt(text).composition for text in completed]
    # each text has a seed of its own, whatever is drawn beside it
    alone = [completions(prior, [p], hot, [seed])[0] for seed, p in enumerate(prompts)]
    assert alone == completed
    assert completions(prior, [prompts[0]] * 2, hot, [0, 9])[0] == completed[0]
    assert len(set(completions(prior, [prompts[0]] * 5, hot, range(5)))) == 5


def test_a_composition_of_another_size_is_drawn_again_and_held_to_it_last(prior, monkeypatch):
    asked = build_prompt(Conditions(num_atoms=5))
    rules, written = [], [" Na1 Cl1", " Sr1 Ti1 O4", " Sr1 Ti1 O3", " 221"]

    def scripted(model, tokenizer, prompts, settings, seeds, states, *, ended, **_):
        if not prompts:
            return []
        rules.append(states[0].rule)
        ended(0, written[len(rules) - 1])
        return [written[len(rules) - 1]]

    monkeypatch.setattr(outline_module, "decode", scripted)
    (completed,) = completions(prior, [asked], SamplingSettings(), [0])
    found = parse_prompt(completed)
    assert found.composition == {"Sr": 1, "Ti": 1, "O": 3} and found.space_group == 221
    assert [(rule.num_atoms, rule.max_atoms) for rule in rules[:3]] == [(None, 5)] * 3
    # a model that never gets there is held to the number at last
    rules.clear()
    tries = OUTLINE_TRIES
    written[:] = [" Na1 Cl1"] * (tries - 1) + [" Na1 Cl4", " 1"]
    (completed,) = completions(prior, [asked], SamplingSettings(), [0])
    assert parse_prompt(completed).composition == {"Na": 1, "Cl": 4}
    assert [rule.num_atoms for rule in rules[:tries]] == [None] * (tries - 1) + [5]


def test_a_space_group_that_is_asked_for_gets_a_composition_before_it(prior):
    prompts = [build_prompt(Conditions(space_group=225)), "Some crystal, please."]
    grown, foreign = completions(prior, prompts, SamplingSettings(), [0, 1])
    asked = parse_prompt(grown)
    assert asked.space_group == 225 and asked.composition
    assert grown == build_prompt(Conditions(space_group=225, composition=asked.composition))
    assert foreign == prompts[1]


# ---- elements that training did not have


def test_a_limited_prior_writes_other_elements_only_where_they_are_asked_for(prior):
    hot = SamplingSettings(temperature=5.0, top_p=1.0)
    limited = prior.limited_to(["Sr", "Ti", "O"])
    open_ones = [Conditions(), Conditions(num_atoms=7), Conditions(space_group=1)]
    drawn = limited.sample(open_ones * 4, hot, range(12))
    assert set().union(*drawn.compositions) <= {"Sr", "Ti", "O"} and len(drawn) == 12
    assert not set().union(*prior.sample(open_ones, hot, range(3)).compositions) <= set("SrTiO")
    named = [
        Conditions(formula="OgF6"),
        Conditions(elements=("Og", "O")),
        Conditions(composition={"Ts": 2}),
    ]
    found = limited.sample(named, hot, range(3)).compositions
    assert [sorted(cell) for cell in found] == [["F", "Og"], ["O", "Og"], ["Ts"]]
    assert prior.pool is None and limited.digest() == prior.digest()


def test_a_limited_prior_that_writes_freely_rejects_them(prior, monkeypatch):
    text = "3.9 3.9 3.9\n90 90 90\nOg\n0.00 0.00 0.00"

    def scripted(model, tokenizer, prompts, *_, ended, **__):
        for place in range(len(prompts)):
            ended(place, text)

    monkeypatch.setattr(prior_module, "decode", scripted)
    limited = prior.unconstrained().limited_to(["Fe", "O"])
    prompts = [
        build_prompt(),
        build_prompt(Conditions(formula="Og")),
        build_prompt(Conditions(elements=("Og",))),
        "The heaviest element, please.",
    ]
    asked = [read_prompt(prompt) for prompt in prompts]
    events = []
    crystals = limited.sample(asked, SamplingSettings(), range(4), Watch(on_event=events.append))
    assert crystals.ids.tolist() == ["1", "2", "3"]
    (rejected,) = [event for event in events if isinstance(event, Rejected)]
    assert rejected.reason == "no training crystal contains Og"


# ---- rejects and noise


def test_rejected_texts_are_missing(prior, monkeypatch):
    good = "3.9 3.9 3.9\n90 90 90\nFe\n0.00 0.00 0.00"
    written = [None, good, "3.9 3.9\n", good.replace("Fe", "Xx"), good]
    prompts = [build_prompt(Conditions(composition={"Fe": 1}, space_group=221))] * 5

    def scripted(model, tokenizer, prompts, *_, ended, **__):
        for place in range(len(prompts)):
            ended(place, written[place])

    monkeypatch.setattr(redraw_module, "decode", scripted)
    crystals = prior.sample([read_prompt(p) for p in prompts], SamplingSettings(), range(5))
    assert crystals.ids.tolist() == ["1", "4"]
    assert to_text(crystals) == [good, good]


@pytest.mark.parametrize("noise", [0.01, 0.04])
def test_noise_has_the_asked_spread_in_each_unit(noise):
    base = CrystalBatch(
        np.full(20, 26),
        np.full((20, 3), 0.5),
        [[5.0, 6.0, 7.0]],
        [[80.0, 90.0, 100.0]],
        [20],
        ["x"],
    )
    moved = [perturb(base, noise, seed) for seed in range(400)]
    for name, per in (("frac_coords", 24_000), ("lengths", 1200), ("angles", 1200)):
        gaps = np.concatenate([(getattr(m, name) - getattr(base, name)).ravel() for m in moved])
        assert len(gaps) == per
        assert abs(gaps.std() / noise - 1) < 4 / np.sqrt(2 * per)
        assert abs(gaps.mean()) < 4 * noise / np.sqrt(per)
    again = perturb(base, noise, 7)
    assert np.array_equal(again.frac_coords, moved[7].frac_coords)
    assert perturb(base, 0.0, 7) is base


def test_noise_leaves_a_cell_its_volume():
    flat = CrystalBatch([26], [[0, 0, 0]], [[5.0, 5.0, 5.0]], [[60.0, 60.0, 119.0]], [1], ["x"])
    moved = CrystalBatch.concatenate(perturb(flat, 2.0, seed) for seed in range(50))
    assert (moved.volumes > 0).all()
    kept = (moved.angles == flat.angles).all(1)
    assert 0 < kept.sum() < 50


def test_sampling_with_noise_keeps_types_and_is_reproducible(prior):
    plain = prior.sample([read_prompt(STO)] * 2, SamplingSettings(), [5, 6])
    noisy, again = (
        prior.sample([read_prompt(STO)] * 2, SamplingSettings(noise=0.02), [5, 6]) for _ in range(2)
    )
    assert noisy.atomic_numbers.tolist() == plain.atomic_numbers.tolist()
    gaps = noisy.frac_coords - plain.frac_coords
    assert 0.001 < np.abs(gaps - np.round(gaps)).max() < 0.1
    assert np.array_equal(noisy.lengths, again.lengths)


# ---- another tokenizer


def small_tokenizer(texts) -> PreTrainedTokenizerFast:
    """A byte-level BPE as large models have it, trained on a few texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


def test_a_model_with_another_tokenizer_writes_freely(crystal_set):
    text = to_text(crystal_set.crystals[crystal_set.crystals.num_atoms <= 4])[0]
    tokenizer = small_tokenizer([build_prompt() + t for t in to_text(crystal_set.crystals[:40])])
    config = CompactConfig(hidden=32, layers=1, heads=2, feed_forward=64)
    model = build_compact(tokenizer, config, seed=0)
    with pytest.raises(InputError, match="compact tokenizer"):
        LanguageModelPrior(model, tokenizer)
    prompt = tokenizer(build_prompt())["input_ids"]
    answer = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    ids = torch.tensor([prompt + answer])
    labels = torch.tensor([[-100] * len(prompt) + answer])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):  # learns this one crystal by heart
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    prior = LanguageModelPrior(model, tokenizer, constrained=False)
    cold = SamplingSettings(temperature=0.05, max_new_tokens=200)
    sure = prior.sample([Conditions()] * 3, cold, [0, 1, 2])
    assert to_text(sure) == [text] * 3
    hot = prior.sample(
        [Conditions()] * 8,
        SamplingSettings(temperature=8.0, top_p=1.0, max_new_tokens=60),
        range(8),
    )
    assert len(hot) < 8  # what is no crystal is missing
