"""Annotations of the words of a symmetric text."""

from __future__ import annotations

from collections.abc import Sequence

from flowllm.symmetry.space_group import space_group


def site_symmetries(words: Sequence[str]) -> list[str]:
    """The site symmetry of each word that is a Wyckoff position, as in "m.2m"; else "".

    Args:
        words: of a crystal's text from its beginning, as they are written; of any format.
    """
    first = words[0] if words else ""
    if not (first.isascii() and first.isdigit() and 1 <= int(first[:4]) <= 230):
        return [""] * len(words)
    group = space_group(int(first))
    labels = {f" {p.label}": p.site_symmetry for p in group.positions.values()}
    return [labels.get(word, "") for word in words]
