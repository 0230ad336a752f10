"""A plotly figure as plain values, without plotly's slow objects."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

HOLDERS = frozenset(
    {"margin", "line", "marker", "title", "label", "camera", "eye", "error_y"}
)  # what holds settings of its own, also where none is given


class Plain:
    """Settings as attributes; missing ones are None.

    Args:
        values: as in plotly's JSON.
    """

    def __init__(self, values: dict[str, Any] | None = None) -> None:
        self.values = values or {}

    def __getattr__(self, name: str) -> Any:
        value = self.values.get(name)
        if isinstance(value, dict):
            return Plain(value)
        if name in HOLDERS:
            return Plain({"text": value} if isinstance(value, str) else None)
        return value

    def __getitem__(self, name: str) -> Any:
        return Plain(self.values.get(name))

    def each(self, name: str) -> list[Plain]:
        """A list of settings."""
        return [Plain(value) for value in self.values.get(name) or ()]


def plain_figure(figure: Any) -> dict[str, Any]:
    """{"data": traces, "layout": settings} of a figure, arrays as they are; a copy.

    Args:
        figure: plotly's, or such a dict.
    """
    if isinstance(figure, dict):
        return figure
    return {"data": deepcopy(list(figure._data)), "layout": deepcopy(figure.layout._props or {})}
