"""Tables with a column `cif`, and extended XYZ."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from flowllm.crystals.batch import CrystalBatch
from flowllm.data.sources import ID_COLUMNS
from flowllm.errors import InputError, first_line
from flowllm.inputs.cif import crystal_from_cif
from flowllm.inputs.objects import from_atoms
from flowllm.inputs.rows import InputRows, Reader, read_text
from flowllm.runs.texts import unguarded_frame

if TYPE_CHECKING:
    from pandas import DataFrame


def read_csv(path: Path, reader: Reader) -> InputRows:
    """The rows of a CSV file with a column `cif`, gzipped or not."""
    table = table_of(path)
    if "cif" not in table:
        raise InputError(f"{path} has no column cif; its columns are {', '.join(table.columns)}")
    found = reader.parse(crystal_from_cif, table["cif"].tolist())
    named = next((column for column in ID_COLUMNS if column in table), None)
    found.names = table[named].tolist() if named else found.names
    found.prompts = table["prompt"].tolist() if "prompt" in table else None
    return found


def table_of(path: Path) -> DataFrame:
    """A CSV file as text, the names of its columns in small letters."""
    import pandas as pd

    try:
        text = io.StringIO(read_text(path))
        table = unguarded_frame(pd.read_csv(text, dtype=str, keep_default_na=False))
        return table.rename(columns=str.lower)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable CSV file: {first_line(error)}") from error


def read_xyz(path: Path, reader: Reader) -> InputRows:
    """The frames of an extended-XYZ file, gzipped or not."""
    frames = list(_frames(read_text(path).splitlines()))
    found = reader.parse(crystal_from_xyz, [text for text, _ in frames])
    found.names = [name or place for (_, name), place in zip(frames, found.names, strict=True)]
    return found


_XYZ_ID = re.compile(r"""(?:^|\s)(?:id|material_id|name)=(?:"([^"]*)"|'([^']*)'|(\S+))""")


def _frames(lines: list[str]) -> Iterator[tuple[str, str]]:
    """(text, id or "") of each frame; from a line on that begins none, the rest is one frame."""
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        count = lines[at].strip()
        stop = at + 2 + int(count) if count.isdigit() else len(lines)
        while stop < len(lines) and lines[stop].startswith("VEC"):
            stop += 1
        comment = lines[at + 1] if at + 1 < len(lines) else ""
        named = _XYZ_ID.search(comment) if count.isdigit() else None
        yield (
            "\n".join(lines[at:stop]) + "\n",
            next(filter(None, named.groups()), "") if named else "",
        )
        at = stop


def crystal_from_xyz(text: str) -> CrystalBatch:
    """The crystal of one frame of extended XYZ, as a batch of one; its id is not looked at.

    Raises:
        InputError: the frame does not parse, has no cell or none with a volume, no atoms, or types
            that are no elements.
    """
    from ase.io import read

    try:
        atoms = read(io.StringIO(text), index=0, format="extxyz")
    except Exception as error:  # its parser raises many kinds of error on bad text
        raise InputError(f"the frame does not parse ({first_line(error)})") from error
    return from_atoms(atoms)
