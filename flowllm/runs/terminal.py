"""Lines and tables for a terminal, with external text escaped."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, TextIO

from flowllm.runs.texts import printable

if TYPE_CHECKING:
    from rich.table import Column
    from rich.text import Text


def say(text: object, file: TextIO | None = None) -> None:
    """Print a line with control characters escaped."""
    print(printable(text), file=file or sys.stdout)


def cell(value: object) -> Text:
    """A cell or heading of a rich table, without markup."""
    from rich.text import Text

    return Text(printable(value))


def heading(value: object) -> Column:
    """A column of a rich table with this heading, without markup."""
    from rich.table import Column

    return Column(cell(value))


def accept_all_characters() -> None:
    """Make standard output and error escape characters that their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
