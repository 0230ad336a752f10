"""How MP-20's CIFs are read: agreement with the numbers in the text, with pymatgen, by symmetry.

Usage: python recipes/read_mp20.py [SECONDS]; needs FLOWLLM_DATA_DIR.

All texts of the three splits: the atoms read equal the columns of the text, and there is no remark.
Then, in an order that is spread evenly until the time (default 300 s) is over: pymatgen's own
reading is the same; the crystal is written with the symmetry that it has (pymatgen's CifWriter,
0.01 Å), and read again with its operations, with the symbol alone and with the number alone, which
must give the same atoms.
"""

import csv
import gzip
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from flowllm.crystals.cif import CifCrystal, read_block
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.data.sources import data_dir
from flowllm.errors import InputError

warnings.simplefilter("ignore")
TOLERANCE = 1e-4  # of the cell; pymatgen turns 0.3333 into 1/3


def same_atoms(numbers: np.ndarray, coords: np.ndarray, crystal: CifCrystal) -> bool:
    """Whether two crystals in one cell have the same atoms in any order."""
    if sorted(numbers) != sorted(crystal.atomic_numbers):
        return False
    delta = coords[:, None] - crystal.frac_coords[None, :]
    apart = np.abs(delta - np.round(delta)).max(-1)
    apart[np.asarray(numbers)[:, None] != crystal.atomic_numbers[None, :]] = 1
    return bool(apart.min(0).max() < TOLERANCE and apart.min(1).max() < TOLERANCE)


def by_columns(text: str) -> tuple[list[int], np.ndarray]:
    """Numbers and coordinates from the columns of a CIF in pymatgen's layout."""
    rows = [
        line.split() for line in text.splitlines() if re.match(r"\s+[A-Z]\w?\s+\S+\s+1\s", line)
    ]
    return [NUMBER_OF[row[0]] for row in rows], np.array([row[3:6] for row in rows], dtype=float)


def agreements(text: str) -> dict[str, bool]:
    """What agrees and what does not for one text, with pymatgen and by symmetry."""
    crystal, found = read_block(text), {}
    theirs = Structure.from_str(text, fmt="cif")
    found["pymatgen"] = same_atoms([s.specie.Z for s in theirs], theirs.frac_coords, crystal)
    lattice = Lattice.from_parameters(*crystal.lengths.tolist(), *crystal.angles.tolist())
    symbols = [SYMBOLS[number] for number in crystal.atomic_numbers]
    structure = Structure(lattice, symbols, crystal.frac_coords)
    written = str(CifWriter(structure, symprec=0.01))
    full = read_block(written)
    theirs = Structure.from_str(written, fmt="cif")
    found["pymatgen, operations"] = same_atoms(
        [s.specie.Z for s in theirs], theirs.frac_coords, full
    )
    head = written.index("loop_\n _symmetry_equiv_pos")
    bare = written[:head] + written[written.index("loop_\n _atom_site") :]
    numbered = re.sub("_symmetry_space_group_name_H-M.*\n", "", bare)
    for name, variant in (("symbol alone", bare), ("number alone", numbered)):
        again = read_block(variant)
        found[name] = same_atoms(again.atomic_numbers, again.frac_coords, full)
    return found


def as_written(text: str) -> dict[str, bool]:
    """Whether a text is read by its columns and without a remark."""
    crystal = read_block(text)
    return {"columns": same_atoms(*by_columns(text), crystal), "no remark": not crystal.remarks}


def compare(
    rows: Sequence[tuple[str, str]], what: Callable[[str], dict[str, bool]], limit: float
) -> None:
    """Print how often a comparison agrees, and the crystals where it does not."""
    start, done = time.perf_counter(), 0
    yes: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for name, text in rows:
        if time.perf_counter() - start > limit:
            break
        try:
            found = what(text)
        except InputError as error:
            found = {"read": False}
            print(f"{name}: {error}")
        done += 1
        for kind, agrees in found.items():
            seen[kind] += 1
            yes[kind] += agrees
            if not agrees:
                print(f"{name}: {kind}")
    print(f"{done} of {len(rows)} crystals in {time.perf_counter() - start:.0f} s")
    for kind, count in seen.items():
        print(f"  {kind}: {yes[kind]} of {count}")


def main() -> None:
    """Read until the time is over and print the figures."""
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    folder = data_dir()
    assert folder is not None, "set FLOWLLM_DATA_DIR"
    rows = []
    for split in ("train", "val", "test"):
        with gzip.open(folder / "mp_20" / f"{split}.csv.gz", "rt") as file:
            rows += [(row["material_id"], row["cif"]) for row in csv.DictReader(file)]
    compare(rows, as_written, limit)
    order = np.argsort(np.arange(len(rows)) * 0.6180339887498949 % 1.0)  # even at every length
    compare([rows[index] for index in order], agreements, limit)


if __name__ == "__main__":
    main()
