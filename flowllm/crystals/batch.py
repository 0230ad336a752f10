"""CrystalBatch: the one representation of crystals that every part of the package shares.

Conversions to and from pymatgen, ASE, PyTorch Geometric and CIF live here and nowhere else.
The heavy libraries are imported inside the conversions, so that training needs numpy only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from flowllm.crystals.arrays import CrystalArrays
from flowllm.crystals.cells import lattice_matrices
from flowllm.crystals.elements import NUMBER_OF
from flowllm.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure
    from torch_geometric.data import Data


class CrystalBatch(CrystalArrays):
    """B crystals with N atoms in all, the atoms of each crystal contiguous.

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

    @classmethod
    def from_pymatgen(
        cls, structures: Iterable[Structure], ids: Sequence[str] | None = None
    ) -> Self:
        """From ordered pymatgen structures.

        Raises:
            InputError: a site has partial occupancy or no known element.
        """
        parts = list(structures)
        names = [str(i) for i in range(len(parts))] if ids is None else list(ids)
        for name, structure in zip(names, parts, strict=True):
            if not structure.is_ordered:
                raise InputError(
                    f"{name}: partial occupancy; only ordered structures are supported"
                )
        if not parts:
            return cls.empty()
        symbols = [[site.specie.symbol for site in s] for s in parts]
        for name, row in zip(names, symbols, strict=True):
            unknown = [s for s in row if s not in NUMBER_OF]
            if unknown:
                raise InputError(f"{name}: {unknown[0]} is not an element")
        return cls(
            np.array([NUMBER_OF[s] for row in symbols for s in row]),
            np.concatenate([s.frac_coords for s in parts]),
            np.array([s.lattice.abc for s in parts]),
            np.array([s.lattice.angles for s in parts]),
            np.array([len(s) for s in parts]),
            np.array(names),
        )

    def to_pymatgen(self) -> list[Structure]:
        """pymatgen structures, one per crystal.

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
                raise InputError(f"{self.ids[index]}: the cell has zero volume")
            lattice = Lattice(
                lattice_matrices(self.lengths[index : index + 1], self.angles[index : index + 1])[0]
            )
            result.append(
                Structure(lattice, list(numbers), self.frac_coords[start : start + count])
            )
        return result

    @classmethod
    def from_cif(cls, texts: Iterable[str], ids: Sequence[str] | None = None) -> Self:
        """From CIF texts.

        Raises:
            InputError: a text cannot be read, as `flowllm.crystals.cif.read_block` says; the id
                is named.
        """
        from flowllm.crystals.cif import read_block

        parts = list(texts)
        names = [str(i) for i in range(len(parts))] if ids is None else list(ids)
        crystals = []
        for text, name in zip(parts, names, strict=True):
            try:
                crystals.append(read_block(text))
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
        if not crystals:
            return cls.empty()
        return cls(
            np.concatenate([crystal.atomic_numbers for crystal in crystals]),
            np.concatenate([crystal.frac_coords for crystal in crystals]),
            np.array([crystal.lengths for crystal in crystals]),
            np.array([crystal.angles for crystal in crystals]),
            np.array([len(crystal.atomic_numbers) for crystal in crystals]),
            np.array(names),
        )

    def to_cif(self) -> list[str]:
        """CIF texts in P1, one per crystal.

        Raises:
            InputError: a species is open, which CIF cannot say, or a cell spans no volume.
        """
        from pymatgen.io.cif import CifWriter

        return [str(CifWriter(structure)) for structure in self.to_pymatgen()]

    @classmethod
    def from_ase(cls, atoms: Iterable[Atoms], ids: Sequence[str] | None = None) -> Self:
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
    def from_pyg(cls, graphs: Iterable[Data]) -> Self:
        """Inverse of `to_pyg`."""
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
