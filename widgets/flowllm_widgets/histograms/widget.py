"""EHullHistogram and NaryHistogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
import numpy as np

from flowllm.metrics.statistics import Estimate, estimate
from flowllm.stability import is_stable
from flowllm.viz.bins import TITLES
from flowllm_widgets.histograms.data import System, below, flags_of
from flowllm_widgets.histograms.figure import line_at, moved_to, x_range
from flowllm_widgets.histograms.panel import HistogramPanel
from flowllm_widgets.shared.messages import shows_errors

if TYPE_CHECKING:
    from flowllm.evaluation import Report

STEP = 0.005  # eV/atom
WIDE = 4  # elements from which a crystal counts as quaternary or wider


class EHullHistogram(HistogramPanel):
    """Energies above the hull of several systems, with a movable threshold.

    A slider or the line in the plot moves the threshold; below it the counts of each system follow:
    crystals below, their share of those that were to be relaxed with its bootstrap 95 % interval,
    and how many of them are unique, novel, and S.U.N. (FlowMM, section 5). A bar lists its crystals
    and shows the one chosen.

    Args:
        *reports: one to six evaluations with the stage stability.
        threshold: E_hull in eV/atom below which crystals count.

    Raises:
        InputError: no report, too many, or none with energies.
    """

    def __init__(self, *reports: Report, threshold: float = 0.1) -> None:
        super().__init__(reports, "e_above_hull", threshold, ("novel_relaxed", "sun"))
        low, high = x_range(self.systems, (), threshold)
        low, high = (round(np.floor(end / STEP) * STEP, 6) for end in (low, high))
        self.threshold = ipywidgets.FloatSlider(
            value=threshold, min=low, max=high, step=STEP, readout_format=".3f",
            description="Threshold (eV/atom)", continuous_update=True,
            style={"description_width": "140px"}, layout={"width": "98%"},
        )  # fmt: skip
        self._drawing = False
        self.threshold.observe(lambda change: self._move(), "value")
        self.figure.layout.on_change(self._dragged, "shapes")
        self._move()
        self.fill([heading("e_above_hull"), self.plot, self.threshold, *self.layout_below()])

    @shows_errors
    def _move(self) -> None:
        """The line and the counts follow the slider."""
        value = round(self.threshold.value, 6)  # the browser's steps are 0.21499999999999997
        self._drawing = True
        try:
            with self.figure.batch_update():
                self.figure.layout.shapes[0].update(line_at(value))
        finally:
            self._drawing = False
        heads = (f"below {value:.3f}", "of", "share (95 %)", "unique", "novel", "S.U.N.",
                 "without a value")  # fmt: skip
        self.counts.value = self.table_of(heads, [_counts(each, value) for each in self.systems])

    @shows_errors
    def _dragged(self, layout: object, shapes: tuple) -> None:
        """Update the slider from the dragged line, and straighten the line."""
        if self._drawing:  # no drag: the line follows the slider
            return
        shape, before = shapes[0], self.threshold.value
        low, high = self.threshold.min, self.threshold.max
        value = round(round(moved_to(shape, before) / STEP) * STEP, 6)
        self.threshold.value = min(max(value, low), high)
        self._move()


class NaryHistogram(HistogramPanel):
    """The number of different elements in the crystals of several systems.

    The bars can be narrowed to crystals with a flag (valid, novel, S.U.N. …) and, where reports
    have energies, to those below a threshold of E_hull. A bar lists its crystals and shows the one
    chosen.

    Args:
        *reports: one to six evaluations; the stage validity is enough.

    Raises:
        InputError: no report, too many, or none with values.
    """

    def __init__(self, *reports: Report) -> None:
        listed = ("e_above_hull", "valid_composition")
        super().__init__(reports, "n_elements", None, listed)
        wide = {"style": {"description_width": "54px"}}
        options = [(flag.replace("_", " "), flag) for flag in flags_of(self.systems)]
        self.flag = ipywidgets.Dropdown(
            description="Only", options=[("all", ""), *options], layout={"width": "270px"}, **wide
        )
        energies = np.concatenate([system.number("e_above_hull") for system in self.systems])
        energies = energies[np.isfinite(energies)]
        self.limited = ipywidgets.Checkbox(
            value=False,
            description="only E_hull below (eV/atom)",
            indent=False,
            layout={"width": "210px"},
        )
        self.limit = ipywidgets.FloatSlider(
            value=0.1, min=-0.2, max=1.0, step=STEP, readout_format=".3f", continuous_update=True,
            layout={"width": "300px"}, disabled=True,
        )  # fmt: skip
        controls: list[ipywidgets.Widget] = [self.flag]
        if len(energies):
            controls += [self.limited, self.limit]
        for control in (self.flag, self.limited, self.limit):
            control.observe(lambda change: self._narrow(), "value")
        self._count()
        row = ipywidgets.HBox(controls, layout={"flex_flow": "row wrap", "overflow": "visible"})
        self.fill([heading("n_elements"), row, self.plot, *self.layout_below()])

    @shows_errors
    def _narrow(self) -> None:
        kept = []
        for system in self.systems:
            mask = np.isfinite(system.values)
            if self.flag.value:
                mask &= system.flag(self.flag.value)
            if self.limited.value:
                energy = system.number("e_above_hull")
                mask &= is_stable(energy, system.values, self.limit.value)
            kept.append(mask)
        self.limit.disabled = not self.limited.value
        self.keep(kept)
        self._count()

    def _count(self) -> None:
        rows = []
        for system, mask in zip(self.systems, self.kept, strict=True):
            values = system.values[mask & np.isfinite(system.values)]
            rows.append(
                [
                    f"{len(values):,} of {system.known:,}",
                    f"{values.mean():.2f}" if len(values) else "",
                    _share(estimate(values >= WIDE)) if len(values) else "",
                    f"{len(system.rows) - system.known:,}",
                ]
            )
        self.counts.value = self.table_of(
            ("crystals shown", "mean", f"{WIDE} or more elements (95 %)", "without a value"), rows
        )


def _counts(system: System, threshold: float) -> list[str]:
    """The table cells of one system: counts below the threshold and without a value."""
    found, total = below(system, threshold), len(system.rows)
    among = ["" if n is None else f"{n:,}" for n in (found.unique, found.novel, found.sun)]
    missing = f"{total - system.asked:,} not relaxed, {system.asked - system.known:,} failed"
    return [f"{found.count:,}", f"{system.asked:,}", _share(found.share), *among, missing]


def _share(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f})"


def heading(column: str) -> ipywidgets.HTML:
    """The title of a histogram."""
    return ipywidgets.HTML(f'<div class="flowllm-heading">{TITLES[column]}</div>')
