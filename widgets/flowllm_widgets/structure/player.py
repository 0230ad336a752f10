"""Player: pictures of moving crystals and their playback, which runs in the browser.

All frames go to the browser once, as binary arrays. There the NGL library that nglview's JupyterLab
extension brings draws them; the kernel is not asked while a trajectory plays.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import traitlets

from flowllm.crystals.elements import SYMBOLS
from flowllm.viz.structure3d import SPHERE, ball_radii
from flowllm_widgets.shared.part import Part
from flowllm_widgets.structure.drawing import MovingDrawing
from flowllm_widgets.structure.projection import FIRST_ORIENTATION

HERE = Path(__file__).parent
MODULES = (
    "scene.js", "stage.js", "overlay.js", "gallery.js", "tools.js", "playback.js", "player.js",
)  # fmt: skip
STYLES = ("ball-and-stick", "polyhedra", "space-filling")


class Player(Part):
    """Pictures side by side under one camera, with the controls of their playback below.

    Attributes:
        scenes: what is drawn, one picture each; see `scene`.
        shown: (pictures,) whether each is shown.
        frames: T, the longest trajectory's; a picture with fewer stays at its last.
        times: (T,) of the frames, or empty.
        places: T texts that are shown instead of times, as in "diffusion step 500"; or empty.
        frame: the frame shown; while it plays, the kernel hears of it up to eight times a second.
        playing, loop: whether it plays, and whether it starts again at the end.
        speed: frames a second.
        labels: whether element and number are written at the atoms.
        look: one of `STYLES`.
        tools: whether the row with look, axes and picture file is there.
        controls: whether the controls of the playback are there.
        height: of a picture, in pixels.
        orientation: nine numbers, rows: what is right, up and towards the viewer. Two-way.
        renderer: "auto" or "nglview" to draw here, anything else to leave that to others.
        status: "" before the first picture, then "ready", "no-webgl", "no-extension" or "failed".
        status_detail: what the browser said.
        measured_rate: frames a second that the browser reached in the last second of playing.
    """

    _esm = tuple(HERE / name for name in MODULES)
    _css = HERE / "player.css"

    scenes: traitlets.List[Any] = traitlets.List().tag(sync=True)
    shown = traitlets.List(traitlets.Bool()).tag(sync=True)
    frames = traitlets.Int(1).tag(sync=True)
    times = traitlets.List(traitlets.Float()).tag(sync=True)
    places = traitlets.List(traitlets.Unicode()).tag(sync=True)
    frame = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(20.0, min=1.0, max=60.0).tag(sync=True)
    loop = traitlets.Bool(True).tag(sync=True)
    labels = traitlets.Bool(False).tag(sync=True)
    look = traitlets.Enum(STYLES, STYLES[0]).tag(sync=True)
    tools = traitlets.Bool(True).tag(sync=True)
    controls = traitlets.Bool(True).tag(sync=True)
    height = traitlets.Int(340).tag(sync=True)
    orientation = traitlets.List(traitlets.Float(), list(FIRST_ORIENTATION)).tag(sync=True)
    renderer = traitlets.Unicode("auto").tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    status_detail = traitlets.Unicode("").tag(sync=True)
    measured_rate = traitlets.Float(0.0).tag(sync=True)
    _first_orientation = traitlets.List(traitlets.Float(), list(FIRST_ORIENTATION)).tag(sync=True)
    _module = traitlets.Unicode("nglview-js-widgets").tag(sync=True)

    @traitlets.validate("frame")
    def _within(self, proposal: Any) -> int:
        return int(min(max(0, proposal["value"]), self.frames - 1))

    def reset_view(self) -> None:
        """Reset the camera of all pictures."""
        self.send({"do": "reset"})


def scene(
    drawing: MovingDrawing, caption: str = "", colours: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """One picture of the player: plain values, and arrays as bytes (float32, int32, uint8).

    Positions and corners are about the middle of the repeated cell at each frame, so that a cell
    that changes its shape does so on the spot and all pictures share one camera. Labels, colours
    and radii are those of the first frame. Only where species change, `elements` and (T, M) `kinds`
    give the element of each atom at each frame.

    Args:
        drawing: of one crystal.
        caption: below the picture.
        colours: {atomic number: colour}, where other crystals are seen beside it.
    """
    colours = colours or drawing.colours
    middle = drawing.centres[:, None]
    data = {
        "caption": caption,
        "description": _description(drawing),
        "frames": len(drawing),
        "labels": drawing.labels(),
        "labelled": drawing.labelled,
        "extent": drawing.extent,
        "room": _room(drawing),
        "edges": drawing.edges.ravel().tolist(),
        "positions": _bytes(drawing.positions - middle, np.float32),
        "corners": _bytes(drawing.corners - middle, np.float32),
        "colours": _bytes([_rgb(colours[int(n)]) for n in drawing.numbers[0]], np.float32),
        "radii": _bytes(drawing.radii[0], np.float32),
        "bonds": _bytes(drawing.bonds, np.int32),
        "bonded": _bytes(drawing.bonded, np.uint8),
        "triangles": _bytes(drawing.triangles, np.int32),
        "middles": _bytes(drawing.middles, np.int32),
        "creases": _bytes(drawing.creases, np.int32),
        "axes": _axes(drawing.supercell),
        "filling": 1 / SPHERE,
    }
    if drawing.species_change:
        species = np.unique(drawing.numbers)
        data["elements"] = [
            {"symbol": SYMBOLS[n], "colour": _rgb(colours[int(n)]), "radius": float(ball_radii(n))}
            for n in species
        ]
        data["kinds"] = _bytes(np.searchsorted(species, drawing.numbers), np.uint8)
        data["source"] = drawing.source.tolist()
    return data


def _bytes(array: Any, kind: type) -> bytes:
    return np.ascontiguousarray(array, dtype=kind).tobytes()


def _room(drawing: MovingDrawing) -> list[float]:
    """Å, half the width and half the height of what is seen at first, over all frames."""
    across = np.array(FIRST_ORIENTATION).reshape(3, 3)[:2].T
    middle = drawing.centres[:, None]
    atoms = np.abs((drawing.positions - middle) @ across) + drawing.radii[..., None]
    corners = np.abs((drawing.corners - middle) @ across)
    sizes = np.concatenate([atoms.reshape(-1, 2), corners.reshape(-1, 2)])
    return [float(x) for x in sizes.max(0)]


def _axes(supercell: tuple[int, int, int]) -> list[int]:
    """The first corner of all cells, and its neighbours along a, b and c."""
    _, b, c = (n + 1 for n in supercell)
    return [0, b * c, c, 1]


@lru_cache(maxsize=200)
def _rgb(text: str) -> tuple[float, ...]:
    return tuple(int(text[k : k + 2], 16) / 255 for k in (1, 3, 5))


def _description(drawing: MovingDrawing) -> str:
    """A text alternative of the picture, as in "2 Na, 2 Cl in the cell"."""
    atoms = np.unique(drawing.source, return_index=True)[1]
    first, last = _counts(drawing.numbers[0, atoms]), _counts(drawing.numbers[-1, atoms])
    return f"{first} in the cell" + (f", {last} at the end" if last != first else "")


def _counts(numbers: np.ndarray) -> str:
    pairs = zip(*np.unique(numbers, return_counts=True), strict=True)
    return ", ".join(f"{count} {SYMBOLS[number]}" for number, count in pairs)
