"""Real CIFs: MP-20 as it is written, and with the symmetry that its crystals have."""

import csv
import gzip
import re
import warnings

import numpy as np
import pytest
import spglib
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter

from flowllm.crystals.cif import CifCrystal, read_block
from flowllm.crystals.elements import NUMBER_OF, SYMBOLS


@pytest.fixture(scope="module")
def texts(data_dir):
    """500 CIF texts of the MP-20 test split, spread evenly, by id."""
    with gzip.open(data_dir / "mp_20" / "test.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    chosen = rows[:: len(rows) // 500][:500]
    assert len(chosen) == 500
    return {row["material_id"]: row["cif"] for row in chosen}


def columns(text: str) -> tuple[list[float], list[int], list[list[float]]]:
    """Cell, numbers and coordinates of a CIF in pymatgen's layout, by its columns."""
    cell = [float(x) for x in re.findall(r"^_cell_(?:length|angle)_\w+\s+(\S+)", text, re.M)]
    rows = [
        line.split() for line in text.splitlines() if re.match(r"\s+[A-Z][a-z]?\s+\S+\s+1\s", line)
    ]
    return cell, [NUMBER_OF[row[0]] for row in rows], [[float(x) for x in row[3:6]] for row in rows]


def same_atoms(
    numbers: np.ndarray, coords: np.ndarray, other_numbers: np.ndarray, other_coords: np.ndarray
) -> bool:
    """Whether two crystals in one cell have the same atoms in any order, to 0.0001 of the cell."""
    if sorted(numbers) != sorted(other_numbers):
        return False
    delta = coords[:, None] - other_coords[None, :]
    apart = np.abs(delta - np.round(delta)).max(-1)
    apart[np.asarray(numbers)[:, None] != np.asarray(other_numbers)[None, :]] = 1
    return bool(apart.min(0).max() < 1e-4 and apart.min(1).max() < 1e-4)


def alike(one: CifCrystal, other: CifCrystal) -> bool:
    return same_atoms(one.atomic_numbers, one.frac_coords, other.atomic_numbers, other.frac_coords)


def structure_of(crystal: CifCrystal) -> Structure:
    lattice = Lattice.from_parameters(*crystal.lengths.tolist(), *crystal.angles.tolist())
    symbols = [SYMBOLS[number] for number in crystal.atomic_numbers.tolist()]
    return Structure(lattice, symbols, crystal.frac_coords)


def test_every_number_of_mp20_is_read_as_written(texts):
    for name, text in texts.items():
        cell, numbers, coords = columns(text)
        crystal = read_block(text)
        assert [*crystal.lengths, *crystal.angles] == cell, name
        assert crystal.atomic_numbers.tolist() == numbers, name
        assert crystal.frac_coords.tolist() == coords, name
        assert crystal.remarks == (), (name, crystal.remarks)


def test_pymatgens_parser_reads_the_same_crystals(texts):
    for name, text in texts.items():
        crystal = read_block(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = Structure.from_str(text, fmt="cif")
        numbers = np.array([site.specie.Z for site in theirs])
        # not exactly: pymatgen turns 0.3333 into 1/3
        assert same_atoms(
            crystal.atomic_numbers, crystal.frac_coords, numbers, theirs.frac_coords
        ), name


@pytest.mark.parametrize("part", range(4))
def test_symmetry_without_operations_gives_what_the_operations_give(texts, part):
    compared = 0
    for name, text in list(texts.items())[part::32]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = str(CifWriter(structure_of(read_block(text)), symprec=0.01))
        crystal = read_block(written)
        number = int(re.search(r"_symmetry_Int_Tables_number\s+(\d+)", written)[1])
        lattice = Lattice.from_parameters(*crystal.lengths.tolist(), *crystal.angles.tolist())
        cell = (lattice.matrix, crystal.frac_coords, crystal.atomic_numbers)
        assert spglib.get_symmetry_dataset(cell, symprec=0.01).number == number, name
        operations = written.index("loop_\n _symmetry_equiv_pos")
        bare = written[:operations] + written[written.index("loop_\n _atom_site") :]
        assert alike(read_block(bare), crystal), name
        numbered = re.sub("_symmetry_space_group_name_H-M.*\n", "", bare)
        assert alike(read_block(numbered), crystal), name
        compared += 1
    assert compared >= 15
