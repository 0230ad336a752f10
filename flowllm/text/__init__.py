"""Crystals as text: strings, prompts, the compact tokenizer and decoding constraints."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowllm.text.formats.base import TextError
    from flowllm.text.formats.gruver.strings import parse_text, to_text
    from flowllm.text.formats.registry import make_format
    from flowllm.text.prompts import build_prompt, parse_prompt, read_prompts
    from flowllm.text.tokenizer import build_tokenizer, load_tokenizer

_MODULES = {
    "TextError": "flowllm.text.formats.base",
    "build_prompt": "flowllm.text.prompts",
    "build_tokenizer": "flowllm.text.tokenizer",
    "load_tokenizer": "flowllm.text.tokenizer",
    "parse_prompt": "flowllm.text.prompts",
    "parse_text": "flowllm.text.formats.gruver.strings",
    "read_prompts": "flowllm.text.prompts",
    "make_format": "flowllm.text.formats.registry",
    "to_text": "flowllm.text.formats.gruver.strings",
}
__all__ = [
    "TextError",
    "build_prompt",
    "build_tokenizer",
    "load_tokenizer",
    "make_format",
    "parse_prompt",
    "parse_text",
    "read_prompts",
    "to_text",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that strings and prompts do not load a tokenizer."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
