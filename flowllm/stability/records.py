"""The objects of a pickle as inert records: a file cannot call anything here."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Any

from flowllm.errors import InputError

RECORDED = ("pymatgen.", "monty.", "uncertainties.", "datetime.")
"""Packages whose classes become records."""
WITHOUT_STATE = ("pymatgen.core.lattice.", "pymatgen.core.sites.", "pymatgen.core.structure.")
"""Classes whose attributes are let go of: structures are most of a diagram, and of no use here."""
ELEMENT = "pymatgen.core.periodic_table.Element"
LONGEST_SYMBOL = 16
OPAQUE = frozenset(
    {
        *(f"builtins.{name}" for name in "bool complex float int object range slice str".split()),
        *(f"numpy.{name}" for name in ("ndarray",)),
        "numpy._core.multiarray._reconstruct",
        "numpy._core.numeric._frombuffer",
    }
)
"""Other names that may be called; what they give is a record without content."""
CONTAINERS = frozenset(
    {f"builtins.{name}" for name in ("frozenset", "list", "set", "tuple")} | {"collections.deque"}
)
MAPPINGS = frozenset({"builtins.dict", "collections.OrderedDict", "collections.defaultdict"})
BYTES = frozenset({"builtins.bytes", "builtins.bytearray"})
GETATTR, RECONSTRUCTOR, ENCODE = "builtins.getattr", "copyreg._reconstructor", "_codecs.encode"
DTYPE, SCALAR = "numpy.dtype", "numpy._core.multiarray.scalar"
KNOWN = (
    OPAQUE
    | CONTAINERS
    | MAPPINGS
    | BYTES
    | frozenset({GETATTR, RECONSTRUCTOR, ENCODE, DTYPE, SCALAR})
)
OLDER_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules as protocols 0 to 2 name them."""


OTHER_KEYS = "\0other keys"
"""Key under which a dictionary notes that it had keys that are not strings."""
_NO_ENTRIES: dict[str, Any] = {}
_NO_MEMBERS: list[Any] = []


class Name:
    """A class or function that a pickle names."""

    __slots__ = ("full",)

    def __init__(self, full: str) -> None:
        self.full = full


class Record:
    """The record of one pickled object: class name, arguments and attributes.

    Attributes:
        class_name: as in "pymatgen.core.composition.Composition".
        args: what its class was called with.
        state: attribute -> value.
        items: what was put into it as into a dictionary, as far as the keys are texts.
        members: what was added to it as to a list or set.
    """

    __slots__ = ("args", "class_name", "items", "members", "state")

    def __init__(self, class_name: str, args: tuple[Any, ...] = ()) -> None:
        self.class_name, self.args = class_name, args
        # shared by all, as most records have none; `put` and `add` replace them, nothing fills them
        self.state: dict[str, Any] = _NO_ENTRIES
        self.items: dict[str, Any] = _NO_ENTRIES
        self.members: list[Any] = _NO_MEMBERS

    def put(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Note entries, as `keep_entries`."""
        if self.items is _NO_ENTRIES:
            self.items = {}
        keep_entries(self.items, pairs)

    def add(self, values: list[Any]) -> None:
        """Note members."""
        if self.members is _NO_MEMBERS:
            self.members = []
        self.members.extend(values)

    @property
    def kind(self) -> str:
        """The class's own name, without its module."""
        return self.class_name.rpartition(".")[2][:80]


def keep_entries(target: dict[str, Any], pairs: Iterable[tuple[Any, Any]]) -> None:
    """Put entries into a dictionary; those whose keys are not strings become one of `OTHER_KEYS`.

    Other keys would have to be hashed, which takes for ever where tuples are nested.
    """
    for key, value in pairs:
        if isinstance(key, str):
            target[key] = value
        else:
            target[OTHER_KEYS] = None


class ElementName(str):
    """An element of pymatgen, which is written as a call with its symbol."""

    __slots__ = ()


class NumberKind:
    """A type of numpy's numbers; no others than b, i, u, f, U and S exist here.

    Attributes:
        code: as in "f8".
        order: "<" or ">".
    """

    __slots__ = ("code", "order")

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?[biufUS]\d{1,4}", code):
            raise InputError("it asks for a type of numpy that no phase diagram needs; not read")
        self.order = ">" if code[0] == ">" else "<"
        self.code = code.lstrip("<>|=")

    def set_state(self, state: Any) -> None:
        """Set the byte order, the only state allowed.

        Raises:
            InputError: it says more, as of fields.
        """
        plain = isinstance(state, tuple) and len(state) >= 5 and state[1] in ("<", ">", "|", "=")
        if not plain or any(part is not None for part in state[2:5]):
            raise InputError("it asks for a structured type of numpy; not read")
        self.order = ">" if state[1] == ">" else "<"

    def number(self, raw: Any) -> float | int | bool | None:
        """The number of one of its scalars; None for a string.

        Raises:
            InputError: the bytes are not those of a number of this type.
        """
        kind, size = self.code[0], int(self.code[1:])
        letters = {("f", 2): "e", ("f", 4): "f", ("f", 8): "d", ("b", 1): "?"}
        letters.update({("i", n): c for n, c in zip((1, 2, 4, 8), "bhiq", strict=True)})
        letters.update({("u", n): c for n, c in zip((1, 2, 4, 8), "BHIQ", strict=True)})
        if kind in "US":
            return None
        letter = letters.get((kind, size))
        if letter is None or not isinstance(raw, bytes) or len(raw) != size:
            raise InputError(
                f"it holds a number of the type {self.code} , which is unknown; not read"
            )
        found: float | int | bool = struct.unpack(self.order + letter, raw)[0]
        return found


def named(module: str, name: str) -> Name:
    """The name of a class or function, if a phase diagram may hold it.

    Raises:
        InputError: no phase diagram needs it.
    """
    home = OLDER_NAMES.get(module, module).replace("numpy.core.", "numpy._core.")  # of numpy 1
    full = f"{home}.{name}"
    if full in KNOWN or f"{module}.".startswith(RECORDED):
        return Name(full)
    shown = f"{module}.{name}"[:120]
    raise InputError(f"it asks for {shown}, which no phase diagram needs; not read")
