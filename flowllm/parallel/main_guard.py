"""Scripts that start processes without a guard: every process would run the whole script again.

Processes are spawned, as on Windows and macOS: each imports the script that started them. Where its
work does not stand behind `if __name__ == "__main__":`, each would begin the same work and wait for
the folder that the first holds, forever.

joblib's loky would need no guard, but it cannot end one process whose time is up and go on with the
others, as pebble does for `parallel.pool`.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType

from flowllm.errors import InputError


def check_guard() -> None:
    """Check that the running script, if any, can be imported by the processes it starts.

    Interactive sessions have no file to import; notebooks and the command line are guarded.

    Raises:
        InputError: the script is not guarded; the file and the line are named.
    """
    frame = _script(sys._getframe())
    file = None if frame is None else frame.f_globals.get("__file__")
    if frame is None or file is None:
        return
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # frozen or generated; nothing can be said about it
    guards = (node.lineno for node in ast.walk(tree) if isinstance(node, ast.If) and _guards(node))
    if not any(line <= frame.f_lineno for line in guards):
        raise InputError(
            f"{file}, line {frame.f_lineno}, starts processes that each import the script; put it "
            'below if __name__ == "__main__":, or ask for one worker'
        )


def _script(frame: FrameType | None) -> FrameType | None:
    """The frame of the script's own lines, from which everything else was called."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return frame
        frame = frame.f_back
    return None


def _guards(node: ast.If) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
