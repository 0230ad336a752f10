"""The compact language model: a small Llama-architecture model, built, loaded and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from flowllm.errors import InputError, first_line
from flowllm.methods.language_model.element_embeddings import embed_elements
from flowllm.methods.language_model.settings import CompactConfig
from flowllm.methods.language_model.sizes import check_config, check_loaded, quiet_loading
from flowllm.runs.files import friendly_os_errors, whole_files
from flowllm.text.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase


def build_compact(
    tokenizer: PreTrainedTokenizerBase, config: CompactConfig, seed: int = 0
) -> LlamaForCausalLM:
    """A compact model with random weights; embeddings and output share one matrix.

    Elements that are alike begin with embeddings that are alike (`element_embeddings`).
    """
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.hidden,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.context,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            attention_dropout=0.0,
        )
    )
    embed_elements(model.get_input_embeddings().weight, tokenizer, seed)
    return model


def load_compact(folder: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A compact model from a folder, in float32, and its tokenizer.

    Raises:
        InputError: the folder contains no such model, or a damaged one.
    """
    for name in ("config.json", "model.safetensors"):
        if not (Path(folder) / name).is_file():
            raise InputError(f"{folder} is not a language model: it contains no {name}")
    check_config(folder, [Path(folder) / "model.safetensors"])
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(folder)
    try:
        with no_bars(), quiet_loading():
            model, report = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True,
                trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except Exception as error:  # safetensors and transformers raise errors of many kinds
        raise InputError(f"{folder} cannot be loaded: {first_line(error)}") from error
    check_loaded(report, Path(folder) / "model.safetensors")
    if model.config.vocab_size != len(tokenizer):
        raise InputError(
            f"{folder}: the model has {model.config.vocab_size} tokens, its tokenizer "
            f"{len(tokenizer)}"
        )
    for weight, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{folder}: {weight} holds a value that is not finite")
    with torch.inference_mode():
        if not torch.isfinite(model(torch.tensor([[0, len(tokenizer) - 1]])).logits).all():
            raise InputError(f"{folder}: the model's probabilities are not finite numbers")
    return model, tokenizer


def save_compact(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    half: bool = False,
) -> None:
    """Save model and tokenizer atomically; in float16 where `half`.

    Raises:
        InputError: the folder, which is made if need be, cannot be written.
    """
    target = Path(folder)
    with friendly_os_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    if half:
        state = {name: weight.half() for name, weight in state.items()}
    with no_bars(), whole_files(target) as partial:
        model.save_pretrained(partial, state_dict=state)
        tokenizer.save_pretrained(partial)


@contextmanager
def no_bars() -> Iterator[None]:
    """Loading and saving without progress bars of transformers, for models this small."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
