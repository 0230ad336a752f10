"""Run folders: resume the same run, refuse another, overwrite on request."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import IO, Any

from flowllm.errors import InputError
from flowllm.runs.files import (
    first_link,
    friendly_os_errors,
    open_unlinked,
    read_json,
    remove,
    remove_leftovers,
    write_json,
)

RUN, LOCK = "run.json", ".lock"


def package_version() -> str:
    """The installed version of flowllm, or "unknown" in a bare checkout."""
    try:
        return importlib.metadata.version("flowllm")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


class RunFolder:
    """A command's output folder: resume the same run, refuse another, overwrite on request.

    `run.json` in the folder says which command with which settings fills it. Settings are what
    the result depends on; numbers of workers and the like do not belong in them. The folder may lie
    behind links; one that holds links is refused, so that nothing is read or written elsewhere.

    Attributes:
        path: the folder.
        record: what run.json holds: command, settings, version, status "running" or "finished",
            and what `finish` added.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record
        self._lock: IO[bytes] | None = None
        self._made: list[Path] = []  # folders that opening it made, the innermost first

    @classmethod
    def open(
        cls,
        out: str | Path,
        command: str,
        settings: dict[str, Any],
        overwrite: bool = False,
        wait: bool = False,
    ) -> RunFolder:
        """The folder of this run, new or continued, locked against a second process.

        Args:
            out: the folder; made if need be.
            command: name of the command, as in "generate".
            settings: what JSON can hold; the same settings go on, others are refused.
            overwrite: empty a folder that holds a run of ours and start anew.
            wait: wait for another process that works there instead of refusing.

        Raises:
            InputError: the folder is a file, cannot be written, holds another run, a link or files
                that are not a run's, or is in use.
        """
        path = Path(out)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; the output needs a folder")
        made = [p for p in (path, *path.parents) if not os.path.lexists(p)]
        with friendly_os_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            names = [p.name for p in path.iterdir() if not _is_leftover(p.name)]
        if names and RUN not in names:
            raise InputError(
                f"{path} contains files that flowllm did not write ({min(names)}); "
                "choose another output folder"
            )
        _refuse_links(path, overwrite)
        run = cls(path, {})
        run._made = made
        run._take_lock(wait)
        try:
            run._begin(command, json.loads(json.dumps(settings)), overwrite)
        except BaseException:
            run.close()
            raise
        return run

    def _begin(self, command: str, settings: dict[str, Any], overwrite: bool) -> None:
        file = self.path / RUN
        fresh = {
            "command": command,
            "settings": settings,
            "version": package_version(),
            "status": "running",
        }
        if file.exists():
            old = self.read(self.path)
            if not overwrite:
                different = _differences(old, fresh)
                if different:
                    raise InputError(
                        f"{self.path} contains another run ({'; '.join(different)}); "
                        "use --overwrite to replace it, or another output folder"
                    )
                self.record = old
                remove_leftovers(self.path)
                return
            # run.json goes last, so that an interrupted clearing is still recognised as ours
            with friendly_os_errors(self.path):
                self._clear()
        self.record = fresh
        write_json(file, fresh)

    @staticmethod
    def read(folder: str | Path) -> dict[str, Any]:
        """The record in a folder's run.json.

        Raises:
            InputError: there is none, or it is not ours.
        """
        file = Path(folder) / RUN
        record = read_json(file)
        kinds = {"command": str, "settings": dict, "status": str}
        if not isinstance(record, dict) or not all(
            isinstance(record.get(name), kind) for name, kind in kinds.items()
        ):
            raise InputError(f"{file} was not written by flowllm; choose another output folder")
        return record

    @classmethod
    def is_finished(cls, folder: str | Path, command: str, settings: dict[str, Any]) -> bool:
        """Whether a folder holds this very run, finished; read-only."""
        if not (Path(folder) / RUN).is_file():
            return False
        record = cls.read(folder)
        now = {"command": command, "settings": json.loads(json.dumps(settings))}
        return record["status"] == "finished" and not _differences(record, now)

    @property
    def digest(self) -> str:
        """A short hash of the command and its settings, which identifies the run's parts."""
        identity = json.dumps([self.record["command"], self.record["settings"]], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def finished(self) -> bool:
        """Whether the run was finished before."""
        return self.record["status"] == "finished"

    def finish(self, **results: Any) -> None:
        """Mark the run as finished, with JSON results, and release the folder."""
        self.record = {**self.record, "status": "finished", **results}
        write_json(self.path / RUN, self.record)
        self.close()

    def discard(self) -> None:
        """Remove everything that the run wrote, for a failed run."""
        with friendly_os_errors(self.path):
            self._clear()
            (self.path / RUN).unlink(missing_ok=True)
            self.close()
            (self.path / LOCK).unlink(missing_ok=True)
            for folder in self._made or [self.path]:
                if any(folder.iterdir()):
                    break
                folder.rmdir()

    def _clear(self) -> None:
        """Remove all but run.json and the lock."""
        for entry in self.path.iterdir():
            if entry.name not in (RUN, LOCK):
                remove(entry)

    def close(self) -> None:
        """Release the folder; the run can be resumed later."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take_lock(self, wait: bool) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: two runs in one folder are not noticed
            return
        with friendly_os_errors(self.path):
            handle = open_unlinked(self.path / LOCK, "ab")  # held while the run lasts
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            handle.close()
            raise InputError(f"another process is working in {self.path}") from error
        except OSError:  # file systems without locks
            handle.close()
            return
        self._lock = handle


def _refuse_links(path: Path, overwrite: bool) -> None:
    """Raise for a link below an output folder; what `overwrite` removes may be one."""
    with friendly_os_errors(path):
        marks = [path / name for name in (RUN, LOCK) if (path / name).is_symlink()]
        found = marks[0] if marks else None if overwrite else first_link(path)
    if found is not None:
        raise InputError(f"{found} is a link; links in an output folder are not followed")


def _is_leftover(name: str) -> bool:
    """Whether a file may be left by a run killed before its run.json."""
    return name == LOCK or (name.startswith(f".{RUN}.") and name.endswith(".tmp"))


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """A description of the differences between an existing run and this one."""
    if old["command"] != new["command"]:
        return [f"of the command {old['command']}, not {new['command']}"]
    before, now = old["settings"], new["settings"]
    return [
        f"{name} is {json.dumps(before.get(name))} there and {json.dumps(now.get(name))} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
