"""Locations of systems, and `system.json`, the record of a system's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flowllm.conditions.ranges import TrainingRanges
from flowllm.errors import InputError
from flowllm.runs.files import atomic_write
from flowllm.runs.json_object import JsonObject
from flowllm.systems.parts import PRETRAINED, SYSTEM_FILE, PartRecord
from flowllm.systems.recipes import name_of

DEFAULT_MODEL = "mp20-symmetric"
LEVELS = 3  # of the file that get lines of their own; what lies deeper stands in one line
VERSION = 2
ROLES = ("prior", "refiner")


@dataclass(frozen=True)
class SystemRecord:
    """The content of `system.json`.

    Attributes:
        parts: "prior" and, where there is one, "refiner".
        num_atoms_histogram: weights of 1, 2, … atoms per cell in the training data; as long as the
            largest cell of the system has atoms.
        training: what the training data have of each condition; None where that is not known.
        recipe: the name of the system's recipe; "" for one of another making.
        start: the time at which the prior's crystals enter the refiner.
    """

    parts: Mapping[str, PartRecord]
    num_atoms_histogram: Any
    training: TrainingRanges | None = None
    recipe: str = ""
    start: float = 0.0

    def place(self, role: str, folder: Path) -> Path:
        """The folder of a part.

        Args:
            role: "prior" or "refiner".
            folder: of the system.
        """
        return self.parts[role].place(folder)

    @classmethod
    def read(cls, folder: Path) -> SystemRecord:
        """Read it from a system's folder, of this version or the first.

        Raises:
            InputError: it is missing or damaged.
        """
        path = folder / SYSTEM_FILE
        record = JsonObject.read(path)
        if "num_atoms_histogram" not in record:
            raise InputError(f"{path} does not describe a system of flowllm")
        training = record.values.get("training")
        try:
            ranges = None if training is None else TrainingRanges.from_json(training)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        parts = _parts(record) if "parts" in record else first_version(record.values)
        return cls(
            parts,
            record.numbers("num_atoms_histogram"),
            ranges,
            record.text("recipe", "") or _recipe_of(parts),
            record.number("start", 0.0),
        )

    def write(self, folder: Path) -> None:
        """Write it into a system's folder."""
        content: dict[str, Any] = {
            "version": VERSION,
            "recipe": self.recipe,
            "parts": {role: part.to_json() for role, part in self.parts.items()},
            "start": self.start,
            "num_atoms_histogram": self.num_atoms_histogram,
        }
        if self.training is not None:
            content["training"] = self.training.to_json()
        atomic_write(folder / SYSTEM_FILE, _lines(content, LEVELS) + "\n")


def first_version(content: Mapping[str, Any]) -> dict[str, PartRecord]:
    """The parts of a system as version 1 wrote it: a language model in lm/, a flow in flow/.

    Its other priors had their files beside these and their numbers in `system.json` itself, which
    `flowllm.methods.base.prior.BasePrior.load` still finds.
    """
    kind = str(content.get("prior", "language-model"))
    folder = "lm" if kind == "language-model" else "."
    return {"prior": PartRecord(kind, folder), "refiner": PartRecord("flow", "flow")}


def find_model(name: str | Path) -> Path:
    """The folder of a model.

    Args:
        name: its path, the name of one that ships with the package, or the name of the recipe by
            which one of those was made, as in "flowllm".

    Raises:
        InputError: there is none.
    """
    for folder in (Path(name), PRETRAINED / str(name)):
        if (folder / SYSTEM_FILE).is_file():
            return folder
    shipped = shipped_models()
    for model, made_by in shipped.items():
        if made_by == str(name):
            return PRETRAINED / model
    names = ", ".join(f"{model} ({made_by})" for model, made_by in shipped.items())
    raise InputError(
        f"{name} is not a model: no folder of that name with a {SYSTEM_FILE}; "
        f"the package ships {names or 'none'}"
    )


@lru_cache
def shipped_models() -> dict[str, str]:
    """Model that ships with the package -> the recipe by which it was made."""
    folders = sorted(path.parent for path in PRETRAINED.glob(f"*/{SYSTEM_FILE}"))
    return {folder.name: SystemRecord.read(folder).recipe for folder in folders}


def _recipe_of(parts: Mapping[str, PartRecord]) -> str:
    """The name of the recipe with these parts, for records of the first version."""
    refiner = parts.get("refiner")
    return name_of(parts["prior"].kind, None if refiner is None else refiner.kind)


def _parts(record: JsonObject) -> dict[str, PartRecord]:
    """The parts named in a file of this version, all inside its folder."""
    listed = record.record("parts")
    parts = {role: PartRecord.read(listed.record(role)) for role in listed}
    if "prior" not in parts or set(parts) - set(ROLES):
        raise InputError(
            f"{record.where}: a system has a prior and at most a refiner, not {sorted(parts)}"
        )
    return parts


def _lines(value: Any, levels: int, indent: str = "") -> str:
    """JSON with its upper levels on separate lines."""
    if not levels or not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = indent + "  "
    items = (f"{inner}{json.dumps(k)}: {_lines(v, levels - 1, inner)}" for k, v in value.items())
    return "{\n" + ",\n".join(items) + f"\n{indent}}}"
