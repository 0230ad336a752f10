"""App: the parts of the workbench as tabs of one page, each built when first opened.

Nothing heavy is imported here, so that the page is there at once.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from flowllm_widgets.app.opened import Opened
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.style import Panel

RUN, FOLDER = "FLOWLLM_APP_RUN", "FLOWLLM_APP_FOLDER"
"""Environment variables of `flowllm app`: the run for the browser, and where files are written."""
TABS = {
    "Playground": "Ask a system for crystals and watch how they are generated.",
    "Bring": "Drop a crystal of your own: score, refine, relax it, see its neighbours.",
    "Browser": "The crystals of a run as a table, each in 3-D.",
    "Viewer": "The path of crystals through the flow, step by step.",
    "Phase diagram": "Stable phases of two to four elements.",
    "Elements": "How often each element occurs.",
}
"""Title -> what stands in the tab, in a line."""


class App(Panel):
    """The workbench on one page.

    Args:
        run: the folder of a run, an evaluation, or any crystals, for browser, viewer and elements.

    Attributes:
        tabs: the tabs.
        parts: title -> what a tab holds, of those that were looked at.
        message: the line for errors.
    """

    def __init__(self, run: str | Path | None = None) -> None:
        super().__init__()
        self.run = None if run is None else Path(run)
        self.parts: dict[str, ipywidgets.Widget] = {}
        self.message = MessageLine()
        self._background = Background(self.message.error)
        self._rooms = {title: ipywidgets.VBox([_about(title, "Loading …")]) for title in TABS}
        self.tabs = ipywidgets.Tab(list(self._rooms.values()), titles=tuple(TABS))
        self.tabs.add_class("flowllm-app")
        self.tabs.observe(self._looked_at, "selected_index")
        heading = ipywidgets.HTML(
            "<h1 style='font-size:20px;margin:4px 0'>FlowLLM: crystals from a language model and "
            "Riemannian flow matching</h1>"
        )
        style = ipywidgets.HTML(f"<style>{CSS}</style>", layout={"display": "none"})
        self.fill([heading, self.message, self.tabs, style, Opened(self._open), Frame()])

    @classmethod
    def from_environment(cls) -> App:
        """From the environment set by `flowllm app`; files are written where that was called."""
        if folder := os.environ.get(FOLDER):
            os.chdir(folder)
        return cls(os.environ.get(RUN) or None)

    @property
    def chosen(self) -> str:
        """The title of the tab on view."""
        return list(TABS)[self.tabs.selected_index or 0]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the visible tab is built; False if it is not after `timeout` seconds."""
        return self._background.wait(timeout)

    @shows_errors
    def _looked_at(self, _: dict[str, Any]) -> None:
        self._open()

    def _open(self) -> None:
        """Build the visible tab in the background, so that slow imports do not block the page."""
        title = self.chosen
        if title in self.parts:
            return

        def work(stop: Stop) -> None:
            from flowllm_widgets.app.tabs import MAKERS

            if title in self.parts:
                return
            make: Callable[[App], ipywidgets.Widget] = MAKERS[title]
            try:
                part = make(self)
            except Exception as error:
                line = MessageLine()
                line.error(error)
                self._rooms[title].children = (_about(title), line)
                return
            self.parts[title] = part
            self._rooms[title].children = (_about(title), part)

        self._background.start(work)


def _about(title: str, more: str = "") -> ipywidgets.HTML:
    text = html.escape(f"{TABS[title]} {more}".strip())
    return ipywidgets.HTML(f'<div class="flowllm-caption" role="status">{text}</div>')


CSS = """
.flowllm-app > .widget-tab-contents, .flowllm-app > .jupyter-widget-tab-contents {
  overflow: visible; padding: 10px 4px; border-width: 1px 0 0 0;
}
.flowllm-app .lm-TabBar-content { flex-wrap: wrap; }
/* ipywidgets' grey on grey is too pale to read */
.flowllm-app > .lm-TabBar .lm-TabBar-tabLabel { color: var(--jp-ui-font-color0, #111111); }
.flowllm-app > .lm-TabBar .lm-TabBar-tab, .flowllm-app > .lm-TabBar .p-TabBar-tab {
  flex: 0 1 auto; min-width: 0; padding: 0 12px;
}
"""
