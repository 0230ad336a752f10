"""Size and inputs of DiffCSP's network; kept apart from the code that needs torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from flowllm.errors import InputError
from flowllm.networks.settings import CELL_RELATIONS
from flowllm.settings import setting

NUM_SPECIES = 100
"""Species of the one-hot vectors: elements 1 to 100."""
GRAM_INPUTS = 6
"""Different entries of the symmetric matrix L Lᵀ."""


@dataclass(frozen=True)
class DiffCSPConfig:
    """Size and inputs of the network; checks itself.

    Attributes:
        hidden: width of node states.
        layers: message-passing layers.
        time_dim: width of the time embedding, even; a sinusoidal one.
        num_frequencies: number of coordinate frequencies, K; of the sinusoids of coordinate
            differences.
        distance_features: number of distance Gaussians; they expand the distance to the nearest
            image. 0 is DiffCSP's network, which has none.
        cell_frequencies: number of cell frequencies; rates at which the cell's relations are
            embedded. 0 is DiffCSP's network.
        preconditioned: predict corrections to analytic estimates; these are what is known without a
            network, see `flowllm.networks.diffcsp`. DiffCSP's network does not. With this,
            distances and relations the validation loss of coordinates was 0.852 after 300 steps,
            without all three 0.891; that of the lattice 0.637 and 0.632.
        draws_species: species are noisy one-hot vectors that move (DNG), and not given (CSP).
        cell_scale: root mean square in Å of the entries of the training crystals' lattice matrices.

    Raises:
        InputError: a value is out of range.
    """

    hidden: int = 128
    layers: int = 4
    time_dim: int = 64
    num_frequencies: int = 16
    distance_features: int = 16
    cell_frequencies: int = 6
    preconditioned: bool = True
    draws_species: bool = setting(False, option=False)
    cell_scale: float = setting(3.5, option=False)

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "time_dim", "num_frequencies"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        if self.time_dim % 2:
            raise InputError(f"time_dim must be even, not {self.time_dim}")
        for name in ("distance_features", "cell_frequencies"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"{name} must be 0 or more, not {value!r}")
        if not 0 < self.cell_scale < math.inf:
            raise InputError(f"cell_scale must be above 0, not {self.cell_scale!r}")

    @classmethod
    def paper(cls) -> DiffCSPConfig:
        """DiffCSP's network: hidden 512, six layers, time embedding 256, 128 frequencies."""
        return cls(
            hidden=512, layers=6, time_dim=256, num_frequencies=128, distance_features=0,
            cell_frequencies=0, preconditioned=False,
        )  # fmt: skip

    @property
    def edge_features(self) -> int:
        """Number of features of a pair of atoms."""
        return 6 * self.num_frequencies + self.distance_features

    @property
    def cell_inputs(self) -> int:
        """Number of features of a cell."""
        return GRAM_INPUTS + 2 * CELL_RELATIONS * self.cell_frequencies

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
