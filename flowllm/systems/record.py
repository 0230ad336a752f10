"""Where systems lie, and `system.json`: what a system is beside its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowllm.conditions.ranges import TrainingRanges
from flowllm.errors import InputError
from flowllm.runs.files import atomic_write, read_json

SYSTEM_FILE = "system.json"
PRETRAINED = Path(__file__).parents[1] / "pretrained"
DEFAULT_MODEL = "mp20-compact"
LEVELS = 3  # of the file that get lines of their own; what lies deeper stands in one line


@dataclass(frozen=True)
class SystemFile:
    """The content of `system.json`.

    Attributes:
        num_atoms_histogram: weights of 1, 2, … atoms per cell in the training data.
        training: what the training data have of each condition; None in systems of older versions.
        prior: what the prior's kind needs, see `flowllm.systems.priors.save_prior`.
    """

    num_atoms_histogram: Any
    training: TrainingRanges | None = None
    prior: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SystemFile:
        """Read it from a system's folder.

        Raises:
            InputError: it is missing or damaged.
        """
        path = folder / SYSTEM_FILE
        content = read_json(path)
        if not isinstance(content, dict) or "num_atoms_histogram" not in content:
            raise InputError(f"{path} does not describe a system of flowllm")
        rest = {k: v for k, v in content.items() if k not in ("num_atoms_histogram", "training")}
        training = content.get("training")
        try:
            ranges = None if training is None else TrainingRanges.from_json(training)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return cls(content["num_atoms_histogram"], ranges, rest)

    def write(self, folder: Path) -> None:
        """Write it into a system's folder."""
        content: dict[str, Any] = {"num_atoms_histogram": self.num_atoms_histogram, **self.prior}
        if self.training is not None:
            content["training"] = self.training.to_json()
        atomic_write(folder / SYSTEM_FILE, _lines(content, LEVELS) + "\n")


def find_model(name: str | Path) -> Path:
    """The folder of a model, given as a path or as the name of one that ships with the package.

    Raises:
        InputError: there is none.
    """
    for folder in (Path(name), PRETRAINED / str(name)):
        if (folder / SYSTEM_FILE).is_file():
            return folder
    shipped = sorted(p.parent.name for p in PRETRAINED.glob(f"*/{SYSTEM_FILE}"))
    raise InputError(
        f"{name} is no model: no folder of that name with a {SYSTEM_FILE}; "
        f"with the package comes {', '.join(shipped) or 'none'}"
    )


def _lines(value: Any, levels: int, indent: str = "") -> str:
    """JSON whose upper levels stand in lines of their own."""
    if not levels or not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = indent + "  "
    items = (f"{inner}{json.dumps(k)}: {_lines(v, levels - 1, inner)}" for k, v in value.items())
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"
