"""Pretrained causal language models: found in a folder or on the hub, checked, and loaded."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from flowllm.errors import InputError, first_line
from flowllm.methods.language_model.decoding.encoding import check_tokenizer
from flowllm.methods.language_model.finetune.settings import QUANTISATIONS
from flowllm.methods.language_model.sizes import check_config, check_loaded, quiet_loading
from flowllm.runs.files import read_json
from flowllm.text.formats.base import TextFormat
from flowllm.training.ranks import from_main

# of an adapter's folder: peft's weights and settings, and our record of the base
ADAPTER, ADAPTER_CONFIG, BASE = "adapter_model.safetensors", "adapter_config.json", "base.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]  # nothing pickled


def check_quantisation(load_in: str | None) -> None:
    """Check that quantised weights are supported here, before anything is loaded.

    Raises:
        InputError: no such quantisation, no CUDA, or no bitsandbytes.
    """
    if load_in is None:
        return
    if load_in not in QUANTISATIONS:
        raise InputError(
            f"unknown quantisation {load_in!r}; choose from {', '.join(QUANTISATIONS)}"
        )
    if not torch.cuda.is_available():
        raise InputError(
            f"weights in {load_in[0]} bits need an NVIDIA GPU with CUDA, but torch finds none; "
            f"leave out --load-in-{load_in}"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            f"weights in {load_in[0]} bits need bitsandbytes, which is not installed: "
            "pip install bitsandbytes"
        )


def find_base(name: str) -> Path:
    """The folder of a model given by folder or hub id.

    A hub id is looked for in the local cache and then downloaded, as transformers does it.

    Raises:
        InputError: no such folder, no model in it, or an id that cannot be had.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"{name} is not a language model: it contains no config.json")
        return folder
    if folder.exists() or not _HUB_ID.fullmatch(name):
        raise InputError(f"{name} is neither a folder with a language model nor a hub id")
    return from_main(lambda: _download(name))


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=_FILES))
    except Exception as error:  # of the network, of the hub, of the disk
        raise InputError(
            f"{name} is neither a local folder nor available on the hub ({first_line(error)}); "
            "download the model elsewhere and give its folder"
        ) from error
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} is not a language model: it contains no config.json")
    return folder


def load_base_config(folder: Path, name: str) -> PretrainedConfig:
    """A model's config.

    Raises:
        InputError: it is damaged, or of an architecture that transformers does not know.
    """
    try:
        return AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise InputError(f"{name} cannot be loaded: {first_line(error)}") from error


def load_base_tokenizer(
    folder: Path, name: str, vocabulary: int, text_format: TextFormat
) -> PreTrainedTokenizerBase:
    """A model's own tokenizer, fast or slow.

    Args:
        folder: where it is.
        name: as the user gave it, for messages.
        vocabulary: tokens that the model knows. A padding token beyond them is forgotten.
        text_format: in which it shall write.

    Raises:
        InputError: there is none, a damaged one, or one that `check_tokenizer` refuses.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # a tokenizer's parser raises bare exceptions
        raise InputError(f"{name}: its tokenizer cannot be loaded: {first_line(error)}") from error
    check_tokenizer(tokenizer, vocabulary, name, text_format)
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id >= vocabulary:
        tokenizer.pad_token = None
    return tokenizer


def load_base_model(
    folder: Path,
    name: str,
    *,
    dtype: torch.dtype | str = torch.float32,
    load_in: str | None = None,
    device_map: object = None,
) -> PreTrainedModel:
    """A causal language model from a folder.

    Args:
        folder: where its weights are, as safetensors.
        name: as the user gave it, for messages.
        dtype: of the weights; "auto" as they are stored.
        load_in: "4bit" or "8bit" for frozen weights of few bits.
        device_map: as transformers takes it.

    Raises:
        InputError: it is not a causal language model, or weights are missing or damaged.
    """
    check_config(folder, weight_files(folder, name))
    options: dict[str, object] = {}
    if load_in is not None:
        options["quantization_config"] = quantisation(load_in)
        device_map = device_map or {"": torch.cuda.current_device()}
    if device_map is not None:
        options["device_map"] = device_map
    try:
        with quiet_loading():
            model, report = AutoModelForCausalLM.from_pretrained(
                str(folder), dtype=dtype, local_files_only=True, use_safetensors=True,
                trust_remote_code=False, output_loading_info=True, ignore_mismatched_sizes=True,
                **options,
            )  # fmt: skip
    except Exception as error:  # safetensors and transformers raise errors of many kinds
        raise InputError(f"{name} cannot be loaded: {first_line(error)}") from error
    check_loaded(report, name)
    # some models come with settings of generation that contradict each other and cannot be saved
    model.generation_config = GenerationConfig.from_model_config(model.config)
    return model


def quantisation(load_in: str) -> BitsAndBytesConfig:
    """The quantisation config; 4 bits as in QLoRA (Dettmers et al., NeurIPS 2023)."""
    if load_in == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=half_type(),
    )


def half_type() -> torch.dtype:
    """The 16-bit type that this machine's GPU computes in; float32 without a GPU.

    Processors emulate bfloat16, most of them hundreds of times slower than float32.
    """
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32


def weight_files(folder: Path, name: str) -> list[Path]:
    """The files of a model's weights.

    Raises:
        InputError: there are none as safetensors, or one is missing.
    """
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if not index.is_file():
        raise InputError(f"{name} contains no weights: neither model.safetensors nor {index.name}")
    try:
        names = sorted(set(read_json(index)["weight_map"].values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is damaged") from error
    for file in names:
        if not (folder / file).is_file():
            raise InputError(f"{name} contains no {file}, which {index.name} lists")
    return [folder / file for file in names]


def base_digest(folder: Path, name: str) -> str:
    """A short hash that tells models apart: names, shapes and types of the weights, and one row of
    each. It reads little, so it costs nothing even where a model has hundreds of GB.

    Raises:
        InputError: the weights are missing or damaged.
    """
    found: dict[str, bytes] = {}
    try:
        for file in weight_files(folder, name):
            with safe_open(file, "pt") as content:
                for key in content.keys():  # noqa: SIM118 - it is not a dictionary
                    part = content.get_slice(key)
                    shape = part.get_shape()
                    middle = shape[0] // 2 if len(shape) > 1 else 0
                    row = part[middle : middle + 1] if middle else content.get_tensor(key)
                    about = f"{key} {shape} {part.get_dtype()} ".encode()
                    raw = row.contiguous().reshape(-1).view(torch.uint8)
                    found[key] = about + raw.numpy().tobytes()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name} cannot be loaded: {first_line(error)}") from error
    total = hashlib.sha256()
    for key in sorted(found):
        total.update(found[key])
    return total.hexdigest()[:12]
