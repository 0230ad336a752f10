"""A trajectory as a GIF: atoms, bonds and cell in projection, in one box that holds all frames."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from flowllm.crystals.axis import place
from flowllm.crystals.elements import SYMBOLS
from flowllm.crystals.trajectory import Trajectory
from flowllm.viz.element_colours import jmol_colour
from flowllm.viz.structure3d import (
    CELL_COLOUR,
    FACE_OPACITY,
    Drawing,
    ball_radii,
    draw,
    element_colours,
)
from flowllm_widgets.structure.legend import species_shown

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

EYE = np.array([1.25, 0.75, 0.5])
"""Where one looks from, as in the report's figures."""
SIZE, TITLE, LEGEND = 440, 40, 34  # pixels: the picture's square, its title and legend
FINER = 2  # drawn so many times larger and reduced, for smooth edges
INK = "#1f2733"
MAX_FRAMES = 100
HOLD = 1000  # ms that the last frame stays
COLOURS = 128

Tick = Callable[[int, int], None]
"""Called with frames done and frames in all; what it raises ends the work."""


def make_gif(
    trajectory: Trajectory,
    seconds: float = 4.0,
    tick: Tick | None = None,
    polyhedra: bool = False,
) -> bytes:
    """An animated GIF of one crystal's path; of more than 100 frames an even choice is drawn.

    Args:
        trajectory: of one crystal.
        seconds: that the path lasts.
        tick: for the progress.
        polyhedra: whether coordination polyhedra are drawn.

    Raises:
        InputError: a cell spans no volume.
    """
    count = min(len(trajectory), MAX_FRAMES)
    chosen = np.round(np.linspace(0, len(trajectory) - 1, count)).astype(int)
    drawings = [draw(trajectory.frame(int(k))) for k in chosen]
    box = view_box(drawings)
    images = []
    for done, (frame, drawing) in enumerate(zip(chosen, drawings, strict=True)):
        formula = trajectory.frame(int(frame)).formulas[0]
        note = place(trajectory.times, trajectory.axis, int(frame))
        picture = paint(drawing, box, formula, note, species_shown(trajectory), polyhedra)
        images.append(picture.quantize(COLOURS))
        if tick:
            tick(done + 1, count)
    times = [max(20, round(1000 * seconds / count))] * (count - 1) + [HOLD]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)
    return buffer.getvalue()


def view_axes() -> np.ndarray:
    """(3, 3) rows right, up and towards the eye."""
    towards = EYE / np.linalg.norm(EYE)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(towards, right), towards])


def view_box(drawings: list[Drawing]) -> np.ndarray:
    """(2, 2) limits in Å to the right and upwards: a square that holds every atom and cell."""
    points = np.concatenate([p for d in drawings for p in (d.positions, d.edges.reshape(-1, 3))])
    screen = points @ view_axes()[:2].T
    low, high = screen.min(0), screen.max(0)
    half = (high - low).max() / 2 + 1.2  # room for the balls
    middle = (low + high) / 2
    return np.stack([middle - half, middle + half], axis=1)


def paint(
    drawing: Drawing,
    box: np.ndarray,
    title: str,
    note: str,
    species: np.ndarray,
    polyhedra: bool = False,
) -> Image.Image:
    """Paint one frame back to front, with a title, a note and the elements below.

    Args:
        drawing: of the frame.
        box: what `view_box` gave, in Å.
        title: at the left of the head.
        note: at its right.
        species: (S,) atomic numbers in the legend, the same for all frames.
        polyhedra: whether coordination polyhedra are drawn.
    """
    from PIL import Image, ImageDraw

    colours = element_colours(species)
    tints = {int(n): jmol_colour(int(n)) for n in np.unique(drawing.numbers)} | dict(colours)
    width, height = FINER * SIZE, FINER * (TITLE + SIZE + LEGEND)
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture, "RGBA")  # so that faces let through what is behind them
    scale = width / np.ptp(box[0])

    def screen(points: np.ndarray) -> np.ndarray:
        seen = points @ view_axes().T
        x, y = (seen[..., 0] - box[0, 0]) * scale, (box[1, 1] - seen[..., 1]) * scale
        return np.stack([x, y + FINER * TITLE, seen[..., 2]], axis=-1)

    layers: list[tuple[float, Callable[[], None]]] = [
        (ends[:, 2].mean(), partial(_line, pen, ends, CELL_COLOUR, 1.6))
        for ends in screen(drawing.edges)
    ]
    atoms = screen(drawing.positions)
    for pair in drawing.bonds:
        for end in pair:
            half, tint = (
                np.stack([atoms[end], atoms[pair].mean(0)]),
                tints[int(drawing.numbers[end])],
            )
            depth = half[:, 2].min() - 0.01  # behind the ball that it comes out of
            layers.append((depth, partial(_line, pen, half, INK, 6)))
            layers.append((depth, partial(_line, pen, half, tint, 4.4)))
    if polyhedra:
        for triangle, middle in zip(drawing.triangles, drawing.middles, strict=True):
            tint = tints[int(drawing.numbers[middle])] + f"{round(255 * FACE_OPACITY):02x}"
            corners = [tuple(corner) for corner in atoms[triangle, :2]]
            layers.append((atoms[triangle, 2].mean(), partial(pen.polygon, corners, tint)))
    for centre, number in zip(atoms, drawing.numbers, strict=True):
        radius = float(ball_radii(number)) * scale
        layers.append((centre[2], partial(_ball, pen, centre, radius, tints[int(number)])))
    for _, put in sorted(layers, key=lambda layer: layer[0]):
        put()
    edge, line = 16 * FINER, FINER * TITLE / 2
    pen.text((edge, line), title, INK, _font(17 * FINER), "lm")
    pen.text((width - edge, line), note, INK, _font(15 * FINER), "rm")
    _legend(pen, colours, width, height - FINER * LEGEND / 2)
    return picture.resize((SIZE, TITLE + SIZE + LEGEND), Image.Resampling.LANCZOS)


def _line(pen: ImageDraw.ImageDraw, ends: np.ndarray, tint: str, thickness: float) -> None:
    pen.line([tuple(end[:2]) for end in ends], tint, round(thickness * FINER))


def _ball(pen: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, tint: str) -> None:
    """A ball with a light spot towards the upper left."""
    x, y = centre[:2]
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), tint, INK, round(1.2 * FINER))
    light = tuple(int((int(tint[k : k + 2], 16) + 255) / 2) for k in (1, 3, 5))
    x, y, spot = x - 0.32 * radius, y - 0.32 * radius, 0.26 * radius
    pen.ellipse((x - spot, y - spot, x + spot, y + spot), light)


def _legend(pen: ImageDraw.ImageDraw, colours: Mapping[int, str], width: float, y: float) -> None:
    """The elements in a row in the middle."""
    step, radius = 52 * FINER, 7.0 * FINER
    x = (width - step * len(colours)) / 2 + radius
    for number, tint in colours.items():
        _ball(pen, np.array([x, y]), radius, tint)
        pen.text((x + 1.7 * radius, y), SYMBOLS[number], INK, _font(14 * FINER), "lm")
        x += step


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
