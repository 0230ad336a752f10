"""Arrays in an `.npz`: our own, and those of other programs with different names."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError, first_line
from flowllm.inputs.items import Item, Listing
from flowllm.runs.archive import Archive, open_archive

SPELLINGS: dict[str, tuple[str, ...]] = {
    "frac_coords": ("frac_coords", "frac_coord", "fractional_coords", "fractional_coordinates"),
    "atomic_numbers": ("atomic_numbers", "atom_types", "numbers", "types", "species", "Z"),
    "lengths": ("lengths", "length", "cell_lengths"),
    "angles": ("angles", "angle", "cell_angles"),
    "lattices": ("lattices", "lattice", "cells", "cell"),
    "num_atoms": ("num_atoms", "n_atoms", "natoms", "nums_atoms", "atom_counts"),
    "ids": ("ids", "id", "material_ids", "material_id", "names"),
    "prompts": ("prompts",),
}
"""What is read from an `.npz` -> the names under which programs write it, the first counts."""


def npz_listing(path: Path, content: bytes) -> Listing:
    """The crystals of an archive of arrays.

    Raises:
        InputError: it is none.
    """
    arrays, notes = _load_arrays(path, content)
    found = _from_arrays(arrays, str(path))
    found.notes[:0] = notes
    return found


def holds_crystals(content: bytes) -> bool:
    """Whether an archive holds coordinates and types; nothing is unpacked.

    A damaged one may, so that reading it says what is wrong.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True
    return all(names & set(SPELLINGS[name]) for name in ("frac_coords", "atomic_numbers"))


def _load_arrays(path: Path, content: bytes) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays under our names; for a trajectory, the last frame."""
    arrays, notes = {}, []
    with opened(path, content, "is not an archive of crystals") as archive:
        for name, candidates in SPELLINGS.items():
            key = next((c for c in candidates if c in archive.files), None)
            if key is None:
                continue
            try:
                arrays[name] = archive[key]
            except ValueError:
                if name not in ("ids", "prompts"):
                    raise
                notes.append(f"{key} is pickled and was not read; rows are numbered")
        if "times" in archive.files and arrays["frac_coords"].ndim == 3:
            for name in ("frac_coords", "lengths", "angles"):
                arrays[name] = arrays[name][-1]
            notes.append("of a trajectory, the last frame")
    return arrays, notes


@contextmanager
def opened(path: Path, content: bytes, otherwise: str) -> Iterator[Archive]:
    """`open_archive` of a file's content, with the file's name in its messages."""
    handle = io.BytesIO(content)
    try:
        with open_archive(handle, otherwise) as archive:
            yield archive
    except InputError as error:
        raise InputError(str(error).replace(str(handle), str(path))) from error


def _from_arrays(arrays: dict[str, np.ndarray], origin: str) -> Listing:
    """A listing out of named arrays; leading dimensions, as of several samples, are flattened."""
    needed = ["frac_coords", "atomic_numbers", "num_atoms"]
    if "lengths" in arrays or "lattices" not in arrays:
        needed += ["lengths", "angles"]
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(f"{origin} contains no {missing[0]}, so it is not an archive of crystals")
    try:
        frac = np.array(arrays["frac_coords"], dtype=np.float64).reshape(-1, 3)
        numbers = _whole(arrays["atomic_numbers"], "atomic_numbers", origin)
        counts = _whole(arrays["num_atoms"], "num_atoms", origin)
        if "lengths" in needed:
            lengths, angles = (
                np.asarray(arrays[n], dtype=np.float64).reshape(-1, 3)
                for n in ("lengths", "angles")
            )
        else:
            lattices = np.asarray(arrays["lattices"], np.float64).reshape(-1, 3, 3)
            lengths, angles = _cells(lattices)
    except (ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{origin}: {first_line(error)}") from error
    size, atoms = len(counts), int(counts.sum())
    if (counts < 0).any() or {len(frac), len(numbers)} != {atoms}:
        raise InputError(
            f"{origin}: num_atoms adds up to {atoms}, but there are {len(numbers)} types and "
            f"{len(frac)} coordinates"
        )
    if {len(lengths), len(angles)} != {size}:
        raise InputError(f"{origin}: {size} crystals, but {len(lengths)} cells")
    if 0 < np.nan_to_num(angles).max(initial=0.0) <= np.pi:
        raise InputError(f"{origin}: the angles look like radians; they must be degrees")
    names = [str(n) for n in arrays["ids"].reshape(-1)] if "ids" in arrays else None
    if names is not None and len(names) != size:
        raise InputError(f"{origin}: {size} crystals, but {len(names)} ids")
    prompts = [str(p).strip() for p in arrays["prompts"].reshape(-1)] if "prompts" in arrays else []
    reasons = _array_reasons(frac, numbers, lengths, angles, counts)
    good = np.array([not reason for reason in reasons], dtype=bool)
    kept = np.repeat(good, counts)
    if "lengths" not in needed:  # a left-handed cell is turned round
        left = np.repeat(np.linalg.det(lattices) < 0, counts)
        frac[left] = -frac[left]
    crystals = CrystalBatch(
        numbers[kept], frac[kept], lengths[good], angles[good], counts[good],
        np.array(names or [""] * size, dtype=np.str_)[good],
    )  # fmt: skip
    items, position = [], np.cumsum(good) - 1
    for row, (name, reason) in enumerate(zip(names or [""] * size, reasons, strict=True)):
        done = (crystals, int(position[row])) if good[row] else None
        items.append(Item(name, f"{origin}, {name or f'crystal {row}'}", done=done, reason=reason))
    return Listing(items, prompts if len(prompts) == size else None)


def _whole(values: np.ndarray, name: str, origin: str) -> np.ndarray:
    """(n,) int64; zero stands for what is not a whole number."""
    flat = np.asarray(values).reshape(-1)
    if flat.dtype.kind in "US":
        return np.array([NUMBER_OF.get(str(symbol), 0) for symbol in flat], dtype=np.int64)
    sound = np.isfinite(flat) & (flat == np.round(flat))
    if name == "num_atoms" and not sound.all():
        raise InputError(f"{origin}: num_atoms holds a value that is not a whole number")
    return np.where(sound, flat, 0).astype(np.int64)


def _cells(lattices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (B, 3) in Å and angles (B, 3) in degrees of matrices with cell vectors as rows."""
    lengths = np.linalg.norm(lattices, axis=-1)
    unit = np.divide(lattices, lengths[..., None], where=lengths[..., None] != 0)
    cosines = np.stack([(unit[:, i] * unit[:, j]).sum(-1) for i, j in ((1, 2), (0, 2), (0, 1))], -1)
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def _array_reasons(
    frac: np.ndarray,
    numbers: np.ndarray,
    lengths: np.ndarray,
    angles: np.ndarray,
    counts: np.ndarray,
) -> list[str]:
    """Why a crystal from arrays cannot be read: the first fault."""
    crystal = np.repeat(np.arange(len(counts)), counts)

    def holds(wrong: np.ndarray) -> np.ndarray:
        return np.bincount(crystal[wrong], minlength=len(counts)) > 0

    faults = [
        ("no atoms", counts == 0),
        ("a coordinate is not finite", holds(~np.isfinite(frac).all(-1))),
        ("the cell is not finite", ~np.isfinite(np.hstack([lengths, angles])).all(-1)),
        ("a cell length is negative", (lengths < 0).any(-1)),
        ("an atom's type is open or unknown", holds((numbers < 1) | (numbers >= len(SYMBOLS)))),
    ]
    reasons = [""] * len(counts)
    for reason, wrong in reversed(faults):
        for row in np.flatnonzero(wrong):
            reasons[row] = reason
    return reasons


def batch_listing(crystals: CrystalBatch, origin: str = "the batch") -> Listing:
    """The crystals of a batch; one with an open species cannot be evaluated."""
    return _from_arrays({f.name: getattr(crystals, f.name) for f in fields(crystals)}, origin)
