"""No link of the documents leads nowhere: files, pictures, headings."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import FENCE, ROOT, prose, texts

PAGES = [*texts(), *sorted((ROOT / "notebooks").glob("*.ipynb"))]
GENERATED = {"gallery_crystals.html"}
"""Pages that only the site has."""
LINK = re.compile(r'\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|srcset|href)="([^"]+)"')


@cache
def anchors(path: Path) -> set[str]:
    """The anchors that a forge and the site make of the headings of a page."""
    text = FENCE.sub("", path.read_text("utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        kept = "".join(c for c in words.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add(kept.replace(" ", "-"))
    return found


def faults(path: Path) -> list[str]:
    """The links of a page to what is not there."""
    wrong = []
    for first, second in LINK.findall(prose(path)):
        target = first or second
        if re.match(r"[a-z]+:", target) or target in GENERATED:
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists() or (
            anchor and there.suffix == ".md" and anchor not in anchors(there)
        ):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    assert faults(path) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    (tmp_path / "there.md").write_text("# A heading: `x` & more\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Own\n[a](there.md#a-heading-x--more) [b](#own) [c](gone.md) [d](there.md#gone)\n"
        '<img src="gone.png"> [e](https://example.org/x) `[f](code.md)`\n\n```\n[g](code.md)\n```\n'
    )
    assert faults(page) == ["gone.md", "there.md#gone", "gone.png"]
