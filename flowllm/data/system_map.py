"""The map of crystals of all systems that ships, made once by recipes/map.py."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive

SYSTEM_MAP = Path(__file__).with_name("system_map.npz")
LARGEST_GROUP = 230


@dataclass(frozen=True)
class SystemMap:
    """M crystals of S systems in the plane.

    Attributes:
        names: S names, the data first.
        coords: (M, 2) float16, about the origin. Who lies beside whom means something; distances of
            far crystals, directions and the sizes of groups do not.
        system: (M,) uint8, the system of each.
        formulas: M reduced formulas.
        space_groups: (M,) uint8, international numbers; 0 where none was found.

    Raises:
        InputError: they do not belong together.
    """

    names: tuple[str, ...]
    coords: np.ndarray
    system: np.ndarray
    formulas: tuple[str, ...]
    space_groups: np.ndarray

    def __post_init__(self) -> None:
        cast: dict[str, np.ndarray] = {
            "coords": np.asarray(self.coords, dtype=np.float16),
            "system": np.asarray(self.system, dtype=np.int64).reshape(-1),
            "space_groups": np.asarray(self.space_groups, dtype=np.int64).reshape(-1),
        }
        count = len(self.formulas)
        if cast["coords"].shape != (count, 2):
            raise InputError(f"{count} crystals have positions of shape {cast['coords'].shape}")
        if not np.isfinite(cast["coords"]).all():
            raise InputError("a position on the map is not finite")
        for name, most in (("system", len(self.names) - 1), ("space_groups", LARGEST_GROUP)):
            values = cast[name]
            if len(values) != count:
                raise InputError(f"{name} has {len(values)} values for {count} crystals")
            if count and not 0 <= values.min() <= values.max() <= most:
                raise InputError(f"{name} must be from 0 to {most}")
            cast[name] = values.astype(np.uint8)
        for name, value in cast.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.formulas)

    def members(self, name: str) -> np.ndarray:
        """The positions of one system's crystals.

        Raises:
            InputError: no such system.
        """
        if name not in self.names:
            raise InputError(f"no system {name!r} on the map; choose from {', '.join(self.names)}")
        return np.flatnonzero(self.system == self.names.index(name))

    @property
    def counts(self) -> dict[str, int]:
        """Name -> number of crystals."""
        found = Counter(self.system.tolist())
        return {name: found[place] for place, name in enumerate(self.names)}

    def save(self, path: str | Path = SYSTEM_MAP) -> None:
        """Write an .npz; formulas are one text, so that they compress."""
        arrays = {
            "coords": self.coords,
            "system": self.system,
            "space_groups": self.space_groups,
            "names": np.array(self.names, dtype=np.str_),
            "formulas": np.frombuffer("\n".join(self.formulas).encode("ascii"), dtype=np.uint8),
        }
        write_archive(path, arrays)

    @classmethod
    def load(cls, path: str | Path = SYSTEM_MAP) -> SystemMap:
        """Read a saved map; by default the shipped one.

        Raises:
            InputError: there is none, or the file is damaged.
        """
        with open_archive(path, "is not a map of systems") as archive:
            text = archive["formulas"].astype(np.uint8).tobytes().decode("ascii")
            return cls(
                tuple(str(name) for name in archive["names"]),
                archive["coords"],
                archive["system"],
                tuple(text.split("\n")) if text else (),
                archive["space_groups"],
            )


def map_ships() -> bool:
    """Whether a map ships with this version of the package."""
    return SYSTEM_MAP.is_file()
