"""Fine-tuned models on disk: an adapter that refers to its base, or a whole model."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowllm.errors import InputError, first_line
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
from flowllm.methods.language_model.format_file import load_format, save_format
from flowllm.methods.language_model.sizes import shapes_of
from flowllm.runs.files import friendly_os_errors, read_record, whole_files, write_json
from flowllm.runs.identity import digest
from flowllm.text.formats.base import TextFormat

CACHE_BYTES = 8e9  # of keys and values: some 30 texts of LLaMA-2 7B


def rows_that_fit(model: PreTrainedModel, tokens: int) -> int:
    """How many texts of this many tokens fit into `CACHE_BYTES` of keys and values."""
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    token = 2 * text.num_hidden_layers * heads * size * model.dtype.itemsize
    return int(CACHE_BYTES / (token * tokens))


def save_large(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    source: Path,
    folder: Path,
    half: bool = False,
) -> None:
    """Save the adapter with a record of its base, or the whole model, and the tokenizer.

    Args:
        model: the model, with its adapter where it has one.
        tokenizer: its own.
        source: where an adapter was loaded from; its files are copied.
        folder: made if missing.
        half: float32 weights in float16; those of 16 bits stay as they are.
    """
    with friendly_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with whole_files(folder) as partial:
        if isinstance(model, PeftModel):
            for name in (ADAPTER, ADAPTER_CONFIG, BASE):
                shutil.copyfile(source / name, partial / name)
        else:
            save_plain(model, partial, half)
        tokenizer.save_pretrained(partial)


def save_plain(model: PreTrainedModel, folder: Path, half: bool = False) -> None:
    """Save a whole model in a temporary folder; float32 weights as float16 where `half`."""
    state = None
    if half:
        weights = model.state_dict()
        state = {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}
    model.save_pretrained(folder, state_dict=state)
    if half and model.dtype == torch.float32:  # transformers writes the type that it has in memory
        about = read_record(folder / "config.json")
        write_json(folder / "config.json", {**about, "dtype": "float16"})


def load_model(
    folder: str | Path,
    device: str = "cpu",
    *,
    as_stored: bool = False,
    base: str | None = None,
    text_format: TextFormat | None = None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Path, str]:
    """Load a model from `flowllm train-lm --model`, `flowllm merge-lm`, or any other, for sampling.

    An adapter finds its base by the name in its `adapter_config.json`. A base that was held in few
    bits in training is so again on a GPU, and whole on a processor.

    Args:
        folder: the adapter's or the model's.
        device: where to compute; with several GPUs the layers are spread over them.
        as_stored: leave the weights in the type in which they lie on disk, to pass them on; else
            float32 on a processor, and 16 bits on a GPU.
        base: look for an adapter's base there instead.
        text_format: in which it shall write; by default what the folder says.

    Returns:
        The model, its tokenizer, the folder, and a short hash of the weights.

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
    tokenizer = load_base_tokenizer(
        place, str(folder), vocabulary, text_format or load_format(place)
    )
    on_gpu = device.startswith("cuda")
    spread = on_gpu and torch.cuda.device_count() > 1
    model = load_base_model(
        source, name,
        dtype="auto" if as_stored else half_type() if on_gpu else torch.float32,
        load_in=load_in if on_gpu and not as_stored else None,
        device_map="auto" if spread else None,
    )  # fmt: skip
    if adapter:
        _check_rank(place)
        try:
            model = PeftModel.from_pretrained(model, str(place))
        except Exception as error:  # safetensors and peft raise errors of many kinds
            raise InputError(f"{folder} cannot be loaded: {first_line(error)}") from error
    if not (spread or (on_gpu and load_in)):
        model = model.to(device)
    return model.eval(), tokenizer, place, identity


def _check_rank(folder: Path) -> None:
    """Raise if the rank does not fit the adapter's weights, before anything is built."""
    rank = read_record(folder / ADAPTER_CONFIG).get("r")
    try:
        sizes = {size for shape in shapes_of(folder / ADAPTER).values() for size in shape}
    except InputError as error:
        raise InputError(f"{folder} cannot be loaded: {error}") from error
    if (
        isinstance(rank, bool)
        or not isinstance(rank, int)
        or not 1 <= rank <= max(sizes, default=0)
    ):
        raise InputError(
            f"{folder / ADAPTER_CONFIG}: r is {str(rank)[:40]}, larger than its weights allow"
        )


def _base_name(folder: Path) -> str:
    name = read_record(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not name:
        raise InputError(
            f"{folder} is an adapter that does not name its base model; write the base's folder as "
            f"base_model_name_or_path into its {ADAPTER_CONFIG}"
        )
    return str(name)


def _base_of(folder: Path, name: str) -> tuple[Path, str | None]:
    """The folder of an adapter's base, and its quantisation."""
    if not (folder / ADAPTER).is_file():
        raise InputError(f"{folder} is not an adapter: it contains no {ADAPTER}")
    try:
        source = find_base(name)
    except InputError as error:
        raise InputError(
            f"{folder} is an adapter of {name}: {error}; where the base has moved, correct "
            f"base_model_name_or_path in {folder / ADAPTER_CONFIG}"
        ) from error
    if not (folder / BASE).is_file():  # an adapter that others trained; peft checks its shapes
        return source, None
    record = read_record(folder / BASE)
    expected = record.get("digest")
    if expected is not None and expected != base_digest(source, name):
        raise InputError(
            f"{folder} is an adapter of {record.get('model')} (weights {expected}), and {name} "
            f"holds another model (weights {base_digest(source, name)})"
        )
    return source, record.get("load_in")


def merge_into(folder: str | Path, out: Path, *, base: str | None = None) -> None:
    """Merge an adapter into its base, W + (alpha / rank) B A, and save the plain model.

    The base is loaded on the processor in the type in which it is stored, and saved in it.

    Args:
        folder: the adapter's.
        out: folder for the model and its tokenizer.
        base: look for the base there instead of where `adapter_config.json` says.

    Raises:
        InputError: as `load_model`, or the folder contains no adapter.
    """
    if not (Path(folder) / ADAPTER_CONFIG).is_file():
        raise InputError(f"{folder} is not an adapter: it contains no {ADAPTER_CONFIG}")
    model, tokenizer, source, _ = load_model(folder, as_stored=True, base=base)
    merged = model.merge_and_unload()
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with whole_files(out) as partial:
        save_plain(merged, partial)
        tokenizer.save_pretrained(partial)
        save_format(load_format(source), partial)
