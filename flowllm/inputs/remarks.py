"""Remarks on crystals that were read: joined, counted by kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

BETWEEN = "; "
USED = "is used before"  # an id
SHOWN = 6  # kinds that a line counts one by one
_PARTICULAR = re.compile(r"(?<![\w-])\d+(?= atoms)|\b[A-Za-z]+\d\w*|\d+\.\d+")  # labels, values


def joined_remarks(remarks: Iterable[str]) -> str:
    """The remarks on one crystal as one text, each once."""
    single = (remark.replace(BETWEEN, ", ") for remark in remarks if remark)
    return BETWEEN.join(dict.fromkeys(single))


def kind_of(remark: str) -> str:
    """A remark without crystal-specific details: text after a colon or in parentheses."""
    if remark.endswith(USED):
        return f"the id … {USED}"
    return _PARTICULAR.sub("…", remark.split(": ")[0].split(" (")[0])


def counted(remarks: Iterable[str]) -> Counter[str]:
    """Counts of each kind among joined remarks."""
    return Counter(kind_of(one) for text in remarks if text for one in text.split(BETWEEN))


def summary(remarks: Iterable[str]) -> str:
    """All remarks in one line, as in "3 remarks: 2 × D read as H, 1 × …"; empty if none."""
    return summary_of(counted(remarks))


def summary_of(counts: Counter[str]) -> str:
    """The summary line of counted kinds; empty if none."""
    total = sum(counts.values())
    if not total:
        return ""
    common = counts.most_common(SHOWN)
    rest = total - sum(count for _, count in common)
    shown = [f"{count} × {kind}" for kind, count in common] + [f"{rest} others"] * bool(rest)
    return f"{total} remark{'s' if total > 1 else ''}: {', '.join(shown)}"
