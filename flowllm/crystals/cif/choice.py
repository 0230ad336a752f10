"""Choosing among several settings: by formula and multiplicities, then by bond lengths."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from flowllm.crystals.cif.agreement import StatedFormula, agrees, proportional, wrong_multiplicities
from flowllm.crystals.cif.cell import Cell
from flowllm.crystals.cif.images import Expanded, expand
from flowllm.crystals.cif.operations import Setting
from flowllm.crystals.cif.sites import SiteTable
from flowllm.crystals.cif.space_group import Possible
from flowllm.errors import InputError

LARGEST = 600  # atoms; in larger cells bond lengths are not compared
USUAL = 0.95  # of the sum of covalent radii: a bond of at least this length is a usual one
DIFFERENCE = 0.05


def choose(
    possible: Possible,
    sites: SiteTable,
    holders: list[int],
    cell: Cell,
    formula: StatedFormula | None,
) -> tuple[Setting, Expanded]:
    """The intended setting and its atoms; the reason is added to the remarks.

    Raises:
        InputError: statements on the space group contradict each other and nothing in the file
            decides, or all that could decide is against what the file says first.
    """
    trials = [(setting, expand(sites, holders, setting, cell)) for setting in possible.settings]
    if len(trials) > 1:
        trials = _by_evidence(trials, possible, sites, formula)
    if len(trials) > 1:
        trials = _by_bonds(trials, possible, sites, cell)
    setting, expanded = trials[0]
    if possible.contradiction:
        _settle(setting, expanded, possible, sites, holders, cell, formula)
    return setting, expanded


def counted(sites: SiteTable, expanded: Expanded) -> Counter[str]:
    """Atoms of each element in the cell."""
    if expanded.listed:
        return Counter(sites.elements)
    seen: set[int] = set()
    counts: Counter[str] = Counter()
    for element, atoms in zip(sites.elements, expanded.atoms, strict=True):
        if atoms.start not in seen:
            seen.add(atoms.start)
            counts[element] += len(atoms)
    return counts


def _verdict(
    setting: Setting, expanded: Expanded, sites: SiteTable, formula: StatedFormula | None
) -> int:
    """How well atoms agree with the file: 2 fully, 1 except for Z or if it is silent, 0 not."""
    counts = counted(sites, expanded)
    sizes = [len(atoms) for atoms in expanded.atoms]
    if any(sites.multiplicities) and wrong_multiplicities(sites, sizes, len(setting)):
        return 0
    if formula is None:
        return 2 if any(sites.multiplicities) else 1
    if agrees(counts, formula):
        return 2 if formula.units is not None or any(sites.multiplicities) else 1
    return 1 if proportional(counts, formula) and not any(sites.multiplicities) else 0


def _by_evidence(
    trials: list[tuple[Setting, Expanded]],
    possible: Possible,
    sites: SiteTable,
    formula: StatedFormula | None,
) -> list[tuple[Setting, Expanded]]:
    verdicts = [_verdict(*trial, sites, formula) for trial in trials]
    best = [t for t, verdict in zip(trials, verdicts, strict=True) if verdict == max(verdicts)]
    if len(best) == 1:
        possible.remarks.append(
            f"the symbol does not give an origin; {best[0][0].name} agrees with formula and "
            "multiplicities"
        )
    return best


def _by_bonds(
    trials: list[tuple[Setting, Expanded]], possible: Possible, sites: SiteTable, cell: Cell
) -> list[tuple[Setting, Expanded]]:
    lengths = [_shortest_bond(expanded, sites, cell) for _, expanded in trials]
    order = sorted(range(len(trials)), key=lambda index: -min(lengths[index], USUAL))
    best, second = order[0], order[1]
    if min(lengths[best], USUAL) - min(lengths[second], USUAL) > DIFFERENCE:
        possible.remarks.append(
            f"the symbol does not give an origin; {trials[best][0].name} is read, since in "
            f"{trials[second][0].name} atoms would be as near as {lengths[second]:.2f} of the sum "
            "of their covalent radii"
        )
        return [trials[best]]
    possible.remarks.append(
        f"the symbol does not give an origin and nothing decides it; {trials[0][0].name} is read"
    )
    return trials[:1]


def _shortest_bond(expanded: Expanded, sites: SiteTable, cell: Cell) -> float:
    """The least distance of two atoms over the sum of their covalent radii."""
    import gemmi

    coords = expanded.coords
    if len(coords) > LARGEST:
        return 1.0
    radii = np.zeros(len(coords))
    for element, atoms in zip(sites.elements, expanded.atoms, strict=True):
        radii[atoms.start : atoms.stop] = gemmi.Element(element).covalent_r
    delta = coords[:, None, :] - coords[None, :, :]
    delta -= np.round(delta)
    least = np.inf
    for shift in itertools.product((-1, 0, 1), repeat=3):
        moved = delta + np.array(shift)
        squared = ((moved @ cell.metric) * moved).sum(-1)
        ratios = np.sqrt(np.maximum(squared, 0)) / (radii[:, None] + radii[None, :])
        if shift == (0, 0, 0):
            np.fill_diagonal(ratios, np.inf)
        least = min(least, float(ratios.min()))
    return least


def _settle(
    setting: Setting,
    expanded: Expanded,
    possible: Possible,
    sites: SiteTable,
    holders: list[int],
    cell: Cell,
    formula: StatedFormula | None,
) -> None:
    """Refuse a contradiction that the file does not resolve; remark on one that it does."""
    rivals = [(rival, expand(sites, holders, rival, cell)) for rival in possible.rivals]
    others = [r for r in rivals if len(r[1].coords) != len(expanded.coords)]
    own = _verdict(setting, expanded, sites, formula)
    theirs = max((_verdict(*rival, sites, formula) for rival in others), default=-1)
    if own < theirs:
        raise InputError(
            f"{possible.contradiction}, and formula or multiplicities contradict {setting.name}"
        )
    doubtful = possible.doubtful or any(_lacks_centring(setting, rival) for rival, _ in others)
    if own == theirs and doubtful:
        sizes = sorted({len(r.coords) for _, r in others})
        raise InputError(
            f"{possible.contradiction}: {len(expanded.coords)} or "
            f"{' or '.join(map(str, sizes))} atoms, and no formula or multiplicity decides"
        )
    possible.remarks.append(f"{possible.contradiction}; read as {setting.name}")


def _lacks_centring(setting: Setting, other: Setting) -> bool:
    """Whether operations are those of another setting without its centring, as some files list."""
    turns, others = (
        {turn.astype(np.int64).tobytes() for turn in s.rotations} for s in (setting, other)
    )
    return turns == others and setting.key < other.key
