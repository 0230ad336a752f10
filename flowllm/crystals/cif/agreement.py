"""Whether the atoms of a cell agree with the formula, Z and the multiplicities of the file."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from flowllm.crystals.cif.sites import SiteTable
from flowllm.crystals.cif.tags import Tags
from flowllm.crystals.cif.values import shown
from flowllm.crystals.elements import NUMBER_OF

_PART = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?")
TOLERANCE = 0.01  # relative, of amounts


@dataclass(frozen=True)
class StatedFormula:
    """`_chemical_formula_sum` as written, its amounts, and Z where the file gives it."""

    text: str
    amounts: dict[str, float]
    units: float | None


def read_formula(tags: Tags) -> StatedFormula | None:
    """The formula of a block; None where there is none or where it is not a plain sum."""
    given = tags.first("_chemical_formula_sum")
    amounts = _amounts(given[1]) if given else None
    if given is None or not amounts:
        return None
    units = tags.first("_cell_formula_units_z")
    number = float(units[1]) if units and re.fullmatch(r"\d{1,4}(\.0*)?", units[1]) else None
    return StatedFormula(given[1], amounts, number or None)


@lru_cache(maxsize=4096)
def _amounts(text: str) -> dict[str, float] | None:
    found: dict[str, float] = {}
    compact = re.sub(r"[\s,]", "", text)
    place = 0
    while place < len(compact):
        part = _PART.match(compact, place)
        symbol = {"D": "H", "T": "H"}.get(part[1], part[1]) if part else ""
        if part is None or symbol not in NUMBER_OF:
            return None
        found[symbol] = found.get(symbol, 0.0) + float(part[2] or 1)
        place = part.end()
    return {symbol: amount for symbol, amount in found.items() if amount > 0}


def agrees(counts: Counter[str], formula: StatedFormula) -> bool:
    """Whether a cell holds whole formula units, Z of them where the file gives Z.

    Some programs write the formula of the whole cell beside Z; it is then a multiple of Z.
    """
    if set(counts) != set(formula.amounts):
        return False
    ratios = [counts[symbol] / amount for symbol, amount in formula.amounts.items()]
    units = ratios[0]
    if any(abs(ratio - units) > TOLERANCE * units for ratio in ratios):
        return False
    z = formula.units
    if z is None or abs(units - z) <= TOLERANCE * z:
        return True
    return abs(units - 1) <= TOLERANCE and all(
        abs(amount / z - round(amount / z)) < TOLERANCE for amount in formula.amounts.values()
    )


def proportional(counts: Counter[str], formula: StatedFormula) -> bool:
    """Whether a cell has the elements of the formula in its ratios, whatever Z says."""
    return agrees(counts, StatedFormula(formula.text, formula.amounts, None))


def wrong_multiplicities(sites: SiteTable, sizes: list[int], operations: int) -> list[str]:
    """Sites whose multiplicity differs from the file's, with both numbers.

    Files that give the order of the site symmetry in place of the multiplicity are known.
    """
    given = sites.multiplicities
    if not any(given):
        return []
    if sizes == given:
        return []
    pairs = [(s, m, i) for i, (s, m) in enumerate(zip(sizes, given, strict=True)) if m]
    if operations > 1 and all(size * stated == operations for size, stated, _ in pairs):
        return []
    return [
        f"{sites.labels[index]} has {size}, the file says {stated}"
        for size, stated, index in pairs
        if size != stated
    ]


def formula_of(counts: Counter[str]) -> str:
    """`Na4 Cl4`, as CIF writes it."""
    return " ".join(f"{symbol}{counts[symbol]}" for symbol in sorted(counts))


def disagreements(
    sites: SiteTable,
    counts: Counter[str],
    sizes: list[int],
    operations: int,
    formula: StatedFormula | None,
) -> list[str]:
    """Remarks on statements of the file that the atoms read contradict."""
    remarks = []
    if formula is not None and not agrees(counts, formula):
        times = f" and Z = {formula.units:g}" if formula.units else ""
        remarks.append(
            f"_chemical_formula_sum is '{shown(formula.text)}'{times}, "
            f"the atoms of the cell are {formula_of(counts)}"
        )
    wrong = wrong_multiplicities(sites, sizes, operations)
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        remarks.append(f"other multiplicities: {'; '.join(wrong[:3])}{more}")
    return remarks
