"""Visible errors: ipywidgets hides the exceptions of its callbacks."""

from __future__ import annotations

import functools
import html
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import ipywidgets

from flowllm.errors import InputError

Result = TypeVar("Result")


class MessageLine(ipywidgets.HTML):
    """A line that says what went wrong, or nothing; a screen reader reads it aloud."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.kind = "", ""

    def error(self, what: str | BaseException) -> None:
        """Show an error; for an unexpected exception, with a folded traceback."""
        detail = ""
        if isinstance(what, BaseException):
            text = str(what) or type(what).__name__
            if not isinstance(what, InputError):
                text = f"{type(what).__name__}: {text}"
                lines = html.escape("".join(traceback.format_exception(what)))
                detail = f"<details><summary>Details</summary><pre>{lines}</pre></details>"
            what = text
        self._write(what, "error", detail)

    def warning(self, text: str) -> None:
        """Show a warning."""
        self._write(text, "warning")

    def say(self, text: str) -> None:
        """Show a status."""
        self._write(text, "")

    def clear(self) -> None:
        """Show nothing."""
        self.text, self.kind, self.value = "", "", ""

    def _write(self, text: str, kind: str, detail: str = "") -> None:
        role = "alert" if kind else "status"
        self.text, self.kind = text, kind
        self.value = (
            f'<div class="flowllm-message {kind}" role="{role}">{html.escape(text)}{detail}</div>'
        )


class HasMessage(Protocol):
    """A widget with a line for messages."""

    message: MessageLine


def shows_errors(method: Callable[..., Result]) -> Callable[..., Result | None]:
    """A method whose exceptions appear in its widget's message line instead of vanishing."""

    @functools.wraps(method)
    def guarded(self: HasMessage, *args: Any, **kwargs: Any) -> Result | None:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self.message.error(error)
            return None

    return guarded
