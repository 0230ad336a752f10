"""Training: the loss falls, weights come back, a killed run ends as an uninterrupted one."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from flowllm.conditions.conditions import Conditions
from flowllm.methods.language_model import (
    CompactConfig,
    LanguageModelPrior,
    LMTrainSettings,
    build_compact,
    train_lm,
)
from flowllm.text import build_prompt, to_text
from flowllm.text.prompts import OUTLINE, REQUEST, STEMS

pytestmark = pytest.mark.slow

TINY = CompactConfig(hidden=32, layers=2, heads=2, feed_forward=64, context=128)
SETTINGS = LMTrainSettings(
    epochs=4, batch_size=10, learning_rate=1e-2, warmup_steps=4, validation_rows=12,
    checkpoint_steps=20, weight_decay=0.1, threads=1,
)  # fmt: skip


def run(tokenizer, crystal_set, out, settings=SETTINGS):
    model = build_compact(tokenizer, TINY, settings.seed)
    parts = crystal_set[:100], crystal_set[100:]
    return model, train_lm(model, tokenizer, *parts, out, settings)


@pytest.fixture(scope="module")
def trained(tokenizer, crystal_set, tmp_path_factory):
    """(model, figures, folder) of 40 steps on 100 real crystals."""
    out = tmp_path_factory.mktemp("trained")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, figures = run(tokenizer, crystal_set, out)
    torch.set_num_threads(threads)
    return model, figures, out


def log_of(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_the_loss_falls(trained, tokenizer):
    _, figures, out = trained
    losses = [line["loss"] for line in log_of(out) if "loss" in line]
    assert [line["step"] for line in log_of(out) if "loss" in line] == [20, 40]
    assert losses[-1] < 0.8 * losses[0]
    assert losses[-1] < 0.7 * np.log(len(tokenizer))
    scored = [line["eval_loss"] for line in log_of(out) if "eval_loss" in line]
    assert len(scored) == 2 and scored[1] < scored[0]
    assert figures["unconditional_nats_per_token"] < 0.8 * np.log(len(tokenizer))


def test_saved_and_loaded_it_gives_the_same_logits(trained):
    model, _, out = trained
    loaded = LanguageModelPrior.from_pretrained(out).model
    ids = torch.arange(2, 90)[None]
    with torch.inference_mode():
        assert torch.equal(loaded(input_ids=ids).logits, model.eval()(input_ids=ids).logits)


def test_figures_are_what_a_plain_computation_gives(trained, tokenizer, crystal_set):
    model, figures, _ = trained
    validation = crystal_set.crystals[np.arange(100, 112)]
    for label, given in (("unconditional", 0), ("composition", 1)):
        total = tokens = 0.0
        groups = crystal_set.properties["space_group"][100:112].astype(int).tolist()
        for text, counts, group in zip(
            to_text(validation), validation.compositions, groups, strict=True
        ):
            asked = Conditions(composition=counts, space_group=group)
            words = [*tokenizer.tokenize(build_prompt(asked) + text), tokenizer.eos_token]
            ids = tokenizer.convert_tokens_to_ids(words)
            # what is said: behind each stem until the full stop, and all behind the request
            stems = [words.index(STEMS[name]) for name in OUTLINE][given:]
            said = [np.arange(at + 1, words.index(". ", at) + 1) for at in stems]
            said = np.concatenate([*said, np.arange(words.index(REQUEST) + 1, len(ids))])
            with torch.inference_mode():
                logits = model.eval()(input_ids=torch.tensor([ids])).logits[0]
            expected = torch.tensor(ids)[said]
            total += float(cross_entropy(logits[said - 1], expected, reduction="sum"))
            tokens += len(said)
        assert figures[f"{label}_nats_per_token"] == pytest.approx(total / tokens, rel=1e-4)
        assert figures[f"{label}_nats_per_crystal"] == pytest.approx(total / 12, rel=1e-4)
        assert figures[f"{label}_perplexity"] == pytest.approx(np.exp(total / tokens), rel=1e-4)


def test_a_finished_run_called_again_changes_nothing(trained, tokenizer, crystal_set):
    _, figures, out = trained
    weights = (out / "model.safetensors").read_bytes()
    _, again = run(tokenizer, crystal_set, out)
    assert (out / "model.safetensors").read_bytes() == weights
    assert again == figures


SCRIPT = """
import os, signal, sys
from pathlib import Path
from flowllm.data import CrystalSet
from flowllm.methods.language_model import LMTrainSettings, build_compact, CompactConfig
from flowllm.methods.language_model import train as room
from flowllm.text import build_tokenizer

out, calls = Path(sys.argv[2]), []
collate = room.collate

def dying(examples, pad):
    if (out / "checkpoints/checkpoint-4/trainer_state.json").exists():
        calls.append(1)
        if len(calls) > 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return collate(examples, pad)

room.collate = dying
data, tokenizer = CrystalSet.load(sys.argv[1]), build_tokenizer()
settings = LMTrainSettings(**eval(sys.argv[3]))
model = build_compact(tokenizer, CompactConfig(**eval(sys.argv[4])), settings.seed)
room.train_lm(model, tokenizer, data[:100], data[100:], out, settings)
"""


def test_a_killed_run_ends_as_an_uninterrupted_one(
    tokenizer, crystal_set, tmp_path, script_environment
):
    settings = LMTrainSettings(
        epochs=1, batch_size=10, learning_rate=1e-2, warmup_steps=2, validation_rows=12,
        checkpoint_steps=4, threads=1,
    )  # fmt: skip
    run(tokenizer, crystal_set, tmp_path / "whole", settings)
    crystal_set.save(tmp_path / "data.npz")
    killed = tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "data.npz"), str(killed),
         repr(vars(settings)), repr(vars(TINY))],
        env=script_environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (killed / "model.safetensors").exists()
    # a checkpoint and a line of the log that were being written
    (killed / "checkpoints" / "checkpoint-8").mkdir()
    (killed / "checkpoints" / "checkpoint-8" / "model.safetensors").write_bytes(b"half")
    with (killed / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')
    run(tokenizer, crystal_set, killed, settings)
    assert sorted(p.name for p in (killed / "checkpoints").iterdir()) == [
        "checkpoint-10", "checkpoint-8",
    ]  # fmt: skip
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    timeless = [
        [(row["step"], row.get("loss"), row.get("eval_loss")) for row in log_of(tmp_path / name)]
        for name in ("whole", "killed")
    ]
    assert timeless[0] == timeless[1]


def test_adamw_trains_too(tokenizer, crystal_set, tmp_path):
    settings = LMTrainSettings(
        epochs=1, batch_size=20, learning_rate=3e-3, optimizer="adamw", validation_rows=4,
        warmup_steps=1, threads=1,
    )  # fmt: skip
    start = build_compact(tokenizer, TINY, 0)
    model, _ = run(tokenizer, crystal_set, tmp_path, settings)
    moved = [
        (a - b).abs().max().item()
        for a, b in zip(model.parameters(), start.parameters(), strict=True)
    ]
    assert min(moved) > 1e-4 and max(moved) < 5 * 3e-3 * 1.5  # a step is about the learning rate
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
