"""Still pictures, for pages without widgets and for files."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flowllm.viz.element_colours import colours_of_paths
from flowllm.viz.structure3d import FACE_OPACITY
from flowllm_widgets.shared.style import GREY
from flowllm_widgets.structure.drawing import MovingDrawing
from flowllm_widgets.structure.projection import FIRST_ORIENTATION, Ball, Face, Line, marks

if TYPE_CHECKING:
    from PIL.Image import Image

MARGIN = 1.0  # of the picture around what it holds
FINER = 3  # a raster picture is drawn this much larger and then made smaller, for smooth edges
CAPTION = 22  # pixels


def still_svg(
    pictures: Mapping[str, MovingDrawing],
    frame: int = 0,
    *,
    height: int = 320,
    orientation: Sequence[float] = FIRST_ORIENTATION,
    colours: Mapping[int, str] | None = None,
    polyhedra: bool = False,
) -> str:
    """Pictures side by side as SVG, to one scale, without background.

    Args:
        pictures: {caption: drawing}; a drawing with fewer frames stays at its last.
        frame: the frame shown.
        height: of a picture in pixels, without its caption.
        orientation: nine numbers, see `FIRST_ORIENTATION`.
        colours: {atomic number: colour}; default those of the elements of all pictures.
        polyhedra: whether coordination polyhedra are drawn.
    """
    colours = colours or colours_of_paths(d.numbers for d in pictures.values())[0]
    total = height + CAPTION * any(pictures)
    extent = max((d.extent for d in pictures.values()), default=1.0)
    scale = height / (2 * MARGIN * extent)
    parts, tints = [], set()
    for place, (caption, drawing) in enumerate(pictures.items()):
        middle = (place + 0.5) * height
        shown = drawing.at(min(frame, len(drawing) - 1))
        for mark in marks(shown, orientation, colours, polyhedra):
            if isinstance(mark, Ball):
                tints.add(mark.colour)
                parts.append(
                    f'<circle cx="{middle + scale * mark.x:.1f}" '
                    f'cy="{height / 2 - scale * mark.y:.1f}" r="{scale * mark.radius:.1f}" '
                    f'fill="url(#atom-{mark.colour[1:]})"/>'
                )
            elif isinstance(mark, Face):
                d = "L".join(
                    f"{middle + scale * x:.1f} {height / 2 - scale * y:.1f}"
                    for x, y in mark.corners
                )
                parts.append(
                    f'<path d="M{d}Z" fill="{mark.colour}" fill-opacity="{FACE_OPACITY}"/>'
                )
            else:
                (x1, y1), (x2, y2) = mark.start, mark.stop
                parts.append(
                    f'<path d="M{middle + scale * x1:.1f} {height / 2 - scale * y1:.1f}'
                    f'L{middle + scale * x2:.1f} {height / 2 - scale * y2:.1f}" '
                    f'stroke="{mark.colour}" stroke-width="{max(1.0, scale * mark.width):.1f}"/>'
                )
        if caption:
            parts.append(
                f'<text x="{middle:.0f}" y="{height + CAPTION - 7}" text-anchor="middle" '
                f'font-family="sans-serif" font-size="13" fill="{GREY}">'
                f"{html.escape(caption)}</text>"
            )
    shades = "".join(
        f'<radialGradient id="atom-{tint[1:]}" cx="38%" cy="34%" r="72%">'
        f'<stop offset="0" stop-color="{_mixed(tint, 255, 0.45)}"/>'
        f'<stop offset="0.45" stop-color="{tint}"/>'
        f'<stop offset="1" stop-color="{_mixed(tint, 0, 0.4)}"/></radialGradient>'
        for tint in sorted(tints)
    )
    width = height * max(1, len(pictures))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {total}" '
        f'style="display:block;margin:auto;width:100%;max-width:{width}px" role="img" '
        f'aria-label="{html.escape("; ".join(pictures), quote=True) or "crystal"}">'
        f'<defs>{shades}</defs><g stroke-linecap="round">{"".join(parts)}</g></svg>'
    )


def still_image(
    drawing: MovingDrawing,
    frame: int = 0,
    *,
    size: tuple[int, int] = (480, 360),
    orientation: Sequence[float] = FIRST_ORIENTATION,
    background: str = "white",
) -> Image:
    """One frame as a raster picture; all frames of a drawing have the same scale.

    Args:
        drawing: of one crystal.
        frame: the frame shown.
        size: width and height in pixels.
        orientation: nine numbers, see `FIRST_ORIENTATION`.
        background: a colour.
    """
    from PIL import Image, ImageDraw

    width, height = (FINER * n for n in size)
    image = Image.new("RGB", (width, height), background)
    pen = ImageDraw.Draw(image)
    scale = min(width, height) / (2 * MARGIN * drawing.extent)
    for mark in marks(drawing.at(frame), orientation):
        if isinstance(mark, Ball):
            x, y, radius = width / 2 + scale * mark.x, height / 2 - scale * mark.y, mark.radius
            _shaded(pen, x, y, scale * radius, mark.colour)
        elif isinstance(mark, Line):
            ends = [
                (width / 2 + scale * x, height / 2 - scale * y) for x, y in (mark.start, mark.stop)
            ]
            pen.line(ends, mark.colour, max(FINER, round(scale * mark.width)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _shaded(pen: object, x: float, y: float, radius: float, tint: str) -> None:
    """A ball as circles from its dark rim to its bright spot."""
    steps = ((1.0, 0, 0.4), (0.93, 0, 0.18), (0.84, 0, 0.0), (0.5, 255, 0.12), (0.3, 255, 0.3))
    for share, towards, amount in steps:
        offset = 0.3 * radius * (1 - share)
        centre = (x - offset, y - offset)
        pen.ellipse(  # type: ignore[attr-defined]
            [c - share * radius for c in centre] + [c + share * radius for c in centre],
            fill=_mixed(tint, towards, amount),
        )


def _mixed(tint: str, towards: int, amount: float) -> str:
    """A colour moved towards black (0) or white (255)."""
    channels = (int(tint[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(c + amount * (towards - c)):02x}" for c in channels)
