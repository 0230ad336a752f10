"""`text_format.json`: in which format the language model of a folder writes."""

from __future__ import annotations

from pathlib import Path

from flowllm.errors import InputError
from flowllm.runs.files import write_json
from flowllm.runs.json_object import JsonObject
from flowllm.text.formats.base import TextFormat
from flowllm.text.formats.registry import make_format

FILE = "text_format.json"


def save_format(chosen: TextFormat, folder: str | Path) -> None:
    """Write the format beside the tokenizer."""
    write_json(Path(folder) / FILE, {"name": chosen.name, "max_atoms": chosen.max_atoms})


def load_format(folder: str | Path) -> TextFormat:
    """The text format of the model in a folder; by default that of Gruver et al.

    Raises:
        InputError: the file is damaged, or names a format that there is not.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return make_format()
    try:
        record = JsonObject.read(path)
        name, max_atoms = record.text("name"), record.integer("max_atoms", least=1)
    except InputError as error:
        raise InputError(f"{path} does not name a text format: {error}") from None
    try:
        return make_format(name, max_atoms)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
