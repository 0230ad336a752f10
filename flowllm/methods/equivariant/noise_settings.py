"""How much noise the equivariant flow learns from; kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.errors import InputError


@dataclass(frozen=True)
class NoiseSettings:
    """How far the copies are from their targets.

    Attributes:
        displacement: Å, the largest standard deviation of a coordinate.
        volume: the largest change of the logarithm of the volume.
        strain: the largest scale of the strain at constant volume.
        smallest: each scale is drawn log-uniformly from this share of its maximum.
        untouched: share of the copies that are the target itself.
        broken: share of the copies whose noise breaks the symmetry.

    Raises:
        InputError: a value is out of range.
    """

    displacement: float = 0.4
    volume: float = 0.2
    strain: float = 0.15
    smallest: float = 1e-3
    untouched: float = 0.1
    broken: float = 0.15

    def __post_init__(self) -> None:
        for name in ("displacement", "volume", "strain"):
            if not 0 <= getattr(self, name) <= 2:
                raise InputError(f"{name} must be in [0, 2], not {getattr(self, name)}")
        if not 0 < self.smallest <= 1:
            raise InputError(f"smallest must be in (0, 1], not {self.smallest}")
        for name in ("untouched", "broken"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in [0, 1], not {getattr(self, name)}")
