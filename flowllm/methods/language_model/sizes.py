"""Check a language model's config.json against its weights before anything is allocated.

transformers builds what the file says: a million layers take all memory before the first weight is
looked for, and a rotary base of 0 or a negative number of layers fails far from its cause.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowllm.errors import InputError, first_line
from flowllm.runs.files import read_record
from flowllm.runs.reading import open_regular

LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
WIDTHS = (
    "vocab_size", "hidden_size", "n_embd", "d_model", "intermediate_size", "n_inner", "ffn_dim",
    "num_attention_heads", "n_head", "num_key_value_heads", "head_dim",
)  # fmt: skip
"""No matrix of the model is smaller in its larger direction."""
LENGTHS = ("max_position_embeddings", "n_positions", "sliding_window")
LONGEST = 10**8  # tokens
POSITIVE = ("rope_theta", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "factor")
LARGEST_HEADER = 2**28
_LAYER = re.compile(r"\.(?:layers|h|blocks?)\.(\d+)\.")


def check_config(folder: str | Path, files: Iterable[Path]) -> None:
    """Check that the sizes in `config.json` fit the weights.

    Args:
        folder: of the model.
        files: its weights as safetensors.

    Raises:
        InputError: they cannot, or a file is damaged; it is named.
    """
    path = Path(folder) / "config.json"
    content = read_record(path)
    shapes: dict[str, list[int]] = {}
    for file in files:
        shapes.update(shapes_of(file))
    largest = max((size for shape in shapes.values() for size in shape), default=0)
    numbers = {int(found[1]) for name in shapes if (found := _LAYER.search(f".{name}"))}
    for about in _objects(content):
        for name in (*LAYERS, *WIDTHS, *LENGTHS):
            value = about.get(name)
            if value is None:
                continue
            most = len(numbers) or len(shapes) if name in LAYERS else largest
            most = LONGEST if name in LENGTHS else most
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise InputError(
                    f"{path}: {name} is {str(value)[:40]}, but the weights allow at most {most}"
                )
        for name in POSITIVE:
            value = about.get(name)
            if value is not None and not _is_positive(value):
                raise InputError(f"{path}: {name} is {str(value)[:40]}, not a positive number")


def check_loaded(report: Mapping[str, Any], name: str | Path) -> None:
    """Check that every weight of a model was loaded from its file, in the right shape.

    Args:
        report: what transformers says of its loading; it goes on with random numbers in the place
            of other weights.
        name: of the model, for the message.

    Raises:
        InputError: weights are missing or of another shape; one of them is named.
    """
    shapes = sorted((str(key), tuple(a), tuple(b)) for key, a, b in report["mismatched_keys"])
    if shapes:
        key, stored, wanted = shapes[0]
        raise InputError(
            f"{name}: {len(shapes)} weights do not have the shape that config.json gives them "
            f"({key}: {stored} instead of {wanted})"
        )
    lacking = sorted(map(str, report["missing_keys"]))
    if lacking:
        raise InputError(f"{name} lacks {len(lacking)} weights of the model ({lacking[0]}, …)")


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence the loading reports of transformers; `check_loaded` covers what matters."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def shapes_of(file: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors of a safetensors file, from its header alone.

    Raises:
        InputError: the file is damaged.
    """
    try:
        size = file.stat().st_size
        with open_regular(file) as handle:
            (length,) = struct.unpack("<Q", handle.read(8))
            if length > min(size, LARGEST_HEADER):
                raise ValueError("its header is longer than the file")
            header = json.loads(handle.read(length))
        return {
            str(name): [int(n) for n in about["shape"]]
            for name, about in header.items()
            if name != "__metadata__"
        }
    except (OSError, struct.error, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file} is corrupt: {first_line(error)}") from error
    except RecursionError as error:
        raise InputError(f"{file} is corrupt: its header is nested too deeply") from error


def _objects(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The config, its text config, and their rotary settings."""
    found = [content]
    if isinstance(content.get("text_config"), dict):
        found.append(content["text_config"])
    for one in tuple(found):
        for name in ("rope_parameters", "rope_scaling"):
            inner = one.get(name)
            if isinstance(inner, dict):
                found += [inner, *(v for v in inner.values() if isinstance(v, dict))]
    return found


def _is_positive(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return 0 < value < math.inf
