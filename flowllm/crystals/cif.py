"""Reading CIF text, fast where it is plain."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError, first_line

if TYPE_CHECKING:
    from pymatgen.core import Structure


def parse_cif(text: str, name: str) -> Structure:
    """The ordered structure of one CIF text.

    Raises:
        InputError: names the crystal and what is wrong with it.
    """
    from pymatgen.core import Structure

    plain = _parse_plain_cif(text)
    if plain is not None:
        return plain
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure = Structure.from_str(text, fmt="cif")
    except Exception as error:  # pymatgen's parser raises many kinds of error on bad text
        raise InputError(f"{name}: the CIF does not parse ({first_line(error)})") from error
    if not structure.is_ordered:
        raise InputError(f"{name}: partial occupancy; only ordered structures are crystals here")
    return structure


def _parse_plain_cif(text: str) -> Structure | None:
    """The structure of a CIF that lists every atom (P1, full occupancy), read by gemmi.

    Data sets are written so, and gemmi reads them 15 times as fast as pymatgen does; anything else
    (symmetry operations, partial occupancy, unusual tags, broken text) is left to pymatgen.
    """
    import gemmi
    from pymatgen.core import Lattice, Structure

    try:
        document = gemmi.cif.read_string(text)
        small = gemmi.make_small_structure_from_block(document.sole_block())
    except (RuntimeError, ValueError, IndexError):
        return None
    operations = [op.replace(" ", "").lower() for op in small.symops]
    symbols = [site.element.name for site in small.sites]
    if operations not in ([], ["x,y,z"]) or not symbols or small.cell.volume < 0.1:
        return None
    if not operations and small.spacegroup_hm.replace(" ", "") != "P1":
        return None
    if any(site.occ != 1.0 for site in small.sites) or any(s not in NUMBER_OF for s in symbols):
        return None
    coords = np.array([site.fract.tolist() for site in small.sites])
    if not np.isfinite(coords).all():
        return None
    cell = small.cell
    lattice = Lattice.from_parameters(cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma)
    return Structure(lattice, symbols, coords)
