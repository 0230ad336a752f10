"""The answers of several systems to one request, as plain data."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from flowllm.conditions.conditions import KINDS
from flowllm.metrics.facts import CrystalFacts, crystal_facts
from flowllm.teaching.systems import Answer
from flowllm.viz.facts import contact_in_words, group_in_words

HEADINGS = (
    "System", "Crystal", "Atoms", "Space group", "Density, g/cm³", "Shortest contact",
    "Structure", "Composition",
    "Seconds", "Not supported",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One system's line of the table.

    Attributes:
        name: of the system.
        facts: of the crystal on view.
        seconds: that all its crystals took.
        left_out: labels of the conditions that it did not heed.
    """

    name: str
    facts: CrystalFacts
    seconds: float
    left_out: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of `HEADINGS`."""
        one = self.facts
        return (
            self.name, one.formula or "?", str(one.num_atoms),
            group_in_words(one.space_group),
            f"{one.density:.2f}", contact_in_words(one), one.fault or "valid",
            "valid" if one.charge_balanced else "unbalanced",
            f"{self.seconds:.1f}", ", ".join(self.left_out) or "–",
        )  # fmt: skip


def rows_of(answers: Sequence[Answer], crystal: int) -> list[Row]:
    """A row for each system, of the crystal at one position."""
    return [
        Row(
            one.name,
            crystal_facts(one.crystals[crystal])[0],
            one.seconds,
            tuple(KINDS[name].title for name in one.left_out),
        )
        for one in answers
    ]


def as_html(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in HEADINGS)
    lines = []
    for row in rows:
        name, *cells = (html.escape(cell) for cell in row.cells)
        body = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f'<tr><th scope="row">{name}</th>{body}</tr>')
    return (
        '<div class="flowllm-table"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
