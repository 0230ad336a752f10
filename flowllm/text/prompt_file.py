"""Prompt files: one prompt per line, as sentences or a bare formula."""

from __future__ import annotations

import codecs
from pathlib import Path

from flowllm.conditions.conditions import Conditions
from flowllm.conditions.formula import reduced_formula
from flowllm.conditions.remarks import shown
from flowllm.errors import InputError
from flowllm.runs.reading import read_whole
from flowllm.text.prompts import (
    OPENING,
    REQUEST,
    STEMS,
    build_prompt,
    holds_sentence,
)

LARGEST_FILE = 64 * 2**20  # bytes
EXAMPLE = "SrTiO3 or The chemical formula is SrTiO3. The space group number is 221."
_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16",
              codecs.BOM_UTF16_BE: "utf-16"}  # fmt: skip


def read_prompts(path: str | Path, free: bool = False) -> tuple[str, ...]:
    """The prompts of a file, one per line.

    A line of bare condition sentences gets its frame, one that is a formula becomes its sentence.
    Empty lines and those that begin with # are left out.

    Args:
        path: a text file in UTF-8, or in UTF-16 with its mark at the beginning.
        free: for a model that takes any text: a line without a standard sentence is framed as it
            is instead of refused.

    Raises:
        InputError: no such file, no prompt in it, or a line that says nothing that a model knows;
            the line is named.

    Warns:
        RemarkWarning: a formula is read as another, D as H.
    """
    prompts = []
    for number, line in enumerate(_lines(Path(path)), 1):
        if not line or line.startswith("#"):
            continue
        try:
            prompts.append(_prompt(line, free))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    if not prompts:
        raise InputError(f"{path} contains no prompt")
    return tuple(prompts)


def _lines(path: Path) -> list[str]:
    try:
        content = read_whole(path, LARGEST_FILE)
        encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "")
        text = content.decode(encoding or "utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return [line.strip() for line in text.splitlines()]


def _prompt(line: str, free: bool) -> str:
    """The prompt of a line.

    Raises:
        InputError: the line says nothing that a model knows.
    """
    opening = OPENING.strip()
    if line.startswith(opening):
        ended = line.endswith(REQUEST.strip())
        prompt = line + ("\n" if ended else " " + REQUEST)
        text = line.removeprefix(opening).removesuffix(REQUEST.strip()).strip()
        if free or not text or holds_sentence(line):
            return prompt
        raise InputError(f"{shown(text)} is not a standard sentence; expected one as in {EXAMPLE}")
    if not line.endswith(".") and any(stem in line for stem in STEMS.values()):
        line += "."
    prompt = f"{OPENING}{line} {REQUEST}"
    if holds_sentence(line):
        return prompt
    try:
        return build_prompt(Conditions(formula=reduced_formula(line)))
    except InputError as error:
        if free:
            return prompt
        raise InputError(f"{error}; expected a formula or a sentence as in {EXAMPLE}") from None
