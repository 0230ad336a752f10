"""The blocks of a CIF text, found in one pass over its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowllm.errors import InputError

_HEADER = re.compile(r"(?:^|\s)data_", re.IGNORECASE)
# A quote that is not closed takes the rest of its line; gemmi then refuses the block.
_TOKEN = re.compile(r"'(?:[^']|'(?=\S))*(?:'|$)|\"(?:[^\"]|\"(?=\S))*(?:\"|$)|#.*|\S+")
_SITES = re.compile(r"(?:^|\s)_atom_site[_.](?:fract|cartn)_[xyz](?=\s|$)")
_CELL = re.compile(r"(?:^|\s)_cell[_.]length_[abc](?=\s|$)")


@dataclass
class _Block:
    name: str
    start: int
    sites: bool = False
    cell: bool = False


def split_blocks(text: str) -> list[tuple[str, str]]:
    """Every block of a CIF with a crystal, in order; names may repeat.

    Blocks without atom sites (of a publication, of a powder pattern) are passed over where another
    block has some. Time is linear in the length of the text.

    Returns:
        (name, text) of each block, at least one.

    Raises:
        InputError: there is no `data_` block, text stands before the first, or no block holds atom
            sites or a cell.
    """
    text = text.removeprefix("\ufeff").rstrip("\0\x1a \t\r\n") + "\n"
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    headers = _HEADER.finditer(text)
    first = next(headers, None)
    if first is None:
        raise InputError("the CIF cannot be parsed (no data_ block)")
    blocks = _scan(text)
    if not blocks:
        raise InputError("the CIF cannot be parsed (no data_ block)")
    ends = [*(block.start for block in blocks[1:]), len(text)]
    chosen = [pair for pair in zip(blocks, ends, strict=True) if pair[0].sites]
    if not chosen:
        chosen = [pair for pair in zip(blocks, ends, strict=True) if pair[0].cell]
    if not chosen:
        raise InputError("the CIF cannot be parsed (no atom sites)")
    return [(block.name, text[block.start : end]) for block, end in chosen]


def _scan(text: str) -> list[_Block]:
    """Where blocks begin; `data_` inside text fields, quotes and comments does not count."""
    blocks: list[_Block] = []
    place, in_field, number, opened = 0, False, 0, 0
    for line in text.split("\n"):
        start, place, number = place, place + len(line) + 1, number + 1
        if line[:1] == ";":
            in_field, opened = not in_field, number
            line = "" if in_field else " " + line[1:]
        if in_field or not line or line.isspace():
            continue
        low = line.lower()
        if "data_" in low:
            for token in _TOKEN.finditer(line):
                if token[0][:5].lower() == "data_":
                    blocks.append(_Block(token[0][5:], start + token.start()))
        if not blocks:
            if line.lstrip()[0] != "#":
                raise InputError(
                    f"the CIF cannot be parsed (line {number} stands before the first data_ block)"
                )
            continue
        if "_atom_site" in low and _SITES.search(low):
            blocks[-1].sites = True
        elif "_cell" in low and _CELL.search(low):
            blocks[-1].cell = True
    if in_field and not any(block.sites for block in blocks):
        raise InputError(
            f"the CIF cannot be parsed (the text field that begins in line {opened} is not closed)"
        )
    return blocks
