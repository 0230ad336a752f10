"""User-facing progress: one bar per stage, in a terminal or a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID

Progress = Callable[[str, int, int], None]
"""Called with the stage, how many items it has finished, and how many it will."""
ItemProgress = Callable[[int, int], None]
"""The progress of one stage: called with the items that are done, and how many there are in all."""


def progress_of(progress: Progress | None, stage: str) -> ItemProgress | None:
    """The progress callback of one stage; None without a listener."""
    if progress is None:
        return None
    report = progress
    return lambda done, total: report(stage, done, total)


@contextmanager
def progress_bars(shown: bool = True) -> Iterator[Progress]:
    """A callback that draws one bar per stage on standard error within the context."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(file=sys.stderr)
    bars = Bars(*columns, console=console, disable=not shown)
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int) -> None:
        if not tasks:  # nothing is drawn for work that ends before it begins
            bars.start()
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)

    try:
        yield report
    finally:
        if tasks:
            bars.stop()


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """A status line in the terminal that disappears when the work is done."""
    from rich.console import Console

    with Console(file=sys.stderr).status(text):
        yield
