"""Remarks in notebooks on a result, left out if the run does not show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.display import Markdown

TOO_SMALL = "*This run is too small to show what a full run shows here.*"


def remark(seen: bool, text: str) -> Markdown:
    """A paragraph on a result, if the result can be seen.

    Args:
        seen: whether it can, as by the numbers of this run or because it is a full one.
        text: Markdown.

    Returns:
        What a notebook's cell shows: the text, or a sentence that the run is too small.
    """
    from IPython.display import Markdown

    return Markdown(text if seen else TOO_SMALL)
