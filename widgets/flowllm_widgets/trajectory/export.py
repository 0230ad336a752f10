"""A trajectory as files: extended XYZ, CIF of a frame, a page that plays, a GIF."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flowllm.crystals.trajectory import Trajectory
from flowllm.errors import InputError
from flowllm.metrics.symmetry import SYMPREC
from flowllm.runs.files import atomic_write, friendly_os_errors
from flowllm.symmetry.cif import to_cif
from flowllm_widgets.trajectory.data import EnergyCurve, TrajectoryCurves
from flowllm_widgets.trajectory.gif import Tick, make_gif
from flowllm_widgets.trajectory.page import make_page

FORMATS = {
    "extxyz": "extended XYZ, all frames",
    "cif": "CIF of this frame",
    "html": "HTML page that plays",
    "gif": "GIF",
}
"""What can be written, by the ending of the file."""
MIME = {
    "extxyz": "chemical/x-xyz",
    "cif": "chemical/x-cif",
    "html": "text/html",
    "gif": "image/gif",
}


@dataclass(frozen=True)
class ExportedFile:
    """A file before it is written.

    Attributes:
        name: follows the crystal's id and formula, as in "c000010_SrTiO3.gif".
        content: its bytes.
        mime: its media type.
    """

    name: str
    content: bytes
    mime: str

    def write(self, folder: str | Path) -> Path:
        """Write it atomically into a folder, created if needed; returns its path.

        Raises:
            InputError: the folder or the file cannot be written.
        """
        target = Path(folder).expanduser()
        with friendly_os_errors(target):
            target.mkdir(parents=True, exist_ok=True)
        atomic_write(target / self.name, self.content)
        return target / self.name


def export(
    trajectory: Trajectory,
    kind: str,
    curves: TrajectoryCurves,
    energy: EnergyCurve | None = None,
    frame: int = 0,
    tick: Tick | None = None,
    polyhedra: bool = False,
) -> ExportedFile:
    """One crystal's trajectory as a file.

    A CIF holds the frame by its symmetry, idealised, where it has any within `SYMPREC`.

    Args:
        trajectory: of one crystal.
        kind: a key of `FORMATS`.
        curves: for the page.
        energy: for the page.
        frame: the one that a CIF holds.
        tick: progress of a GIF; what it raises ends the work.
        polyhedra: whether a page or GIF draws coordination polyhedra.

    Raises:
        InputError: an unknown kind, a cell that spans no volume, or an open species in the frame
            that a CIF should hold.
    """
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}; choose from {', '.join(FORMATS)}")
    shown = trajectory.frame(frame) if kind == "cif" else trajectory.last
    name = file_stem(f"{trajectory.ids[0]}_{shown.formulas[0]}")
    if kind == "extxyz":
        content = _extended_xyz(trajectory)
    elif kind == "cif":
        name += f"-t{trajectory.times[frame]:.3f}"
        try:
            shown.lattices  # noqa: B018  raises for a cell without volume
            content = to_cif(shown, SYMPREC)[0].encode()
        except InputError as error:  # of a frame in which species are open, for example
            raise InputError(f"frame {frame + 1} has no CIF: {error}") from error
    elif kind == "html":
        content = make_page(trajectory, curves, energy, polyhedra).encode()
    else:
        content = make_gif(trajectory, tick=tick, polyhedra=polyhedra)
    return ExportedFile(f"{name}.{kind}", content, MIME[kind])


def file_stem(crystal_id: str) -> str:
    """An id as a file name stem: no separators, no leading dot."""
    return re.sub(r"[^\w.+-]+", "_", crystal_id, flags=re.ASCII).lstrip(".")[:100] or "crystal"


def _extended_xyz(trajectory: Trajectory) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trajectory.extxyz"
        trajectory.to_extxyz(path)
        return path.read_bytes()
