"""Make flowllm/symmetry/positions.json.gz, the Wyckoff positions of the 230 space groups.

    python recipes/wyckoff_table.py wyckoff_list.csv

The letters and the first triplet of each position are those of International Tables for
Crystallography A, as PyXtal's `database/wyckoff_list.csv` lists them (MIT licence). Everything else
is found here: the setting among spglib's whose operations give the same general position, and the
symbol of each site symmetry, by spglib, from a crystal that has an atom there. The table is refused
where the triplets do not follow from the operations.
"""

from __future__ import annotations

import ast
import csv
import gzip
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import spglib

from flowllm.symmetry.space_group import (
    LETTERS,
    PRIMITIVE,
    TWENTY_FOURTHS,
    family,
    polar_axes,
)
from flowllm.symmetry.triplets import parse_triplet

PLACE = np.array([0.1373, 0.2291, 0.3187])  # free coordinates of no special value
CELLS = {
    "triclinic": ((6.1, 7.3, 8.9), (77.0, 83.0, 94.0)),
    "monoclinic": ((6.1, 7.3, 8.9), (90.0, 103.0, 90.0)),
    "orthorhombic": ((6.1, 7.3, 8.9), (90.0, 90.0, 90.0)),
    "tetragonal": ((6.1, 6.1, 8.9), (90.0, 90.0, 90.0)),
    "hexagonal": ((6.1, 6.1, 8.9), (90.0, 90.0, 120.0)),
    "cubic": ((7.1, 7.1, 7.1), (90.0, 90.0, 90.0)),
}


def lattice(number: int) -> np.ndarray:
    """A (3, 3) lattice of the group's family, vectors as rows."""
    from flowllm.crystals.cells import lattice_matrices

    lengths, angles = CELLS[family(number)]
    return lattice_matrices(np.array([lengths]), np.array([angles]))[0]


def settings(number: int) -> list[int]:
    """spglib's Hall numbers of a space group."""
    return [h for h in range(1, 531) if spglib.get_spacegroup_type(h).number == number]


def steps(coords: np.ndarray) -> set[tuple[int, ...]]:
    """Points modulo the lattice in steps of 1e-4."""
    wrapped = np.round((coords - np.floor(coords)) * 10_000).astype(int) % 10_000
    return set(map(tuple, wrapped.tolist()))


def images(hall: int, point: np.ndarray) -> np.ndarray:
    """(k, 3) images of a point under all operations."""
    group = spglib.get_symmetry_from_database(hall)
    return group["rotations"] @ point + group["translations"]


def hall_of(number: int, general: list[str]) -> int:
    """The one setting whose operations give the general position."""
    listed = steps(np.array([m @ PLACE + c for m, c in map(parse_triplet, general)]))
    found = [h for h in settings(number) if steps(images(h, PLACE)) == listed]
    if not found:
        raise SystemExit(f"space group {number}: no setting has the listed general position")
    return found[0]


def site_symmetry(number: int, hall: int, point: np.ndarray) -> str:
    """spglib's symbol of the site symmetry of a point, among others."""
    where = np.unique(np.round(images(hall, point) % 1.0, 6) % 1.0, axis=0)
    others = images(hall, np.array([0.0713, 0.1637, 0.4129]))
    more = images(hall, np.array([0.3311, 0.0457, 0.2239]))
    coords = np.concatenate([where, others, more])
    kinds = [1] * len(where) + [2] * len(others) + [3] * len(more)
    cell = (lattice(number), coords, kinds)
    found = spglib.get_symmetry_dataset(cell, symprec=1e-4, hall_number=hall)
    if found.number != number:
        raise SystemExit(f"space group {number}: spglib finds {found.number}")
    return str(found.site_symmetry_symbols[0])


def turns(number: int) -> list[np.ndarray]:
    """Proper changes of axes that keep the crystal family's cells, as integer (3, 3) matrices."""
    rows = [np.array(row) for row in itertools.product((-1, 0, 1), repeat=3) if any(row)]
    found = []
    for triple in itertools.product(rows, repeat=3):
        turn = np.array(triple)
        if round(np.linalg.det(turn)) != 1:
            continue
        of = family(number)
        if of == "triclinic":
            fits = (turn == np.eye(3)).all()
        elif of == "monoclinic":
            fits = not turn[1, [0, 2]].any() and not turn[[0, 2], 1].any()
        elif of == "orthorhombic":
            fits = np.abs(turn).sum() == 3
        else:
            metric = lattice(number) @ lattice(number).T
            fits = np.allclose(turn.T @ metric @ turn, metric)
        if fits:
            found.append(turn)
    return found


def operations(hall: int) -> list[list[int]]:
    """spglib's operations: 9 entries of a rotation and 3 of a translation in twenty-fourths."""
    group = spglib.get_symmetry_from_database(hall)
    rows = np.concatenate(
        [group["rotations"].reshape(-1, 9), group["translations"] * TWENTY_FOURTHS], axis=1
    )
    whole = np.round(rows).astype(int)
    if not np.allclose(rows, whole, atol=1e-6):
        raise SystemExit(f"Hall number {hall}: a translation is not a multiple of 1/24")
    return whole.tolist()


def cosets(number: int, hall: int, centring: str) -> list[list[int]]:
    """The normaliser's cosets: 9 entries of a turn and 3 of a shift in twenty-fourths."""
    group = spglib.get_symmetry_from_database(hall)
    rotations, translations = group["rotations"], group["translations"]
    into = np.linalg.inv(np.array(PRIMITIVE[centring]))
    shift_of = {tuple(r.ravel()): t for r, t in zip(rotations, translations, strict=True)}
    axes = [range(1) if polar else range(24) for polar in polar_axes(rotations)]
    grid = np.array(list(itertools.product(*axes))) / TWENTY_FOURTHS
    distinct = list(shift_of)
    seen: set[tuple[int, ...]] = set()
    found = []
    order = sorted(turns(number), key=lambda turn: (-np.trace(turn), turn.ravel().tolist()))
    for turn in order:
        back = np.round(np.linalg.inv(turn)).astype(int)
        left = grid
        for key in distinct:
            moved = turn @ np.array(key).reshape(3, 3) @ back
            other = shift_of.get(tuple(moved.ravel()))
            if other is None:
                left = left[:0]
                break
            gap = left @ (np.eye(3) - moved).T - (other - turn @ shift_of[key])
            gap = gap @ into
            left = left[(np.abs(gap - np.round(gap)) < 1e-6).all(1)]
        for shift in left:
            keys = _coset_keys(turn, shift, rotations, translations, into)
            if keys & seen:
                continue
            seen |= keys
            steps = np.round(shift * TWENTY_FOURTHS).astype(int)
            found.append([*turn.ravel().tolist(), *steps.tolist()])
    return found


def _coset_keys(
    turn: np.ndarray,
    shift: np.ndarray,
    rotations: np.ndarray,
    translations: np.ndarray,
    into: np.ndarray,
) -> set[tuple[int, ...]]:
    """All products of the group's operations with a turn and a shift, polar parts left out."""
    polar = polar_axes(rotations)
    keys = set()
    for rotation, translation in zip(rotations, translations, strict=True):
        whole = rotation @ shift + translation
        whole[polar] = 0.0
        inside = whole @ into
        steps = np.round((inside - np.floor(inside)) * 720).astype(int) % 720
        keys.add((*(rotation @ turn).ravel().tolist(), *steps.tolist()))
    return keys


def main() -> None:
    """Write the table."""
    with open(sys.argv[1], newline="") as file:
        rows = {int(row[0]): row[1] for row in csv.reader(file) if row[0].isdigit()}
    table = {}
    for number in range(1, 231):
        positions = ast.literal_eval(rows[number])
        hall = hall_of(number, positions[0])
        entries = []
        for letter, triplets in zip(LETTERS, reversed(positions), strict=False):
            matrix, constant = parse_triplet(triplets[0])
            point = matrix @ PLACE + constant
            listed = np.array([m @ PLACE + c for m, c in map(parse_triplet, triplets)])
            if steps(images(hall, point)) != steps(listed):
                raise SystemExit(f"space group {number}, position {letter}: not the listed orbit")
            symbol = site_symmetry(number, hall, point)
            entries.append([triplets[0].replace(" ", ""), len(triplets), symbol])
        centring = spglib.get_spacegroup_type(hall).international_short[0]
        table[number] = {
            "hall": hall,
            "centring": centring,
            "operations": operations(hall),
            "positions": entries,
            "normalizer": cosets(number, hall, centring),
        }
    out = Path(__file__).parents[1] / "flowllm" / "symmetry" / "positions.json.gz"
    text = json.dumps(table, separators=(",", ":"))
    out.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{out}: {sum(len(g['positions']) for g in table.values())} positions")


if __name__ == "__main__":
    main()
