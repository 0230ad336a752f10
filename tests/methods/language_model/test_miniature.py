"""The miniature is a folder like that of a large model: found, trained, loaded, and faults."""

import json
import math
import sys

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model import LMTrainSettings
from flowllm.methods.language_model.finetune.settings import LargeSettings
from flowllm.methods.language_model.finetune.train import Base, fine_tune
from flowllm.methods.language_model.prior import load_large
from flowllm.teaching import miniature
from flowllm.teaching.miniature import save_miniature
from flowllm.text import build_prompt, to_text


@pytest.fixture(scope="module")
def folder(crystal_set, tmp_path_factory):
    place = tmp_path_factory.mktemp("miniature") / "model"
    save_miniature(place, crystal_set.crystals, hidden=64, layers=2, vocabulary=700)
    return place


def test_it_is_a_folder_as_transformers_knows_it(folder, crystal_set):
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "llama" and model.config.vocab_size == len(tokenizer) <= 700
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.pad_token is None  # as LLaMA has none
    assert not list(folder.glob("*.bin"))


def test_crystals_it_has_not_seen_come_back_as_they_were(folder, mp20_crystals):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [build_prompt() + text for text in to_text(mp20_crystals[200:300])]
    assert [tokenizer.decode(tokenizer(text)["input_ids"]) for text in texts] == texts
    assert tokenizer.decode(tokenizer("München ≠ 東京")["input_ids"]) == "München ≠ 東京"


def test_pairs_span_no_blank_and_no_line(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert all("Ġ" not in word[1:] for word in words)
    assert all(word == "Ċ" for word in words if "Ċ" in word)


def test_the_seed_decides_the_weights_and_nothing_else_is_touched(crystal_set, tmp_path):
    import torch

    state = torch.random.get_rng_state()
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        save_miniature(tmp_path / name, crystal_set.crystals[:20], hidden=32, layers=1, seed=seed)
    assert torch.equal(state, torch.random.get_rng_state())
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.filterwarnings("error::FutureWarning")
def test_it_is_fine_tuned_and_loaded_like_a_large_one(folder, crystal_set, tmp_path, caplog):
    base = Base.find(str(folder))
    assert base.text_format.longest(base.tokenizer) < base.context
    training = LMTrainSettings(
        epochs=4, batch_size=8, learning_rate=1e-2, warmup_steps=2, weight_decay=0.0,
        optimizer="adamw", checkpoint_steps=20, validation_rows=8, threads=1,
    )  # fmt: skip
    settings = LargeSettings(str(folder), training, None, max_steps=20)
    out = tmp_path / "out"
    fine_tune(base, crystal_set[:96], crystal_set[96:], out, settings)
    assert "missing" not in caplog.text  # its two tied matrices are one in a checkpoint
    tokens = base.tokenizer(to_text(crystal_set.crystals[96:97]), return_tensors="pt")["input_ids"]
    untrained = AutoModelForCausalLM.from_pretrained(folder)(tokens, labels=tokens).loss.item()
    assert untrained == pytest.approx(math.log(len(base.tokenizer)), abs=0.3)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["eval_loss"] for row in rows if "eval_loss" in row][-1] < untrained - 1
    prior = load_large(out)
    assert prior.digest() != load_large(folder).digest()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden": 48}, "multiple of 32"),
        ({"layers": 0}, "layers 1"),
        ({"vocabulary": 256}, "vocabulary 300"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(change, said, crystal_set, tmp_path):
    with pytest.raises(InputError, match=said):
        save_miniature(tmp_path / "new", crystal_set.crystals, **change)
    assert not (tmp_path / "new").exists()


def test_nothing_is_written_over_and_no_crystals_are_no_tokenizer(crystal_set, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        save_miniature(tmp_path, crystal_set.crystals)
    with pytest.raises(InputError, match="not empty"):
        save_miniature(tmp_path / "mine", crystal_set.crystals)
    assert (tmp_path / "mine").read_text() == "mine"
    with pytest.raises(InputError, match="needs crystals"):
        save_miniature(tmp_path / "new", CrystalBatch.empty())


def test_the_command_makes_one_or_says_what_is_wrong(prepared, tmp_path, monkeypatch, capsys):
    words = ["miniature", str(tmp_path / "m"), "--data", str(prepared), "--hidden", "32"]
    monkeypatch.setattr(sys, "argv", words)
    miniature.main()
    assert f"random weights in {tmp_path / 'm'}" in capsys.readouterr().out
    Base.find(str(tmp_path / "m"))
    with pytest.raises(SystemExit, match="2"):
        miniature.main()
    assert "not empty" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words[:1], str(tmp_path / "n"), "--data", "nowhere"])
    with pytest.raises(SystemExit, match="2"):
        miniature.main()
    assert "nowhere" in capsys.readouterr().err
