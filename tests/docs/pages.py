"""The texts of the repository that people read, and what is in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "recipes", "notebooks", "flowllm", "widgets", ".github")
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def texts() -> list[Path]:
    """Every Markdown file of the project."""
    return [
        *sorted(ROOT.glob("*.md")),
        *(p for f in FOLDERS for p in sorted((ROOT / f).rglob("*.md"))),
    ]


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in a language."""
    return [found[3] for found in FENCE.finditer(text) if found[2] == language]


def prose(path: Path) -> str:
    """The text of a page, or of a notebook's text cells, without its code."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.sub(r"`[^`\n]*`", "code", FENCE.sub("", text))


def shell_lines(path: Path) -> list[str]:
    """The commands in a page's blocks of shell, without comments; continued lines are joined."""
    code = "\n".join(blocks(path.read_text("utf-8"), "sh")).replace("\\\n", " ")
    lines = (re.split(r"\s#", line)[0].strip() for line in code.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
