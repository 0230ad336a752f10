"""Shared by commands that fill a folder: opening it, and identifying its content."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowllm.errors import InputError
from flowllm.runs.files import friendly_os_errors
from flowllm.runs.folder import LOCK, RUN, RunFolder

if TYPE_CHECKING:
    import torch

LONGEST_LIST = 8  # values of a list that are shown in a setting


@contextmanager
def open_run(
    out: str | Path,
    command: str,
    settings: dict[str, Any],
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
) -> Iterator[RunFolder]:
    """The folder of a run, as from `RunFolder.open`; removed again if nothing was written.

    Args:
        out: the folder.
        command: name of the command.
        settings: what the result depends on.
        overwrite: replace another run.
        inputs: files and folders that the run reads; none may lie in `out`, which `overwrite`
            empties.

    Raises:
        InputError: as `RunFolder.open`, or an input lies in `out`.
    """
    path = Path(out)
    for source in inputs:
        # realpath, as `resolve` raises an error of its own for a loop of links
        with friendly_os_errors(path):
            where, here = (Path(os.path.realpath(p)) for p in (source, path))
        if os.path.exists(source) and where.is_relative_to(here):
            raise InputError(f"{source} lies in the output folder {path}; choose another")
    missing = [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
    try:
        with RunFolder.open(path, command, settings, overwrite) as run:
            yield run
    except BaseException:
        with suppress(OSError):
            _remove_if_bare(path, missing)
        raise


@contextmanager
def claim(
    out: str | Path,
    command: str,
    settings: dict[str, Any],
    run: RunFolder | None = None,
    opened: Callable[..., AbstractContextManager[RunFolder]] = open_run,
) -> Iterator[RunFolder]:
    """The run that fills a folder: the caller's, or one opened and finished here.

    Functions that fill a folder are called by commands, which hold the folder of their run, and
    directly from Python; in both cases no folder gets the files of two runs.

    Args:
        out: the folder; with `run` it belongs to that run, and is made if need be.
        command: name of the work, for a run that is opened here.
        settings: what its result depends on.
        run: the run of the caller.
        opened: what opens a run; called with out, command and settings.

    Raises:
        InputError: as `open_run`.
    """
    if run is not None:
        with friendly_os_errors(out):
            Path(out).mkdir(parents=True, exist_ok=True)
        yield run
        return
    with opened(out, command, settings) as own:
        yield own
        own.finish()


def _remove_if_bare(path: Path, missing: list[Path]) -> None:
    """Remove a folder that holds only a run's markers, and its new parents."""
    if path not in missing:
        return
    entries = list(path.iterdir())
    if any(e.name not in (RUN, LOCK) and not _is_empty_folder(e) for e in entries):
        return
    for entry in entries:
        if entry.is_dir():
            entry.rmdir()
        else:
            entry.unlink()
    for folder in missing:
        folder.rmdir()


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def flat_settings(settings: Any, **more: Any) -> dict[str, Any]:
    """Flatten nested settings to one level of names, for messages about differences.

    Args:
        settings: a dataclass, whose fields may be dataclasses.
        **more: further values.

    Returns:
        Name -> value; a name that several parts have is preceded by its part's, and a long list
        is given by its length and a hash.
    """
    leaves = list(_leaves({**more, **asdict(settings)}))
    names = [path[-1] for path, _ in leaves]
    return {
        path[-1] if names.count(path[-1]) == 1 else ".".join(path): _short(value)
        for path, value in leaves
    }


def _leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _short(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) > LONGEST_LIST:
        return f"{len(value)} values ({digest(json.dumps(value))})"
    return value


def digest(*parts: bytes | str) -> str:
    """A short hash of texts and bytes."""
    total = hashlib.sha256()
    for part in parts:
        # names of files may hold bytes that are not text
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        total.update(f"{len(content)} ".encode() + content)
    return total.hexdigest()[:12]


def weights_digest(module: torch.nn.Module, *more: str) -> str:
    """A short hash of a network's weights and any further values."""
    return tensors_digest(module.state_dict(), *more)


def tensors_digest(tensors: Mapping[str, torch.Tensor], *more: str) -> str:
    """A short hash of named tensors and any further values."""
    import torch

    total = hashlib.sha256("\n".join(more).encode())
    for name, tensor in tensors.items():
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total.update(name.encode() + raw.numpy().tobytes())  # numpy has no bfloat16
    return total.hexdigest()[:12]
