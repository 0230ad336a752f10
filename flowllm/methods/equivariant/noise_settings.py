"""Noise settings of the equivariant flow; kept apart from what needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from flowllm.errors import InputError


@dataclass(frozen=True)
class NoiseSettings:
    """Settings of the noise on the copies.

    Attributes:
        displacement: largest displacement noise, in Å; the standard deviation of a coordinate.
        volume: largest change of the log volume.
        strain: largest strain at constant volume; a scale.
        smallest: smallest relative noise scale; each scale is drawn log-uniformly, from this share
            of its maximum up.
        untouched: share of copies without noise; they are the target itself.
        broken: share of symmetry-breaking copies; their noise does not keep the symmetry.

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
