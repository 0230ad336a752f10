"""Crystals as text: strings, prompts, the compact tokenizer and decoding constraints."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm.text.composition_rule import CompositionRule
    from flowllm.text.constraints import CrystalState
    from flowllm.text.prompts import Conditions, build_prompt, parse_prompt
    from flowllm.text.ranges import OutOfRangeWarning, TrainingRanges
    from flowllm.text.request import Request, read_prompts
    from flowllm.text.strings import TextError, parse_text, to_text
    from flowllm.text.tokenizer import build_tokenizer, load_tokenizer

_MODULES = {
    "CompositionRule": "composition_rule",
    "Conditions": "prompts",
    "CrystalState": "constraints",
    "OutOfRangeWarning": "ranges",
    "Request": "request",
    "TextError": "strings",
    "TrainingRanges": "ranges",
    "build_prompt": "prompts",
    "build_tokenizer": "tokenizer",
    "load_tokenizer": "tokenizer",
    "parse_prompt": "prompts",
    "parse_text": "strings",
    "read_prompts": "request",
    "to_text": "strings",
}
__all__ = [
    "CompositionRule",
    "Conditions",
    "CrystalState",
    "OutOfRangeWarning",
    "Request",
    "TextError",
    "TrainingRanges",
    "build_prompt",
    "build_tokenizer",
    "load_tokenizer",
    "parse_prompt",
    "parse_text",
    "read_prompts",
    "to_text",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that strings and prompts do not load a tokenizer."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
