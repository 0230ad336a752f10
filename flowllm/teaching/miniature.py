"""A miniature causal language model, to try the code for large ones on a laptop.

Usage: python -m flowllm.teaching.miniature FOLDER [--data mp_20]

What it writes is a folder like that of LLaMA or Qwen: config, weights and a byte-pair tokenizer of
its own, which knows nothing of crystals but how often their characters stand together. The weights
are random, so it has to be trained whole before an adapter makes sense.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.language_model.compact import no_bars
from flowllm.runs.files import friendly_os_errors, whole_files
from flowllm.text.formats.gruver.strings import to_text
from flowllm.text.prompts import build_prompt

END = "<|endoftext|>"
CONTEXT = 1024  # tokens


def save_miniature(
    folder: str | Path,
    crystals: CrystalBatch,
    *,
    hidden: int = 128,
    layers: int = 4,
    vocabulary: int = 1024,
    seed: int = 0,
) -> int:
    """Write an untrained model of LLaMA's architecture, with a byte-pair tokenizer, into a folder.

    Args:
        folder: made if missing.
        crystals: whose texts the tokenizer is trained on; a few hundred are enough.
        hidden: width of the model, a multiple of 32.
        layers: its transformer blocks.
        vocabulary: at most so many tokens, 256 bytes among them.
        seed: of the weights.

    Returns:
        How many weights it has.

    Raises:
        InputError: there are no crystals, a size makes no sense, or the folder holds something.
    """
    target = Path(folder)
    if not len(crystals):
        raise InputError("a tokenizer needs crystals whose texts it is trained on")
    if hidden < 32 or hidden % 32 or layers < 1 or vocabulary < 300:
        raise InputError("hidden must be a multiple of 32, layers 1 and vocabulary 300 or more")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} already exists and is not empty")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_pairs([build_prompt() + t for t in to_text(crystals)], vocabulary),
        eos_token=END,
        model_max_length=CONTEXT,
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    with friendly_os_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    with no_bars(), whole_files(target) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return int(model.num_parameters())


def byte_pairs(texts: list[str], vocabulary: int) -> Tokenizer:
    """A byte-pair tokenizer trained on texts; a pair never spans a blank or the end of a line."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\S+|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def main() -> None:
    """The command."""
    from flowllm.data import load_dataset

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="mp_20", help="mp_20, or a folder of flowllm data")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        crystals = load_dataset(asked.data, "train").crystals[:2000]
        count = save_miniature(
            asked.folder, crystals, hidden=asked.hidden, layers=asked.layers, seed=asked.seed
        )
    except InputError as error:
        parser.exit(2, f"{error}\n")
    print(f"{count:,} random weights in {asked.folder}")


if __name__ == "__main__":
    main()
