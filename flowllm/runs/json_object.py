"""JSON objects read by name and type, with one kind of error message."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_origin, get_type_hints

from flowllm.errors import InputError
from flowllm.runs.files import read_json

T = TypeVar("T")
REQUIRED: Any = object()
LARGEST = 2**62
"""Beyond the largest whole number of any file of ours; numpy and torch take it."""


class JsonObject:
    """An object of a JSON file.

    A value that is missing is an `InputError`, unless a default is given; so is one of another
    type. The message names the file and the way to the value.

    Args:
        values: what was read.
        where: the file, or the file and the way to this object in it.

    Raises:
        InputError: it is not an object.
    """

    def __init__(self, values: Any, where: str | Path) -> None:
        if not isinstance(values, Mapping):
            raise InputError(f"{where} must be a JSON object, not {type_name(values)}")
        self.values: dict[str, Any] = dict(values)
        self.where = str(where)

    @classmethod
    def read(cls, path: str | Path) -> JsonObject:
        """The object in a file.

        Raises:
            InputError: missing, unreadable or no object.
        """
        return cls(read_json(path), path)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def text(self, name: str, default: Any = REQUIRED) -> str:
        """A text."""
        value = self._value(name, default)
        return value if value is default or isinstance(value, str) else self._no(name, "text")

    def flag(self, name: str, default: Any = REQUIRED) -> bool:
        """True or false."""
        value = self._value(name, default)
        right = value is default or isinstance(value, bool)
        return bool(value) if right else self._no(name, "true or false")

    def integer(self, name: str, default: Any = REQUIRED, least: int = -LARGEST) -> int:
        """A whole number that is not below `least`."""
        value = self._value(name, default)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is default or (whole and least <= value <= LARGEST):
            return int(value)
        return self._no(name, f"a whole number from {least}" if whole else "a whole number")

    def number(self, name: str, default: Any = REQUIRED) -> float:
        """A finite number."""
        value = self._value(name, default)
        if value is default:
            return float(value)
        return float(value) if _is_finite(value) else self._no(name, "a finite number")

    def numbers(self, name: str, default: Any = REQUIRED, length: int | None = None) -> list[float]:
        """A list of finite numbers, of a given length if any."""
        values = self.array(name, default)
        if not all(map(_is_finite, values)) or length not in (None, len(values)):
            self._no(name, f"a list of {'' if length is None else f'{length} '}finite numbers")
        return [float(value) for value in values]

    def array(self, name: str, default: Any = REQUIRED) -> list[Any]:
        """A list of anything."""
        value = self._value(name, default)
        return list(value) if isinstance(value, (list, tuple)) else self._no(name, "a list")

    def record(self, name: str, default: Any = REQUIRED) -> JsonObject:
        """An object in this one."""
        return JsonObject(self._value(name, default), f"{self.where}: {name}")

    def records(self, name: str, default: Any = REQUIRED) -> list[JsonObject]:
        """The objects in a list."""
        values = self.array(name, default)
        return [JsonObject(value, f"{self.where}: {name} {i}") for i, value in enumerate(values)]

    def make(self, kind: type[T]) -> T:
        """A dataclass of strings, numbers, flags and such dataclasses, from its fields by name.

        Raises:
            InputError: a field is missing, of another type, or not known; or the dataclass refuses.
        """
        hints = get_type_hints(kind)
        known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
        for name in self:
            if name not in known:
                raise InputError(f"{self.where}: {name[:40]} is not known")
        given = {
            name: self._typed(name, hints[name])
            for name, field in known.items()
            if name in self or (field.default is MISSING and field.default_factory is MISSING)
        }
        try:
            return cast(Callable[..., T], kind)(**given)
        except InputError as error:
            raise InputError(f"{self.where}: {error}") from None

    def _typed(self, name: str, hint: Any) -> Any:
        if get_origin(hint) is Literal:
            return self.text(name)
        readers: dict[Any, Callable[[str], Any]] = {
            str: self.text,
            int: self.integer,
            float: self.number,
            bool: self.flag,
        }
        return readers[hint](name) if hint in readers else self.record(name).make(hint)

    def _value(self, name: str, default: Any) -> Any:
        value = self.values.get(name, default)
        if value is REQUIRED:
            raise InputError(f"{self.where}: {name} is missing")
        return value

    def _no(self, name: str, wanted: str) -> Any:
        found = type_name(self.values[name])
        raise InputError(f"{self.where}: {name} must be {wanted}, not {found}")


def type_name(value: Any) -> str:
    """A description of a JSON value; numbers and short strings are quoted."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else "a text"
    return str(value) if isinstance(value, float) or abs(value) < 10**20 else "a huge number"


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= LARGEST
