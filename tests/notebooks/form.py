"""How the notebooks of this checkout look: their cells, headings, equations and links."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
SECTIONS = ["Aim", "Theory", "Practice", "Discussion", "Questions"]
LINES = 15  # of code in a cell
EQUATION = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
FOLDED = re.compile(r"<details><summary>[^<]+</summary>\n\n.+?\n\n</details>", re.DOTALL)


@cache
def read(path: Path) -> Any:
    """A notebook, with its ids as they stand in the file."""
    return nbformat.read(path, nbformat.NO_CONVERT)


def cells(path: Path, kind: str) -> list[str]:
    """The sources of a notebook's cells of one kind."""
    return [cell.source for cell in read(path).cells if cell.cell_type == kind]


def headings(path: Path) -> list[str]:
    """The headings of the second level, from top to bottom."""
    text = "\n".join(cells(path, "markdown"))
    return re.findall(r"^## +(.+?) *$", text, re.MULTILINE)


def equations(path: Path) -> list[tuple[str, str]]:
    """Displayed equations without white space, each with the text of its cell behind it."""
    found = []
    for source in cells(path, "markdown"):
        matches = list(EQUATION.finditer(source))
        ends = [*(match.start() for match in matches[1:]), len(source)][: len(matches)]
        for match, end in zip(matches, ends, strict=True):
            found.append((re.sub(r"\s+", "", match.group(1)), source[match.end() : end]))
    return found


def links(text: str) -> list[tuple[str, str]]:
    """(text, target) of the links in Markdown; code is left out."""
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return LINK.findall(plain)


def words(text: str) -> int:
    """How many words a text has."""
    return len(re.findall(r"\w+", text))
