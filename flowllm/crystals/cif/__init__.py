"""Strict CIF reading: blocks, cells, sites, symmetry, and remarks on what was read.

`read_block` is the one reader; what it cannot decide it refuses in one plain line. Only numpy is
needed at import; gemmi, spglib, scipy and pymatgen are imported when they are used.
"""

from flowllm.crystals.cif.blocks import split_blocks
from flowllm.crystals.cif.crystal import CifCrystal, CifSite
from flowllm.crystals.cif.overlaps import OVERLAP, closest
from flowllm.crystals.cif.read import parse_cif, read_block

__all__ = [
    "OVERLAP",
    "CifCrystal",
    "CifSite",
    "closest",
    "parse_cif",
    "read_block",
    "split_blocks",
]
