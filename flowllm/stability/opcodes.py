"""The opcodes of a pickle one by one, within a limit that grows with the file.

A pickle is a program, and a short one can ask for more than any machine has: a gzip of zeros, a
length of 10^10, a million dictionaries. What reading takes is counted here opcode by opcode, and
the count may not exceed a fixed sum and a multiple of the file's size.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import IO, Any

from flowllm.errors import InputError

BASE_COST = 256 * 2**20
"""Bytes that the reading of any file may take."""
COST_PER_BYTE = 1000
"""Bytes that it may take besides for each byte of the file on the disk; diagrams take 160."""
PER_OPCODE = 16
LONGEST_TEXT = 64 * 2**20
LONGEST_LINE = 2**20
LONGEST_INTEGER = 64
"""Bytes of the longest integer: far longer ones take minutes to write as text."""
_INTEGERS = frozenset({"LONG", "LONG1", "LONG4", "INT"})


class Budget:
    """The remaining budget for reading a file.

    Args:
        size: of the file in bytes, as it lies on the disk.
    """

    def __init__(self, size: int) -> None:
        self.left = BASE_COST + COST_PER_BYTE * size

    def spend(self, cost: int) -> None:
        """Count bytes.

        Raises:
            InputError: there are none left.
        """
        self.left -= cost
        if self.left < 0:
            raise InputError("reading it takes more memory or time than a file of its size should")


class _Limited:
    """A file for pickletools with a read limit."""

    def __init__(self, file: IO[bytes], budget: Budget) -> None:
        self.file, self.budget = file, budget

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST_TEXT:
            raise InputError(f"it holds a text of {size:.3g} bytes; not read")
        if size > 1:
            self.budget.spend(size)
        return self.file.read(size)

    def readline(self) -> bytes:
        line = self.file.readline(LONGEST_LINE)
        self.budget.spend(4 * len(line))
        return line


def bounded_opcodes(file: IO[bytes], budget: Budget) -> Iterator[tuple[str, Any]]:
    """Name and argument of each opcode of an open pickle up to its end.

    Args:
        file: open, at the beginning of the pickle.
        budget: what reading may take; each opcode and its argument are counted.

    Raises:
        InputError: the budget is spent, or a text or an integer is too long.
        ValueError: the file is not a pickle or ends early.
    """
    for opcode, argument, _ in pickletools.genops(_Limited(file, budget)):  # type: ignore[arg-type]
        budget.spend(PER_OPCODE)
        name = opcode.name
        if name in _INTEGERS and int(argument or 0).bit_length() > 8 * LONGEST_INTEGER:
            raise InputError("it holds an integer of more digits than any quantity has; not read")
        yield name, argument
