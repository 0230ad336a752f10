"""One block of CIF as a crystal: read rightly, with remarks, or refused in one plain line."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.cif.agreement import StatedFormula, agrees, disagreements, read_formula
from flowllm.crystals.cif.cell import MIN_HEIGHT, Cell, read_cell
from flowllm.crystals.cif.choice import choose, counted
from flowllm.crystals.cif.crystal import CifCrystal, CifSite
from flowllm.crystals.cif.disorder import read_alternatives
from flowllm.crystals.cif.images import Expanded, expand
from flowllm.crystals.cif.occupancy import read_occupancies
from flowllm.crystals.cif.operations import Setting
from flowllm.crystals.cif.overlaps import closest_pair
from flowllm.crystals.cif.sites import SiteTable, read_sites
from flowllm.crystals.cif.space_group import read_space_group
from flowllm.crystals.cif.species import read_labels
from flowllm.crystals.cif.tags import Tags, parse_blocks
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError

if TYPE_CHECKING:
    from pymatgen.core import Structure

ONE_PLACE = 0.1  # Å; two elements this near are disorder that the file does not speak of


def read_block(text: str, flat_cells: bool = False) -> CifCrystal:
    """The crystal of a CIF text.

    Args:
        text: CIF with one block that holds atom sites; other blocks are passed over.
        flat_cells: read cells that have no volume as they are (P 1 only), for those who count them.

    Raises:
        InputError: the text is not a CIF, or contains no crystal or several; a length, coordinate
            or element cannot be determined; occupancies are partial; the space group is unknown, or
            contradictory and undecided. The message names what, not the crystal.
    """
    tags = _crystal_block(text)
    cell = read_cell(tags, flat_cells)
    formula = read_formula(tags)
    sites = read_sites(tags, cell, frozenset(formula.amounts) if formula else None)
    remarks = [f"{tag} is not given, read as 90°" for tag in cell.assumed]
    holders = read_occupancies(sites, cell)
    possible = read_space_group(tags, cell)
    if len(possible.settings) == 1 and not possible.contradiction:
        setting = possible.settings[0]
        expanded = expand(sites, holders, setting, cell)
    else:
        setting, expanded = choose(possible, sites, holders, cell, formula)
    remarks += [*tags.remarks, *sites.remarks, *possible.remarks, *expanded.remarks]
    if sites.disorder or sites.unclear:
        agreed = formula is not None and agrees(counted(sites, expanded), formula)
        remarks += read_labels(sites.unclear, agreed) + read_alternatives(sites, holders, agreed)
    remarks += _checks(sites, setting, expanded, formula)
    if min(cell.heights) > MIN_HEIGHT:
        remarks += _overlap(sites, expanded, cell)
    return _crystal(tags.name, cell, sites, expanded, remarks)


def parse_cif(text: str, name: str) -> Structure:
    """The structure of one CIF text, atoms in the order of the file's sites.

    Raises:
        InputError: as `read_block`; the message begins with the name.
    """
    from pymatgen.core import Lattice, Structure

    try:
        crystal = read_block(text)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    lattice = Lattice.from_parameters(*crystal.lengths.tolist(), *crystal.angles.tolist())
    return Structure(
        lattice, [SYMBOLS[z] for z in crystal.atomic_numbers.tolist()], crystal.frac_coords
    )


def _crystal_block(text: str) -> Tags:
    """The one block with atom sites; a block without any if there is no other."""
    blocks = parse_blocks(text)
    if len(blocks) == 1:
        return blocks[0]
    crystals = [block for block in blocks if block.has_sites]
    if len(crystals) > 1:
        raise InputError(f"{len(crystals)} crystals in one CIF text, where one is expected")
    return crystals[0] if crystals else blocks[0]


def _checks(
    sites: SiteTable, setting: Setting, expanded: Expanded, formula: StatedFormula | None
) -> list[str]:
    counts = counted(sites, expanded)
    sizes = [len(atoms) for atoms in expanded.atoms]
    return disagreements(sites, counts, sizes, len(setting), formula)


def _overlap(sites: SiteTable, expanded: Expanded, cell: Cell) -> list[str]:
    distance, first, second = closest_pair(expanded.coords, cell)
    if first < 0:
        return []
    site_of = {
        atom: row
        for row, atoms in enumerate(expanded.atoms)
        for atom in (first, second)
        if atom in atoms
    }
    one, two = site_of[first], site_of[second]
    if sites.elements[one] != sites.elements[two] and distance < ONE_PLACE:
        return [
            f"{sites.labels[one]} and {sites.labels[two]} are two elements on one place "
            f"({distance:.2f} Å apart): disorder that the occupancies do not show"
        ]
    return [f"overlapping atoms {sites.labels[one]} and {sites.labels[two]} at {distance:.2f} Å"]


def _crystal(
    name: str, cell: Cell, sites: SiteTable, expanded: Expanded, remarks: list[str]
) -> CifCrystal:
    if expanded.listed:
        numbers = np.array([NUMBER_OF[element] for element in sites.elements])
        rows = list(map(_site, sites.labels, sites.elements, range(len(numbers))))
    else:
        numbers = np.empty(len(expanded.coords), dtype=np.int64)
        rows = []
        for label, element, atoms in zip(sites.labels, sites.elements, expanded.atoms, strict=True):
            numbers[atoms.start : atoms.stop] = NUMBER_OF[element]
            rows.append(CifSite(label, element, tuple(atoms)))
    return CifCrystal(
        name,
        numbers,
        expanded.coords,
        np.array(cell.lengths),
        np.array(cell.angles),
        tuple(rows),
        tuple(dict.fromkeys(remarks)),
    )


@lru_cache(maxsize=16384)
def _site(label: str, element: str, atom: int) -> CifSite:
    return CifSite(label, element, (atom,))
