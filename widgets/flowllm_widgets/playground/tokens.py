"""TokenStream: a text token by token, coloured by probability, with the alternatives at hand."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import traitlets

from flowllm.methods.language_model.decoding.events import CRYSTAL, Token
from flowllm.text.formats.wyckoff.notes import site_symmetries
from flowllm.text.prompts import STEMS
from flowllm_widgets.shared.part import Part

HERE = Path(__file__).parent
NOTHING: dict[str, Any] = {"key": "", "tokens": []}


class TokenStream(Part):
    """Tokens that one can point at, or reach with Tab and the arrow keys.

    Attributes:
        shown: {"key": which text it is, "tokens": see `encode`}. Under the same key tokens are
            only appended.
    """

    _esm = HERE / "tokens.js"
    _css = HERE / "tokens.css"

    shown = traitlets.Dict(NOTHING).tag(sync=True)

    def still(self) -> str:
        """The text, its unlikely tokens shaded, for a page without a kernel."""
        parts, stem = [], ""
        for part, text, probability, *_ in self.shown["tokens"]:
            if part != stem:
                stem = part
                parts.append(f"<br>{html.escape(part)} ")
            shade = f"rgba(224,138,30,{0.75 * (1 - probability):.2f})"
            said = html.escape(text).replace("\n", "<br>")
            parts.append(f'<span style="background-color:{shade}">{said}</span>')
        if not parts:
            return ""
        return f'<div style="font-family:monospace;font-size:12px">{"".join(parts)}</div>'

    def show(self, key: str, tokens: Sequence[Token]) -> None:
        """Show the tokens of a text; `key` names it."""
        start = next((k for k, t in enumerate(tokens) if t.part == CRYSTAL), len(tokens))
        notes = [""] * start + site_symmetries([token.text for token in tokens[start:]])
        shown = [encode(token, note) for token, note in zip(tokens, notes, strict=True)]
        self.shown = {"key": key, "tokens": shown}


def encode(token: Token, note: str = "") -> list[Any]:
    """[part, text, probability, raw, [[text, probability, raw], …]], for the browser.

    The token itself is always among the alternatives, whose order is that of their probabilities.
    A note, of a Wyckoff position its site symmetry, stands last.
    """
    others = [(a.text, a.probability, a.raw) for a in token.alternatives]
    if all(text != token.text for text, *_ in others):  # drawn from further down
        others = [*others[:-1], (token.text, token.probability, token.raw)]
    rounded = [[text, round(p, 4), round(raw, 4)] for text, p, raw in others]
    stem = STEMS.get(token.part, "")
    row = [stem, token.text, round(token.probability, 4), round(token.raw, 4), rounded]
    return [*row, note] if note else row
