"""Crystals as text: strings, prompts, the compact tokenizer and decoding constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowllm.lazy import exports

if TYPE_CHECKING:
    from flowllm.text.formats.base import TextError
    from flowllm.text.formats.gruver.strings import parse_text, to_text
    from flowllm.text.formats.registry import make_format
    from flowllm.text.prompt_file import read_prompts
    from flowllm.text.prompts import build_prompt, parse_prompt
    from flowllm.text.tokenizer import build_tokenizer, load_tokenizer

_MODULES = {
    "TextError": ".formats.base",
    "build_prompt": ".prompts",
    "build_tokenizer": ".tokenizer",
    "load_tokenizer": ".tokenizer",
    "parse_prompt": ".prompts",
    "parse_text": ".formats.gruver.strings",
    "read_prompts": ".prompt_file",
    "make_format": ".formats.registry",
    "to_text": ".formats.gruver.strings",
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

__getattr__, __dir__ = exports(__name__, _MODULES)
