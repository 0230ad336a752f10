"""Several processes that run one command, as `accelerate launch` and `torchrun` start them.

The first of them, the main one, holds the output folder and writes; the others compute with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from flowllm.errors import InputError
from flowllm.runs.folder import RunFolder
from flowllm.runs.identity import open_run

T = TypeVar("T")


def process_count() -> int:
    """How many processes run this command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the one process, or the first of several."""
    return int(os.environ.get("RANK", "0")) == 0


def compute_on(device: str) -> None:
    """Configure accelerate's device before several processes first communicate."""
    if process_count() > 1 and device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"


def from_main(make: Callable[[], T]) -> T:
    """The result of a function called in the main process only, in all processes.

    Raises:
        InputError: as the function does, in every process.
    """
    if process_count() == 1:
        return make()
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true")
    answer: list[Any] = [None, None]
    if is_main():
        try:
            answer[0] = make()
        except InputError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise InputError(answer[1])
    return answer[0]


def shared_batch(size: int, at_once: int | None = None) -> tuple[int, int]:
    """How a batch is split: micro-batch size per process, and accumulation steps.

    Args:
        size: crystals a step.
        at_once: the most that a process may take at once; None takes its whole share.

    Raises:
        InputError: the batch cannot be split evenly.
    """
    share, rest = divmod(size, process_count())
    if rest or not share:
        raise InputError(
            f"a batch of {size} cannot be shared by {process_count()} processes; "
            "choose --batch-size as a multiple of their number"
        )
    at_once = share if at_once is None else at_once
    if at_once < 1 or share % at_once:
        raise InputError(
            f"micro-batches of {at_once} do not divide the {share} crystals per process evenly"
        )
    return at_once, share // at_once


@contextmanager
def open_shared_run(
    out: str | Path,
    command: str,
    settings: dict[str, Any],
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
) -> Iterator[RunFolder]:
    """The folder of a run as `runs.identity.open_run` gives it, for all processes of the command.

    The main process holds its lock and writes `run.json`; the others know what is in it.

    Raises:
        InputError: as `open_run`, in every process.
    """
    if process_count() == 1:
        with open_run(out, command, settings, overwrite, inputs) as run:
            yield run
        return
    opened = open_run(out, command, settings, overwrite, inputs)
    run = RunFolder(Path(out), {})

    def begin() -> dict[str, Any]:
        nonlocal run
        run = opened.__enter__()
        return run.record

    record = from_main(begin)
    if is_main():
        with _entered(opened):
            yield run
    else:
        yield _Follower(Path(out), record)


@contextmanager
def _entered(context: Any) -> Iterator[None]:
    """The rest of a `with` block that was already entered."""
    try:
        yield
    except BaseException as error:
        context.__exit__(type(error), error, error.__traceback__)
        raise
    else:
        context.__exit__(None, None, None)


class _Follower(RunFolder):
    """The folder of a run in a process that does not write there."""

    def finish(self, **results: Any) -> None:
        self.record = {**self.record, "status": "finished", **results}
