"""User-provided crystals, read as by every command."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.inputs import Inputs, ReadLimits, read_inputs
from flowllm.runs.files import write_new

if TYPE_CHECKING:
    from typing import TypeAlias

    from ase import Atoms
    from pymatgen.core import Structure

    Brought: TypeAlias = CrystalBatch | Structure | Atoms | str | Path

PASTED = "pasted"
"""The name of a text that came without one."""
LIMITS = ReadLimits(atoms=500)
"""Larger cells make a page slow, and none of what is offered can be done with them."""


def read_brought(source: Brought) -> Inputs:
    """Crystals of a path, the text of a file, or an object that holds them.

    Args:
        source: a path, also as text; the text of a CIF, POSCAR or any other file that is read; a
            pymatgen structure, ASE atoms, or a batch.

    Raises:
        InputError: nothing in it can be read; says why.
    """
    if isinstance(source, str):
        if "\n" in source.strip():
            return read_file(PASTED, source.encode())
        source = Path(source.strip())
    if isinstance(source, CrystalBatch) and not len(source):
        raise InputError("the batch contains no crystal")
    return _readable(read_inputs(source, workers=1, limits=LIMITS, large=None))


def read_file(name: str, content: bytes) -> Inputs:
    """Crystals of a file that is not on this computer's disk.

    Args:
        name: of the file, which may tell its kind.
        content: its bytes, gzipped or not.

    Raises:
        InputError: nothing in it can be read; says why.
    """
    if not content.strip():
        raise InputError("it is empty; give a whole CIF or POSCAR")
    # browsers give bare names, other front ends perhaps not; nothing may be written elsewhere
    bare = PureWindowsPath(PurePosixPath(name).name).name.lstrip(".") or PASTED
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / bare[-200:]
        try:
            write_new(path, content)
            return _readable(read_inputs(path, workers=1, limits=LIMITS, large=None))
        except (InputError, ValueError, OSError) as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error


def _readable(found: Inputs) -> Inputs:
    """The inputs, if at least one could be read.

    Raises:
        InputError: none could.
    """
    if not len(found.crystals):
        reasons = dict.fromkeys(str(reason) for reason in found.reasons)
        raise InputError(f"{found.ids[0]}: {'; '.join(list(reasons)[:3])}")
    return found


def in_words(found: Inputs, place: int) -> str:
    """The text beside the field: a crystal's name and what was assumed in reading it."""
    row = int((found.position == place).nonzero()[0][0])
    parts: list[Any] = [found.ids[row]]
    if left := int((~found.readable).sum()):
        parts.append(f"{left} of {len(found)} crystals could not be read")
    parts += [found.remarks[row]] if found.remarks[row] else []
    return " · ".join(map(str, parts))
