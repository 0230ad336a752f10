"""Remarks: how user input was read, where that is not obvious from the result."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

PACKAGE = str(Path(__file__).parents[1]) + os.sep
SHOWN = 60  # characters of a person's own text that a message repeats


class RemarkWarning(UserWarning):
    """User input was read as something else, as D as H."""


def remark(text: str) -> None:
    """Warn how something was read, at the calling line outside the package.

    The command line prints it as a note.

    Warns:
        RemarkWarning: the text.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((PACKAGE, "<string>")):
        frame, level = frame.f_back, level + 1  # "<string>" holds what dataclasses generate
    warnings.warn(text, RemarkWarning, level)


def shown(text: str) -> str:
    """User text for a message: quoted, shortened, and without control characters."""
    cut = text[:SHOWN]
    return repr(cut) + (f"… ({len(text):,} characters)" if len(text) > SHOWN else "")
