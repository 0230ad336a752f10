"""The map that ships as a plotly figure: test data behind, a trace for each system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flowllm.data.system_map import SystemMap
from flowllm.errors import InputError
from flowllm_widgets.embedding.figure import titles
from flowllm_widgets.shared.style import COLOURS, GREY, themed

if TYPE_CHECKING:
    import plotly.graph_objects as go

HEIGHT = 600


def map_figure(made: SystemMap, shown: str | None = None) -> go.Figure:
    """The map as a figure; names in the legend show and hide systems.

    Args:
        made: the map; its first system is drawn in grey behind the others.
        shown: a system that alone is shown at first, before the data; None shows all.

    Raises:
        InputError: no such system, or more of them than there are colours.
    """
    import plotly.graph_objects as go

    if len(made.names) > len(COLOURS) + 1:
        raise InputError(f"{len(made.names)} systems, but colours for only {len(COLOURS)}")
    if shown is not None:
        made.members(shown)
    figure = themed(go.Figure(), HEIGHT)
    groups = made.space_groups.astype(int)
    for place, name in enumerate(made.names):
        rows = np.flatnonzero(made.system == place)
        behind = place == 0
        hidden = shown not in (None, name) and not behind
        figure.add_scattergl(
            x=made.coords[rows, 0].astype(float), y=made.coords[rows, 1].astype(float),
            mode="markers", name=f"{name} ({len(rows):,})",
            text=[f"<b>{made.formulas[k]}</b> · {name}<br>{_group(groups[k])}" for k in rows],
            hovertemplate="%{text}<extra></extra>", hoverlabel={"align": "left"},
            visible="legendonly" if hidden else True,
            marker={"size": 4, "opacity": 0.5 if behind else 0.6,
                    "color": GREY if behind else COLOURS[place - 1], "line": {"width": 0}},
        )  # fmt: skip
    figure.update_layout(
        margin={"l": 30, "r": 14, "t": 16, "b": 54}, hovermode="closest", dragmode="zoom",
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom",
                "itemsizing": "constant"},
    )  # fmt: skip
    for axis, title in zip((figure.update_xaxes, figure.update_yaxes), titles("umap"), strict=True):
        axis(title_text=title, showticklabels=False)
    return figure


def _group(number: int) -> str:
    return f"space group {number}" if number else "no space group found"
