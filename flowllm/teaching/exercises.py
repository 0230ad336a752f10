"""Exercises of the notebooks: an answer is looked at, and told whether it is right."""

from __future__ import annotations

from typing import Any

import numpy as np


def check(yours: Any, right: Any, tolerance: float = 1e-6, hint: str = "") -> bool:
    """Say whether an answer is right, and return it.

    Args:
        yours: the answer; None, or a list that holds None, is not given yet.
        right: a number, a text, or a sequence of them.
        tolerance: by which numbers may differ, each by itself.
        hint: what is said of a wrong answer.
    """
    given = list(yours) if isinstance(yours, list | tuple | np.ndarray) else [yours]
    wanted = list(right) if isinstance(right, list | tuple | np.ndarray) else [right]
    if any(one is None for one in given):
        print("No answer yet.")
        return False
    fine = len(given) == len(wanted) and all(map(_same, given, wanted, [tolerance] * len(given)))
    print("Right." if fine else f"Not yet. {hint}".strip())
    return fine


def _same(yours: Any, right: Any, tolerance: float) -> bool:
    if isinstance(right, str):
        return str(yours).strip().lower() == right.lower()
    try:
        return bool(abs(float(yours) - float(right)) <= tolerance)
    except (TypeError, ValueError):
        return False
