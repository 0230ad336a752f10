"""Location of a part on disk: in its owner's folder, or in a model that ships."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from flowllm.errors import InputError
from flowllm.runs.json_object import JsonObject

SYSTEM_FILE = "system.json"
PRETRAINED = Path(__file__).parents[1] / "pretrained"


@dataclass(frozen=True)
class PartRecord:
    """One part on disk, of a system or of a composite part.

    Attributes:
        kind: its name in `flowllm.systems.registry`.
        folder: where it lies in the folder of what it is a part of.
        model: name of another model that ships with the package, in whose folder it lies instead.
    """

    kind: str
    folder: str
    model: str = ""

    def place(self, folder: Path) -> Path:
        """Its folder.

        Args:
            folder: of what it is a part of.
        """
        return (PRETRAINED / self.model if self.model else folder) / self.folder

    @classmethod
    def read(cls, record: JsonObject) -> PartRecord:
        """From its record in a JSON file.

        Raises:
            InputError: something is missing, it would lie outside its folder, or in a model that
                does not ship with the package.
        """
        folder, model = Path(record.text("folder")), record.text("model", "")
        if folder.is_absolute() or ".." in folder.parts:
            raise InputError(f"{record.where}: {folder} lies outside the system's folder")
        if model and not (
            Path(model).name == model and (PRETRAINED / model / SYSTEM_FILE).is_file()
        ):
            raise InputError(f"{record.where}: {model} is not a model that ships with the package")
        return cls(record.text("kind"), record.text("folder"), model)

    def to_json(self) -> dict[str, str]:
        """Inverse of `read`; with a model only if there is one."""
        return {name: value for name, value in asdict(self).items() if value}


def shipped_part(kind: str, folder: str | Path) -> PartRecord | None:
    """The record of a part in a model that ships with the package; None for others.

    Args:
        kind: of the part.
        folder: of the part.
    """
    home, place = (Path(os.path.realpath(path)) for path in (PRETRAINED, folder))
    if not place.is_relative_to(home):
        return None
    model, *inside = place.relative_to(home).parts or ("",)
    if not inside or not (home / model / SYSTEM_FILE).is_file():
        return None
    return PartRecord(kind, "/".join(inside), model)
