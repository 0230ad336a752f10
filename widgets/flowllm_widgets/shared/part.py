"""Parts of widgets drawn in the browser by their own code, even if loaded late."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import anywidget

DRAWN = "export default "  # what every module of a part has once, before what it exports
CLASS = "flowllm-part"
"""Of the element of a part: the style sheet says there that it is loading, or was not loaded."""


@lru_cache(maxsize=1)
def _around() -> str:
    return (Path(__file__).parent / "part.js").read_text(encoding="utf-8")


def late_start(*modules: Path) -> str:
    """The module of a part, from one or several files, robust to a late start.

    Args:
        modules: in their order; the last exports the part.
    """
    text = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    before, exported, after = text.partition(DRAWN)
    if not exported or DRAWN in after:
        raise ValueError(f'{modules[-1].name} has not exactly one "{DRAWN.strip()}"')
    return f"{_around()}\n{before}const exported = {after}\nexport default part(exported);\n"


class Part(anywidget.AnyWidget):
    """A part of a widget with a module of its own, named `_esm`, as a path or as paths.

    As anywidget's, but that it need not be loaded within two seconds; see `part.js`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        source = cls.__dict__.get("_esm")
        if isinstance(source, Path | tuple):  # not the text of a class that ipywidgets derives
            paths = (source,) if isinstance(source, Path) else source
            cls._esm = late_start(*paths)
        super().__init_subclass__(**kwargs)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_class(CLASS)
