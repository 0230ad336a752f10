"""Disorder groups: alternatives for one site are not separate atoms."""

from __future__ import annotations

from collections import Counter, defaultdict

from flowllm.crystals.cif.sites import SiteTable
from flowllm.crystals.cif.values import is_null, plain, shown
from flowllm.errors import InputError


def read_alternatives(sites: SiteTable, holders: list[int], agreed: bool) -> list[str]:
    """A remark on sites of several disorder groups that are all full atoms.

    The CIF core dictionary says that sites of different groups of one assembly exclude each other.

    Args:
        sites: s sites, none of them partial.
        holders: for each site the site that holds its atoms; parts of one atom are not
            alternatives.
        agreed: whether the formula of the file counts all sites.

    Raises:
        InputError: the formula does not count all of them; the sites are named.
    """
    shared = Counter(holders)
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for row, (assembly, group) in enumerate(sites.disorder):
        name = plain(group)
        if is_null(name) or name == "0" or shared[holders[row]] > 1:
            continue
        groups["." if is_null(assembly) else plain(assembly)].setdefault(name, sites.labels[row])
    alternatives = next((found for found in groups.values() if len(found) > 1), None)
    if alternatives is None:
        return []
    named = ", ".join(
        f"{label} ({shown(group)})" for group, label in list(alternatives.items())[:4]
    )
    if agreed:
        return [f"disorder groups that the formula counts as separate atoms: {named}"]
    raise InputError(
        f"alternatives with full occupancy, by their disorder groups: {named}; keep one group"
    )
