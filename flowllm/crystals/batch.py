"""CrystalBatch: the one representation of crystals that every room of the package shares.

Conversions to and from pymatgen, ASE, PyTorch Geometric and CIF live here and nowhere else.
The heavy libraries are imported inside the conversions, so that training needs numpy only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowllm.crystals.elements import NUMBER_OF, SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure
    from torch_geometric.data import Data


@dataclass(frozen=True)
class CrystalBatch:
    """B crystals with N atoms in all, atoms of one crystal beside each other.

    Attributes:
        atomic_numbers: (N,) int64; 0 marks a type that a prior left open.
        frac_coords: (N, 3) float64, in [0, 1); rows are atoms.
        lengths: (B, 3) float64, cell lengths a, b, c in Å.
        angles: (B, 3) float64, cell angles alpha, beta, gamma in degrees.
        num_atoms: (B,) int64, atoms per crystal; its sum is N.
        ids: (B,) str; an id follows a crystal from its prompt to its metrics.

    Raises:
        InputError: shapes disagree, or a value is not finite.
    """

    atomic_numbers: np.ndarray
    frac_coords: np.ndarray
    lengths: np.ndarray
    angles: np.ndarray
    num_atoms: np.ndarray
    ids: np.ndarray

    def __post_init__(self) -> None:
        cast = {
            "atomic_numbers": np.asarray(self.atomic_numbers, dtype=np.int64).reshape(-1),
            "frac_coords": wrap(np.asarray(self.frac_coords, dtype=np.float64).reshape(-1, 3)),
            "lengths": np.asarray(self.lengths, dtype=np.float64).reshape(-1, 3),
            "angles": np.asarray(self.angles, dtype=np.float64).reshape(-1, 3),
            "num_atoms": np.asarray(self.num_atoms, dtype=np.int64).reshape(-1),
            "ids": np.asarray(self.ids, dtype=np.str_).reshape(-1),
        }
        for name, value in cast.items():
            object.__setattr__(self, name, value)
        size, atoms = len(self.num_atoms), int(self.num_atoms.sum())
        if not len(self.lengths) == len(self.angles) == len(self.ids) == size:
            raise InputError(
                f"a batch of {size} crystals has {len(self.lengths)} rows of lengths, "
                f"{len(self.angles)} of angles and {len(self.ids)} ids"
            )
        if len(self.atomic_numbers) != atoms or len(self.frac_coords) != atoms:
            raise InputError(
                f"num_atoms adds up to {atoms}, but there are {len(self.atomic_numbers)} types "
                f"and {len(self.frac_coords)} coordinates"
            )
        for name in ("frac_coords", "lengths", "angles"):
            if not np.isfinite(cast[name]).all():
                raise InputError(f"{name} holds a value that is not finite")

    # ---- as a collection -------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.num_atoms)

    def __iter__(self) -> Iterator[CrystalBatch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> CrystalBatch:
        """Crystals by position, slice, list of positions or boolean mask, as a batch."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        starts = self.offsets[chosen]
        atoms = concatenated_ranges(starts, self.num_atoms[chosen])
        return CrystalBatch(
            self.atomic_numbers[atoms],
            self.frac_coords[atoms],
            self.lengths[chosen],
            self.angles[chosen],
            self.num_atoms[chosen],
            self.ids[chosen],
        )

    @classmethod
    def concatenate(cls, batches: Iterable[CrystalBatch]) -> CrystalBatch:
        """One batch out of several, in their order; of none, the empty batch."""
        parts = list(batches)
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    @classmethod
    def empty(cls) -> CrystalBatch:
        """The batch of no crystals."""
        return cls(*(np.zeros(0) for _ in fields(cls)))

    # ---- derived quantities ----------------------------------------------------------------

    @property
    def offsets(self) -> np.ndarray:
        """(B,) int64: the first atom of each crystal."""
        return np.concatenate([[0], np.cumsum(self.num_atoms)[:-1]]).astype(np.int64)[: len(self)]

    @property
    def crystal_of_atom(self) -> np.ndarray:
        """(N,) int64: the crystal that each atom belongs to."""
        return np.repeat(np.arange(len(self)), self.num_atoms)

    @property
    def lattices(self) -> np.ndarray:
        """(B, 3, 3) lattice matrices in Å, rows are the cell vectors (pymatgen's convention)."""
        return lattice_matrices(self.lengths, self.angles)

    @property
    def volumes(self) -> np.ndarray:
        """(B,) cell volumes in Å^3; 0 where the three angles span no volume."""
        return cell_volumes(self.lengths, self.angles)

    @property
    def compositions(self) -> list[dict[str, int]]:
        """Per crystal {element: atoms in the cell}, elements in the order in which they appear."""
        split = np.split(self.atomic_numbers, np.cumsum(self.num_atoms)[:-1]) if len(self) else []
        result = []
        for numbers in split:
            counts: dict[str, int] = {}
            for number in numbers:
                counts[SYMBOLS[number]] = counts.get(SYMBOLS[number], 0) + 1
            result.append(counts)
        return result

    @property
    def formulas(self) -> list[str]:
        """Reduced formulas by pymatgen's convention, as in SrTiO3; an open species is X."""
        from pymatgen.core import Composition

        return [Composition(c).reduced_formula for c in self.compositions]

    def padded(self, size: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Types (B, S) int64, coordinates (B, S, 3) and mask (B, S) bool, padded with zeros."""
        width = size or int(self.num_atoms.max(initial=0))
        mask = np.arange(width)[None, :] < self.num_atoms[:, None]
        types = np.zeros(mask.shape, dtype=np.int64)
        coords = np.zeros((*mask.shape, 3))
        types[mask], coords[mask] = self.atomic_numbers, self.frac_coords
        return types, coords, mask

    def replace(self, **changes: Any) -> CrystalBatch:
        """A copy with some fields exchanged."""
        return CrystalBatch(
            **{f.name: changes.get(f.name, getattr(self, f.name)) for f in fields(self)}
        )

    def digest(self) -> str:
        """A short hash of ids, sizes, types and coordinates, to recognise crystals again."""
        total = hashlib.sha256()
        for values in (self.ids, self.num_atoms, self.atomic_numbers, self.frac_coords):
            total.update(np.ascontiguousarray(values).tobytes())
        return total.hexdigest()[:16]

    # ---- files -----------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        """The six arrays by name, as in a file."""
        return {f.name: getattr(self, f.name) for f in fields(CrystalBatch)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CrystalBatch:
        """From what `arrays` gave; others beside them do not count.

        Raises:
            KeyError: one is missing.
            InputError: they are no batch.
        """
        return cls(*(arrays[f.name] for f in fields(cls)))

    def save(self, path: str | Path) -> None:
        """Write an .npz that holds the six arrays and no pickle."""
        write_archive(path, self.arrays())

    @classmethod
    def load(cls, path: str | Path) -> CrystalBatch:
        """Read what `save` wrote.

        Raises:
            InputError: the file is not such an archive.
        """
        with open_archive(path, "is not an archive of crystals") as archive:
            return cls.from_arrays(archive)

    # ---- pymatgen, CIF, ASE, PyTorch Geometric ---------------------------------------------

    @classmethod
    def from_pymatgen(
        cls, structures: Iterable[Structure], ids: Sequence[str] | None = None
    ) -> CrystalBatch:
        """From ordered pymatgen structures.

        Raises:
            InputError: a site has partial occupancy or is no element.
        """
        parts = list(structures)
        names = [str(i) for i in range(len(parts))] if ids is None else list(ids)
        for name, structure in zip(names, parts, strict=True):
            if not structure.is_ordered:
                raise InputError(
                    f"{name}: partial occupancy; only ordered structures are crystals here"
                )
        if not parts:
            return cls.empty()
        symbols = [[site.specie.symbol for site in s] for s in parts]
        for name, row in zip(names, symbols, strict=True):
            unknown = [s for s in row if s not in NUMBER_OF]
            if unknown:
                raise InputError(f"{name}: {unknown[0]} is no element")
        return cls(
            np.array([NUMBER_OF[s] for row in symbols for s in row]),
            np.concatenate([s.frac_coords for s in parts]),
            np.array([s.lattice.abc for s in parts]),
            np.array([s.lattice.angles for s in parts]),
            np.array([len(s) for s in parts]),
            np.array(names),
        )

    def to_pymatgen(self) -> list[Structure]:
        """pymatgen structures, one a crystal.

        Raises:
            InputError: a species is open, or a cell spans no volume; the crystal is named.
        """
        from pymatgen.core import Lattice, Structure

        result = []
        for index, (start, count) in enumerate(zip(self.offsets, self.num_atoms, strict=True)):
            numbers = self.atomic_numbers[start : start + count]
            if (numbers < 1).any():
                place = int(np.flatnonzero(numbers < 1)[0]) + 1
                raise InputError(f"{self.ids[index]}: the species of atom {place} is open (X)")
            if self.volumes[index] <= 0:
                raise InputError(f"{self.ids[index]}: the cell spans no volume")
            lattice = Lattice(
                lattice_matrices(self.lengths[index : index + 1], self.angles[index : index + 1])[0]
            )
            result.append(
                Structure(lattice, list(numbers), self.frac_coords[start : start + count])
            )
        return result

    @classmethod
    def from_cif(cls, texts: Iterable[str], ids: Sequence[str] | None = None) -> CrystalBatch:
        """From CIF texts.

        Raises:
            InputError: a text does not parse, or holds partial occupancy; the id is named.
        """
        parts = list(texts)
        names = [str(i) for i in range(len(parts))] if ids is None else list(ids)
        from flowllm.crystals.cif import parse_cif

        structures = [parse_cif(text, name) for text, name in zip(parts, names, strict=True)]
        return cls.from_pymatgen(structures, names)

    def to_cif(self) -> list[str]:
        """CIF texts in P1, one a crystal.

        Raises:
            InputError: a species is open, which CIF cannot say, or a cell spans no volume.
        """
        from pymatgen.io.cif import CifWriter

        return [str(CifWriter(structure)) for structure in self.to_pymatgen()]

    @classmethod
    def from_ase(cls, atoms: Iterable[Atoms], ids: Sequence[str] | None = None) -> CrystalBatch:
        """From periodic ASE atoms."""
        from pymatgen.io.ase import AseAtomsAdaptor

        return cls.from_pymatgen((AseAtomsAdaptor.get_structure(a) for a in atoms), ids)

    def to_ase(self) -> list[Atoms]:
        """ASE atoms with the id in `info["id"]`; an open species is ASE's X."""
        from ase import Atoms

        result = []
        for index, crystal in enumerate(self):
            result.append(
                Atoms(
                    numbers=crystal.atomic_numbers,
                    scaled_positions=crystal.frac_coords,
                    cell=crystal.lattices[0],
                    pbc=True,
                    info={"id": str(self.ids[index])},
                )
            )
        return result

    def to_pyg(self) -> list[Data]:
        """PyTorch Geometric data: `x` types, `frac_coords`, `lengths`, `angles`, complete graph."""
        import torch
        from torch_geometric.data import Data

        result = []
        for crystal in self:
            count = int(crystal.num_atoms[0])
            edges = torch.cartesian_prod(torch.arange(count), torch.arange(count)).T.contiguous()
            result.append(
                Data(
                    x=torch.from_numpy(crystal.atomic_numbers),
                    frac_coords=torch.from_numpy(crystal.frac_coords),
                    lengths=torch.from_numpy(crystal.lengths),
                    angles=torch.from_numpy(crystal.angles),
                    edge_index=edges,
                    num_nodes=count,
                    crystal_id=str(crystal.ids[0]),
                )
            )
        return result

    @classmethod
    def from_pyg(cls, graphs: Iterable[Data]) -> CrystalBatch:
        """From what `to_pyg` made."""
        parts = [
            cls(
                g.x.cpu().numpy(),
                g.frac_coords.cpu().numpy(),
                g.lengths.cpu().numpy(),
                g.angles.cpu().numpy(),
                np.array([g.num_nodes]),
                np.array([g.crystal_id]),
            )
            for g in graphs
        ]
        return cls.concatenate(parts)


def wrap(frac_coords: np.ndarray) -> np.ndarray:
    """Coordinates in [0, 1); a tiny negative number gives 0, never 1."""
    wrapped = frac_coords - np.floor(frac_coords)
    return np.where(wrapped >= 1.0, 0.0, wrapped)


def concatenated_ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start_0 … start_0 + count_0 - 1, start_1 …: the atoms of several crystals."""
    total = int(counts.sum())
    first = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]])[: len(counts)], counts)
    return (np.arange(total) + first).astype(np.int64)


def cell_volumes(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(B,) volumes in Å^3 of cells (B, 3) in Å and (B, 3) in degrees; 0 if they span none."""
    cos = np.cos(np.radians(angles))
    squared = 1.0 - (cos**2).sum(-1) + 2.0 * cos.prod(-1)
    return lengths.prod(-1) * np.sqrt(np.clip(squared, 0.0, None))


def lattice_matrices(lengths: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(B, 3, 3) matrices with rows a, b, c: c along z, a in the xz plane, as pymatgen's.

    Raises:
        InputError: three angles that span no volume.
    """
    if (cell_volumes(lengths, angles) <= 0).any():
        raise InputError("the angles of a cell span no volume")
    a, b, c = lengths.T
    cos_alpha, cos_beta, cos_gamma = np.cos(np.radians(angles)).T
    sin_alpha, sin_beta, _ = np.sin(np.radians(angles)).T
    cos_star = np.clip((cos_alpha * cos_beta - cos_gamma) / (sin_alpha * sin_beta), -1.0, 1.0)
    sin_star = np.sqrt(1.0 - cos_star**2)
    zero = np.zeros_like(a)
    return np.stack(
        [
            np.stack([a * sin_beta, zero, a * cos_beta], -1),
            np.stack([-b * sin_alpha * cos_star, b * sin_alpha * sin_star, b * cos_alpha], -1),
            np.stack([zero, zero, c], -1),
        ],
        axis=-2,
    )


def cell_parameters(lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths (3,) in Å and angles (3,) in degrees of a (3, 3) lattice with vectors as rows."""
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]])
    return lengths, np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
