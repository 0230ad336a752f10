"""CIF files: one, a folder of them, or a text in a table's cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cif import parse_cif
from flowllm.crystals.elements import NUMBER_OF
from flowllm.data.sources import cif_files
from flowllm.errors import InputError
from flowllm.inputs.rows import NAME, InputRows, Reader, is_run, read_text


def read_folder(folder: Path, reader: Reader) -> InputRows:
    """The `.cif` files of a folder at any depth, sorted by path; the id is the path in it."""
    files = cif_files(folder)
    for parent in sorted({place for f in files for place in f.parents}):
        if parent != folder and parent.is_relative_to(folder) and is_run(parent):
            raise InputError(f"{folder} holds the run {parent.relative_to(folder)}; give that one")
    names, texts = [], []
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix()
        for suffix, text in _blocks(read_text(file)):
            names.append(name + suffix)
            texts.append(text)
    found = reader.parse(crystal_from_cif, texts)
    found.names = names
    return found


def read_cif(path: Path, reader: Reader) -> InputRows:
    """The structures of one CIF file."""
    blocks = list(_blocks(read_text(path)))
    found = reader.parse(crystal_from_cif, [text for _, text in blocks])
    stem = path.name.split(".")[0]
    found.names = [stem + suffix for suffix, _ in blocks]
    return found


_BLOCK = re.compile(r"^data_", re.MULTILINE | re.IGNORECASE)
_SITES = re.compile(r"^\s*_atom_site_fract_x\b", re.MULTILINE | re.IGNORECASE)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The structures in a CIF file: ("", text) where it is one, else ("-1", block), …"""
    starts = [m.start() for m in _BLOCK.finditer(text)]
    blocks = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=False)]
    structures = [block for block in blocks if _SITES.search(block)]
    if len(structures) < 2:
        yield "", structures[0] if structures else text
    else:
        yield from ((f"-{number}", block) for number, block in enumerate(structures, 1))


def crystal_from_cif(text: str) -> CrystalBatch:
    """The crystal of one CIF text in its given cell, as a batch of one.

    A text that lists every atom is read without pymatgen, which would also bend angles that span
    no cell into some that do; the rest by `flowllm.crystals.cif.parse_cif`.

    Raises:
        InputError: it does not parse, has partial occupancy, no atoms or unknown elements.
    """
    if not text.strip():
        raise InputError("no CIF text")
    if len(list(_blocks(text))) > 1:
        raise InputError("several structures in one CIF text")
    plain = _plain_cif(text)
    if plain is not None:
        return plain
    return CrystalBatch.from_pymatgen([parse_cif(text, NAME)], [NAME])


def _plain_cif(text: str) -> CrystalBatch | None:
    """The crystal of a CIF in P1 with full occupancy, cells without volume too; else None."""
    import gemmi

    try:
        block = gemmi.cif.read_string(text).sole_block()
        small = gemmi.make_small_structure_from_block(block)
    except (RuntimeError, ValueError, IndexError):
        return None
    operations = [op.replace(" ", "").lower() for op in small.symops]
    symbols = [site.element.name for site in small.sites]
    if operations not in ([], ["x,y,z"]) or not symbols:
        return None
    if not operations and small.spacegroup_hm.replace(" ", "") != "P1":
        return None
    if any(site.occ != 1.0 for site in small.sites) or any(s not in NUMBER_OF for s in symbols):
        return None
    coords = np.array([site.fract.tolist() for site in small.sites])
    cell = [gemmi.cif.as_number(block.find_value(f"_cell_{tag}") or "?") for tag in _CELL]
    if not np.isfinite(coords).all() or not np.isfinite(cell).all():
        return None
    if min(cell) < 0:
        raise InputError("a cell length or angle is negative")
    numbers = np.array([NUMBER_OF[s] for s in symbols])
    size, name = np.array([len(numbers)]), np.array([NAME])
    return CrystalBatch(numbers, coords, np.array(cell[:3]), np.array(cell[3:]), size, name)


_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
