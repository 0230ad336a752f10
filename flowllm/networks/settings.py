"""Size and inputs of the velocity network; kept apart from the code that needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from flowllm.errors import InputError
from flowllm.settings import setting

CellMapName = Literal["log-matrix", "logit", "flowmm"]
"""The names of `flowllm.manifolds.lattice.CELL_MAPS`."""
CELL_RELATIONS = 13
"""How many numbers `flowllm.networks.features.cell_relations` gives."""


@dataclass(frozen=True)
class VelocityConfig:
    """Size and inputs of the network; checks itself.

    Attributes:
        hidden: width of node states.
        layers: message-passing layers.
        time_dim: width of the time embedding, even; a sinusoidal one.
        num_frequencies: number of coordinate frequencies, K; of the embedding of coordinate
            differences.
        distance_features: number of distance Gaussians, or 0; they expand the distance to the
            nearest image.
        cell_frequencies: number of cell frequencies, or 0; rates at which the cell's relations are
            embedded.
        num_types: number of atom types; type 0 is one left open.
        cell_map: parametrisation of the cell: "log-matrix", the logarithm of its metric matrix;
            "logit", lengths and angles mapped to the line; or "flowmm", the same with the narrower
            bounds of FlowMM. See `flowllm.manifolds.lattice`.

    Raises:
        InputError: a value is out of range.
    """

    hidden: int = 224
    layers: int = 5
    time_dim: int = 64
    num_frequencies: int = 10
    distance_features: int = 24
    cell_frequencies: int = 8
    num_types: int = setting(119, option=False)
    cell_map: CellMapName = "log-matrix"

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "time_dim", "num_frequencies", "num_types"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a whole number above 0, not {value!r}")
        if self.time_dim % 2:
            raise InputError(f"time_dim must be even, not {self.time_dim}")
        for name in ("distance_features", "cell_frequencies"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise InputError(f"{name} must be 0 or more, not {value!r}")
        if self.cell_map not in get_args(CellMapName):
            known = ", ".join(get_args(CellMapName))
            raise InputError(f"unknown cell parametrisation {self.cell_map!r}; choose from {known}")

    @classmethod
    def paper(cls) -> VelocityConfig:
        """FlowLLM's network: hidden 512, time embedding 256, neither distances nor relations."""
        return cls(
            hidden=512, layers=6, time_dim=256, distance_features=0, cell_frequencies=0,
            cell_map="flowmm",
        )  # fmt: skip

    @property
    def edge_features(self) -> int:
        """Number of features of a pair of atoms."""
        return 6 * self.num_frequencies + self.distance_features

    @property
    def cell_inputs(self) -> int:
        """Number of features of a cell."""
        return 6 + 2 * CELL_RELATIONS * self.cell_frequencies

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
