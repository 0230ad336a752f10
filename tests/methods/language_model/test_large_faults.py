"""Models that cannot be had, cannot write crystals or belong to others: each is named."""

import json
import shutil

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from flowllm.cli import main
from flowllm.conditions.conditions import Conditions
from flowllm.errors import InputError
from flowllm.methods.language_model import LanguageModelPrior, SamplingSettings
from flowllm.methods.language_model.decoding.encoding import check_tokenizer
from flowllm.methods.language_model.finetune import base
from flowllm.methods.language_model.finetune.adapters import attach_adapter
from flowllm.methods.language_model.finetune.base import base_digest, check_quantisation, find_base
from flowllm.methods.language_model.finetune.load import merge_into
from flowllm.methods.language_model.finetune.settings import AdapterSettings, LargeSettings
from flowllm.methods.language_model.finetune.train import Base, fine_tune
from flowllm.methods.language_model.prior import load_large
from flowllm.text import build_prompt
from flowllm.text.formats.registry import make_format
from flowllm.text.prompts import read_prompt

pytestmark = pytest.mark.slow


def run(capsys, *words):
    """Exit code and message of a command."""
    code = main([*map(str, words)])
    return code, capsys.readouterr().err


# ---- where a model is looked for


def test_a_hub_id_that_is_not_here_says_what_to_do_without_a_network(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    for name in ("some-one/crystal-7b", "crystal-7b"):
        with pytest.raises(InputError, match=f"{name} is neither a local folder nor available"):
            find_base(name)
    code, said = run(
        capsys, "train-lm", "--model", "some-one/crystal-7b", "--lora", "--out", tmp_path / "out"
    )
    assert code == 2 and "give its folder" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_hub_that_does_not_answer_is_no_traceback(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise ConnectionError("connection refused")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refused)
    with pytest.raises(InputError, match=r"some-one/crystal-7b .*\(connection refused\)"):
        find_base("some-one/crystal-7b")


@pytest.mark.parametrize("name", ["./llama", "/models/llama", "~/llama", "a/b/c", ""])
def test_what_looks_like_a_path_is_not_looked_for_on_the_hub(name, monkeypatch):
    monkeypatch.setattr(base, "_download", lambda _: pytest.fail("asked the hub"))
    with pytest.raises(InputError):
        find_base(name) if name else find_base("-")


def damaged(folder, out, change):
    shutil.copytree(folder, out)
    change(out)
    return out


def drop(name):
    return lambda folder: (folder / name).unlink()


def other_type(folder):
    (folder / "config.json").write_text('{"model_type": "crystal_ball"}')


def no_causal_model(folder):
    (folder / "config.json").write_text('{"model_type": "t5", "vocab_size": 500}')


def one_weight_missing(folder):
    stored = load_file(folder / "model.safetensors")
    del stored["model.layers.1.mlp.up_proj.weight"]
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


def missing_shard(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("config.json"), "config.json"),
        (drop("model.safetensors"), "no weights"),
        (drop("tokenizer.json"), "tokenizer"),
        (other_type, "cannot be loaded"),
        (no_causal_model, "cannot be loaded"),
        (one_weight_missing, "model.layers.1.mlp.up_proj.weight"),
        (missing_shard, "contains no model-00001"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"half"), "cannot be loaded"),
        (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer"),
    ],
)
def test_a_damaged_model_is_named(base_folders, tmp_path, change, said):
    folder = damaged(base_folders["llama"], tmp_path / "model", change)
    with pytest.raises(InputError, match=said) as caught:
        load_large(folder)
    assert str(folder) in str(caught.value)


# ---- tokenizers


def test_a_tokenizer_that_cannot_write_crystals_is_refused(base_folders):
    tokenizer = AutoTokenizer.from_pretrained(base_folders["gpt2"])
    check_tokenizer(tokenizer, len(tokenizer), "x", make_format())
    with pytest.raises(InputError, match="x: the model has 5000 tokens, its tokenizer 420"):
        check_tokenizer(tokenizer, 5000, "x", make_format())
    with pytest.raises(InputError, match="different models"):
        check_tokenizer(tokenizer, 300, "x", make_format())
    tokenizer.eos_token = None
    with pytest.raises(InputError, match="no end-of-text token"):
        check_tokenizer(tokenizer, len(tokenizer), "x", make_format())
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # and line breaks are lost
    special = ["<unk>", "</s>"]
    words.train_from_iterator(["3.9 Sr"], trainers.WordLevelTrainer(special_tokens=special))
    blind = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="<unk>")
    with pytest.raises(InputError, match="cannot write crystals.*comes back as"):
        check_tokenizer(blind, len(blind), "x", make_format())


def test_a_padding_token_that_the_model_does_not_know_is_forgotten(base_folders, tmp_path):
    shutil.copytree(base_folders["neox"], tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tmp_path / "model")
    prior = load_large(tmp_path / "model")
    assert len(prior.tokenizer) == prior.model.config.vocab_size + 1
    assert prior.tokenizer.pad_token is None
    prompts = [build_prompt(), build_prompt(Conditions(num_atoms=2))]
    prior.sample(
        [read_prompt(p) for p in prompts], SamplingSettings(max_new_tokens=4), [0, 1]
    )  # padded, of two lengths


# ---- prompts and crystals that do not fit


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(base_folders):
    prior = LanguageModelPrior.from_pretrained(base_folders["gpt2"])  # reads 1,024 tokens
    long = build_prompt().replace("bulk", "very " * 400 + "bulk")
    count = len(prior.tokenizer(long)["input_ids"])
    assert count > 1024
    with pytest.raises(InputError, match=rf"has {count} tokens.* at most 1024"):
        prior.sample([Conditions(), read_prompt(long)], SamplingSettings(), [0, 1])


def test_no_text_outgrows_the_context(base_folders):
    prior = LanguageModelPrior.from_pretrained(base_folders["gpt2"])
    prompt = build_prompt().replace("bulk", "x" * 900 + " bulk")
    count = len(prior.tokenizer(prompt)["input_ids"])
    settings = prior.fit([prompt], SamplingSettings())
    assert 0 < settings.max_new_tokens == 1024 - count < 120
    assert (
        len(prior.sample([read_prompt(prompt)], SamplingSettings(), [0])) == 0
    )  # cut, and no error


def test_crystals_longer_than_the_context_are_refused_before_training(
    base_folders, crystal_set, tmp_path
):
    folder = damaged(base_folders["llama"], tmp_path / "model", lambda _: None)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 300}))
    settings = LargeSettings(str(folder))
    with pytest.raises(InputError, match=r"at most 300 tokens, .* up to 3\d\d"):
        fine_tune(Base.find(str(folder)), crystal_set, crystal_set, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_too_few_crystals_for_a_batch_are_refused(base_folders, crystal_set, tmp_path):
    settings = LargeSettings(str(base_folders["llama"]), limit=1)
    with pytest.raises(InputError, match="no batch of 16"):
        fine_tune(Base.find(settings.model), crystal_set, crystal_set, tmp_path / "out", settings)


# ---- weights of few bits


def test_few_bits_without_cuda_are_refused_before_the_model_is_looked_for(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(base, "_download", lambda _: pytest.fail("asked the hub"))
    for bits in ("4", "8"):
        code, said = run(
            capsys, "train-lm", "--model", "meta-llama/Llama-2-7b-hf", "--lora",
            f"--load-in-{bits}bit", "--device", "cpu", "--out", "never",
        )  # fmt: skip
        assert code == 2 and f"{bits} bits need an NVIDIA GPU with CUDA" in said


def test_few_bits_without_bitsandbytes_say_what_to_install(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(base.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install bitsandbytes"):
        check_quantisation("4bit")
    check_quantisation(None)


# ---- adapters of other models


@pytest.fixture
def adapter(base_folders, tmp_path):
    """The folder of an untrained adapter of a copy of a model, as training writes it."""
    shutil.copytree(base_folders["qwen2"], tmp_path / "base")
    found = Base.find(str(tmp_path / "base"))
    model = attach_adapter(load_large(tmp_path / "base").model, AdapterSettings(2))
    model.save_pretrained(tmp_path / "adapter")
    found.tokenizer.save_pretrained(tmp_path / "adapter")
    about = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    about["base_model_name_or_path"] = found.name
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps(about))
    record = {"model": found.name, "digest": found.digest, "load_in": None}
    (tmp_path / "adapter/base.json").write_text(json.dumps(record))
    return tmp_path / "adapter"


def test_an_adapter_of_another_base_says_which_is_expected(adapter, tmp_path):
    load_large(adapter)
    expected = base_digest(tmp_path / "base", "base")
    stored = load_file(tmp_path / "base/model.safetensors")
    stored["model.layers.0.mlp.up_proj.weight"] *= 1.01  # the same sizes, other weights
    save_file(stored, tmp_path / "base/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"{expected}.*holds another model"):
        load_large(adapter)
    with pytest.raises(InputError, match=f"{expected}.*holds another model"):
        merge_into(adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_base_that_has_moved_can_be_named(adapter, tmp_path, capsys):
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="correct base_model_name_or_path"):
        load_large(adapter)
    words = ("merge-lm", adapter, "--out", tmp_path / "merged")
    assert run(capsys, *words)[0] == 2
    assert run(capsys, *words, "--base", tmp_path / "elsewhere")[0] == 0
    merged = load_large(tmp_path / "merged")
    plain = load_large(tmp_path / "elsewhere")  # its B is zero
    for name, weight in merged.model.state_dict().items():
        assert torch.equal(weight, plain.model.state_dict()[name])


def test_what_is_no_adapter_is_not_merged(base_folders, adapter, tmp_path, capsys):
    code, said = run(capsys, "merge-lm", base_folders["llama"], "--out", tmp_path / "out")
    assert code == 2 and "is not an adapter" in said
    about = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps({**about, "base_model_name_or_path": None})
    )
    with pytest.raises(InputError, match="does not name its base"):
        load_large(adapter)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError):
        load_large(adapter)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lora"], "need --model"),
        (["--patience", "2"], "need --model"),
        (["--model", "x", "--layers", "4"], "--model, which has its own"),
        (["--model", "x", "--load-in-4bit"], "add --lora"),
        (["--model", "x", "--lora", "--load-in-4bit", "--load-in-8bit"], "not both"),
        (["--model", "x", "--lora", "--rank", "0"], "rank"),
        (["--model", "x", "--optimizer", "muon"], "adamw"),
    ],
)
def test_options_that_do_not_go_together_are_named(words, said, capsys, tmp_path):
    code, message = run(capsys, "train-lm", "--out", tmp_path / "out", *words)
    assert code == 2 and said in message
    assert not (tmp_path / "out").exists()
