"""Tasks of the playground, checked while dragging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch

from flowllm_widgets.torus.views import GeodesicView

FARTHEST = 0.70
"""No two points of the torus are farther apart than the root of a half, 0.707."""
NEAR, APART = 0.01, 0.05
"""Of an edge: the marked point has to be as near, both ends as far away."""
OPEN, DONE = "☐", "☑"


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        text: what to do.
        said: what it shows, once it is done.
        done: whether it is, of the present state.
    """

    text: str
    said: str
    done: Callable[[], bool]


class TaskList(ipywidgets.HTML):
    """A list of tasks; completed ones stay ticked.

    Args:
        tasks: in their order.
        watched: widgets and the names of their traits upon whose changes tasks are checked.
    """

    def __init__(
        self, tasks: Sequence[Task], watched: Sequence[tuple[ipywidgets.Widget, Sequence[str]]]
    ) -> None:
        super().__init__()
        self.tasks, self.solved = tuple(tasks), [False] * len(tasks)
        # Screen readers are told of the sentence; the picture itself has said the rest.
        self.add_class("torus-tasks")
        self._draw()
        for widget, names in watched:
            widget.observe(self.check, names=list(names))

    def check(self, change: Any = None) -> None:
        """Tick what is done now."""
        now = [old or task.done() for old, task in zip(self.solved, self.tasks, strict=True)]
        if now != self.solved:
            self.solved = now
            self._draw()

    def _draw(self) -> None:
        lines = []
        for task, solved in zip(self.tasks, self.solved, strict=True):
            said = f'<div class="flowllm-caption">{task.said}</div>' if solved else ""
            lines.append(f"<li>{DONE if solved else OPEN} {task.text}{said}</li>")
        count = f"{sum(self.solved)} of {len(self.tasks)} done"
        self.value = (
            f'<div class="flowllm-heading">Tasks <span class="count">{count}</span></div>'
            f'<div role="status"><ul>{"".join(lines)}</ul></div>'
        )


def edges_crossed(view: GeodesicView) -> int:
    """Through how many of both pairs of edges the geodesic leaves the square."""
    end = torch.tensor(view.x, dtype=torch.float64) + view.log
    return int(((end < 0) | (end >= 1)).sum())


def geodesic_tasks(view: GeodesicView) -> list[Task]:
    """Tasks of the first step."""

    def lengths() -> tuple[float, float]:
        x, y = (torch.tensor(point, dtype=torch.float64) for point in (view.x, view.y))
        return view.log.norm().item(), (y - x).norm().item()

    def off_the_edges(point: Sequence[float]) -> float:
        return min(min(value, 1 - value) for value in point)

    def on_an_edge() -> bool:
        ends = min(off_the_edges(view.x), off_the_edges(view.y))
        return off_the_edges(view.point.tolist()) <= NEAR and ends >= APART

    return [
        Task(
            "Find two points whose geodesic crosses both edges.",
            "Each coordinate takes its own shortest path, and here both cross an edge.",
            lambda: edges_crossed(view) == 2,
        ),
        Task(
            f"Bring <i>x</i> and <i>y</i> as far apart as they can be: more than {FARTHEST:.2f}.",
            "Half a cell in both directions, √½ = 0.707. Beyond that the other way around is "
            "shorter.",
            lambda: lengths()[0] > FARTHEST,
        ),
        Task(
            "Make the path without wrapping more than ten times as long as the shortest one.",
            "Neighbours across an edge. A network trained on the red path drags the atom through "
            "the whole cell.",
            lambda: 0 < 10 * lengths()[0] < lengths()[1],
        ),
        Task(
            "Both points away from the edges: set <i>t</i> so that the marked point lies on one.",
            "There the path leaves the square and re-enters it with the same velocity.",
            on_an_edge,
        ),
    ]


def path_tasks(crosses: Callable[[], bool], looks_at_all: Callable[[], bool]) -> list[Task]:
    """Tasks of the second step.

    Args:
        crosses: whether the path of the chosen pair is shown and leaves the square.
        looks_at_all: whether the mean velocity is shown close to the end of the time.
    """
    return [
        Task(
            "Choose another pair whose path leaves the square.",
            "Its velocity is the same on both sides of the edge.",
            crosses,
        ),
        Task(
            "Look at all pairs, with <i>t</i> at 0.2 or below and then at 0.9 or above.",
            "At first many pairs pass a point in different directions, so their mean is short; at "
            "last most of them have the same target.",
            looks_at_all,
        ),
    ]
