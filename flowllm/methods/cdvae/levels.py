"""Noise levels of coordinates and species; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowllm.errors import InputError


@dataclass(frozen=True)
class NoiseLevels:
    """Levels of noise, geometrically from the largest to the smallest.

    Attributes:
        noise_levels: number of noise levels.
        largest_noise: largest coordinate noise, in Å; a standard deviation, Cartesian.
        smallest_noise: smallest coordinate noise, in Å.
        largest_species_noise: largest species noise; the factor on the composition's probabilities,
            which are added to 1 for the true species.
        smallest_species_noise: smallest species noise.

    Raises:
        InputError: a value is out of range.
    """

    noise_levels: int = 50
    largest_noise: float = 10.0
    smallest_noise: float = 0.01
    largest_species_noise: float = 5.0
    smallest_species_noise: float = 0.01

    def __post_init__(self) -> None:
        if not 2 <= self.noise_levels <= 10_000:
            raise InputError(f"noise_levels must be from 2 to 10,000, not {self.noise_levels}")
        for name, smallest, largest in (
            ("noise", self.smallest_noise, self.largest_noise),
            ("species_noise", self.smallest_species_noise, self.largest_species_noise),
        ):
            if not 0 < smallest < largest <= 1000:
                raise InputError(
                    f"smallest_{name} must be above 0 and below largest_{name}, "
                    f"which is at most 1000, not {smallest} and {largest}"
                )

    @property
    def coords(self) -> tuple[float, ...]:
        """The levels σ of coordinates in Å, falling."""
        return self._geometric(self.largest_noise, self.smallest_noise)

    @property
    def species(self) -> tuple[float, ...]:
        """The levels σ of species, falling."""
        return self._geometric(self.largest_species_noise, self.smallest_species_noise)

    def step_sizes(self, smallest: float) -> tuple[float, ...]:
        """α of each level in Å^2: `smallest` at the last, rising with the square of σ."""
        return tuple(smallest * (level / self.smallest_noise) ** 2 for level in self.coords)

    def _geometric(self, first: float, last: float) -> tuple[float, ...]:
        ratio, gaps = last / first, self.noise_levels - 1
        return tuple(first * ratio ** (k / gaps) for k in range(self.noise_levels))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
