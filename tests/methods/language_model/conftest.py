"""Real crystals, the compact tokenizer and tiny models for the tests of the language model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModelForCausalLM,
    ByT5Tokenizer,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from flowllm.crystals.batch import CrystalBatch
from flowllm.data import CrystalSet, reduce_cif
from flowllm.methods.language_model import CompactConfig, build_compact
from flowllm.text import build_prompt, build_tokenizer, to_text

COLUMNS = {
    "space_group": "spacegroup.number",
    "formation_energy": "formation_energy_per_atom",
    "e_above_hull": "e_above_hull",
    "band_gap": "band_gap",
}


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="session")
def crystal_set(mp20_rows) -> CrystalSet:
    """112 reduced crystals of MP-20 with what is known of them."""
    rows = mp20_rows.head(112)
    crystals = CrystalBatch.concatenate(
        reduce_cif(cif, name) for cif, name in zip(rows["cif"], rows["material_id"], strict=True)
    )
    known = {name: rows[column].to_numpy(np.float64) for name, column in COLUMNS.items()}
    return CrystalSet(crystals, known)


@pytest.fixture(scope="session")
def tiny_config():
    return CompactConfig(hidden=32, layers=2, heads=2, feed_forward=64, context=128)


@pytest.fixture
def tiny(tokenizer, tiny_config):
    """A tiny compact model with random weights, larger than usual so that its choices differ."""
    model = build_compact(tokenizer, tiny_config, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    return model.eval()


# ---- models of other families, with tokenizers of their own


def _byte_level(texts, special):
    """A byte-level BPE, as GPT-2, GPT-NeoX and Qwen have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _sentencepiece(texts):
    """A BPE of LLaMA-2's kind: it marks blanks and beginnings, and sets a token before any text."""
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1),
        ]
    )
    alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=[*special, *alphabet], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


@pytest.fixture(scope="session")
def base_folders(crystal_set, tmp_path_factory):
    """Folders of untrained models by name, each with weights, config and tokenizer.

    "llama" sets a token before any text and has none for padding; "neox" has one special token;
    "gpt2" has a padding token; "qwen2" has more rows than its tokenizer has tokens; the tokenizer
    of "slow" is written in Python and sets an end behind any text.
    """
    root = tmp_path_factory.mktemp("bases")
    texts = [build_prompt() + text for text in to_text(crystal_set.crystals)]
    end = "<|endoftext|>"
    tokenizers = {
        "llama": PreTrainedTokenizerFast(
            tokenizer_object=_sentencepiece(texts), bos_token="<s>", eos_token="</s>",
            unk_token="<unk>",
        ),
        "neox": PreTrainedTokenizerFast(
            tokenizer_object=_byte_level(texts, [end]), bos_token=end, eos_token=end
        ),
        "gpt2": PreTrainedTokenizerFast(
            tokenizer_object=_byte_level(texts, [end, "<pad>"]), eos_token=end, pad_token="<pad>"
        ),
        "qwen2": PreTrainedTokenizerFast(
            tokenizer_object=_byte_level(texts, [end]), eos_token=end, pad_token=end
        ),
        "slow": ByT5Tokenizer(),
    }  # fmt: skip
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    gated = {**sizes, "intermediate_size": 96, "num_key_value_heads": 2}
    words = {name: len(tokenizer) for name, tokenizer in tokenizers.items()}
    configs = {
        "llama": LlamaConfig(vocab_size=words["llama"], max_position_embeddings=1024, **gated),
        "neox": GPTNeoXConfig(vocab_size=words["neox"], intermediate_size=96, **sizes),
        "gpt2": GPT2Config(vocab_size=words["gpt2"], n_embd=64, n_layer=2, n_head=4),
        "qwen2": Qwen2Config(vocab_size=words["qwen2"] + 12, **gated),
        "slow": LlamaConfig(vocab_size=words["slow"], **gated),
    }
    for name, config in configs.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            AutoModelForCausalLM.from_config(config).save_pretrained(root / name)
        tokenizers[name].save_pretrained(root / name)
    return {name: root / name for name in configs}
