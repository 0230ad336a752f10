"""Files of pairs: finished chunks, pairs of noisy copies, and many of them joined into one."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.methods.flow.couplings.chunk import PairChunk, target_order
from flowllm.methods.flow.couplings.pairs import PairSet
from flowllm.methods.flow.couplings.perturbed import perturbed_pairs
from flowllm.runs.archive import open_archive
from flowllm.runs.identity import digest
from flowllm.runs.parts import Parts, Wanted

NOISY_PART = 4096  # pairs of noisy copies that are in memory together


def kept_chunks(folder: Path) -> Parts[PairChunk]:
    """The finished chunks in a folder, which is created if needed."""
    return Parts(folder, PairChunk.arrays, PairChunk.from_arrays)


def chunk_name(number: int) -> str:
    """The name of a chunk's file, without its suffix."""
    return f"chunk-{number:05d}"


def wanted_chunk(number: int, chosen: np.ndarray, run: str) -> Wanted:
    """The expected content of a chunk's file.

    Args:
        number: of the chunk.
        chosen: (D,) positions of its targets; a last chunk of fewer draws is another chunk.
        run: the digest of the run.
    """
    targets = digest(np.ascontiguousarray(chosen, dtype=np.int64).tobytes())
    return Wanted(chunk_name(number), f"targets {targets} of {run}")


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
    with open_archive(file, "contains no pairs") as archive:
        found: np.ndarray = archive[name]
        return found
