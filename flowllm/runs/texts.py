"""External texts as ids and file names: made safe for lines, tables and file names."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LONGEST_NAME = 100
"""Characters of a file's name; all file systems take 143 bytes and more."""
_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(10)
}
_END = "\r\n\x1e"
"""End of a row until all are written: cells that hold one of its characters are quoted for it."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def printable(text: object, most: int | None = None) -> str:
    """A text as one printable line without control characters.

    Line breaks, escape sequences, marks that turn the direction of writing, and the halves of
    surrogate pairs that stand for bytes of a file's name come as escapes such as ``\\x1b``.

    Args:
        text: any text.
        most: characters that are kept of a longer one, most of them from its beginning.
    """
    whole = str(text)
    if most is not None and len(whole) > most:
        whole = f"{whole[: most * 3 // 4]} … {whole[-most // 4 :]}"
    if whole.isprintable():
        return whole
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else ascii(c)[1:-1] for c in whole
    )


def safe_names(texts: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A unique file name for each text, valid on Linux, macOS and Windows.

    Names consist of Latin letters, digits and ``._+()=-``; they are not device names of
    Windows, do not begin with a dot or hyphen, do not end with a dot, and differ from each other in
    more than case.

    Args:
        texts: ids, say.
        taken: names that are in use.
    """
    used = {name.lower() for name in taken}
    names = []
    for text in texts:
        stem = re.sub(r"[^A-Za-z0-9._+()=-]+", "_", str(text))[:LONGEST_NAME].strip(".")
        stem = stem or "crystal"
        if stem.startswith("-") or stem.split(".")[0].lower() in _DEVICES:
            stem = f"_{stem}"
        name, number = stem, 2
        while name.lower() in used:
            name, number = f"{stem}-{number}", number + 1
        used.add(name.lower())
        names.append(name)
    return names


# ---- tables --------------------------------------------------------------------------------------


def guarded(value: Any) -> Any:
    """A cell that spreadsheets show as text: formulas are prefixed with ``'``.

    Numbers stay, those in texts too. `unguarded` gives the text back.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def unguarded(value: Any) -> Any:
    """Inverse of `guarded`; other texts are unchanged."""
    return value[1:] if isinstance(value, str) and _GUARDED.match(value) else value


def csv_of(header: Sequence[str], rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> str:
    """A table as CSV text, its cells guarded.

    Args:
        header: names of the columns.
        rows: values in their order, or by the names of the columns.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator=_END)
    writer.writerow(header)
    for row in rows:
        values = [row[name] for name in header] if isinstance(row, Mapping) else row
        writer.writerow([guarded(value) for value in values])
    return buffer.getvalue().replace(_END, "\n")


def frame_csv(table: pd.DataFrame, float_format: str | None = "%.6g") -> str:
    """A data frame as CSV text without its index, its texts guarded."""
    shown = table.copy()
    for place, kind in enumerate(table.dtypes):
        if kind.kind not in "biufcmM":
            shown.isetitem(place, [guarded(value) for value in table.iloc[:, place]])
    shown.columns = [guarded(name) for name in table.columns]
    text: str = shown.to_csv(index=False, float_format=float_format, lineterminator=_END)
    return text.replace(_END, "\n")


def unguarded_frame(table: pd.DataFrame) -> pd.DataFrame:
    """A data frame read from `frame_csv` or `csv_of` output, with guards removed."""
    shown = table.copy()
    for place, kind in enumerate(table.dtypes):
        if kind.kind not in "biufcmM":
            column = table.iloc[:, place]
            if column.map(lambda v: isinstance(v, str) and v.startswith("'")).any():
                shown.isetitem(place, column.map(unguarded))
    shown.columns = [unguarded(name) for name in table.columns]
    return shown
