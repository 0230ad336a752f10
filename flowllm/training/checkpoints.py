"""Checkpoints of a training run: `checkpoint-N/`, N the number of steps done.

The Trainer writes a checkpoint in place, file after file. It counts once it is sealed: when all its
files have been brought to the disk, a list of their sizes and hashes is written beside them. A
checkpoint without that list, or whose files do not agree with it, is none.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from flowllm.errors import InputError
from flowllm.runs.files import friendly_os_errors, read_json, remove, sync, write_json
from flowllm.runs.reading import open_regular, read_whole

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints inside that of a run."""
SEAL = "files.json"
STATE = "trainer_state.json"
BLOCK = 1 << 22


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint as complete, once its files are on disk.

    Raises:
        InputError: the operating system refuses.
    """
    with friendly_os_errors(checkpoint):
        found = {}
        for path in _files(checkpoint):
            sync(path)
            found[path.relative_to(checkpoint).as_posix()] = _identity(path)
        write_json(checkpoint / SEAL, found)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint is sealed and its files are unchanged."""
    try:
        listed = read_json(checkpoint / SEAL)
        return (
            isinstance(listed, dict)
            and STATE in listed
            and all(
                (checkpoint / name).stat().st_size == identity[0]
                and _identity(checkpoint / name) == identity
                for name, identity in listed.items()
            )
        )
    except (InputError, OSError, TypeError, ValueError, IndexError, KeyError):
        return False


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a folder; newer incomplete ones are removed.

    One whose best predecessor is damaged, whose weights the run would end with, does not count
    either.
    """
    found = {
        int(path.name.removeprefix("checkpoint-")): path
        for path in folder.glob("checkpoint-*")
        if path.name.removeprefix("checkpoint-").isdecimal()
    }
    whole: dict[Path, bool] = {}
    for _, path in sorted(found.items(), reverse=True):
        needed = [path]
        if whole.setdefault(path, is_whole(path)):
            best = _best(path)
            needed += [] if best is None else [folder / best]
        if all(whole.setdefault(each, is_whole(each)) for each in needed):
            return path
        remove(path)
    return None


def _best(checkpoint: Path) -> str | None:
    """Name of the checkpoint with the lowest validation loss, if the run ends with it."""
    state: dict[str, Any] = json.loads(read_whole(checkpoint / STATE))
    best = state.get("best_model_checkpoint")
    return Path(best).name if best else None


def _files(checkpoint: Path) -> list[Path]:
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != SEAL)


def _identity(path: Path) -> list[Any]:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with open_regular(path) as handle:
        while block := handle.read(BLOCK):
            digest.update(block)
        return [os.fstat(handle.fileno()).st_size, digest.hexdigest()]
