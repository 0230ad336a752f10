"""What the readers share: rows with their names and reasons, and how texts are parsed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError, first_line
from flowllm.parallel.map import Failure, map_crystals
from flowllm.runs.folder import RunFolder
from flowllm.runs.progress import ItemProgress

FEW = 2_000  # texts that are read sooner in one process than others have started
CHUNK = 64  # texts that travel to a worker together
NAME = "crystal"  # stands before a parser's message, and is taken away again


@dataclass
class InputRows:
    """What a source holds, before ids are made unique: names and reasons of all rows."""

    names: list[str]
    reasons: list[str]
    crystals: CrystalBatch
    prompts: list[str] | None = None
    rejected: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """How texts are parsed: one call for each, on an executor."""

    executor: Executor | None
    workers: int | None
    progress: ItemProgress | None

    def parse(self, fn: Callable[[Any], CrystalBatch], items: list[Any]) -> InputRows:
        """A row for each item, with its place as name."""
        workers = self.workers or (1 if len(items) <= FEW else None)
        outcomes = map_crystals(fn, items, self.executor, workers, self.progress, CHUNK)
        reasons = [reason_of(o) if isinstance(o, Failure) else "" for o in outcomes]
        crystals = [o for o in outcomes if not isinstance(o, Failure)]
        names = [str(i) for i in range(len(items))]
        return InputRows(names, reasons, CrystalBatch.concatenate(crystals))


def reason_of(failure: Failure) -> str:
    """Why an input cannot be read, without its name."""
    text = failure.message.removeprefix(f"{NAME}: ").strip() or failure.kind
    return text if failure.kind == "InputError" else f"{failure.kind}: {text.splitlines()[0][:200]}"


def read_text(path: Path) -> str:
    """The text of a file, gzipped or not.

    Raises:
        InputError: it cannot be read.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix.lower() == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
    return content.decode("utf-8-sig", errors="replace")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run of ours; other programs call their files run.json, too."""
    try:
        return bool(RunFolder.read(folder))
    except InputError:
        return False
