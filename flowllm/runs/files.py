"""What stays on disk: files written whole, and weights as safetensors + JSON.

Nothing here is pickled. A file appears under its name only when it is complete, so whatever a
killed run leaves behind can be trusted by the next.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flowllm.errors import InputError

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "model.safetensors", "config.json"


@contextmanager
def friendly_os_errors(path: str | Path) -> Iterator[None]:
    """Turn the operating system's errors around a write to `path` into one short message.

    Raises:
        InputError: full disk, no permission, a file where a folder should be and the like.
    """
    try:
        yield
    except OSError as error:
        full = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        if error.errno in full:
            what = "the disk is full"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what = "no permission to write there"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            what = "a file is in the way of a folder"
        else:
            what = error.strerror or str(error)
        raise InputError(f"{path}: {what}") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary neighbour to write to, which takes the file's name when the context ends well.

    Its content is synced to the disk first, so the name never stands for half a file, not even
    after a power failure. If the context raises, the old file stays.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`).
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with friendly_os_errors(target):
        try:
            yield temporary
            with open(temporary, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of writes in this folder that were killed."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def atomic_write(path: str | Path, content: bytes | str | Callable[[IO[bytes]], Any]) -> None:
    """Write a file whole or not at all, as `whole_file` does.

    Args:
        path: the file; its folder exists.
        content: bytes, text (UTF-8), or a function that writes to an open binary file.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`); the old file stays.
    """
    with whole_file(path) as temporary, open(temporary, "wb") as handle:
        if callable(content):
            content(handle)
        else:
            handle.write(content.encode() if isinstance(content, str) else content)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON that a person can read, atomically."""
    atomic_write(path, json.dumps(value, indent=2) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: missing, unreadable or no JSON; the file is named.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not readable JSON: {error}") from error


def save_weights(
    folder: str | Path,
    state_dict: dict[str, torch.Tensor],
    config: dict[str, Any],
    half: bool = False,
) -> None:
    """Write `model.safetensors` and `config.json` into a folder, made if need be.

    Args:
        folder: where to.
        state_dict: name -> tensor; tensors that share memory are written one by one.
        config: what JSON can hold.
        half: floating-point tensors as float16, half the size.

    Raises:
        InputError: the folder cannot be written.
    """
    from safetensors.torch import save

    out = Path(folder)
    with friendly_os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, tensor in state_dict.items():
        copy = tensor.detach().cpu().clone().contiguous()
        tensors[name] = copy.half() if half and copy.is_floating_point() else copy
    write_json(out / CONFIG, config)
    atomic_write(out / WEIGHTS, save(tensors))


def load_weights(folder: str | Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote; half-precision tensors come back as float32.

    Raises:
        InputError: no such folder, a file is missing or corrupt; both are named.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    source = Path(folder)
    if not source.is_dir():
        raise InputError(f"no weights folder at {source}")
    for name in (CONFIG, WEIGHTS):
        if not (source / name).is_file():
            raise InputError(f"{source} holds no {name}, so it is no folder of weights")
    config = read_json(source / CONFIG)
    if not isinstance(config, dict):
        raise InputError(f"{source / CONFIG} holds no settings")
    try:
        tensors = load((source / WEIGHTS).read_bytes())
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{source / WEIGHTS} is corrupt: {error}") from error
    halves = (torch.float16, torch.bfloat16)
    return {n: t.float() if t.dtype in halves else t for n, t in tensors.items()}, config
