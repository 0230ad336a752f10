"""Occupancies: rounded to 1 if close, summed for one element on one site, otherwise refused."""

from __future__ import annotations

from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.sites import SiteTable
from flowllm.crystals.cif.values import is_null, number, shown, uncertainty
from flowllm.errors import InputError

TOLERANCE = 0.01
LARGEST = 0.1  # a larger uncertainty says that the occupancy is not known
MAX_PARTIAL = 1_000  # sites; of more not even the parts of one element are looked for
SAME_PLACE = 0.01  # Å
HINT = (
    "only ordered structures are supported: make an ordered approximant first, for example by "
    "pymatgen's OrderDisorderedStructureTransformation"
)


def read_occupancies(sites: SiteTable, cell: Cell) -> list[int]:
    """For each site the site that holds its atoms: itself, but for parts of one element.

    Remarks on occupancies that are read as 1 are added to those of the sites.

    Raises:
        InputError: partial occupancy; the sites are named.
    """
    holders = list(range(len(sites.labels)))
    values = sites.occupancies
    if not values or set(values) <= {"1", "1.0", "1.00", ".", "1."}:
        return holders
    partial: dict[int, float] = {}
    nearly: list[str] = []
    for row, raw in enumerate(values):
        if raw == "" or raw == ".":
            continue
        value = number(raw)
        if value is None:
            label = sites.labels[row]
            what = "unknown ('?')" if is_null(raw) else f"'{shown(raw)}', which is not a number"
            raise InputError(f"site {label}: the occupancy is {what}")
        if value == 1:
            continue
        if abs(value - 1) <= max(TOLERANCE, min(uncertainty(raw), LARGEST)) + 1e-9:
            nearly.append(f"{sites.labels[row]} {shown(raw)}")
        else:
            partial[row] = value
    if nearly:
        more = f" and {len(nearly) - 3} more" if len(nearly) > 3 else ""
        sites.remarks.append(f"occupancies read as 1: {', '.join(nearly[:3])}{more}")
    return _share(holders, partial, sites, cell) if partial else holders


def _share(
    holders: list[int], partial: dict[int, float], sites: SiteTable, cell: Cell
) -> list[int]:
    """Merge sites of one element at one position whose occupancies add up to 1."""
    left = dict(partial) if len(partial) <= MAX_PARTIAL else {}
    if not left:
        raise InputError(f"partial occupancy of {len(partial)} sites; {HINT}")
    merged = []
    while left:
        row = next(iter(left))
        near = cell.distances(sites.coords[list(left)] - sites.coords[row]) < SAME_PLACE
        place = [other for other, here in zip(left, near, strict=True) if here]
        kinds = {sites.elements[other] for other in place}
        total = sum(left[other] for other in place)
        if len(kinds) > 1 or abs(total - 1) > TOLERANCE + 1e-9:
            # named: the sites of this place, else all that are partial
            named = place if len(place) > 1 else list(partial)
            names = [f"{sites.labels[i]} ({partial[i]:g})" for i in named[:4]]
            more = f" and {len(named) - 4} more" if len(named) > 4 else ""
            raise InputError(f"partial occupancy of {', '.join(names)}{more}; {HINT}")
        for other in place:
            holders[other] = row
            del left[other]
        merged.append(" + ".join(sites.labels[other] for other in place))
    more = f" and {len(merged) - 3} more" if len(merged) > 3 else ""
    sites.remarks.append(
        f"parts of one element on one site are one atom: {'; '.join(merged[:3])}{more}"
    )
    return holders
