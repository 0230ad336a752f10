"""Similarity of elements within structures, learnt from crystals that share a prototype.

Each element is a point; two elements are the more alike the nearer their points are. The points are
fitted to MP-20's training split (`recipes/fit_similarity.py`) so that the crystals nearest to a
composition have its prototype: neighbourhood component analysis (Goldberger et al., NIPS 2004) with
exchanged elements in the place of classes. That is what the substitution probabilities of Hautier
et al. (Inorg. Chem. 50, 656 (2011)) do, with a distance instead of a table of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from flowllm.crystals.elements import SYMBOLS
from flowllm.errors import InputError
from flowllm.runs.archive import open_archive, write_archive
from flowllm.runs.identity import digest

SHIPPED = Path(str(files("flowllm.methods.templates"))) / "similarity.npz"


@dataclass(frozen=True)
class Similarity:
    """Distances between elements as occupants of a structure's sites.

    Attributes:
        points: (119, d) of the elements by atomic number.
        power: by which the weight of a role rises with its share of the atoms.
        scale: of all distances: exp(-distance) is then how likely two crystals are alike.
        volumes: (119,) by atomic number, of crystals of one prototype: the logarithm of the volume
            an atom is the mean of its atoms' values, plus a constant.

    Raises:
        InputError: there is not one finite point and volume for each element.
    """

    points: np.ndarray
    power: float
    scale: float
    volumes: np.ndarray

    def __post_init__(self) -> None:
        for name, ndim in (("points", 2), ("volumes", 1)):
            values = getattr(self, name)
            sized = values.dtype.kind == "f" and values.ndim == ndim and len(values) == len(SYMBOLS)
            if not sized or not np.isfinite(values).all():
                raise InputError(f"the {name} of a similarity must have one value per element")

    def between_elements(self) -> np.ndarray:
        """(119, 119) distances of elements."""
        points = self.points.astype(float)
        gaps = points[:, None] - points[None]
        return np.sqrt((gaps**2).sum(-1))

    def weights(self, counts: np.ndarray) -> np.ndarray:
        """(e,) weights of roles with these numbers of atoms."""
        weights: np.ndarray = self.scale * (counts / counts.sum()) ** self.power
        return weights

    def digest(self) -> str:
        """A short hash of the points and weights."""
        return digest(
            self.points.astype(np.float16).tobytes(),
            self.volumes.astype(np.float32).tobytes(),
            repr((self.power, self.scale)),
        )

    def save(self, path: Path) -> None:
        """Write an archive of the points, in float16, and of the weights' numbers."""
        write_archive(
            path,
            {
                "points": self.points.astype(np.float16),
                "weights": np.array([self.power, self.scale]),
                "volumes": self.volumes.astype(np.float32),
            },
        )

    @classmethod
    def load(cls, path: Path) -> Similarity:
        """Read what `save` wrote.

        Raises:
            InputError: it is damaged or something else; the file is named.
        """
        with open_archive(path, "is not a table of element similarities") as archive:
            points, volumes = archive["points"], archive.typed("volumes", "f")
            power, scale = archive.typed("weights", "f").tolist()
        try:
            return cls(points, power, scale, volumes)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error


@cache
def shipped_similarity() -> Similarity:
    """The one fitted to MP-20's training split."""
    return Similarity.load(SHIPPED)
