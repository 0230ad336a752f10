"""The content of each tab of the app; imported when the first one is opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import ipywidgets

from flowllm.crystals.elements import RANK_OF
from flowllm.teaching.systems import Systems
from flowllm_widgets.app.run import BrowserTab, ViewerTab
from flowllm_widgets.periodic_table.widget import DATA, PeriodicTable

if TYPE_CHECKING:
    from flowllm_widgets.app.widget import App

SYSTEM = "Li-Fe-O"


@cache
def systems() -> Systems:
    """Those that ship; playground and Bring share what is loaded."""
    return Systems()


def playground(app: App) -> ipywidgets.Widget:
    """The playground of every system that ships."""
    from flowllm_widgets.systems.playground import SystemPlayground

    return SystemPlayground(systems())


def bring(app: App) -> ipywidgets.Widget:
    """A user's own crystal."""
    from flowllm_widgets.bring.widget import Bring

    return Bring(systems=systems())


def browser(app: App) -> ipywidgets.Widget:
    """The crystals of the run, of another folder, or of MP-20."""
    return BrowserTab(app.run)


def viewer(app: App) -> ipywidgets.Widget:
    """The trajectories of the run or of the playground."""

    def of_playground() -> object:
        made = app.parts.get("Playground")
        return None if made is None else made.playground.trajectory

    return ViewerTab(app.run, of_playground)


def phase_diagram(app: App) -> ipywidgets.Widget:
    """A phase diagram whose elements are chosen in a periodic table, or typed."""
    from flowllm.stability.phase_diagram import FEWEST, MOST, elements_of
    from flowllm_widgets.phase_diagram.widget import PhaseDiagramView

    view = PhaseDiagramView(SYSTEM)
    table = PeriodicTable(elements_of(SYSTEM))

    def chosen(change: dict[str, tuple[str, ...]]) -> None:
        if FEWEST <= len(change["new"]) <= MOST:
            view.system.value = "-".join(sorted(change["new"], key=RANK_OF.__getitem__))
        else:
            view.message.say(f"choose {FEWEST} to {MOST} elements")

    table.observe(chosen, "selected")
    table.layout.flex, view.layout.flex = "1 1 430px", "1 1 480px"
    table.layout.min_width = view.layout.min_width = "min(340px, 100%)"
    return ipywidgets.HBox([table, view], layout={"flex_flow": "row wrap", "grid_gap": "6px 16px"})


def elements(app: App) -> ipywidgets.Widget:
    """How often the crystals of the run, and those of MP-20, hold each element."""
    if app.run is not None:
        return PeriodicTable.of_run(app.run)
    from flowllm.data.shipped import load_shipped
    from flowllm.stability.neighbours import SOURCE

    return PeriodicTable(sets={DATA: load_shipped(SOURCE, "train").crystals})


MAKERS: dict[str, Callable[[App], ipywidgets.Widget]] = {
    "Playground": playground,
    "Bring": bring,
    "Browser": browser,
    "Viewer": viewer,
    "Phase diagram": phase_diagram,
    "Elements": elements,
}
"""Title of a tab -> what makes it."""
