"""Lines and tables for a terminal, in which text from outside is text and nothing else."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, TextIO

from flowllm.runs.texts import printable

if TYPE_CHECKING:
    from rich.table import Column
    from rich.text import Text


def say(text: object, file: TextIO | None = None) -> None:
    """Print a line; what a terminal would obey comes as an escape."""
    print(printable(text), file=file or sys.stdout)


def cell(value: object) -> Text:
    """A cell or heading of a table of rich, without its markup."""
    from rich.text import Text

    return Text(printable(value))


def heading(value: object) -> Column:
    """A column of a table of rich under this heading, without its markup."""
    from rich.table import Column

    return Column(cell(value))


def accept_all_characters() -> None:
    """Have standard output and error write what their encoding lacks as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
