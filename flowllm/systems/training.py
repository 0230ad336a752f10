"""Training of a part: the task that a kind's training function receives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

MODEL = "model"
"""Folder of a trained part in that of its run, unless it lies there itself."""


@dataclass(frozen=True)
class TrainingTask:
    """A part to be trained.

    Attributes:
        kind: of the part, as registered.
        data: the name or folder of the data set, whose splits "train" and "val" count.
        out: folder of the run, which goes on where it stopped.
        settings: an instance of the kind's `training_settings`; None where it has none.
        pairs: folder with the pairs of samples of the prior and crystals; None for a part that is
            trained on crystals alone.
        device: "auto", "cpu", "cuda" or "mps".
        overwrite: replace another run in `out`.
        prior: folder of the trained prior, for a refiner that shares something with it; None where
            the prior itself is trained.
        progress: called with (steps done, steps in all).
    """

    kind: str
    data: str | Path
    out: Path
    settings: Any = None
    pairs: Path | None = None
    device: str = "auto"
    overwrite: bool = False
    progress: Callable[[int, int], None] | None = None
    prior: Path | None = None


class Training(Protocol):
    """The training function of a kind of part, named by `training` in the registry."""

    def __call__(self, task: TrainingTask) -> None:
        """Train it, or resume; the files for the part's `load` are in `out` or `MODEL`.

        The folder contains a run of `flowllm.runs.identity.open_run`, finished when the part is.

        Raises:
            InputError: no such data, or `out` holds another run.
        """
        ...
