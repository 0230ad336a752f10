"""A split of MP-20 that keeps all polymorphs of a composition together.

In the official split a fifth of the test structures have a composition that occurs in training, so
a prediction of them may be remembered. METRe was proposed together with a split that keeps
compositions together (MP-20-ps; Martirossyan et al., arXiv 2509.12178). Its lists of ids are not
used here: this is a split of our own by a rule that anyone can apply, so figures of the two cannot
be compared crystal by crystal.

The rule: the reduced formula (pymatgen's, as in SrTiO3) behind "0 " is hashed with BLAKE2b to 64
bits; of the range of the hash the lowest 60 % are train, the next 20 % val, the rest test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from flowllm.data import load_dataset
from flowllm.data.dataset import CrystalSet
from flowllm.data.prepare import COMMAND
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.identity import open_run

SEED = 0
SPLITS = ("train", "val", "test")
SHARES = (0.6, 0.2, 0.2)
"""Those of the official split."""
FILE = Path(str(files("flowllm.reference"))) / "mp_20" / "polymorph_split.npz"
PREFIXES = ("mp", "mvc")  # of the Materials Project's ids


def part_of(formula: str, seed: int = SEED) -> str:
    """The split to which all structures of a reduced formula belong: "train", "val" or "test"."""
    hashed = hashlib.blake2b(f"{seed} {formula}".encode(), digest_size=8).digest()
    place = int.from_bytes(hashed, "big") / 2**64
    return SPLITS[int(np.searchsorted(np.cumsum(SHARES)[:-1], place, side="right"))]


def shipped_ids() -> dict[str, list[str]]:
    """Split -> the ids of its structures, those of the 44,109 recovered rows of MP-20."""
    with open_archive(FILE, "is not the split of polymorphs") as archive:
        numbers = {split: np.cumsum(archive[split].astype(np.int64), axis=0) for split in SPLITS}
        prefixes = {split: archive[f"{split}_prefix"] for split in SPLITS}
    return {
        split: [f"{PREFIXES[p]}-{n}" for p, n in zip(prefixes[split], numbers[split], strict=True)]
        for split in SPLITS
    }


def write_ids(parts: dict[str, Sequence[str]], path: Path = FILE) -> None:
    """Write the ids of each split, sorted by number, as differences."""
    arrays: dict[str, np.ndarray] = {}
    for split, ids in parts.items():
        rows = sorted((int(name.split("-")[1]), PREFIXES.index(name.split("-")[0])) for name in ids)
        numbers = np.array([number for number, _ in rows], dtype=np.int64)
        arrays[split] = np.diff(numbers, prepend=0).astype(np.int32)
        arrays[f"{split}_prefix"] = np.array([prefix for _, prefix in rows], dtype=np.int8)
    write_archive(path, arrays)


def split_by_composition(crystals: CrystalSet, seed: int = SEED) -> dict[str, CrystalSet]:
    """Split -> the crystals that the rule assigns to it, in the order given."""
    part = np.array([part_of(formula, seed) for formula in crystals.reduced_formulas])
    return {split: crystals[np.flatnonzero(part == split)] for split in SPLITS}


def write_polymorph_split(
    out: str | Path,
    data: str | Path = "mp_20",
    seed: int = SEED,
    workers: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the split as a folder of prepared data, which training and evaluation read.

    Args:
        out: the folder.
        data: "mp_20", or a prepared folder with splits train, val and test.
        seed: of the rule.
        workers: processes that prepare the data, the first time.
        overwrite: replace another run in the folder.

    Raises:
        InputError: no such data, or the folder holds another run.
    """
    whole = CrystalSet.concatenate([load_dataset(data, name, workers=workers) for name in SPLITS])
    parts = split_by_composition(whole, seed)
    empty = [split for split, crystals in parts.items() if not len(crystals)]
    if empty:
        raise InputError(
            f"the split {empty[0]} would contain no crystals; there are too few crystals"
        )
    identity = {"data": whole.crystals.digest(), "split": "by composition", "seed": seed}
    with open_run(out, COMMAND, identity, overwrite, [data]) as run:
        for split, crystals in parts.items():
            write_archive(run.path / f"{split}.npz", crystals.arrays())
        run.finish()
    return Path(out)
