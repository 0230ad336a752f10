"""Priors of fine-tuned models: an adapter beside its base, or a plain folder of a whole model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.errors import InputError, first_line
from flowllm.methods.language_model.decoding.encoding import encode_prompts
from flowllm.methods.language_model.finetune.base import (
    ADAPTER,
    ADAPTER_CONFIG,
    BASE,
    base_digest,
    find_base,
    half_type,
    load_base_config,
    load_base_model,
    load_base_tokenizer,
)
from flowllm.methods.language_model.prior import LanguageModelPrior
from flowllm.methods.language_model.settings import SamplingSettings
from flowllm.runs.files import friendly_os_errors, read_json, write_json
from flowllm.runs.identity import digest

CACHE_BYTES = 8e9  # of keys and values: some 30 texts of LLaMA-2 7B


class LargePrior(LanguageModelPrior):
    """A fine-tuned model of others, which writes freely by its own tokenizer.

    Args:
        model: the model, with its adapter where it has one.
        tokenizer: its own.
        folder: where it was loaded from.
        identity: a short hash of its weights.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        identity: str,
    ) -> None:
        super().__init__(model, tokenizer, constrained=False)
        self.folder, self.identity = folder, identity

    def fit(self, prompts: Sequence[str], settings: SamplingSettings) -> SamplingSettings:
        """As of any prior, and no more texts at a time than `CACHE_BYTES` hold keys and values of.

        What a text says does not depend on how many are written beside it.
        """
        fitted = super().fit(prompts, settings)
        longest = max(map(len, encode_prompts(self.tokenizer, prompts)), default=0)
        text = self.model.config.get_text_config()
        heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        token = 2 * text.num_hidden_layers * heads * size * self.model.dtype.itemsize
        rows = int(CACHE_BYTES / (token * (longest + fitted.max_new_tokens)))
        return replace(fitted, batch_size=max(1, min(fitted.batch_size, rows)))

    def digest(self) -> str:
        """A short hash of the weights, taken from the files: the model may be huge."""
        return self.identity

    def save_pretrained(self, folder: str | Path, half: bool = False) -> None:
        """Save the adapter and what it says of its base, or the whole model, and the tokenizer.

        Weights of 16 bits stay as they are; others are saved in float16 where `half`.
        """
        target = Path(folder)
        with friendly_os_errors(target):
            target.mkdir(parents=True, exist_ok=True)
            if isinstance(self.model, PeftModel):
                for name in (ADAPTER, ADAPTER_CONFIG, BASE):
                    shutil.copyfile(self.folder / name, target / name)
            else:
                save_plain(self.model, target, half)
            self.tokenizer.save_pretrained(target)


def save_plain(model: PreTrainedModel, folder: Path, half: bool = False) -> None:
    """Save a whole model; float32 weights as float16 where `half`."""
    state = None
    if half:
        weights = model.state_dict()
        state = {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}
    model.save_pretrained(folder, state_dict=state)
    if half and model.dtype == torch.float32:  # transformers writes the type that it has in memory
        about = read_json(folder / "config.json")
        write_json(folder / "config.json", {**about, "dtype": "float16"})


def load_large(
    folder: str | Path,
    device: str = "cpu",
    *,
    as_stored: bool = False,
    base: str | None = None,
) -> LargePrior:
    """A prior from what `flowllm train-lm --model` or `flowllm merge-lm` wrote, or from any model.

    An adapter finds its base by the name in its `adapter_config.json`. A base that was held in few
    bits in training is so again on a GPU, and whole on a processor.

    Args:
        folder: the adapter's or the model's.
        device: where to compute; with several GPUs the layers are spread over them.
        as_stored: leave the weights in the type in which they lie on disk, to pass them on; else
            float32 on a processor, and 16 bits on a GPU.
        base: look for an adapter's base there instead.

    Raises:
        InputError: a part is missing or damaged, or the base is not the one that was adapted.
    """
    place = Path(folder)
    adapter = (place / ADAPTER_CONFIG).is_file()
    load_in = None
    if adapter:
        name = base or _base_name(place)
        source, load_in = _base_of(place, name)
        identity = digest(base_digest(source, name), (place / ADAPTER).read_bytes())
    else:
        source, name = find_base(str(place)), str(folder)
        identity = base_digest(source, name)
    vocabulary = load_base_config(source, name).get_text_config().vocab_size
    tokenizer = load_base_tokenizer(place, str(folder), vocabulary)
    on_gpu = device.startswith("cuda")
    spread = on_gpu and torch.cuda.device_count() > 1
    model = load_base_model(
        source, name,
        dtype="auto" if as_stored else half_type() if on_gpu else torch.float32,
        load_in=load_in if on_gpu and not as_stored else None,
        device_map="auto" if spread else None,
    )  # fmt: skip
    if adapter:
        try:
            model = PeftModel.from_pretrained(model, str(place))
        except Exception as error:  # safetensors and peft raise errors of many kinds
            raise InputError(f"{folder} cannot be loaded: {first_line(error)}") from error
    if not (spread or (on_gpu and load_in)):
        model = model.to(device)
    return LargePrior(model.eval(), tokenizer, place, identity)


def _base_name(folder: Path) -> str:
    name = read_json(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not name:
        raise InputError(
            f"{folder} is an adapter that names no base; write the base's folder as "
            f"base_model_name_or_path into its {ADAPTER_CONFIG}"
        )
    return str(name)


def _base_of(folder: Path, name: str) -> tuple[Path, str | None]:
    """The folder of an adapter's base, and in how many bits it was held."""
    if not (folder / ADAPTER).is_file():
        raise InputError(f"{folder} is no adapter: it holds no {ADAPTER}")
    try:
        source = find_base(name)
    except InputError as error:
        raise InputError(
            f"{folder} is an adapter of {name}: {error}; where the base has moved, correct "
            f"base_model_name_or_path in {folder / ADAPTER_CONFIG}"
        ) from error
    if not (folder / BASE).is_file():  # an adapter that others trained; peft checks its shapes
        return source, None
    record = read_json(folder / BASE)
    expected = record.get("digest")
    if expected is not None and expected != base_digest(source, name):
        raise InputError(
            f"{folder} is an adapter of {record.get('model')} (weights {expected}), and {name} "
            f"holds another model (weights {base_digest(source, name)})"
        )
    return source, record.get("load_in")


def merge_into(folder: str | Path, out: Path, *, base: str | None = None) -> None:
    """Add an adapter to its base, W + (alpha / rank) B A, and save the plain model that results.

    The base is loaded on the processor in the type in which it is stored, and saved in it.

    Args:
        folder: the adapter's.
        out: folder for the model and its tokenizer.
        base: look for the base there instead of where `adapter_config.json` says.

    Raises:
        InputError: as `load_large`, or the folder holds no adapter.
    """
    if not (Path(folder) / ADAPTER_CONFIG).is_file():
        raise InputError(f"{folder} is no adapter: it holds no {ADAPTER_CONFIG}")
    prior = load_large(folder, as_stored=True, base=base)
    merged = prior.model.merge_and_unload()
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        save_plain(merged, out)
        prior.tokenizer.save_pretrained(out)
