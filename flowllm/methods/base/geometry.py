"""Positions for atoms of given types: random (FlowMM's base), or from similar crystals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowllm.crystals.batch import CrystalBatch
from flowllm.crystals.cells import cell_parameters, cell_volumes
from flowllm.crystals.elements import NUMBER_OF, RANK_OF
from flowllm.errors import InputError
from flowllm.methods.base.templates import TemplateIndex
from flowllm.runs.identity import digest
from flowllm.seeds import Stream, generator

MAX_ANGLE_TRIES = 100
NAMELESS = np.array(["0"])
FLATTEST = 0.1  # of a b c; flatter cells are drawn again
FLATTEST_NORMAL = 1e-3  # the same for a matrix of normal numbers, of which one in 700 is flatter


class Geometry(Protocol):
    """Gives atoms of known types a cell and coordinates."""

    def place(self, composition: dict[str, int], seed: int) -> CrystalBatch:
        """A batch of one crystal of this cell composition; the same seed gives the same."""
        ...

    def digest(self) -> str:
        """A short hash of everything that the crystals depend on."""
        ...


@dataclass(frozen=True)
class SimpleBase:
    """FlowMM's base: coordinates uniform, lengths log-normal, angles uniform in [60°, 120°].

    Section 3.2 of FlowMM (arXiv 2406.04713), "FlowLLM-Types" of FlowLLM's ablation. A cell whose
    angles span (nearly) no volume is drawn again.

    Attributes:
        log_mean: (3,) means of the logarithms of a, b, c in Å.
        log_std: (3,) their standard deviations.
    """

    log_mean: tuple[float, float, float]
    log_std: tuple[float, float, float]

    @classmethod
    def fit(cls, crystals: CrystalBatch) -> SimpleBase:
        """The base with the lengths of some crystals.

        Raises:
            InputError: there are none.
        """
        if not len(crystals):
            raise InputError("a simple base needs crystals to fit")
        logs = np.log(crystals.lengths)
        mean, std = logs.mean(0).tolist(), logs.std(0).tolist()
        return cls((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))

    def place(self, composition: dict[str, int], seed: int) -> CrystalBatch:
        """Random atoms in a cell independent of them.

        Raises:
            InputError: the composition names no element.
        """
        return self.put(listed(composition), seed)

    def put(self, numbers: np.ndarray, seed: int) -> CrystalBatch:
        """The same for (n,) atomic numbers; 0 is an open species."""
        rng = generator(Stream.GEOMETRY, seed)
        lengths = np.exp(np.array(self.log_mean) + np.array(self.log_std) * rng.standard_normal(3))
        frac_coords = rng.random((len(numbers), 3))
        for _ in range(MAX_ANGLE_TRIES):
            angles = rng.uniform(60.0, 120.0, 3)
            crystal = CrystalBatch(
                numbers, frac_coords, lengths, angles, np.array([len(numbers)]), NAMELESS
            )
            if crystal.volumes[0] > FLATTEST * lengths.prod():
                return crystal
        raise InputError("no valid cell angles were drawn")  # chance below 1e-80

    def put_many(
        self, numbers: np.ndarray, num_atoms: np.ndarray, rng: np.random.Generator
    ) -> CrystalBatch:
        """Many crystals by one generator, of the distribution of `put`, for training.

        Args:
            numbers: (N,) atomic numbers, one crystal's beside each other.
            num_atoms: (B,) numbers of atoms.
            rng: what they are drawn from.

        Returns:
            B crystals, their positions as ids.
        """
        size = len(num_atoms)
        logs = np.array(self.log_mean) + np.array(self.log_std) * rng.standard_normal((size, 3))
        lengths, frac_coords = np.exp(logs), rng.random((len(numbers), 3))
        angles = rng.uniform(60.0, 120.0, (size, 3))
        while True:
            flat = np.flatnonzero(~(cell_volumes(np.ones_like(angles), angles) > FLATTEST))
            if not len(flat):
                return CrystalBatch(
                    numbers, frac_coords, lengths, angles, num_atoms, np.arange(size).astype(str)
                )
            angles[flat] = rng.uniform(60.0, 120.0, (len(flat), 3))

    def digest(self) -> str:
        """Of the distribution of lengths."""
        return digest("simple base", repr((self.log_mean, self.log_std)))


@dataclass(frozen=True)
class NormalLattice:
    """Where DiffCSP's diffusion ends: coordinates uniform, a cell matrix of normal numbers in Å.

    DiffCSP (arXiv 2309.04475), section 4. All nine entries are standard normal, so cells are small:
    the diffusion of the lattice works on Å without a scale. A matrix that spans (nearly) no volume
    is drawn again.
    """

    def put(self, numbers: np.ndarray, seed: int) -> CrystalBatch:
        """A batch of one crystal of these (n,) atomic numbers; 0 is an open species."""
        rng = generator(Stream.GEOMETRY, seed)
        frac_coords = rng.random((len(numbers), 3))
        while True:
            matrix = rng.standard_normal((3, 3))
            lengths, angles = cell_parameters(matrix)
            crystal = CrystalBatch(
                numbers, frac_coords, lengths, angles, np.array([len(numbers)]), NAMELESS
            )
            if crystal.volumes[0] > FLATTEST_NORMAL * lengths.prod():
                return crystal

    def digest(self) -> str:
        """The digest; there are no parameters."""
        return digest("normal lattice")


class Substitution:
    """The nearest training crystal with its elements exchanged, and its volume scaled to them.

    The old way to guess a structure, and the base to beat: if a learnt prior is no better, the
    language model is not needed. A composition without a crystal of its stoichiometry falls back on
    another geometry.

    Args:
        training: crystals to take as templates.
        otherwise: where no template fits.
    """

    def __init__(self, training: CrystalBatch, otherwise: Geometry) -> None:
        self.training, self.otherwise = training, otherwise
        self.index = TemplateIndex(training)

    def place(self, composition: dict[str, int], seed: int) -> CrystalBatch:
        """The nearest template of another formula, dressed with these elements.

        Raises:
            InputError: the composition names no element.
        """
        numbers = listed(composition)
        found = self.index.nearest(composition)
        if found is None:
            return self.otherwise.place(composition, seed)
        crystal = self.training[found.row]
        dressed = np.array([found.exchange[int(z)] for z in crystal.atomic_numbers])
        order = np.argsort([RANK_OF_NUMBER[z] for z in dressed], kind="stable")
        assert np.array_equal(np.sort(dressed), np.sort(numbers))
        return CrystalBatch(
            dressed[order],
            crystal.frac_coords[order],
            crystal.lengths * found.stretch,
            crystal.angles,
            crystal.num_atoms,
            NAMELESS,
        )

    def digest(self) -> str:
        """Of the templates, and of the geometry that fills in for them."""
        return digest("substitution", self.training.digest(), self.otherwise.digest())


RANK_OF_NUMBER = {NUMBER_OF[symbol]: rank for symbol, rank in RANK_OF.items()}


def listed(composition: dict[str, int]) -> np.ndarray:
    """(n,) atomic numbers of a cell composition, in the order of the text.

    Raises:
        InputError: an element is unknown, or there is no atom.
    """
    unknown = [symbol for symbol in composition if symbol not in NUMBER_OF]
    if unknown or not sum(composition.values()):
        raise InputError(f"{composition} is not the composition of a cell")
    symbols = sorted(composition, key=RANK_OF.__getitem__)
    return np.array([NUMBER_OF[s] for s in symbols for _ in range(composition[s])])
