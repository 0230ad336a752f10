"""What stays on disk: weights as safetensors + JSON, files written whole, folders that resume.

Nothing here is pickled. A file appears under its name only when it is complete, so whatever a
killed run leaves behind can be trusted by the next.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flowllm.errors import InputError

if TYPE_CHECKING:
    import torch

WEIGHTS, CONFIG, RUN = "model.safetensors", "config.json", "run.json"
LOCK = ".lock"


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


def atomic_write(path: str | Path, content: bytes | str | Callable[[IO[bytes]], Any]) -> None:
    """Write a file whole or not at all: to a temporary neighbour, synced, then renamed.

    Args:
        path: the file; its folder exists.
        content: bytes, text (UTF-8), or a function that writes to an open binary file.

    Raises:
        InputError: the operating system refuses (`friendly_os_errors`); the old file stays.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with friendly_os_errors(target):
        try:
            with open(temporary, "wb") as handle:
                if callable(content):
                    content(handle)
                else:
                    handle.write(content.encode() if isinstance(content, str) else content)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


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


def package_version() -> str:
    """The installed version of flowllm, or "unknown" in a bare checkout."""
    try:
        return importlib.metadata.version("flowllm")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


# ---- weights -------------------------------------------------------------------------------------


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


# ---- folders of runs -----------------------------------------------------------------------------


class RunFolder:
    """A command's output folder: go on with the same run, refuse another, overwrite on request.

    `run.json` in the folder says which command with which settings fills it. Settings are what
    the result depends on; numbers of workers and the like do not belong in them.

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
            InputError: the folder is a file, cannot be written, holds another run or files that
                are no run's, or is in use.
        """
        path = Path(out)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; the output needs a folder")
        made = [p for p in (path, *path.parents) if not p.exists()]
        with friendly_os_errors(path):
            path.mkdir(parents=True, exist_ok=True)
            names = [p.name for p in path.iterdir() if not _is_leftover(p.name)]
        if names and RUN not in names:
            raise InputError(
                f"{path} holds files that no run of flowllm wrote ({min(names)}); "
                "choose another output folder"
            )
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
                        f"{self.path} holds another run ({'; '.join(different)}); "
                        "use --overwrite to replace it, or another output folder"
                    )
                self.record = old
                for leftover in self.path.glob(".*.tmp"):  # of a write that was killed
                    leftover.unlink(missing_ok=True)
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
        keys = {"command", "settings", "status"}
        if not isinstance(record, dict) or not keys <= set(record):
            raise InputError(f"{file} was not written by flowllm; choose another output folder")
        return record

    @classmethod
    def is_finished(cls, folder: str | Path, command: str, settings: dict[str, Any]) -> bool:
        """Whether a folder holds this very run, brought to its end; touches nothing."""
        if not (Path(folder) / RUN).is_file():
            return False
        record = cls.read(folder)
        now = {"command": command, "settings": json.loads(json.dumps(settings))}
        return record["status"] == "finished" and not _differences(record, now)

    @property
    def finished(self) -> bool:
        """Whether the run was brought to its end before."""
        return self.record["status"] == "finished"

    def finish(self, **results: Any) -> None:
        """Mark the run as finished, with results that JSON can hold, and let go of the folder."""
        self.record = {**self.record, "status": "finished", **results}
        write_json(self.path / RUN, self.record)
        self.close()

    def discard(self) -> None:
        """Remove everything that the run wrote, for a run that came to nothing."""
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
            if entry.name in (RUN, LOCK):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def close(self) -> None:
        """Let go of the folder; the run can be continued later."""
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
            handle = open(self.path / LOCK, "wb")  # noqa: SIM115 - held while the run lasts
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            handle.close()
            raise InputError(f"another process is working in {self.path}") from error
        except OSError:  # file systems without locks
            handle.close()
            return
        self._lock = handle


def _is_leftover(name: str) -> bool:
    """What a run that was killed before its run.json can have left."""
    return name == LOCK or (name.startswith(f".{RUN}.") and name.endswith(".tmp"))


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """In words: what an existing run and the present one differ in."""
    if old["command"] != new["command"]:
        return [f"of the command {old['command']}, not {new['command']}"]
    before, now = old["settings"], new["settings"]
    return [
        f"{name} is {json.dumps(before.get(name))} there and {json.dumps(now.get(name))} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
