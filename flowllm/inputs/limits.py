"""Limits on the time, memory and atoms of reading."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.errors import InputError


@dataclass(frozen=True)
class ReadLimits:
    """Limits checked in advance, so that no file can stall a command.

    Attributes:
        seconds: the longest that one crystal may take to be read.
        file_bytes: the largest file, after gzip.
        text_bytes: the longest text of a single crystal, in characters.
        atoms: the most atoms in one crystal's cell.
        columns: the most columns of a table.

    Raises:
        InputError: a bound is not positive.
    """

    seconds: float = 20.0
    file_bytes: int = 2 << 30
    text_bytes: int = 32 << 20
    atoms: int = 10_000
    columns: int = 10_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"the limit of {name} must be positive, not {value}")


DEFAULT_LIMITS = ReadLimits()


def shown(text: object, length: int = 40) -> str:
    """External text for a message: one line, printable, shortened."""
    words = " ".join(str(text)[: 4 * length].split())
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in words)
    return plain if len(plain) <= length else f"{plain[: length - 1]}…"
