"""Sizes of the equivariant network; kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowllm.errors import InputError


@dataclass(frozen=True)
class EquivariantConfig:
    """Sizes of the network.

    Attributes:
        hidden: scalars and vectors per atom.
        layers: message-passing layers.
        basis: radial basis functions.
        cutoff: cutoff radius of the neighbours, in Å.
        timed: give the network the time as an input.

    Raises:
        InputError: a value is out of range.
    """

    hidden: int = 64
    layers: int = 3
    basis: int = 16
    cutoff: float = 5.0
    timed: bool = False

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "basis"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.cutoff <= 20:
            raise InputError(f"cutoff must be above 0 and at most 20 Å, not {self.cutoff}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dictionary."""
        return asdict(self)
