"""The chart of a phase diagram: pymatgen's, in the colours of the workbench."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from pymatgen.analysis.phase_diagram import PDEntry, PDPlotter, PhaseDiagram

from flowllm.stability.phase_diagram import PlacedCrystal, entry_of, place_of
from flowllm.viz.colours import GREY, PRIOR, REFINED
from flowllm_widgets.shared.style import themed

HEIGHT = 430
SHOWN = 0.1
"""eV/atom that the highest phase may lie below the end of the scale."""
LINES = "rgba(138,148,166,0.75)"


def phase_figure(diagram: PhaseDiagram, placed: Sequence[PlacedCrystal] = ()) -> go.Figure:
    """A diagram of two elements as energies over the share of one, of three as a triangle, of four
    as a tetrahedron; the crystals are squares. One that lies below the hull is part of it.

    Args:
        diagram: of two to four elements, without the crystals.
        placed: crystals of its elements.
    """
    entries: list[PDEntry] = [entry_of(crystal) for crystal in placed]
    height = max([0.0, *(place_of(crystal, diagram).e_above_hull for crystal in placed)])
    whole = PhaseDiagram([*diagram.all_entries, *entries], elements=diagram.elements)
    plotter = PDPlotter(whole, show_unstable=height + SHOWN, backend="plotly", ternary_style="2d")
    figure = go.Figure(plotter.get_plot(label_unstable=False, highlight_entries=entries))
    themed(figure, HEIGHT)
    figure.update_layout(showlegend=False, margin={"l": 66, "r": 30, "t": 36, "b": 52}, title=None)
    figure.update_coloraxes(showscale=False)
    for trace in figure.data:
        _restyle(trace, len(diagram.elements))
    if len(diagram.elements) == 2:
        last = diagram.elements[1].symbol
        figure.update_xaxes(
            color=GREY,
            mirror=False,
            showgrid=False,
            ticks="outside",
            title={"text": f"share of {last}", "font": {"color": GREY, "size": 12}},
        )
        figure.update_yaxes(color=GREY, mirror=False, title="formation energy (eV/atom)")
    if len(diagram.elements) == 3:
        axis = {"linecolor": GREY, "color": GREY, "showgrid": False}
        figure.update_ternaries(bgcolor="rgba(0,0,0,0)", aaxis=axis, baxis=axis, caxis=axis)
    if len(diagram.elements) == 4:
        figure.update_traces(opacity=0.04, selector={"type": "mesh3d"})
        figure.update_scenes(bgcolor="rgba(0,0,0,0)")
        for note in figure.layout.scene.annotations:
            note.font.update(color=GREY, size=14)
    figure.update_layout(annotations=[{**a.to_plotly_json(), "font": {"color": GREY, "size": 13}}
                                      for a in figure.layout.annotations])  # fmt: skip
    return figure


def _restyle(trace: go.BaseTraceType, size: int) -> None:
    """Colours that stand out on light and dark grounds, formulas beside the stable phases."""
    small = 6 if size == 4 else 0  # of markers in space, which perspective enlarges
    if trace.name == "Stable":
        line = {"color": "#ffffff", "width": 1}
        trace.marker.update(color=REFINED, size=small or 11, opacity=1.0, line=line)
        if size == 3:
            names = [text.split(" (")[0] for text in trace.hovertext]
            names = [name if "<sub>" in name or len(name) > 2 else "" for name in names]
            trace.update(mode="markers+text", text=names, textposition="top right")
    elif trace.name == "Highlighted":
        trace.marker.update(
            color=PRIOR, size=1.5 * small or 14, line={"color": "#ffffff", "width": 1.5}
        )
    elif trace.name == "Above Hull":
        trace.marker.update(color=GREY, size=small or 9, showscale=False)
    if trace.hovertext is not None and not isinstance(trace.hovertext, str):
        trace.update(hovertext=[text.replace(" (no ID)", "") for text in trace.hovertext])
    mode = getattr(trace, "mode", None) or ""  # the faces of a tetrahedron have none
    if mode == "lines" and trace.line.color:
        trace.line.update(color=LINES)
    if "text" in mode:
        trace.textfont.update(color=GREY, size=13)
