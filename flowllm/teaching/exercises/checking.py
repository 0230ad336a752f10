"""An exercise: its correct answer, common mistakes, and feedback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


class AnswerError(AssertionError):
    """A wrong answer; a notebook shows its message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not right yet. {self}"]


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        right: the answer: a number, a text, a sequence of these, or a function.
        mistakes: usual wrong answers, of the same kind, each with a sentence about its cause.
        hint: the sentence about any other wrong answer.
        because: a sentence behind a right answer.
        tolerance: by which each number may differ.
        cases: arguments with which functions are called; two functions that agree on all of them
            count as equal.
    """

    right: Any
    mistakes: tuple[tuple[Any, str], ...]
    hint: str
    because: str = ""
    tolerance: float = 1e-6
    cases: tuple[tuple[Any, ...], ...] = ()

    def is_given(self, yours: Any) -> bool:
        """Whether an answer is given: neither None nor a list that contains it."""
        if callable(yours):
            return bool(self.cases) and all(yours(*case) is not None for case in self.cases)
        parts = yours if isinstance(yours, list | tuple) else [yours]
        return all(part is not None for part in parts)

    def problem(self, yours: Any) -> str:
        """What is wrong with an answer; nothing if it is right."""
        if self._agree(yours, self.right):
            return ""
        for wrong, cause in self.mistakes:
            if self._agree(yours, wrong):
                return cause
        return self.hint

    def _agree(self, one: Any, other: Any) -> bool:
        if not self.cases:
            return _same(one, other, self.tolerance)
        if not callable(one):
            return False
        return all(_same(one(*case), other(*case), self.tolerance) for case in self.cases)


def _same(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(other, str):
        return isinstance(one, str) and one.strip().casefold() == other.casefold()
    try:
        numbers, wanted = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    except (TypeError, ValueError):
        return False
    return numbers.shape == wanted.shape and bool((np.abs(numbers - wanted) <= tolerance).all())
