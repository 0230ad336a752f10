"""Files of pairs: chunks that are there whole or not at all, and many of them joined into one."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.errors import InputError
from flowllm.methods.flow.couplings.chunk import PairChunk, target_order
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.methods.flow.couplings.perturbed import perturbed_pairs
from flowllm.systems.decoding_figures import DecodingFigures

NOISY_PART = 4096  # pairs of noisy copies that are in memory together


def chunk_path(folder: Path, number: int) -> Path:
    """The file of a chunk."""
    return folder / f"chunk-{number:05d}.npz"


def read_chunk(path: Path, chosen: np.ndarray) -> PairChunk | None:
    """A finished chunk for the targets at these positions; None where it must be made (again)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not np.array_equal(archive["chosen"], chosen):
                return None
            tally, work, counts = (archive[name] for name in ("tally", "work", "decoding"))
        return PairChunk(PairSet.load(path), tally, work, DecodingFigures.of(counts))
    except FileNotFoundError:
        return None
    except (InputError, OSError, EOFError, KeyError, TypeError, ValueError):
        return None  # damaged
    except (zipfile.BadZipFile, zlib.error):
        return None


def write_chunk(path: Path, chosen: np.ndarray, chunk: PairChunk) -> None:
    """Write a chunk so that it is there whole or not at all."""
    partial = path.with_name(f".{path.stem}.partial.npz")
    arrays: dict[str, Any] = chunk.pairs.arrays()
    np.savez_compressed(
        partial, chosen=chosen, tally=chunk.tally, work=chunk.work,
        decoding=np.array(astuple(chunk.decoding), dtype=np.float64), **arrays,
    )  # fmt: skip
    os.replace(partial, path)


def join_pairs(files: Sequence[Path], handle: IO[bytes]) -> None:
    """The pairs of many files as one, in the format of `PairSet.save`.

    Array by array and file by file, so that never more than one file's array is in memory.

    Args:
        files: at least one .npz with pairs.
        handle: where to.
    """
    names = list(PairSet.load(files[0]).arrays())
    with zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            lengths, kinds, shape = [], [], ()
            for file in files:
                part = _array(file, name)
                lengths.append(len(part))
                kinds.append(part.dtype)
                shape = part.shape[1:]
            kind = np.result_type(*set(kinds))
            header = {
                "descr": np.lib.format.dtype_to_descr(kind),
                "fortran_order": False,
                "shape": (sum(lengths), *shape),
            }
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_2_0(member, header)
                for file in files:
                    member.write(np.ascontiguousarray(_array(file, name), dtype=kind).tobytes())


def write_perturbed(targets: CrystalBatch, num_pairs: int, seed: int, folder: Path) -> list[Path]:
    """Files of pairs of noisy copies and their targets, see `couplings.perturbed`.

    Args:
        targets: taken in the order of `target_order`.
        num_pairs: how many pairs, perhaps none.
        seed: of order and noise.
        folder: for `noisy-XXXXX.npz`.
    """
    if not num_pairs:
        return []
    order, files = target_order(len(targets), num_pairs, seed), []
    for start in range(0, num_pairs, NOISY_PART):
        chosen = order[start : start + NOISY_PART]
        files.append(folder / f"noisy-{start // NOISY_PART:05d}.npz")
        perturbed_pairs(targets[chosen], len(chosen), seed, start).save(files[-1])
    return files


def _array(file: Path, name: str) -> np.ndarray:
    with np.load(file, allow_pickle=False) as archive:
        found: np.ndarray = archive[name]
        return found
