"""Values of CIF: numbers with a standard uncertainty, texts in quotes, `?` and `.`."""

from __future__ import annotations

import re
from functools import lru_cache

UNKNOWN = "?"
DEFAULT = "."

_NUMBER = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3}))?(?:\((\d{1,9})\))?", re.ASCII
)

_ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5})")


def is_null(raw: str) -> bool:
    """Whether a value is `?` (unknown), `.` (default) or missing."""
    return raw in ("?", ".", "")


def number(raw: str) -> float | None:
    """The number of a value, without its standard uncertainty; None for anything else."""
    try:
        if raw[-1] in "0123456789." and "_" not in raw:
            return float(raw)
    except (ValueError, IndexError):
        pass
    found = _match(raw)
    return float(found[1]) * 10.0 ** int(found[2] or 0) if found else None


def uncertainty(raw: str) -> float:
    """The standard uncertainty of `0.3333(3)`, here 0.0003; 0 where none is given."""
    found = _match(raw)
    return int(found[3]) * resolution(raw) if found and found[3] else 0.0


def resolution(raw: str) -> float:
    """One unit in the last digit that is written: 0.01 for `0.33`."""
    found = _match(raw)
    if not found:
        return 0.0
    decimals = len(found[1].partition(".")[2])
    return 10.0 ** (int(found[2] or 0) - decimals)


def _match(raw: str) -> re.Match[str] | None:
    return _NUMBER.fullmatch(raw[1:-1].strip() if raw[:1] in ("'", '"') else raw)


def plain(raw: str) -> str:
    """A value without its quotes; the lines of a text field as one."""
    if raw[:1] in ("'", '"') and len(raw) > 1 and raw[-1] == raw[0]:
        return raw[1:-1].strip()
    if raw[:1] == ";":
        return " ".join(raw.strip(";").split())
    return raw


def with_letters(text: str) -> str:
    """Restore the non-ASCII letters that were escaped for gemmi."""
    return _ESCAPE.sub(lambda found: chr(int(found[0][2:], 16)), text) if "\\" in text else text


@lru_cache(maxsize=16384)
def shown(raw: str, limit: int = 40) -> str:
    """A value for a message: printable, one line, short."""
    text = "".join(c if c.isprintable() else " " for c in with_letters(plain(raw)))
    return text if len(text) <= limit else text[: limit - 1] + "…"
