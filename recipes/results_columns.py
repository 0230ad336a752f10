"""Rows and columns of the generated tables of results.

A row shows one figure of `flowllm evaluate`, or several with "; " between them. A column shows a
stored evaluation, the mean of several, or texts that stand in docs/results/data/elsewhere.json:
published figures, and those of other commands, each with its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from flowllm.evaluation.metric import SHARE, Metric
from recipes.systems_table import column as texts_of

ELSEWHERE = Path(__file__).resolve().parents[1] / "docs" / "results" / "data" / "elsewhere.json"
COUNT = "n of "
"""Before a figure's name: how many crystals it is of."""
Load = Callable[[str], Sequence[Metric]]


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        label: what its first cell says.
        figures: names of figures.
        bare: whether the label names the unit, so that cells need none.
        digits: after the point; by default one of a percentage, three of a number.
    """

    label: str
    figures: tuple[str, ...]
    bare: bool = False
    digits: int | None = None

    def numbers(self, values: Sequence[float], shares: Sequence[bool]) -> str:
        """Numbers as a cell shows them."""
        parts = [
            f"{100 * value:.{1 if self.digits is None else self.digits}f}"
            if share
            else f"{value:.{3 if self.digits is None else self.digits}f}"
            for value, share in zip(values, shares, strict=True)
        ]
        return "; ".join(parts) + (" %" if any(shares) and not self.bare else "")


@dataclass(frozen=True)
class Measured:
    """A stored evaluation with its intervals; in brackets those of further sampling seeds.

    Attributes:
        names: of what was stored.
        beside: key of `elsewhere.json` for figures that the evaluation has not.
    """

    names: tuple[str, ...]
    beside: str = ""

    def cell(self, row: Row, load: Load) -> str:
        """The text of a cell."""
        found = [load(name) for name in self.names]
        parts = []
        for figure in row.figures:
            if figure.startswith(COUNT):
                parts += [f"{m.n:,}" for m in found[0] if m.name == figure.removeprefix(COUNT)]
            else:
                parts += (
                    re.sub(r" \(n = \d+\)", "", x) for x in texts_of(found, [figure]).values()
                )
        return "; ".join(parts) or elsewhere(self.beside, row)


@dataclass(frozen=True)
class Mean:
    """The mean of stored evaluations of equal size, or a single one, without intervals.

    Attributes:
        names: of what was stored.
        beside: key of `elsewhere.json` for figures that the evaluations have not.
    """

    names: tuple[str, ...]
    beside: str = ""

    def cell(self, row: Row, load: Load) -> str:
        """The text of a cell."""
        found = [{metric.name: metric for metric in load(name)} for name in self.names]
        if not all(figure in one for one in found for figure in row.figures):
            return elsewhere(self.beside, row)
        values = [fmean(one[figure].value for one in found) for figure in row.figures]
        return row.numbers(values, [found[0][figure].unit == SHARE for figure in row.figures])


@dataclass(frozen=True)
class TrainingSplit:
    """What the training split scores by the same figures, as an evaluation has it."""

    name: str

    def cell(self, row: Row, load: Load) -> str:
        """The text of a cell."""
        found = {metric.name: metric.data_text for metric in load(self.name)}
        return "; ".join(filter(None, (found.get(figure, "") for figure in row.figures)))


@dataclass(frozen=True)
class Elsewhere:
    """Published figures, or those of another command."""

    key: str

    def cell(self, row: Row, load: Load) -> str:
        """The text of a cell."""
        return elsewhere(self.key, row)


def elsewhere(key: str, row: Row) -> str:
    """The text of a cell whose figures no evaluation holds; nothing without a key."""
    found = json.loads(ELSEWHERE.read_text("utf-8"))[key]["figures"] if key else {}
    texts = (found[figure] for figure in row.figures if figure in found)
    return "; ".join(text.removesuffix(" %") if row.bare else text for text in texts)


Column = Measured | Mean | TrainingSplit | Elsewhere


@dataclass(frozen=True)
class Table:
    """A table: titles of columns, and rows."""

    columns: Mapping[str, Column]
    rows: tuple[Row, ...]


def one(figure: str, label: str = "", digits: int | None = None) -> Row:
    """A row of one figure."""
    return Row(label or figure, (figure,), digits=digits)


def bare(label: str, *figures: str, digits: int | None = None) -> Row:
    """A row whose label names the unit."""
    return Row(label, figures, bare=True, digits=digits)
