"""CIF files and texts: every block that holds a crystal."""

from __future__ import annotations

from collections import Counter

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cif import read_block, split_blocks
from flowllm.errors import InputError
from flowllm.inputs.items import NAME, Item, ReadCrystal


def cif_items(text: str, stem: str, place: str, remarks: tuple[str, ...]) -> list[Item]:
    """One item per block with a crystal; its id is the stem, plus the block's name if several."""
    if not text.strip():
        return [Item(stem, place, reason="no CIF text")]
    try:
        blocks = split_blocks(text)
    except InputError as error:
        return [Item(stem, place, reason=str(error), remarks=remarks)]
    if len(blocks) == 1:
        return [Item(stem, place, "block", blocks[0][1], remarks=remarks)]
    used = Counter(name for name, _ in blocks)
    return [
        Item(
            f"{stem}-{name or number}",
            f"{place}, block {name if name and used[name] == 1 else number}",
            "block",
            block,
            remarks=remarks,
        )
        for number, (name, block) in enumerate(blocks, 1)
    ]


def crystal_from_cif(text: str) -> ReadCrystal:
    """The crystal of the CIF text in a table's cell.

    Raises:
        InputError: the text contains no crystal, several, or one that cannot be read.
    """
    if not text.strip():
        raise InputError("no CIF text")
    try:
        blocks = split_blocks(text)
        if len(blocks) == 1:
            return crystal_from_block(blocks[0][1])
    except InputError as error:
        cut = "; is the cell of the table cut?" if "cannot be parsed" in str(error) else ""
        raise InputError(f"{error}{cut}") from error
    raise InputError("several structures in one CIF text")


def crystal_from_block(text: str) -> ReadCrystal:
    """The crystal of the text of a single block.

    Raises:
        InputError: it cannot be read.
    """
    found = read_block(text, flat_cells=True)  # whoever needs a volume refuses them
    crystal = CrystalBatch(
        found.atomic_numbers, found.frac_coords, found.lengths, found.angles,
        np.array([len(found.atomic_numbers)]), np.array([NAME]),
    )  # fmt: skip
    return ReadCrystal(crystal, tuple(found.remarks), tuple(found.sites))
