"""LoRA: the base stays, the adapter learns a family, and saved it comes back."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel

from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model import (
    LanguageModelPrior,
    LMTrainSettings,
    SamplingSettings,
    build_compact,
    train_lm,
)
from flowllm.methods.language_model.finetune.adapters import (
    adapt_lm,
    add_adapter,
)
from flowllm.methods.language_model.finetune.load import merge_into
from flowllm.methods.language_model.finetune.settings import AdapterSettings
from flowllm.methods.language_model.prior import load_large
from flowllm.runs.identity import weights_digest

pytestmark = pytest.mark.slow

IDS = torch.arange(2, 90)[None]
SETTINGS = LMTrainSettings(
    epochs=30, batch_size=10, learning_rate=2e-2, warmup_steps=4, weight_decay=0.0,
    optimizer="adamw", validation_rows=12, checkpoint_steps=60, threads=1,
)  # fmt: skip


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS).logits


@pytest.fixture
def prior(tiny, tokenizer):
    return LanguageModelPrior(tiny, tokenizer)


@pytest.fixture(scope="module")
def family(crystal_set):
    """The crystals that have 4 atoms or fewer."""
    return crystal_set[np.flatnonzero(crystal_set.crystals.num_atoms <= 4)]


@pytest.fixture(scope="module")
def base(tokenizer, tiny_config, crystal_set, tmp_path_factory):
    """A prior whose model has seen all crystals for 48 steps."""
    model = build_compact(tokenizer, tiny_config, seed=1)
    settings = replace(SETTINGS, epochs=4, optimizer="muon")
    out = tmp_path_factory.mktemp("base")
    threads = torch.get_num_threads()
    train_lm(model, tokenizer, crystal_set, crystal_set[:12], out, settings)
    torch.set_num_threads(threads)
    return LanguageModelPrior(model.eval(), tokenizer)


@pytest.fixture(scope="module")
def adapted(base, family, tmp_path_factory):
    """(adapted prior, figures, folder, digest of the base before) of some 65 steps."""
    out, before = tmp_path_factory.mktemp("adapter"), weights_digest(base.model)
    threads = torch.get_num_threads()
    prior, figures = adapt_lm(base, family, family[:10], out, SETTINGS)
    torch.set_num_threads(threads)
    return prior, figures, out, before


def test_an_untrained_adapter_changes_nothing_said(tiny):
    model = add_adapter(tiny)
    assert torch.equal(logits(model), logits(tiny))
    assert not isinstance(tiny, PeftModel)
    assert not any("lora" in name for name, _ in tiny.named_parameters())


@pytest.mark.parametrize("rank", [1, 8])
def test_only_two_narrow_matrices_beside_each_matrix_are_trainable(tiny, tiny_config, rank):
    model = add_adapter(tiny, AdapterSettings(rank=rank, alpha=4.0))
    trainable = {n: p.shape for n, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trainable)
    hidden, wide = tiny_config.hidden, tiny_config.feed_forward
    per_block = 4 * rank * 2 * hidden + 3 * rank * (hidden + wide)
    assert sum(map(np.prod, trainable.values())) == tiny_config.layers * per_block
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == 4.0 / rank


def test_the_adapter_adds_the_scaled_product_to_the_matrix(prior):
    model = add_adapter(prior.model, AdapterSettings(rank=4, alpha=32.0))
    layer = model.base_model.model.model.layers[1].mlp.down_proj
    with torch.no_grad():
        layer.lora_B["default"].weight.normal_(std=0.1)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = layer.base_layer.weight + 32.0 / 4 * b @ a
    with_adapter = logits(model)
    merged = model.merge_and_unload()
    assert torch.allclose(merged.model.layers[1].mlp.down_proj.weight, expected, atol=1e-6)
    assert torch.allclose(logits(merged), with_adapter, atol=1e-4)


def test_the_seed_decides_the_random_matrices(tiny):
    def first(seed):
        model = add_adapter(tiny, seed=seed)
        return model.base_model.model.model.layers[0].mlp.up_proj.lora_A["default"].weight

    assert torch.equal(first(3), first(3)) and not torch.equal(first(3), first(4))


def test_it_learns_the_family_and_leaves_the_base_alone(base, adapted):
    prior, figures, out, before = adapted
    assert weights_digest(base.model) == before
    frozen = dict(base.model.named_parameters())
    for name, weight in prior.model.base_model.model.named_parameters():
        if "lora_" not in name:
            assert torch.equal(weight, frozen[name.replace(".base_layer", "")])
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.97 * losses[0]
    assert losses[-1] == pytest.approx(figures["unconditional_nats_per_token"], rel=0.3)


def test_the_adapted_model_is_a_prior(base, adapted):
    prior = adapted[0]
    asked, seeds = [Conditions()] * 40, list(range(40))
    settings = SamplingSettings(temperature=1.0)
    ours, theirs = (p.sample(asked, settings, seeds) for p in (prior, base))
    assert len(ours) == len(theirs) == 40
    assert ours.num_atoms.mean() < theirs.num_atoms.mean()  # the family's cells are small


def test_only_the_adapter_is_saved_and_it_comes_back_in_its_base(base, adapted, tmp_path):
    prior, _, out, _ = adapted
    assert not (out / "model.safetensors").exists()
    assert not (out / "README.md").exists()
    written = json.loads((out / "adapter_config.json").read_text())
    assert not written["base_model_name_or_path"]  # no path of this machine
    base.save_pretrained(tmp_path / "base")
    loaded = load_large(out, base=str(tmp_path / "base"))
    assert torch.equal(logits(loaded.model), logits(prior.model))
    merge_into(out, tmp_path / "merged", base=str(tmp_path / "base"))
    plain = LanguageModelPrior.from_pretrained(tmp_path / "merged")
    assert plain.constrained
    assert torch.allclose(logits(plain.model), logits(prior.model), atol=1e-4)
    asked, seeds = [Conditions()] * 40, list(range(40))
    settings = SamplingSettings(temperature=1.0)
    ours, merged = (p.sample(asked, settings, seeds) for p in (prior, plain))
    assert np.mean(np.array(merged.formulas) == ours.formulas) > 0.9  # but for rounding


def test_a_finished_run_called_again_trains_no_more(base, adapted, family):
    prior, figures, out, _ = adapted
    again, same = adapt_lm(base, family, family[:10], out, SETTINGS)
    assert torch.equal(logits(again.model), logits(prior.model))
    assert same == pytest.approx(figures)


def test_a_damaged_adapter_or_none_is_refused(base, adapted, tmp_path):
    out, place, folder = adapted[2], tmp_path / "adapter", str(tmp_path / "base")
    base.save_pretrained(folder)
    place.mkdir()
    (place / "adapter_config.json").write_bytes((out / "adapter_config.json").read_bytes())
    with pytest.raises(InputError, match="contains no adapter_model"):
        load_large(place, base=folder)
    (place / "adapter_model.safetensors").write_bytes(b"damaged")
    base.tokenizer.save_pretrained(place)
    with pytest.raises(InputError, match="cannot be loaded"):
        load_large(place, base=folder)
    with pytest.raises(InputError, match="no adapter"):
        merge_into(folder, tmp_path / "merged")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rank": 0}, "rank"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_sizes_out_of_range_are_named(wrong, said):
    with pytest.raises(InputError, match=said):
        AdapterSettings(**wrong)


def test_the_defaults_are_the_papers():
    assert AdapterSettings() == AdapterSettings(8, 32.0, 0.0)
    paper = LMTrainSettings.paper()
    assert (paper.epochs, paper.batch_size, paper.learning_rate) == (10, 16, 5e-4)


@pytest.mark.parametrize("rank", [10**9, 0, -1, "8", None, True])
def test_a_rank_that_the_weights_do_not_have_is_refused(base, adapted, tmp_path, rank):
    folder = str(tmp_path / "base")
    base.save_pretrained(folder)
    shutil.copytree(adapted[2], tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "r": rank}))
    with pytest.raises(InputError, match=r"adapter_config\.json: r is "):
        load_large(tmp_path / "adapter", base=folder)
