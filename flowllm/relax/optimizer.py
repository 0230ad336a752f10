"""FIRE over the atoms and the cell of one crystal; a batch holds one per crystal.

An evaluation by a neural network costs a hundred times as much as these few small arrays, so only
the evaluations are batched: every crystal has its own time step, mixing and counter, and takes the
same path whatever company it is in.
"""

from __future__ import annotations

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters


class Fire:
    """Fast inertial relaxation engine (Bitzek et al., PRL 97, 170201, 2006), as ASE's `FIRE`.

    Attributes:
        dt: time step, in ASE's units.
        mixing: share of the force's direction in the velocity (alpha in the paper).
        downhill: steps since the velocity last pointed uphill.
    """

    START, MAX_DT, MAX_STEP = 0.1, 1.0, 0.2
    WAIT, GROW, SHRINK = 5, 1.1, 0.5
    MIXING, MIXING_DECAY = 0.1, 0.99

    def __init__(self) -> None:
        self.dt = self.START
        self.mixing = self.MIXING
        self.downhill = 0
        self.velocity: np.ndarray | None = None

    def step(self, forces: np.ndarray) -> np.ndarray:
        """The displacement that follows on forces of any shape; no longer than 0.2 in all."""
        if self.velocity is None:
            self.velocity = np.zeros_like(forces)
        elif np.vdot(forces, self.velocity) > 0:
            speed = np.linalg.norm(self.velocity) / np.linalg.norm(forces)
            self.velocity = (1 - self.mixing) * self.velocity + self.mixing * speed * forces
            if self.downhill > self.WAIT:
                self.dt = min(self.dt * self.GROW, self.MAX_DT)
                self.mixing *= self.MIXING_DECAY
            self.downhill += 1
        else:
            self.velocity = np.zeros_like(forces)
            self.mixing = self.MIXING
            self.dt *= self.SHRINK
            self.downhill = 0
        self.velocity = self.velocity + self.dt * forces
        displacement = self.dt * self.velocity
        length = float(np.linalg.norm(displacement))
        return displacement * min(1.0, self.MAX_STEP / length) if length else displacement


class Deformable:
    """One crystal's atoms and cell as coordinates that an optimiser moves.

    Those of ASE's `FrechetCellFilter`: positions in the undeformed cell, and the logarithm of the
    deformation times the number of atoms, so that a step is about as long for a cell as for atoms.

    Args:
        crystal: a batch of one.
        relax_cell: whether the cell may move.

    Raises:
        InputError: the cell has zero volume.
    """

    def __init__(self, crystal: CrystalBatch, relax_cell: bool = True):
        self.crystal = crystal
        self.relax_cell = relax_cell
        self.reference = crystal.lattices[0]
        self.positions: np.ndarray = crystal.frac_coords @ self.reference
        self.log_strain: np.ndarray = np.zeros((3, 3))
        self.deformation: np.ndarray = np.eye(3)

    @property
    def lattice(self) -> np.ndarray:
        """(3, 3) current cell in Å, rows are its vectors."""
        return self.reference @ self.deformation.T

    @property
    def frac_coords(self) -> np.ndarray:
        """(n, 3), not wrapped; a deformation does not change them."""
        return np.linalg.solve(self.reference.T, self.positions.T).T

    def forces(self, forces: np.ndarray, stress: np.ndarray) -> np.ndarray:
        """Forces on the coordinates: (n, 3) rows for atoms, and 3 for a cell that may move.

        Args:
            forces: (n, 3) on the atoms in eV/Å.
            stress: (3, 3) in eV/Å^3, positive when stretched.
        """
        from scipy.linalg import expm_frechet

        on_atoms = forces @ self.deformation
        if not self.relax_cell:
            return on_atoms
        virial = -abs(np.linalg.det(self.lattice)) * stress
        pull = virial @ np.linalg.inv(self.deformation.T)
        # the chain rule through the matrix exponential; its derivative's adjoint is the derivative
        # at the transposed matrix (Higham, Functions of Matrices, chapter 3)
        on_strain = expm_frechet(self.log_strain.T, pull, compute_expm=False)
        return np.concatenate([on_atoms, on_strain / len(forces)])

    def move(self, displacement: np.ndarray) -> None:
        """Move by the step that `Fire.step` returned for `forces`."""
        from scipy.linalg import expm

        count = len(self.positions)
        self.positions = self.positions + displacement[:count]
        if self.relax_cell:
            self.log_strain = self.log_strain + displacement[count:] / count
            self.deformation = expm(self.log_strain)

    def as_crystal(self) -> CrystalBatch:
        """The current crystal, with its id."""
        lengths, angles = cell_parameters(self.lattice)
        return self.crystal.replace(
            frac_coords=self.frac_coords, lengths=lengths[None], angles=angles[None]
        )
