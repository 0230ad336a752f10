"""Noise levels of coordinates and species; nothing heavy is imported."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flowllm.errors import InputError


@dataclass(frozen=True)
class NoiseLevels:
    """Levels of noise, geometrically from the first to the last.

    Attributes:
        count: how many.
        first: Å, the largest standard deviation of Cartesian coordinates.
        last: Å, the smallest.
        first_species: the largest factor on the composition's probabilities, which are added to 1
            for the true species.
        last_species: the smallest.

    Raises:
        InputError: a value is out of range.
    """

    count: int = 50
    first: float = 10.0
    last: float = 0.01
    first_species: float = 5.0
    last_species: float = 0.01

    def __post_init__(self) -> None:
        if not 2 <= self.count <= 10_000:
            raise InputError(f"count must be from 2 to 10,000, not {self.count}")
        if not 0 < self.last < self.first <= 1000:
            raise InputError(
                f"levels must fall from first to last, not {self.first} to {self.last}"
            )
        if not 0 < self.last_species < self.first_species <= 1000:
            raise InputError(
                f"levels of species must fall, not {self.first_species} to {self.last_species}"
            )

    @property
    def coords(self) -> tuple[float, ...]:
        """The levels σ of coordinates in Å, falling."""
        return self._geometric(self.first, self.last)

    @property
    def species(self) -> tuple[float, ...]:
        """The levels σ of species, falling."""
        return self._geometric(self.first_species, self.last_species)

    def step_sizes(self, smallest: float) -> tuple[float, ...]:
        """α of each level in Å^2: `smallest` at the last, rising with the square of σ."""
        return tuple(smallest * (level / self.last) ** 2 for level in self.coords)

    def _geometric(self, first: float, last: float) -> tuple[float, ...]:
        ratio = last / first
        return tuple(first * ratio ** (k / (self.count - 1)) for k in range(self.count))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)
