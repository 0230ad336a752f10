"""`recipes.gpu`: training from prepared arrays, within a budget."""

import json
import math

import numpy as np
import pytest
import torch

from flowllm.data.load import load_dataset
from flowllm.methods.equivariant.loss import EquivariantMatcher
from flowllm.methods.equivariant.refiner import EquivariantRefiner
from flowllm.methods.equivariant.settings import EquivariantTrainSettings
from flowllm.methods.language_model.examples import IGNORED, CrystalExamples
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.networks.equivariant.settings import EquivariantConfig
from flowllm.text.formats.registry import make_format
from flowllm.text.tokenizer import load_tokenizer
from recipes import budgeted, gpu, prepared
from recipes.prepare import prepare
from recipes.train_noise import NoisyTargets
from recipes.train_texts import TextBatches

pytestmark = pytest.mark.slow

ROWS = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("prepared")
    prepare(target, wordings=3, rows=ROWS)
    return target


def test_prepared_examples_are_those_of_the_trainer(folder):
    chosen = make_format("wyckoff", 20)
    tokenizer = load_tokenizer(folder / prepared.TOKENIZER)
    held_out = load_dataset("mp_20", "val")[:ROWS]
    for name, given in prepared.HELD_OUT.items():
        texts = prepared.load_texts(folder)[name]
        examples = CrystalExamples(
            held_out, tokenizer, 1, 0, ROWS, chosen.outline, given, text_format=chosen
        )
        ids, labels = texts.batch(examples.order, None)
        for place in range(ROWS):
            wanted = examples[place]
            length = len(wanted["input_ids"])
            assert ids[place, :length].tolist() == wanted["input_ids"]
            assert labels[place, :length].tolist() == wanted["labels"]
            assert (labels[place, length:] == IGNORED).all()


def test_a_pass_takes_each_crystal_once_in_changing_wordings(folder):
    texts = prepared.load_texts(folder)["train"]
    assert len(texts) == ROWS
    assert texts.wordings == 3
    batches = TextBatches(texts, 8, seed=0)
    batches[0]
    assert sorted(batches._order[1].ravel().tolist()) == list(range(ROWS))
    rows = np.arange(ROWS)
    drawn = [texts.batch(rows, np.random.default_rng(seed))[0] for seed in range(2)]
    assert drawn[0].shape != drawn[1].shape or (drawn[0] != drawn[1]).any()
    assert torch.equal(batches[4]["input_ids"], TextBatches(texts, 8, 0)[4]["input_ids"])


def test_the_first_text_of_each_crystal_is_the_canonical_one(folder):
    chosen = make_format("wyckoff", 20)
    tokenizer = load_tokenizer(folder / prepared.TOKENIZER)
    crystals = load_dataset("mp_20", "train")[:ROWS].crystals
    texts = prepared.load_texts(folder)["train"]
    answers = texts.answers
    for text, first in zip(chosen.to_text(crystals), texts.first, strict=False):
        written = answers.values[answers.offsets[first] : answers.offsets[first + 1]]
        assert tokenizer.decode(written, skip_special_tokens=True) == text


def test_neighbours_found_before_give_the_same_loss(folder):
    targets = prepared.load_targets(folder)["train"]
    settings = EquivariantTrainSettings(network=EquivariantConfig(16, 1), batch_size=6)
    batch = NoisyTargets(targets, settings, torch.zeros(()), None)[3]
    matcher = EquivariantMatcher(settings.network, 3.0, 0.01)
    plain = {k: v for k, v in batch.items() if k not in ("centre", "neighbour", "vector", "link",
                                                         "links")}  # fmt: skip
    assert len(plain) == len(batch) - 5
    found, wanted = matcher(**batch)["loss"], matcher(**plain)["loss"]
    assert float(found) == pytest.approx(float(wanted), rel=1e-6)


def test_the_rate_comes_down_by_steps_or_by_minutes(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(budgeted.time, "perf_counter", lambda: now[0])
    by_steps = budgeted.Budget(1000, 0)
    by_steps.step = 500
    assert by_steps.done == 0.5
    assert by_steps.rate(1.0) == pytest.approx(0.505)
    late = budgeted.Budget(10**6, 2)
    late.step, now[0] = 500, 90.0  # three quarters of two minutes
    assert late.done == 0.75
    wanted = 0.01 + 0.99 * 0.5 * (1 + math.cos(0.75 * math.pi))
    assert late.rate(1.0) == pytest.approx(wanted)
    now[0] = 121.0
    assert late.done == 1


@pytest.mark.parametrize("kind", ["language-model", "equivariant"])
def test_a_miniature_is_trained_saved_and_loaded(folder, tmp_path, kind, monkeypatch):
    sizes = {
        "language-model": "--hidden 16 --layers 1 --heads 2 --feed-forward 24 --canonical",
        "equivariant": "--hidden 16 --layers 1 --pairs-share 0.4",
    }[kind]
    command = f"gpu {kind} {folder} {tmp_path} --device cpu --workers 0 --batch 8 --steps 6 {sizes}"
    monkeypatch.setattr("sys.argv", command.split())
    gpu.main()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 6
    assert all(math.isfinite(value) for line in lines for value in line.values())
    if kind == "language-model":
        prior = LanguageModelPrior.from_pretrained(tmp_path)
        assert prior.format.name == "wyckoff"
        assert prior.model.config.hidden_size == 16
    else:
        assert EquivariantRefiner.load(tmp_path).config.hidden == 16
