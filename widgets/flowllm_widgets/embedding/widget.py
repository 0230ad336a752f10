"""EmbeddingMap: crystals of several systems in the plane, by their fingerprints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np

from flowllm.errors import InputError
from flowllm.metrics.fingerprints import Fingerprints
from flowllm_widgets.embedding.data import NUMBERS, Source, read_points
from flowllm_widgets.embedding.features import (
    FEATURES,
    NEIGHBOURS,
    feature_matrix,
    fingerprints_of,
    nearest,
    pca,
    umap,
)
from flowllm_widgets.embedding.figure import colours, embedding, hover_text, rays, titles
from flowllm_widgets.embedding.panel import CrystalPanel
from flowllm_widgets.embedding.texts import about_points
from flowllm_widgets.shared.background import Background, Stop
from flowllm_widgets.shared.frame import Frame
from flowllm_widgets.shared.messages import MessageLine, shows_errors
from flowllm_widgets.shared.plot import Plot
from flowllm_widgets.shared.style import COLOURS, Panel

METHODS = {"UMAP": "umap", "principal components": "pca"}
COLOURINGS = {"system": "system"} | {text: name for name, text in NUMBERS.items()}
LISTED = 10  # neighbours


class EmbeddingMap(Panel):
    """Crystals of several systems in two dimensions, with similar ones close together.

    Fingerprints (`flowllm.metrics.fingerprints`) are computed in the background and kept in the
    user's cache; principal components are shown as soon as they are there, and UMAP replaces them.
    The legend hides and shows systems. A click on a crystal, or its name in the field, shows it
    and the nearest crystals of the other systems, by distance in the whole feature space.

    Args:
        systems: {name: a `Report`, a `CrystalSet`, a batch, or a folder or file of crystals}.
        features: "composition+structure" (both weigh the same), "composition" or "structure".
        method: "umap" or "pca".
        colour: "system", "e_above_hull", "density", "num_atoms" or "n_elements".
        limit_per_system: at most so many crystals of each system, drawn at random; None for all.
        seed: of the draw and of UMAP.

    Attributes:
        points: the M crystals and what is known of them.
        coords: (M, 2) where each lies; NaN where it has no fingerprint, or until that is known.
        chosen: the place of the chosen crystal in `points`, or None.
        message, progress: the lines for errors and for what goes on in the background.

    Raises:
        InputError: no system or more than nine, one without crystals, or an unknown choice.
    """

    def __init__(
        self,
        systems: Mapping[str, Source],
        *,
        features: str = "composition+structure",
        method: str = "umap",
        colour: str = "system",
        limit_per_system: int | None = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("features", features, FEATURES),
            ("method", method, METHODS.values()),
            ("colour", colour, COLOURINGS.values()),
        ):
            if value not in known:
                raise InputError(f'unknown {name} "{value}"; choose from {", ".join(known)}')
        self.points = read_points(systems, limit_per_system, seed)
        self.coords = np.full((len(self.points), 2), np.nan)
        self.chosen: int | None = None
        self._seed = seed
        self._prints: Fingerprints | None = None
        self._matrix: np.ndarray | None = None
        self._umaps: dict[str, np.ndarray] = {}
        self._members = [np.zeros(0, np.int64)] * len(self.points.names)
        self.message, self.progress = MessageLine(), MessageLine()
        self._work = Background(self.message.error, self._finished)
        self._build(features, method, colour)
        self._work.start(self._compute)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for background work; False if it still runs after `timeout` s."""
        return self._work.wait(timeout)

    def close(self) -> None:
        """Stop background work and remove the widget."""
        self._work.cancel()
        super().close()

    @shows_errors
    def choose(self, place: int) -> None:
        """Show a crystal and its nearest ones of other systems, by its position in `points`."""
        if not 0 <= place < len(self.points):
            raise InputError(f"no crystal {place}; there are {len(self.points)}")
        self.message.clear()
        self.chosen = place
        self._list_neighbours()

    # ---- building --------------------------------------------------------------------------

    def _build(self, features: str, method: str, colour: str) -> None:
        def menu(text: str, options: Any, value: str) -> ipywidgets.Dropdown:
            return ipywidgets.Dropdown(
                description=text, options=options, value=value,
                layout={"width": "250px"}, style={"description_width": "54px"},
            )  # fmt: skip

        self.method = menu("Map by", list(METHODS.items()), method)
        self.features = menu("of", FEATURES, features)
        self.colour = menu("Colour", list(COLOURINGS.items()), colour)
        self.figure = Plot(embedding(self.points))
        *self._traces, self._rays, self._rings, self._bar = self.figure.data
        self.about = ipywidgets.HTML()
        self.panel = CrystalPanel(self.points, self.message, self.choose, self._mark)
        for place, trace in enumerate(self._traces):
            trace.on_click(lambda _, points, state, place=place: self._clicked(place, points))
        self.method.observe(self._again, "value")
        self.features.observe(self._again, "value")
        self.colour.observe(self._paint, "value")
        row = {"flex_flow": "row wrap", "overflow": "visible"}
        left = ipywidgets.VBox(
            [self.figure, self.about],
            layout={"flex": "1 1 480px", "min_width": "360px", "overflow": "visible"},
        )
        left.add_class("flowllm-fit")
        self.panel.add_class("flowllm-beside")
        self.panel.layout = {"flex": "0 1 340px", "min_width": "300px", "overflow": "visible"}
        controls = ipywidgets.HBox([self.method, self.features, self.colour], layout=row)
        body = ipywidgets.HBox([left, self.panel], layout={**row, "align_items": "flex-start"})
        self.fill([controls, self.progress, self.message, body, Frame()])

    # ---- the work in the background --------------------------------------------------------

    def _compute(self, stop: Stop) -> None:
        if self._prints is None:

            def tick(done: int, total: int) -> None:
                stop.check()
                self.progress.say(f"fingerprints: {done:,} of {total:,} crystals …")

            systems = range(len(self.points.names))
            batches = [self.points.crystals[self.points.members(place)] for place in systems]
            self._offer(Fingerprints.concatenate(fingerprints_of(batches, tick)))
        self._project(stop)

    def _finished(self, cancelled: bool) -> None:
        self.progress.clear()
        self.renew_still()

    def _offer(self, prints: Fingerprints) -> None:
        """Offer crystals with fingerprints for choice; count the others."""
        self._prints = prints
        if not prints.complete.any():
            raise InputError(f"no crystal has a fingerprint: {prints.reasons[0]}")
        for place, trace in enumerate(self._traces):
            members = self.points.members(place)
            self._members[place] = members[prints.complete[members]]
            trace.customdata = [hover_text(self.points, int(p)) for p in self._members[place]]
        self.panel.offer(np.flatnonzero(prints.complete))
        self.about.value = about_points(self.points, prints)
        self._paint()

    def _project(self, stop: Stop) -> None:
        assert self._prints is not None
        features, method = self.features.value, self.method.value
        there = self._prints.complete
        everything = feature_matrix(self._prints, features)
        self._matrix = np.where(there[:, None], everything, np.nan)
        matrix = everything[there]
        coords = self._umaps.get(features)
        if method == "pca" or coords is None:
            first, shares = pca(matrix)
            self._place(there, first, titles("pca", shares))
        if method == "pca":
            return
        if len(matrix) < NEIGHBOURS:
            self.message.warning(
                f"UMAP needs {NEIGHBOURS} crystals with a fingerprint, not {len(matrix)}; "
                "the map shows principal components"
            )
            return
        if coords is None:
            self.progress.say(
                f"Computing UMAP of {len(matrix):,} crystals; meanwhile, principal components are "
                "shown. The first time takes about 20 s …"
            )
            coords = umap(matrix, self._seed)
            stop.check()
            self._umaps[features] = coords
        self._place(there, coords, titles("umap"))

    def _place(self, there: np.ndarray, coords: np.ndarray, axes: tuple[str, str]) -> None:
        placed = np.full((len(self.points), 2), np.nan)
        placed[there] = coords
        self.coords = placed
        with self.figure.batch_update():
            for members, trace in zip(self._members, self._traces, strict=True):
                trace.x, trace.y = placed[members].T
            self.figure.update_xaxes(title_text=axes[0], autorange=True)
            self.figure.update_yaxes(title_text=axes[1], autorange=True)
        if self.chosen is not None:
            self._list_neighbours()

    # ---- what a person does ----------------------------------------------------------------

    @shows_errors
    def _clicked(self, place: int, points: Any) -> None:
        if points.point_inds:  # plotly tells all traces of a click on one of them
            self.choose(int(self._members[place][points.point_inds[0]]))

    @shows_errors
    def _again(self, change: object) -> None:
        self.message.clear()
        self._work.start(self._compute)

    @shows_errors
    def _paint(self, change: object = None) -> None:
        column = self.colour.value
        found, bar = colours(self.points, column)
        if change is not None:
            self.message.clear()
            if column != "system" and not np.isfinite(self.points.number(column)).any():
                self.message.warning(f"no crystal here has {column}; evaluate them first")
        with self.figure.batch_update():
            for members, trace, own in zip(self._members, self._traces, COLOURS, strict=False):
                trace.marker.color = own if found is None else found[members].tolist()
            self._bar.marker.update(bar)  # assigned as a whole, its colour gets lost on the way

    def _list_neighbours(self) -> None:
        assert self.chosen is not None
        others, distances = np.zeros(0, np.int64), np.zeros(0)
        if self._matrix is not None:
            others, distances = nearest(self._matrix, self.points.system, self.chosen, LISTED)
        self.panel.show(self.chosen, others, distances)

    def _mark(self, place: int, others: np.ndarray, shown: int | None) -> None:
        """Rings around the chosen crystal and its neighbour, lines to all neighbours."""
        ringed = [place] if shown is None else [place, shown]
        with self.figure.batch_update():
            self._rays.update(rays(self.coords, place, others))
            self._rings.x, self._rings.y = self.coords[ringed].T
