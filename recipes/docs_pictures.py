"""Pictures of the site that are drawn from the project itself: the pipeline, and the house.

Usage: python -m recipes.docs_pictures

The house is the list of layers in CONTRIBUTING.md, which `tests/test_architecture.py` enforces;
`tests/docs` compares the picture with the list.
"""

from __future__ import annotations

import html
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2937; }
.small { font-size: 11px; fill: #5b6472; }
.head { font-weight: 600; }
.box { fill: #ffffff; stroke: #94a3b8; }
.room { fill: #eef2ff; stroke: #818cf8; }
.line { fill: none; stroke: #64748b; stroke-width: 1.4; }
.paper { fill: #f8fafc; }
"""
ROOMS = (
    ("Foundations", "errors", "runs"),
    ("Crystals", "crystals", "parallel"),
    ("Learning", "manifolds", "training"),
    ("Judging and data", "metrics", "export"),
    ("Asking and showing", "conditions", "viz"),
    ("Systems", "systems", "methods"),
    ("Energies and what is known", "relax", "reference"),
    ("What people start", "workflows", "cli"),
)
"""Title of a floor, its first and its last layer."""
NAME, LETTERS, LINE = 94, 36, 14
"""Room for a package's name, letters of a line beside it, and its height: the widest of the fonts
that systems have for `system-ui` (DejaVu Sans) still fits."""


def layers() -> list[tuple[str, str]]:
    """Package and what it is about, from the lowest to the highest; of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text[text.index("## Layers") :].split("\n## ")[0]
    return re.findall(r"^\d+\. `(\w+)` (.*)$", section, re.MULTILINE)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """A line of text."""
    return (
        f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{html.escape(words)}</text>'
    )


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    """A picture with its own ground, so that it is legible on a light and on a dark page."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(title)}"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>"
        f'<rect class="paper" width="{width}" height="{height}" rx="8"/>'
        + "\n".join(parts)
        + "</svg>\n"
    )


def house() -> str:
    """The layers as floors: a package imports those below it, never those above."""
    listed = layers()
    names = [name for name, _ in listed]
    parts, y, width = [], 44, 760
    parts.append(
        text(20, 28, "A package imports what stands below it, never what stands above.", "small")
    )
    for title, first, last in reversed(ROOMS):
        chosen = listed[names.index(first) : names.index(last) + 1]
        inside, line = [], y + 42
        for start in range(0, len(chosen), 2):
            row = [
                (name, textwrap.wrap(about, LETTERS)) for name, about in chosen[start : start + 2]
            ]
            for column, (name, lines) in enumerate(row):
                x = 28 + column * 362
                inside.append(text(x, line, name, "head"))
                inside += [text(x + NAME, line + LINE * i, w, "small") for i, w in enumerate(lines)]
            line += 10 + LINE * max(len(lines) for _, lines in row)
        height = line - 14 - y
        parts.append(
            f'<rect class="room" x="16" y="{y}" width="{width - 32}" height="{height}" rx="6"/>'
        )
        parts += [text(28, y + 20, title, "head"), *inside]
        y += height + 8
    return svg(width, y + 8, "The packages of flowllm in layers", parts)


def box(x: int, y: int, width: int, lines: list[str], kind: str = "box") -> str:
    """A box with centred lines."""
    height = 16 + 17 * len(lines)
    inside = [
        text(x + width / 2, y + 21 + 17 * i, line, anchor="middle") for i, line in enumerate(lines)
    ]
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>'
        + "".join(inside)
    )


def arrow(path: str, x: float, y: float, words: str, anchor: str = "middle") -> str:
    """A path with an arrow head and the command that walks it."""
    return f'<path class="line" marker-end="url(#tip)" d="{path}"/>' + text(
        x, y, words, "small", anchor
    )


def pipeline() -> str:
    """From crystals to a model, and from a prompt to refined crystals."""
    parts = [
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#64748b"/>'
        "</marker></defs>",
        text(20, 26, "Training", "head"),
        box(16, 70, 130, ["MP-20, or your", "CSV or CIF files"]),
        arrow("M146,95 H218", 182, 88, "data"),
        box(220, 70, 140, ["primitive, reduced", "crystals as arrays"]),
        arrow("M290,70 V52 Q290,42 300,42 H418", 355, 36, "train-lm"),
        box(420, 20, 130, ["language model", "(prior)"], "room"),
        arrow("M485,70 V118", 492, 98, "pair", "start"),
        arrow("M290,120 V137 Q290,147 300,147 H398", 350, 141, "pair"),
        box(400, 120, 170, ["pairs: sample c0,", "target c1, aligned"]),
        arrow("M570,145 H638", 604, 138, "train-flow"),
        box(640, 120, 104, ["flow", "(refiner)"], "room"),
        arrow("M550,45 H682 Q692,45 692,52", 606, 38, "combine"),
        arrow("M692,120 V92", 698, 112, "combine", "start"),
        box(640, 55, 104, ["one folder"], "box"),
        text(20, 212, "Generation", "head"),
        box(16, 232, 130, ["prompt: a formula,", "elements, nothing"]),
        arrow("M146,257 H218", 182, 250, "model"),
        box(220, 232, 130, ["composition,", "space group"]),
        arrow("M350,257 H420", 385, 250, "model"),
        box(422, 232, 120, ["crystals", "as written, c0"]),
        arrow("M542,257 H622", 582, 250, "flow"),
        box(624, 232, 120, ["refined", "crystals, c1"], "room"),
        box(422, 304, 120, ["CIF files", "from anywhere"]),
        arrow("M542,329 H600 Q650,329 650,286", 580, 322, "refine"),
        box(600, 350, 144, ["CIF, extended XYZ,", "table, report.html"]),
        '<path class="line" marker-end="url(#tip)" d="M700,282 V348"/>',
    ]
    return svg(760, 416, "The pipeline: training above, generation below", parts)


def main() -> None:
    """Draw both."""
    (IMAGES / "house.svg").write_text(house(), "utf-8")
    (IMAGES / "pipeline.svg").write_text(pipeline(), "utf-8")


if __name__ == "__main__":
    main()
