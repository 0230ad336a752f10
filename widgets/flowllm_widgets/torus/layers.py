"""Layers for the front end: points, lines and arrows with all their frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from flowllm.errors import InputError
from flowllm_widgets.shared.style import COLOURS, GREY
from flowllm_widgets.torus.geodesic import geodesic_pieces, straight_pieces
from flowllm_widgets.torus.matching import (
    Pairs,
    conditional_velocity,
    grid,
    marginal_on_grid,
    points_at,
)

BASE, TARGET, MOVING, LEARNT, CHOSEN = (COLOURS[i] for i in (2, 1, 0, 3, 5))
FIELD = 15
"""Arrows a side."""
FIELD_FRAMES = 21
LONGEST = 1.0  # length of the longest arrow over the distance between arrows
PER_UNIT = 0.11  # length of an arrow of unit velocity, in units of the square
SPARSE = 0.02  # where the density is below this share of the uniform one, no arrow is drawn


@dataclass(frozen=True)
class Layer:
    """One kind of thing in a panel.

    Attributes:
        name: by which it is switched on and off; label: what the legend calls it.
        kind: "points", "lines" or "arrows".
        data: float32, frames x count x 2 for points, x 4 for lines (x, y to x, y) and arrows (x, y,
            and how far it points); NaN leaves one out.
        frames: equally spaced from t = 0 to 1.
        colour: as in "#2f7bd9"; size: of points and strokes in thousandths of the square.
        wrap: whether points move the short way between frames.
        copies: whether the eight neighbouring tiles show it too, paler.
    """

    name: str
    label: str
    kind: str
    data: bytes
    frames: int
    colour: str
    size: float
    opacity: float = 1.0
    wrap: bool = True
    copies: bool = True

    @property
    def values(self) -> np.ndarray:
        """(frames, count, 2 or 4) float32: the data."""
        columns = 2 if self.kind == "points" else 4
        return np.frombuffer(self.data, dtype=np.float32).reshape(self.frames, -1, columns)


def panel(title: str, *layers: Layer) -> dict[str, Any]:
    """A panel for `FlowView.panels`; the first layer lies at the bottom."""
    return {"title": title, "layers": [asdict(layer) for layer in layers]}


def points(
    name: str, label: str, frames: torch.Tensor, colour: str, size: float = 13, **options: Any
) -> Layer:
    """Points that move: frames (T, N, 2), or (N, 2) for points that stay.

    Raises:
        InputError: another shape.
    """
    stack = frames[None] if frames.ndim == 2 else frames
    if stack.ndim != 3 or stack.shape[-1] != 2:
        raise InputError(f"points are (T, N, 2) or (N, 2), not {tuple(frames.shape)}")
    return Layer(name, label, "points", _bytes(stack), len(stack), colour, size, **options)


def conditional_paths(pairs: Pairs, frames: int = 2) -> torch.Tensor:
    """(frames, N, 2) points of the conditional paths at equally spaced times."""
    return torch.stack([points_at(pairs, t) for t in np.linspace(0.0, 1.0, frames).tolist()])


def path_lines(
    name: str, label: str, pairs: Pairs, colour: str, size: float = 3, wrapped: bool = True,
    opacity: float = 0.4,
) -> Layer:  # fmt: skip
    """The conditional paths as lines, geodesics cut at the edges, or straight in the square."""
    cut = geodesic_pieces if wrapped else straight_pieces
    ends = zip(pairs.start.double().numpy(), pairs.end.double().numpy(), strict=True)
    lines = np.concatenate([cut(start, end) for start, end in ends]).reshape(1, -1, 4)
    data = lines.astype(np.float32).tobytes()
    return Layer(name, label, "lines", data, 1, colour, size, opacity, copies=wrapped)


def conditional_field(end: torch.Tensor, label: str) -> Layer:
    """The velocity u_t(x | x1) towards one end (2,) on the grid; from 0.95 on that of 0.95."""
    places = grid(FIELD)
    frames = [conditional_velocity(places, end, min(t, 0.95)) for t in field_times()]
    return arrows("conditional", label, torch.stack(frames), CHOSEN)


def marginal_frames(pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    """Marginal velocities on the grid, (FIELD_FRAMES, FIELD^2, 2), and densities without the 2."""
    frames = [marginal_on_grid(FIELD, t, pairs) for t in field_times()]
    return torch.stack([velocity for velocity, _ in frames]), torch.stack([d for _, d in frames])


def where_paths_pass(velocity: torch.Tensor, density: torch.Tensor) -> torch.Tensor:
    """The velocities, NaN where few paths pass, so that no arrow is drawn."""
    return velocity.masked_fill((density < SPARSE)[..., None], torch.nan)


def arrows(
    name: str, label: str, velocity: torch.Tensor, colour: str = GREY, size: float = 4.5, **o: Any
) -> Layer:
    """Velocities (T, FIELD^2, 2) on the grid as arrows, none reaching beyond the next."""
    speed = velocity.norm(dim=-1, keepdim=True)
    shown = velocity * PER_UNIT
    shown = shown * (LONGEST / FIELD / (speed * PER_UNIT).clamp(min=1e-9)).clamp(max=1.0)
    # An arrow stands with its middle on the place that it tells of.
    data = torch.cat([grid(FIELD).expand_as(shown) - shown / 2, shown], -1)
    return Layer(name, label, "arrows", _bytes(data), len(velocity), colour, size, **o)


def field_times() -> list[float]:
    """The times of a field's frames."""
    return np.linspace(0.0, 1.0, FIELD_FRAMES).tolist()


def _bytes(values: torch.Tensor) -> bytes:
    return values.contiguous().float().numpy().tobytes()
