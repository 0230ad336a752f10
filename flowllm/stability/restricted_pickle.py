"""Read a pickle of pymatgen objects without running anything that it names.

A pickle is a program: it can call whatever it can import. Here it gets inert records in place of
pymatgen's classes, numpy's arrays and a few containers; every other name is refused. Nothing of
pymatgen is imported, so it does not matter which version wrote the file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import IO, Any

from flowllm.errors import InputError

PLAIN = {
    "builtins": frozenset(
        "bool bytearray bytes complex dict float frozenset int list object set slice str tuple"
        " range".split()
    ),
    "collections": frozenset({"OrderedDict", "defaultdict", "deque"}),
    "datetime": frozenset({"date", "datetime", "timedelta", "timezone"}),
    "numpy": frozenset({"dtype", "ndarray"}),
    "numpy._core.multiarray": frozenset({"_reconstruct", "scalar"}),
    "numpy._core.numeric": frozenset({"_frombuffer"}),
}
"""Module -> names that are let through as they are: containers, numbers, dates, arrays."""

RECORDED = ("pymatgen.", "monty.", "uncertainties.")
"""Packages whose classes become records."""

ELEMENT = "pymatgen.core.periodic_table"
OLDER_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules as protocols 0 to 2 name them."""


class Record:
    """What a pickle says of one object: its class by name, arguments and attributes.

    Attributes:
        class_name: as in "pymatgen.core.composition.Composition".
        args: what its class was called with.
        state: attribute -> value.
        items: what was put into it as into a dictionary.
        members: what was added to it as to a list or set.
    """

    class_name = ""

    def __new__(cls, *args: Any, **_: Any) -> Record:
        """A record of a call."""
        record = super().__new__(cls)
        record.args = args
        record.state = {}
        record.items = {}
        record.members = []
        return record

    args: tuple[Any, ...]
    state: dict[str, Any]
    items: dict[Any, Any]
    members: list[Any]

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.state.update(part)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Note a member."""
        self.members.append(value)

    def extend(self, values: Any) -> None:
        """Note members."""
        self.members.extend(values)

    add = append

    @property
    def kind(self) -> str:
        """The class's own name, without its module."""
        return self.class_name.rpartition(".")[2]


class ElementName(str):
    """An element of pymatgen, which is written as a call with its symbol."""

    __slots__ = ()


class RestrictedUnpickler(pickle.Unpickler):
    """Makes records of pymatgen's objects, and refuses what it does not know.

    Raises:
        InputError: the file asks for something else, which it names.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._classes: dict[str, type[Record]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The record or plain type that stands for a name in the file."""
        home = OLDER_NAMES.get(module, module)
        home = home.replace("numpy.core.", "numpy._core.")  # as numpy 1 calls it
        if name in PLAIN.get(home, ()):
            return super().find_class(home, name)
        if (home, name) in STAND_INS:
            return STAND_INS[home, name]
        if module == ELEMENT and name == "Element":
            return ElementName
        if module.startswith(RECORDED):
            full = f"{module}.{name}"
            if full not in self._classes:
                self._classes[full] = type(name, (Record,), {"class_name": full})
            return self._classes[full]
        raise InputError(f"it asks for {module}.{name}, which no phase diagram needs; not read")

    def persistent_load(self, pid: Any) -> Any:
        """Refused: objects that lie outside of the file."""
        raise InputError(f"it refers to an object outside of the file ({pid!r}); not read")


def load_records(file: IO[bytes]) -> Any:
    """What an open file holds, with records for pymatgen's objects.

    Raises:
        InputError: the file is no pickle, ends early, or asks for something that is refused.
    """
    try:
        return RestrictedUnpickler(file).load()
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # a broken pickle can raise nearly anything
        raise InputError(
            f"not a pickle that can be read: {type(error).__name__}: {error}"
        ) from error


def _member(owner: Callable[[str], Any], name: str) -> Any:
    """getattr for members of recorded enumerations only."""
    if isinstance(owner, type) and issubclass(owner, Record | ElementName):
        return owner(name)
    raise InputError(f"it asks for the attribute {name} of {owner!r}; not read")


def _made_anew(cls: type[Record], *_: Any) -> Record:
    """An empty record, to be filled with a state."""
    if isinstance(cls, type) and issubclass(cls, Record):
        return cls()
    raise InputError(f"it asks for an object of {cls!r}; not read")


def _latin_bytes(text: str, encoding: str = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if encoding != "latin1":
        raise InputError(f"it asks for bytes by the codec {encoding}; not read")
    return text.encode("latin1")


STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "getattr"): _member,  # how some versions of Python write members of enumerations
    ("copyreg", "_reconstructor"): _made_anew,  # how protocols 0 and 1 write any object
    ("_codecs", "encode"): _latin_bytes,
}
"""Functions that pickles call, and what is called in their place."""
