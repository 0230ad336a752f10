"""Read a pickle of pymatgen objects without executing it: only plain records are made.

A pickle is a program: it can call whatever it can import. Here its opcodes are followed by a
machine that knows texts, numbers, lists, dictionaries and records of objects (`stability.records`),
and can neither import nor call anything. Nothing of pymatgen is imported, so it does not matter
which version wrote the file.
"""

from __future__ import annotations

from typing import IO, Any

from flowllm.errors import InputError, first_line
from flowllm.stability.opcodes import Budget, bounded_opcodes
from flowllm.stability.records import (
    BYTES,
    CONTAINERS,
    DTYPE,
    ELEMENT,
    ENCODE,
    GETATTR,
    LONGEST_SYMBOL,
    MAPPINGS,
    OPAQUE,
    RECONSTRUCTOR,
    SCALAR,
    WITHOUT_STATE,
    ElementName,
    Name,
    NumberKind,
    Record,
    keep_entries,
    named,
)

_LIST, _DICT, _RECORD, _PER_ENTRY = 72, 240, 112, 100  # bytes, of Python 3.11
_VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING"
    " UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8"
    " BYTEARRAY8".split()
)
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_OUTSIDE = frozenset(
    {"PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}
)


def load_records(file: IO[bytes], size: int) -> Any:
    """The content of an open pickle, with records for its objects.

    Args:
        file: open; a gzip is opened by the caller.
        size: of the file on the disk in bytes, which limits what reading may take.

    Raises:
        InputError: the file is not a pickle, ends early, or asks for something that is refused.
    """
    try:
        return _Machine(Budget(size)).run(file)
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise InputError(f"not a pickle that can be read: {first_line(error)}") from error


class _Machine:
    """Interprets opcodes; time and memory of each step are proportional to what it counts."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks that marks set aside
        self.memo: dict[int, Any] = {}

    def run(self, file: IO[bytes]) -> Any:
        for name, argument in bounded_opcodes(file, self.budget):
            if name in _VALUES:
                self.stack.append(argument)
            elif name == "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            elif name in _PUTS:
                self.memo[argument] = self.stack[-1]
            elif name in _GETS:
                self.stack.append(self.memo[argument])
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name == "MARK":
                self.budget.spend(_LIST)
                self.below.append(self.stack)
                self.stack = []
            elif name == "STOP":
                return self.stack.pop()
            elif name not in ("PROTO", "FRAME"):
                self.step(name, argument)
        raise ValueError("it ends early")

    def step(self, name: str, argument: Any) -> None:
        """One of the rarer opcodes."""
        stack = self.stack
        if name in _OUTSIDE:
            raise InputError("it refers to an object outside of the file; not read")
        if name in _TUPLES:
            count = _TUPLES[name]
            if len(stack) < count:
                raise ValueError("a tuple of too few")
            self.budget.spend(_LIST)
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("EMPTY_LIST", "EMPTY_SET"):
            self.push([], _LIST)
        elif name == "EMPTY_DICT":
            self.push({}, _DICT)
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            content = self.since_mark()
            self.push(tuple(content) if name == "TUPLE" else content, _LIST)
        elif name == "DICT":
            pairs = self.since_mark()
            self.push({}, _DICT)
            self.put(pairs)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.put([key, value])
        elif name == "SETITEMS":
            self.put(self.since_mark())
        elif name == "APPEND":
            value = stack.pop()
            self.add([value])
        elif name in ("APPENDS", "ADDITEMS"):
            self.add(self.since_mark())
        elif name == "BUILD":
            state = stack.pop()
            self.build(stack[-1], state)
        elif name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            found = named(module, attribute)
            self.push(found if name == "GLOBAL" else self.call(found, tuple(self.since_mark())))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            if not isinstance(module, str) or not isinstance(attribute, str):
                raise ValueError("a name that is not a string")
            self.push(named(module, attribute))
        elif name == "OBJ":
            function, *args = self.since_mark()
            self.push(self.call(function, tuple(args)))
        elif name in ("REDUCE", "NEWOBJ"):
            args, function = stack.pop(), stack.pop()
            self.push(self.call(function, args))
        elif name == "NEWOBJ_EX":
            _, args, function = stack.pop(), stack.pop(), stack.pop()
            self.push(self.call(function, args))
        elif name == "POP_MARK":
            self.since_mark()
        elif name == "POP":
            stack.pop() if stack else self.since_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            raise ValueError(f"the opcode {name}")

    def push(self, value: Any, cost: int = 0) -> None:
        self.budget.spend(cost)
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """Pop the items above the last mark, and the mark, from the stack."""
        found, self.stack = self.stack, self.below.pop()
        return found

    def put(self, pairs: list[Any]) -> None:
        """Entries into the dictionary, or into the record of one, on top of the stack."""
        owner = self.stack[-1]
        self.budget.spend(_PER_ENTRY * (len(pairs) // 2))
        entries = zip(pairs[::2], pairs[1::2], strict=True)
        if isinstance(owner, Record):
            owner.put(entries)
        elif isinstance(owner, dict):
            keep_entries(owner, entries)
        else:
            raise ValueError("entries of something that is not a dictionary")

    def add(self, values: list[Any]) -> None:
        """Members to the list, or to the record of one, on top of the stack."""
        owner = self.stack[-1]
        if isinstance(owner, Record):
            owner.add(values)
        elif isinstance(owner, list):
            owner.extend(values)
        else:
            raise ValueError("members of something that is not a list")

    def build(self, owner: Any, state: Any) -> None:
        """Set attributes of a record; refuse any other target."""
        if isinstance(owner, NumberKind):
            owner.set_state(state)
        elif isinstance(owner, Record):
            for part in state if isinstance(state, tuple) else (state,):
                if not isinstance(part, dict):
                    continue
                if owner.class_name in OPAQUE or owner.class_name.startswith(WITHOUT_STATE):
                    part.clear()  # the memo would keep it
                elif owner.state:
                    self.budget.spend(_PER_ENTRY * len(part))
                    owner.state = {**owner.state, **part}
                else:
                    owner.state = part
        elif not isinstance(owner, ElementName):
            raise InputError("it changes something that is not an object of pymatgen; not read")

    def call(self, function: Any, args: Any) -> Any:
        """The record that represents the result of a call."""
        if not isinstance(function, Name) or not isinstance(args, tuple):
            raise ValueError("it calls something that has no name")
        full = function.full
        first = args[0] if args else None
        if full in (RECONSTRUCTOR, GETATTR):
            if not isinstance(first, Name) or first.full in (RECONSTRUCTOR, GETATTR):
                raise InputError(f"it asks for {full} of something other than a class; not read")
            if full == GETATTR and first.full.startswith(("builtins.", "numpy.", "collections.")):
                raise InputError(f"it asks for an attribute of {first.full}; not read")
            return self.call(first, args[1:2] if full == GETATTR else ())
        if full == ELEMENT:
            return ElementName(str(first)[:LONGEST_SYMBOL] if isinstance(first, str) else "?")
        if full in CONTAINERS:
            # not copied: a list that is copied again and again takes more than was counted
            return first if isinstance(first, (list, tuple)) else []
        if full in MAPPINGS:
            self.budget.spend(_DICT)
            return first if isinstance(first, dict) else _paired(first, self.budget)
        if full in BYTES:
            return first if isinstance(first, bytes) else b""
        if full == ENCODE:
            return _latin_bytes(args, self.budget)
        if full == DTYPE:
            return NumberKind(first)
        if full == SCALAR:
            if not isinstance(first, NumberKind):
                raise InputError("it holds a number of numpy without its type; not read")
            return first.number(args[1] if len(args) > 1 else None)
        self.budget.spend(_RECORD)
        return Record(full, () if full in OPAQUE or full.startswith(WITHOUT_STATE) else args)


def _paired(pairs: Any, budget: Budget) -> dict[str, Any]:
    """A dictionary of pairs, as old pickles write an ordered one; empty for anything else."""
    found: dict[str, Any] = {}
    if isinstance(pairs, (list, tuple)):
        budget.spend(_PER_ENTRY * len(pairs))
        keep_entries(
            found, ((p[0], p[1]) for p in pairs if isinstance(p, (list, tuple)) and len(p) == 2)
        )
    return found


def _latin_bytes(args: tuple[Any, ...], budget: Budget) -> bytes:
    """How protocol 2 writes bytes."""
    if not args or not isinstance(args[0], str) or args[1:] not in ((), ("latin1",)):
        raise InputError("it asks for bytes by another codec than latin1; not read")
    budget.spend(len(args[0]))
    return args[0].encode("latin1")
