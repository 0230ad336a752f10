"""Persistent files: atomic writes, and weights as safetensors + JSON.

Nothing here is pickled. A file appears under its name only when it is complete, so whatever a
killed run leaves behind can be trusted by the next.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flowllm.errors import InputError, first_line
from flowllm.runs.reading import NO_NAME, read_whole

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG = "model.safetensors", "config.json"
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
MANY = 50
"""Files up to which each is synced to the disk on its own."""


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
            what = "a file is where a folder is needed"
        elif error.errno == errno.ELOOP:
            what = "it is a link or in a loop of links; links are not followed there"
        else:
            what = error.strerror or str(error)
        raise InputError(f"{path}: {what}") from error
    except ValueError as error:
        if "\0" in str(path) and not isinstance(error, InputError):
            raise InputError(f"{path}: {NO_NAME}") from error
        raise


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary file that takes the target's name when the context succeeds.

    It is a new file, never a link or a file that was there. Its content is synced to the disk
    first, so the name never stands for half a file, not even after a power failure. If the context
    raises, the old file stays. A link under the file's name is replaced, not followed.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`).
    """
    target = Path(path)
    temporary = hidden_neighbour(target, "tmp")
    with friendly_os_errors(target):
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_LINKS, 0o666))
            yield temporary
            sync(temporary)
            os.replace(temporary, target)
        finally:
            with suppress(OSError, ValueError):
                temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that takes the target's place when the context succeeds.

    What was there before goes only then; a link is replaced, not followed.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`).
    """
    target = Path(path)
    partial = hidden_neighbour(target, "partial")
    with friendly_os_errors(target):
        try:
            partial.mkdir()
            yield partial
            _sync_all(partial)
            remove(target)
            os.replace(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def whole_files(folder: str | Path, last: str = "config.json") -> Iterator[Path]:
    """A temporary folder for libraries that write several files, which are moved on success.

    Args:
        folder: where they belong; it exists, and other files in it stay.
        last: the file that is moved after all others, as what tells that they are there.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`).
    """
    target = Path(folder)
    partial = hidden_neighbour(target / "files", "partial")
    with friendly_os_errors(target):
        try:
            partial.mkdir()
            yield partial
            _sync_all(partial)
            for entry in sorted(partial.iterdir(), key=lambda e: (e.name == last, e.name)):
                if entry.is_dir() or (target / entry.name).is_dir():
                    remove(target / entry.name)
                os.replace(entry, target / entry.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def open_unlinked(path: str | Path, mode: str) -> IO[Any]:
    """`open` for writing a file in place, which refuses to follow a link.

    Raises:
        OSError: the name is a link, or the system refuses.
    """
    encoding = None if "b" in mode else "utf-8"
    return open(
        path,
        mode,
        encoding=encoding,
        opener=lambda name, flags: os.open(name, flags | NO_LINKS, 0o666),
    )


def remove(path: Path) -> None:
    """Remove a file, a link (not its target) or a folder with its contents, if present.

    Raises:
        OSError: the system refuses.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders left by killed writes in this folder."""
    for leftover in (*folder.glob(".*.tmp"), *folder.glob(".*.partial")):
        remove(leftover)


def first_link(folder: Path) -> Path | None:
    """A link anywhere below a folder, which may itself be reached by links; None if none."""
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    return Path(entry.path)
                if entry.is_dir():
                    waiting.append(Path(entry.path))
    return None


def hidden_neighbour(target: Path, ending: str) -> Path:
    """A new hidden name in a file's folder, short enough where the file's own barely is."""
    return target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.{ending}")


def sync(path: Path) -> None:
    """Flush a file to disk."""
    with open_unlinked(path, "rb+") as handle:
        os.fsync(handle.fileno())


def _sync_all(folder: Path) -> None:
    """Flush the files of a folder to disk, one by one, or all at once if there are many."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if len(files) > MANY and hasattr(os, "sync"):
        os.sync()
        return
    for path in files:
        sync(path)


def atomic_write(path: str | Path, content: bytes | str | Callable[[IO[bytes]], Any]) -> None:
    """Write a file atomically, as `whole_file` does.

    Args:
        path: the file; its folder exists.
        content: bytes, text (UTF-8), or a function that writes to an open binary file.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`); the old file stays.
    """
    with whole_file(path) as temporary, open_unlinked(temporary, "wb") as handle:
        if callable(content):
            content(handle)
        else:
            handle.write(as_bytes(content))


def write_new(path: str | Path, content: bytes | str) -> None:
    """Write a new file into a temporary folder (`whole_folder`).

    Raises:
        OSError: it is there, or the system refuses.
    """
    with open_unlinked(path, "xb") as handle:
        handle.write(as_bytes(content))


def as_bytes(content: bytes | str) -> bytes:
    """Text as UTF-8; anything invalid, such as lone surrogates in file names, becomes "?"."""
    return content.encode("utf-8", "replace") if isinstance(content, str) else content


def write_json(path: str | Path, value: Any) -> None:
    """Write human-readable JSON atomically."""
    atomic_write(path, json.dumps(value, indent=2) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: missing, unreadable or no JSON; the file is named.
    """
    try:
        return json.loads(read_whole(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except UnicodeError as error:
        raise InputError(f"{path} is not readable JSON: it is not UTF-8 text") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON: {first_line(error)}") from error


def read_record(path: str | Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: missing, unreadable or something else; the file is named.
    """
    found = read_json(path)
    if not isinstance(found, dict):
        raise InputError(f"{path} must be a JSON object, not a {type(found).__name__}")
    return found


def save_weights(
    folder: str | Path,
    state_dict: dict[str, torch.Tensor],
    config: dict[str, Any],
    half: bool = False,
) -> None:
    """Write `model.safetensors` and `config.json` into a folder, created if needed.

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
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    source = Path(folder)
    if not source.is_dir():
        raise InputError(f"no weights folder at {source}")
    for name in (CONFIG, WEIGHTS):
        if not (source / name).is_file():
            raise InputError(f"{source} contains no {name}, so it is not a folder of weights")
    config = read_json(source / CONFIG)
    if not isinstance(config, dict):
        raise InputError(f"{source / CONFIG} contains no settings")
    try:
        with safe_open(source / WEIGHTS, "pt"):  # the header is looked at before all is read
            pass
        tensors = load((source / WEIGHTS).read_bytes())
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{source / WEIGHTS} is corrupt: {error}") from error
    halves = (torch.float16, torch.bfloat16)
    return {n: t.float() if t.dtype in halves else t for n, t in tensors.items()}, config
