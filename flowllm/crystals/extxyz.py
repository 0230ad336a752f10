"""Crystals as extended XYZ, laid out as ASE does, whose import alone takes longer than the text."""

from __future__ import annotations

import io
import re

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import SYMBOLS

PLAIN = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
"""An id that needs no quotes."""


def extxyz_text(crystals: CrystalBatch) -> str:
    """One text of all crystals, the id of each in its comment line; an open species is X."""
    if not all(PLAIN.fullmatch(name) for name in crystals.ids.tolist()):
        return _by_ase(crystals)
    return "".join(map(_one, crystals))


def _one(crystal: CrystalBatch) -> str:
    """The lines of a batch of one."""
    lattice = crystal.lattices[0]
    vectors = " ".join(map(str, lattice.ravel().tolist()))
    properties = "species:S:1:pos:R:3"
    lines = [
        str(len(crystal.atomic_numbers)),
        f'Lattice="{vectors}" Properties={properties} id={crystal.ids[0]} pbc="T T T"',
    ]
    points = (crystal.frac_coords @ lattice).tolist()
    for number, (x, y, z) in zip(crystal.atomic_numbers.tolist(), points, strict=True):
        lines.append(f"{SYMBOLS[number]:2} {x:16.8f} {y:16.8f} {z:16.8f}")
    return "\n".join(lines) + "\n"


def _by_ase(crystals: CrystalBatch) -> str:
    from ase.io import write

    buffer = io.StringIO()
    write(buffer, crystals.to_ase(), format="extxyz")
    return buffer.getvalue()
