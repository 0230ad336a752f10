"""Size and inputs of FlowMM's network; kept apart from the code that needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args

from flowllm.errors import InputError
from flowllm.networks.settings import CELL_RELATIONS, CellMapName
from flowllm.settings import setting

NUM_ANGLES = 3
"""Cosines of the angles between an edge and the three cell vectors."""


@dataclass(frozen=True)
class FlowMMConfig:
    """Size and inputs of the network; checks itself.

    Attributes:
        hidden: width of node states.
        layers: message-passing layers.
        time_dim: width of the linear embedding of time.
        count_dim: width of the atom-count embedding; sinusoidal, so even.
        num_frequencies: number of coordinate frequencies, K; of the sinusoids of the logarithmic
            map between atoms.
        distance_features: number of distance Gaussians; they expand the distance to the nearest
            image. 0 leaves them out, as FlowMM does. With them the coordinates' validation loss of
            a short run was 0.822, without 0.827.
        cell_frequencies: number of cell frequencies; rates at which the cell's relations are
            embedded. 0 leaves them out, as FlowMM does.
        draws_species: species are analog bits that move (DNG), and not given (CSP).
        cell_map: parametrisation of the cell; see `flowllm.manifolds.lattice`. "flowmm" is
            FlowMM's.

    Raises:
        InputError: a value is out of range.
    """

    hidden: int = 128
    layers: int = 4
    time_dim: int = 32
    count_dim: int = 16
    num_frequencies: int = 10
    distance_features: int = 16
    cell_frequencies: int = 0
    draws_species: bool = setting(False, option=False)
    cell_map: CellMapName = "flowmm"

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "time_dim", "count_dim", "num_frequencies"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        if self.count_dim % 2:
            raise InputError(f"count_dim must be even, not {self.count_dim}")
        for name in ("distance_features", "cell_frequencies"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"{name} must be 0 or more, not {value!r}")
        if self.cell_map not in get_args(CellMapName):
            known = ", ".join(get_args(CellMapName))
            raise InputError(f"unknown cell parametrisation {self.cell_map!r}; choose from {known}")

    @classmethod
    def paper(cls) -> FlowMMConfig:
        """FlowMM's network: hidden 512, six layers, time embedding 256, 128 frequencies."""
        return cls(
            hidden=512, layers=6, time_dim=256, count_dim=64, num_frequencies=128,
            distance_features=0, cell_frequencies=0,
        )  # fmt: skip

    @property
    def edge_features(self) -> int:
        """Number of features of a pair of atoms."""
        return 6 * self.num_frequencies + NUM_ANGLES + self.distance_features

    @property
    def cell_inputs(self) -> int:
        """Number of features of a cell."""
        return 6 + 2 * CELL_RELATIONS * self.cell_frequencies

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
