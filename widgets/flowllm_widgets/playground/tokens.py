"""TokenStream: a text token by token, coloured by probability, with the alternatives at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from flowllm.methods.language_model.decoding.events import Token
from flowllm.text.prompts import STEMS

HERE = Path(__file__).parent
NOTHING: dict[str, Any] = {"key": "", "tokens": []}


class TokenStream(anywidget.AnyWidget):
    """Tokens that one can point at, or reach with Tab and the arrow keys.

    Attributes:
        shown: {"key": which text it is, "tokens": see `encode`}. Under the same key tokens are
            only appended.
    """

    _esm = HERE / "tokens.js"
    _css = HERE / "tokens.css"

    shown = traitlets.Dict(NOTHING).tag(sync=True)

    def show(self, key: str, tokens: Sequence[Token]) -> None:
        """Show the tokens of a text; `key` names it."""
        self.shown = {"key": key, "tokens": [encode(token) for token in tokens]}


def encode(token: Token) -> list[Any]:
    """[part, text, probability, raw, [[text, probability, raw], …]], for the browser.

    The token itself is always among the alternatives, whose order is that of their probabilities.
    """
    others = [(a.text, a.probability, a.raw) for a in token.alternatives]
    if all(text != token.text for text, *_ in others):  # drawn from further down
        others = [*others[:-1], (token.text, token.probability, token.raw)]
    rounded = [[text, round(p, 4), round(raw, 4)] for text, p, raw in others]
    stem = STEMS.get(token.part, "")
    return [stem, token.text, round(token.probability, 4), round(token.raw, 4), rounded]
